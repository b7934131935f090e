"""The 5,000 images of 28x28 pixels of examples/data, and pictures of such images as PNG files."""

import struct
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).parent / "data" / "mnist_5k.npz"
TEST_EVERY = 5


class Mnist(NamedTuple):
    """Images [n, 28, 28, 1], f32 in 0..1, and digits [n], i32; 4,000 to train on, 1,000 to test."""

    x_train: NDArray[np.float32]
    y_train: NDArray[np.int32]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int32]


def load(every: int = 1) -> Mnist:
    """Reads the file. The split is fixed: images 0, 5, 10, ... are for testing.

    every: takes so many times fewer images, for a short run.
    """
    with np.load(FILE, allow_pickle=False) as data:
        images, digits = data["images"], data["digits"].astype(np.int32)
    x = (images / np.float32(255))[..., None]
    test = np.arange(len(x)) % TEST_EVERY == 0
    train, held_out = np.flatnonzero(~test)[::every], np.flatnonzero(test)[::every]
    return Mnist(x[train], digits[train], x[held_out], digits[held_out])


def save_picture(path: str | Path, images: Any, columns: int = 10) -> None:
    """Writes images [n, H, W] of numbers in 0..1 side by side, `columns` in a row, as a PNG."""
    count, height, width = images.shape[0] // columns * columns, *images.shape[1:3]
    grid = np.reshape(images[:count], (-1, columns, height, width)).swapaxes(1, 2)
    pixels = (np.reshape(grid, (-1, columns * width)) * 255).clip(0, 255).astype(np.uint8)

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    rows = np.insert(pixels, 0, 0, axis=1).tobytes()  # 0 before each row: no filter
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 0, 0, 0, 0)
    Path(path).write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )
