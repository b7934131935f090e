"""The training steps that every peer runs: the same weights, the same batch, the same Adam.

NumPy alone is imported here: the peers run under other interpreters. What a step computes is
written per peer, in `benchmarks/models/`; a `Work` is what it computes on.
"""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Layers = list[tuple[Floats, Floats]]
Tree = Any  # nested lists, tuples and dicts of Floats

LEARNING_RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
NORM_EPSILON = 1e-5
HEADS = 4
DIGITS = Path(__file__).parent.parent / "examples" / "data" / "digits.csv.gz"


@dataclass(frozen=True, slots=True)
class Work:
    """One model's weights and one fixed batch. x: [batch, ...], channels last. y: labels, i32.

    model: "mlp", "lenet", "resnet" or "gpt". The loss of each is the mean softmax cross-entropy.
    """

    model: str
    params: Tree
    x: NDArray[Any]
    y: NDArray[np.int32]


def _normal(rng: np.random.Generator, *shape: int, scale: float | None = None) -> Floats:
    """Of variance 1 / inputs by default, where all axes but the last are inputs."""
    deviation = 1 / np.sqrt(np.prod(shape[:-1])) if scale is None else scale
    return (rng.standard_normal(shape) * deviation).astype(np.float32)


def _zeros(*shape: int) -> Floats:
    return np.zeros(shape, np.float32)


def _ones(*shape: int) -> Floats:
    return np.ones(shape, np.float32)


def _labels(rng: np.random.Generator, classes: int, *shape: int) -> NDArray[np.int32]:
    return rng.integers(0, classes, shape).astype(np.int32)


def _layers(rng: np.random.Generator, sizes: tuple[int, ...]) -> Layers:
    """(w: [in, out], b: [out]) of each layer, biases zero."""
    return [(_normal(rng, a, b), _zeros(b)) for a, b in pairwise(sizes)]


def _random(*sizes: int, batch: int) -> Work:
    """Dense layers with ReLU between them."""
    rng = np.random.default_rng(0)
    params = _layers(rng, sizes)
    x = _normal(rng, batch, sizes[0], scale=1.0)
    return Work("mlp", params, x, _labels(rng, sizes[-1], batch))


def _digits(*sizes: int, batch: int) -> Work:
    """The first images of examples/data."""
    with gzip.open(DIGITS, "rt") as lines:
        rows = np.loadtxt(lines, delimiter=",", dtype=np.int32, max_rows=batch)
    x = (rows[:, :64] / 16).astype(np.float32)
    return Work("mlp", _layers(np.random.default_rng(0), sizes), x, rows[:, 64].copy())


def _lenet(batch: int) -> Work:
    """Two 5x5 convolutions, each with bias, ReLU and 2x2 max pooling; two dense layers."""
    rng = np.random.default_rng(0)
    params = {
        "conv1": (_normal(rng, 5, 5, 1, 32), _zeros(32)),
        "conv2": (_normal(rng, 5, 5, 32, 64), _zeros(64)),
        "dense": _layers(rng, (7 * 7 * 64, 256, 10)),
    }
    return Work("lenet", params, _normal(rng, batch, 28, 28, 1, scale=1.0), _labels(rng, 10, batch))


def _resnet(batch: int) -> Work:
    """A 3x3 stem and three residual blocks, each of two 3x3 convolutions with batch norm.

    A block that changes the channels halves the height and width, its skip by a 1x1 convolution.
    """
    rng = np.random.default_rng(0)
    blocks = []
    stem = _normal(rng, 3, 3, 3, 32)
    for a, b in ((32, 32), (32, 64), (64, 128)):
        block = {
            "conv1": _normal(rng, 3, 3, a, b),
            "norm1": (_ones(b), _zeros(b)),
            "conv2": _normal(rng, 3, 3, b, b),
            "norm2": (_ones(b), _zeros(b)),
        }
        blocks.append(block | ({} if a == b else {"skip": _normal(rng, 1, 1, a, b)}))
    params = {"stem": stem, "blocks": blocks, "dense": _normal(rng, 128, 10)}
    x = _normal(rng, batch, 32, 32, 3, scale=1.0)
    return Work("resnet", params, x, _labels(rng, 10, batch))


def _gpt(batch: int, length: int, width: int, layers: int, vocabulary: int) -> Work:
    """Pre-norm transformer of HEADS causal heads, GELU by tanh, output tied to the embedding."""
    rng = np.random.default_rng(0)
    embedding = _normal(rng, vocabulary, width, scale=0.02)
    positions = _normal(rng, length, width, scale=0.02)
    blocks = [
        {
            "qkv": _normal(rng, width, 3 * width),
            "out": _normal(rng, width, width),
            "up": _normal(rng, width, 4 * width),
            "down": _normal(rng, 4 * width, width),
            "norm1": (_ones(width), _zeros(width)),
            "norm2": (_ones(width), _zeros(width)),
        }
        for _ in range(layers)
    ]
    norm = (_ones(width), _zeros(width))
    params = {"embedding": embedding, "positions": positions, "blocks": blocks, "norm": norm}
    tokens, following = (_labels(rng, vocabulary, batch, length) for _ in range(2))
    return Work("gpt", params, tokens, following)


WORKLOADS: dict[str, Callable[[], Work]] = {
    "digits": lambda: _digits(64, 256, 128, 10, batch=64),
    "mlp_small": lambda: _random(64, 128, 10, batch=32),
    "mlp": lambda: _random(784, 512, 512, 10, batch=128),
    "lenet": lambda: _lenet(batch=64),
    "resnet": lambda: _resnet(batch=32),
    "gpt": lambda: _gpt(batch=8, length=128, width=128, layers=4, vocabulary=256),
}
MLPS = ("digits", "mlp_small", "mlp")  # the workloads that NumPy runs too
CNNS = ("lenet", "resnet")  # those that torch runs in either of its memory formats


def call_arrays(count: int) -> list[Floats]:
    """The arrays of the step that does next to nothing, to time a call: `count` of f32[8]."""
    return [np.full(8, i, np.float32) for i in range(count)]
