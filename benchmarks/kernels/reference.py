"""A part of each result in f64: rows of a product, an image or one tap of a convolution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.kernels.cases import ROUNDING, Attention, Case, Convolution, Floats, Product

Doubles = NDArray[np.float64]
Part = tuple[slice | int, ...]  # an index into the result

# ‖part - exact‖ / ‖exact‖ for sums in f32; seen: up to 1.2e-6, where 4,608 products are summed.
TOLERANCE = 3e-6


def checked(case: Case, *operands: Floats, out: Floats) -> Floats:
    """`out`. Raises ArithmeticError where its part is off the exact one by more than TOLERANCE and
    what its dtype rounds off."""
    if isinstance(case, Attention):
        part, exact = attention(case, *operands)
    elif isinstance(case, Product):
        part, exact = product(case, *operands)
    else:
        part, exact = convolution(case, *operands)
    off = np.linalg.norm(out[part] - exact) / np.linalg.norm(exact)
    most = TOLERANCE + ROUNDING[case.dtype]
    if not off <= most:
        raise ArithmeticError(f"{case.name}: off by {off:.1e} of its norm, over {most:.0e}")
    return out


def attention(case: Attention, *operands: Floats) -> tuple[Part, Doubles]:
    """The last head."""
    q, k, v, *gradient = (x[-1, -1].astype(float) for x in operands)
    scores = q @ k.T / np.sqrt(case.width)
    if case.causal:
        scores = np.where(np.tri(case.length, dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    y = weights @ v
    if not gradient:
        return (-1, -1), y
    (g,) = gradient
    of_scores = weights * (g @ v.T - (g * y).sum(1, keepdims=True)) / np.sqrt(case.width)
    found = np.stack([y, of_scores @ k, of_scores.T @ q, weights.T @ g])
    return (slice(None), -1, -1), found


def product(case: Product, a: Floats, b: Floats) -> tuple[Part, Doubles]:
    """The last rows, of the last matrix of a batch."""
    last, rows = (-1,) * len(case.batch), slice(max(case.m - 16, 0), case.m)
    left = a[last].T if case.layout[0] == "T" else a[last]
    right = b[last].T if case.layout[1] == "T" else b[last]
    return (*last, rows), left[rows].astype(float) @ right.astype(float)


def convolution(case: Convolution, first: Floats, second: Floats) -> tuple[Part, Doubles]:
    """The last image, or the last tap of the weights."""
    sides = ((0, 0), (case.padding,) * 2, (case.padding,) * 2, (0, 0))
    if case.direction == "weight":
        seen = np.pad(first, sides)[:, case.window - 1 :, case.window - 1 :]
        reach = (case.out_size - 1) * case.stride + 1
        pixels = seen[:, : reach : case.stride, : reach : case.stride].reshape(-1, case.channels)
        grads = second.reshape(-1, case.out_channels)
        return (-1, -1), pixels.astype(float).T @ grads.astype(float)
    if case.direction == "forward":
        image = np.pad(first[-1:], sides)[0].astype(float)
        return (-1,), _forward(case, image, second.astype(float))
    image = np.zeros((case.size + 2 * case.padding,) * 2 + (case.channels,))
    for y, x in np.ndindex(case.window, case.window):
        _taken(case, image, y, x)[...] += second[-1].astype(float) @ first[y, x].astype(float).T
    inside = slice(case.padding, case.padding + case.size)
    return (-1,), image[inside, inside]


def _forward(case: Convolution, image: Doubles, weights: Doubles) -> Doubles:
    taps = np.ndindex(case.window, case.window)
    return np.sum([_taken(case, image, y, x) @ weights[y, x] for y, x in taps], 0)


def _taken(case: Convolution, image: Doubles, y: int, x: int) -> Doubles:
    """What tap (y, x) sees of a padded image, for all pixels of the result."""
    reach = (case.out_size - 1) * case.stride + 1
    return image[y : y + reach : case.stride, x : x + reach : case.stride]
