"""The handwritten digits of examples/data: 1,797 images of 8x8 pixels."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).parent / "data" / "digits.csv.gz"
TEST_EVERY = 5


class Digits(NamedTuple):
    """Images [n, 64], f32 in 0..1, and digits [n], i32 in 0..9; 1,437 to train on, 360 to test."""

    x_train: NDArray[np.float32]
    y_train: NDArray[np.int32]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int32]


def load() -> Digits:
    """Reads the file. The split is fixed: images 0, 5, 10, ... are for testing."""
    rows = np.loadtxt(FILE, delimiter=",", dtype=np.int32)
    images = (rows[:, :64] / 16).astype(np.float32)  # pixels count 0..16 inked dots
    digits = rows[:, 64].copy()
    test = np.arange(len(rows)) % TEST_EVERY == 0
    return Digits(images[~test], digits[~test], images[test], digits[test])
