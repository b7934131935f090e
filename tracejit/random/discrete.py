"""Distributions over integers, and random orders."""

from __future__ import annotations

from math import log, pi, prod
from typing import Any

import numpy as np

from tracejit.ir.types import F32, F64, I64, Shape
from tracejit.numpy.standard import take
from tracejit.random.continuous import gumbel, open_uniform, plain
from tracejit.random.keys import bits, split, uniform
from tracejit.random.rejection import first_accepted, operand


def bernoulli(key: Any, p: Any = 0.5, shape: Shape | None = None) -> Any:
    """bool[shape], True with probability p; shape: that of p."""
    return np.less(uniform(key, np.shape(p) if shape is None else shape, np.float32), p)


def rademacher(key: Any, shape: Shape = (), dtype: Any = np.int32) -> Any:
    """1 or -1, each half of the time."""
    return np.astype(np.where(bernoulli(key, 0.5, shape), 1, -1), dtype)


def randint(key: Any, shape: Shape, minval: int, maxval: int, dtype: Any = np.int32) -> Any:
    """Integers in [minval, maxval), a span of at most 2^32; the bias is below 2^-32 of the span."""
    span = maxval - minval
    if not 0 < span <= 2**32:
        raise ValueError(f"randint: [{minval}, {maxval}) holds {span} integers, not 1 to 2^32")
    scaled = (np.astype(bits(key, shape), np.uint64) * span) >> 32
    return np.astype(np.astype(scaled, np.int64) + minval, dtype)


def categorical(key: Any, logits: Any, axis: int = -1, shape: Shape | None = None) -> Any:
    """The index of a class along the axis, with probabilities softmax(logits): i64[shape].

    shape: the sizes of logits without the axis, or what these broadcast to.
    Source: Gumbel 1954; the largest of logits + gumbel.
    """
    scores = np.moveaxis(np.asarray(logits) if plain(logits) else logits, axis, -1)
    lead = np.shape(scores)[:-1] if shape is None else tuple(shape)
    noise = gumbel(key, (*lead, np.shape(scores)[-1]), np.result_type(scores.dtype, F32))
    return np.argmax(scores + noise, axis=-1)


def _order(key: Any, size: int) -> Any:
    """A random order of `size` things: they are sorted by 63 random bits each."""
    words = np.astype(bits(key, (2, size)), I64)
    return np.argsort((words[0] << 31) ^ words[1], stable=True)


def permutation(key: Any, x: Any, axis: int = 0, independent: bool = False) -> Any:
    """x in a random order along the axis; of an int n: 0 to n - 1.

    independent: each vector along the axis in an order of its own.
    """
    if isinstance(x, int | np.integer):
        return _order(key, int(x))
    size = np.shape(x)[axis]
    if not independent:
        return take(x, _order(key, size), axis=axis)
    moved = np.moveaxis(x, axis, -1)
    words = np.astype(bits(key, (2, *np.shape(moved))), I64)
    order = np.argsort((words[0] << 31) ^ words[1], axis=-1, stable=True)
    return np.moveaxis(np.take_along_axis(moved, order, -1), -1, axis)


shuffle = permutation


def choice(
    key: Any, a: Any, shape: Shape = (), replace: bool = True, p: Any = None, axis: int = 0
) -> Any:
    """Elements of a along the axis, or of 0 to a - 1: [shape]. p: their probabilities."""
    size = int(a) if isinstance(a, int | np.integer) else np.shape(a)[axis]
    count = prod(shape)
    if size == 0 or (not replace and count > size):
        raise ValueError(f"choice: {count} of {size} elements cannot be drawn")
    if p is not None and not replace:
        # The largest of log p + gumbel, in order (Vieira 2014).
        scores = np.log(p) + gumbel(key, (size,), F64)
        index = np.argsort(-scores, stable=True)[:count]
    elif p is not None:
        whole = np.cumsum(np.astype(np.asarray(p) if plain(p) else p, F64))
        index = np.searchsorted(whole, uniform(key, (count,), F64) * whole[-1], side="right")
        index = np.minimum(index, size - 1)
    elif replace:
        index = randint(key, (count,), 0, size, np.int64)
    else:
        index = _order(key, size)[:count]
    index = np.reshape(index, shape)
    return index if isinstance(a, int | np.integer) else take(a, index, axis=axis)


def poisson(key: Any, lam: Any, shape: Shape | None = None, dtype: Any = np.int32) -> Any:
    """Mean lam >= 0, whole numbers: they do not differentiate. By inversion; from 10 on by PTRS.

    Source: Hormann 1993, "The transformed rejection method for generating Poisson variables".
    """
    rate = operand(lam, F64)
    sizes = np.shape(rate) if shape is None else tuple(shape)
    rate = np.broadcast_to(rate, sizes)
    small = rate < 10
    first, second = split(key)
    few = _by_inversion(open_uniform(first, sizes, F64), np.where(small, rate, 1.0))
    many = _transformed(second, np.where(small, 10.0, rate), sizes)
    return np.astype(np.where(small, few, many), dtype)


def _by_inversion(u: Any, rate: Any) -> Any:
    """How many terms of the distribution function are below u; the 60th is 1 - 1e-25 at 10."""
    term = np.exp(-rate)
    total, count = term, np.zeros_like(u)
    for k in range(1, 60):
        count = count + np.astype(u > total, F64)
        term = term * rate / k
        total = total + term
    return count


def _transformed(key: Any, rate: Any, shape: Shape) -> Any:
    b = 0.931 + 2.53 * np.sqrt(rate)
    a = -0.059 + 0.02483 * b
    scale = 1.1239 + 1.1328 / (b - 3.4)
    certain = 0.9277 - 3.6224 / (b - 2)
    log_rate = np.log(rate)

    def propose(k: Any) -> tuple[Any, Any]:
        one, two = split(k)
        u = open_uniform(one, shape, F64) - 0.5
        v = open_uniform(two, shape, F64)
        near = 0.5 - np.abs(u)
        n = np.floor((2 * a / near + b) * u + rate + 0.43)
        quick = np.logical_and(near >= 0.07, v <= certain)
        refused = np.logical_or(n < 0, np.logical_and(near < 0.013, v > near))
        left = np.log(v * scale / (a / (near * near) + b))
        right = -rate + n * log_rate - log_factorial(np.maximum(n, 0))
        slow = np.logical_and(np.logical_not(refused), left <= right)
        return n, np.logical_or(quick, slow)

    return first_accepted(key, shape, F64, propose)


def log_factorial(n: Any) -> Any:
    """log(n!) to 1e-8, by Stirling's series at n + 5."""
    z = n + 5
    series = 1 / (12 * z) - 1 / (360 * z**3) + 1 / (1260 * z**5)
    whole = (z - 0.5) * np.log(z) - z + 0.5 * log(2 * pi) + series
    return whole - np.log((n + 1) * (n + 2) * (n + 3) * (n + 4))
