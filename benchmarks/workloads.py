"""The training steps that every peer runs: the same weights, the same batch, the same Adam.

NumPy alone is imported here: the peers run under other interpreters.
"""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Layers = list[tuple[Floats, Floats]]

LEARNING_RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
DIGITS = Path(__file__).parent.parent / "examples" / "data" / "digits.csv.gz"


@dataclass(frozen=True, slots=True)
class Mlp:
    """Dense layers with ReLU between them, mean softmax cross-entropy, one fixed batch.

    params: (w: [in, out], b: [out]) of each layer. x: [batch, sizes[0]]. y: [batch], i32.
    """

    sizes: tuple[int, ...]
    params: Layers
    x: Floats
    y: NDArray[np.int32]


def _layers(rng: np.random.Generator, sizes: tuple[int, ...]) -> Layers:
    """Weights of variance 1 / inputs, biases zero."""
    return [
        ((rng.standard_normal((a, b)) / np.sqrt(a)).astype(np.float32), np.zeros(b, np.float32))
        for a, b in pairwise(sizes)
    ]


def _random(*sizes: int, batch: int) -> Mlp:
    rng = np.random.default_rng(0)
    params = _layers(rng, sizes)
    x = rng.standard_normal((batch, sizes[0])).astype(np.float32)
    return Mlp(sizes, params, x, rng.integers(0, sizes[-1], batch).astype(np.int32))


def _digits(*sizes: int, batch: int) -> Mlp:
    """The first images of examples/data."""
    with gzip.open(DIGITS, "rt") as lines:
        rows = np.loadtxt(lines, delimiter=",", dtype=np.int32, max_rows=batch)
    x = (rows[:, :64] / 16).astype(np.float32)
    return Mlp(sizes, _layers(np.random.default_rng(0), sizes), x, rows[:, 64].copy())


WORKLOADS: dict[str, Callable[[], Mlp]] = {
    "digits": lambda: _digits(64, 256, 128, 10, batch=64),
    "mlp_small": lambda: _random(64, 128, 10, batch=32),
    "mlp": lambda: _random(784, 512, 512, 10, batch=128),
}


def call_arrays(count: int) -> list[Floats]:
    """The arrays of the step that does next to nothing, to time a call: `count` of f32[8]."""
    return [np.full(8, i, np.float32) for i in range(count)]
