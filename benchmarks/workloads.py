"""The training steps that every peer runs: the same weights, the same batch, the same Adam.

NumPy alone is imported here: the peers run under other interpreters. What a step computes is
written per peer, in `benchmarks/models/`; a `Work` is what it computes on.
"""

import gzip
from collections.abc import Callable, Sequence
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
LEAK = 0.2  # slope of leaky ReLU below zero
DIGITS = Path(__file__).parent.parent / "examples" / "data" / "digits.csv.gz"


@dataclass(frozen=True, slots=True)
class Work:
    """One model's weights and one fixed batch. x: [batch, ...], channels last. y: labels, i32.

    model: "mlp", "lenet", "resnet", "lstm" or "gpt", whose loss is the mean softmax cross-entropy;
    or "dcgan", where y is the generator's noise [batch, Z] and the losses are those of `_dcgan`.
    flops: of a step's matrix products and convolutions, counted by formula.
    """

    model: str
    params: Tree
    x: NDArray[Any]
    y: NDArray[Any]
    flops: int


FORWARD, GRADIENT = 1, 1  # passes over the same products: the result; the gradient at one operand
FIRST = FORWARD + GRADIENT  # a layer whose input needs no gradient
INNER = FORWARD + 2 * GRADIENT


def _flops(places: int, inputs: int, outputs: int, passes: int = INNER) -> int:
    """Of a layer that sums over `inputs` for each of `outputs` values at each place."""
    return 2 * places * inputs * outputs * passes


def _dense_flops(batch: int, sizes: Sequence[int], first: int = FIRST) -> int:
    passes = [first, *[INNER] * (len(sizes) - 2)]
    layers = zip(pairwise(sizes), passes, strict=True)
    return sum(_flops(batch, a, b, n) for (a, b), n in layers)


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
    return Work("mlp", params, x, _labels(rng, sizes[-1], batch), _dense_flops(batch, sizes))


def _digits(*sizes: int, batch: int) -> Work:
    """The first images of examples/data."""
    with gzip.open(DIGITS, "rt") as lines:
        rows = np.loadtxt(lines, delimiter=",", dtype=np.int32, max_rows=batch)
    x = (rows[:, :64] / 16).astype(np.float32)
    params = _layers(np.random.default_rng(0), sizes)
    return Work("mlp", params, x, rows[:, 64].copy(), _dense_flops(batch, sizes))


def _lenet(batch: int) -> Work:
    """Two 5x5 convolutions, each with bias, ReLU and 2x2 max pooling; two dense layers."""
    rng = np.random.default_rng(0)
    dense = (7 * 7 * 64, 256, 10)
    params = {
        "conv1": (_normal(rng, 5, 5, 1, 32), _zeros(32)),
        "conv2": (_normal(rng, 5, 5, 32, 64), _zeros(64)),
        "dense": _layers(rng, dense),
    }
    x = _normal(rng, batch, 28, 28, 1, scale=1.0)
    flops = _flops(batch * 28**2, 5 * 5, 32, FIRST) + _flops(batch * 14**2, 5 * 5 * 32, 64)
    flops += _dense_flops(batch, dense, INNER)
    return Work("lenet", params, x, _labels(rng, 10, batch), flops)


def _resnet(batch: int) -> Work:
    """A 3x3 stem and three residual blocks, each of two 3x3 convolutions with batch norm.

    A block that changes the channels halves the height and width, its skip by a 1x1 convolution.
    """
    rng = np.random.default_rng(0)
    blocks = []
    stem = _normal(rng, 3, 3, 3, 32)
    flops = _flops(batch * 32**2, 3 * 3 * 3, 32, FIRST) + _flops(batch, 128, 10)
    for a, b, side in ((32, 32, 32), (32, 64, 16), (64, 128, 8)):
        flops += _flops(batch * side**2, 3 * 3 * (a + b) + (a if a != b else 0), b)
        block = {
            "conv1": _normal(rng, 3, 3, a, b),
            "norm1": (_ones(b), _zeros(b)),
            "conv2": _normal(rng, 3, 3, b, b),
            "norm2": (_ones(b), _zeros(b)),
        }
        blocks.append(block | ({} if a == b else {"skip": _normal(rng, 1, 1, a, b)}))
    params = {"stem": stem, "blocks": blocks, "dense": _normal(rng, 128, 10)}
    x = _normal(rng, batch, 32, 32, 3, scale=1.0)
    return Work("resnet", params, x, _labels(rng, 10, batch), flops)


def _lstm(batch: int, length: int, width: int, hidden: int) -> Work:
    """One recurrent layer; its last state goes into a dense layer without bias.

    gates: (w: [width, 4 hidden], u: [hidden, 4 hidden], b), in the order input, forget, cell, out.
    """
    rng = np.random.default_rng(0)
    gates = (_normal(rng, width, 4 * hidden), _normal(rng, hidden, 4 * hidden), _zeros(4 * hidden))
    params = {"gates": gates, "dense": _normal(rng, hidden, 10)}
    x = _normal(rng, batch, length, width, scale=1.0)
    flops = _flops(batch * length, width, 4 * hidden, FIRST)
    flops += _flops(batch * length, hidden, 4 * hidden) + _flops(batch, hidden, 10)
    return Work("lstm", params, x, _labels(rng, 10, batch), flops)


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
    rows = batch * length
    block = sum(_flops(rows, width, n * width) for n in (3, 1, 4, 4))
    block += 2 * _flops(rows, length, width)  # scores, and what they weigh
    flops = layers * block + _flops(rows, width, vocabulary)
    return Work("gpt", params, tokens, following, flops)


def _dcgan(batch: int, noise: int, width: int) -> Work:
    """A generator of images of 32x32 from noise, and a discriminator of those and real ones.

    Both after Radford et al. 2015, arXiv:1511.06434: 4x4 windows at stride 2, batch norm but at the
    image, ReLU in the one and leaky ReLU (0.2) in the other; `width` channels at 16x16. A step
    updates the discriminator by the mean sigmoid cross-entropy of real images (1) and of generated
    ones (0), then the generator by that of its images (1) under the new discriminator. The loss is
    the sum of the three.
    """
    rng = np.random.default_rng(0)
    a, b, c = width, 2 * width, 4 * width

    def norms(*channels: int) -> list[tuple[Floats, Floats]]:
        return [(_ones(n), _zeros(n)) for n in channels]

    generator = {
        "dense": _normal(rng, noise, 4 * 4 * c),
        "convs": [_normal(rng, 4, 4, o, i) for i, o in ((c, b), (b, a), (a, 3))],
        "norms": norms(c, b, a),
    }
    discriminator = {
        "convs": [_normal(rng, 4, 4, i, o) for i, o in ((3, a), (a, b), (b, c))],
        "norms": norms(b, c),
        "dense": _normal(rng, 4 * 4 * c, 1),
    }
    params = {"generator": generator, "discriminator": discriminator}
    x = np.tanh(_normal(rng, batch, 32, 32, 3, scale=1.0))
    y = _normal(rng, batch, noise, scale=1.0)
    # By pairs of sizes: the transposed convolutions are those of the discriminator, read backwards.
    outer = 2 * batch * 16**2 * 16 * 3 * a
    inner = 2 * batch * (8**2 * 16 * a * b + 4**2 * 16 * b * c)
    # Real images, generated ones, and those again for the generator, without gradients at weights.
    critic = outer * 3 * FIRST + inner * (2 * INNER + FIRST)
    critic += _flops(batch, 16 * c, 1, 2 * INNER + FIRST)
    maker = (outer + inner) * INNER + _flops(batch, noise, 16 * c, FIRST)
    return Work("dcgan", params, x, y, critic + maker)


WORKLOADS: dict[str, Callable[[], Work]] = {
    "digits": lambda: _digits(64, 256, 128, 10, batch=64),
    "mlp_small": lambda: _random(64, 128, 10, batch=32),
    "mlp": lambda: _random(784, 512, 512, 10, batch=128),
    "lenet": lambda: _lenet(batch=64),
    "resnet": lambda: _resnet(batch=32),
    "lstm": lambda: _lstm(batch=32, length=64, width=64, hidden=128),
    "gpt": lambda: _gpt(batch=8, length=128, width=128, layers=4, vocabulary=256),
    "dcgan": lambda: _dcgan(batch=64, noise=64, width=32),
}
MLPS = ("digits", "mlp_small", "mlp")  # the workloads that NumPy and PyTensor run too
CNNS = ("lenet", "resnet", "dcgan")  # those that torch runs in either of its memory formats


def call_arrays(count: int) -> list[Floats]:
    """The arrays of the step that does next to nothing, to time a call: `count` of f32[8]."""
    return [np.full(8, i, np.float32) for i in range(count)]
