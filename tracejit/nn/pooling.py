"""Pooling: maxima and means over windows of x: [N, *S, C], or [N, C, *S] if "channels_first".

Windows begin `strides` apart, by default one right after the other. padding: as in `conv2d`; what
is padded counts neither in a maximum nor in a mean. Equal maxima share a cotangent equally.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from tracejit.errors import ShapeError
from tracejit.ir import ops
from tracejit.ir.graph import Node
from tracejit.ir.types import BF16, F16, F32, F64, I32, Shape, is_float
from tracejit.lowering import least
from tracejit.nn.spatial import (
    LAYOUTS,
    Ints,
    Padding,
    Pairs,
    PerAxis,
    fitting,
    named,
    over_space,
    padded,
    per_axis,
    sides,
)
from tracejit.source import here


@dataclass(frozen=True, slots=True)
class Windows:
    """Per spatial axis: the size, the distance, what is padded around, and how many there are."""

    size: Ints
    strides: Ints
    around: Pairs
    counts: Ints


Pool = Callable[[Node, Windows], Node]


def global_max_pool(x: Any, data_format: str = "channels_last", keepdims: bool = False) -> Any:
    """The maximum over all spatial axes: [N, C]."""
    return np.max(x, axis=_space(x, data_format), keepdims=keepdims)


def global_avg_pool(x: Any, data_format: str = "channels_last", keepdims: bool = False) -> Any:
    """The mean over all spatial axes: [N, C]."""
    return np.mean(x, axis=_space(x, data_format), keepdims=keepdims)


def _space(x: Any, data_format: str) -> Ints:
    if data_format not in ("channels_last", "channels_first"):
        raise ShapeError(f"global pooling: data_format={data_format!r} is not known{here()}")
    first = 1 + (data_format == "channels_first")
    return tuple(range(first, first + np.ndim(x) - 2))


def _pool(
    op: str,
    axes: int,
    pool: Pool,
    x: Any,
    window: PerAxis,
    strides: PerAxis | None,
    padding: Padding,
    data_format: str,
) -> Any:
    size = per_axis(op, "window", window, axes)
    steps = size if strides is None else per_axis(op, "strides", strides, axes)

    def build(x: Node) -> Node:
        return pool(x, _windows(op, x, size, steps, padding))

    return over_space(op, axes, data_format, build, x)


def _windows(op: str, x: Node, size: Ints, strides: Ints, padding: Padding) -> Windows:
    around = sides(op, padding, x.shape[1:-1], size, strides)
    if any(max(pair) >= k for pair, k in zip(around, size, strict=True)):
        raise ShapeError(
            f"{op}: padding={padding!r} must be less than the window {size}, or a window could lie"
            f" outside x{here()}"
        )
    counts = fitting(op, x, around, size, strides, (1,) * len(size))
    return Windows(size, strides, around, counts)


def _maximum(x: Node, windows: Windows) -> Node:
    wide = padded(x, least(x.dtype), windows.around)
    return _reduced(wide, windows, ops.reduce_max, ops.window_max)


def _mean(x: Node, windows: Windows) -> Node:
    """Of f16 and bf16 in f32, as their sums could overflow."""
    wide = F32 if x.dtype in (F16, BF16) else x.dtype if is_float(x.dtype) else F64
    exact = padded(ops.cast(x, wide), 0, windows.around)
    total = _reduced(exact, windows, ops.reduce_sum, ops.window_sum)
    mean = total / _elements(total, x.shape[1:-1], windows)
    return ops.cast(mean, x.dtype) if is_float(x.dtype) else mean


def _elements(total: Node, sizes: Shape, windows: Windows) -> Node:
    """How many elements of x each window holds, shaped like `total`: computed, never stored."""
    by_axis = list(zip(sizes, windows.size, windows.strides, windows.around, strict=True))
    whole = prod(k for _, k, _, around in by_axis if around == (0, 0))
    counts = ops.full_like(total, float(whole))
    for axis, (size, k, s, around) in enumerate(by_axis, 1):
        if around != (0, 0):
            begin = ops.iota(total.builder, (total.shape[axis],), 0, I32) * s - around[0]
            end = ops.minimum(begin + k, ops.full_like(begin, size))
            inside = ops.cast(end - ops.maximum(begin, ops.zeros_like(begin)), total.dtype)
            counts = counts * ops.broadcast(inside, total.shape, (axis,))
    return counts


def _reduced(
    x: Node,
    windows: Windows,
    reduce: Callable[[Node, Iterable[int]], Node],
    over_windows: Callable[[Node, Ints, Ints], Node],
) -> Node:
    """Windows that lie one right after the other are axes of their own: a plain reduction."""
    size, strides, counts = windows.size, windows.strides, windows.counts
    if any(s != k and n > 1 for n, k, s in zip(counts, size, strides, strict=True)):
        return over_windows(x, (1, *size, 1), (1, *strides, 1))
    n, c = x.shape[0], x.shape[-1]
    split = [m for pair in zip(counts, size, strict=True) for m in pair]
    used = [count * k for count, k in zip(counts, size, strict=True)]
    exact = ops.slice(x, (0,) * x.ndim, (n, *used, c))
    return reduce(ops.reshape(exact, (n, *split, c)), range(2, 2 + len(split), 2))


def _pooling(op: str, axes: int, pool: Pool, doc: str) -> Callable[..., Any]:
    """The public function of one kind of pooling over so many axes."""
    layout, _ = LAYOUTS["channels_last"][axes - 1].rsplit(",", 1)
    pooled = layout.translate({ord(axis): f"{axis}'" for axis in "DHWL"})

    def function(
        x: Any,
        window: PerAxis = 2,
        strides: PerAxis | None = None,
        padding: Padding = "valid",
        data_format: str = "channels_last",
    ) -> Any:
        return _pool(op, axes, pool, x, window, strides, padding, data_format)

    return named(function, op, f"{layout}, C] -> {pooled}, C]{doc}")


max_pool1d, max_pool2d, max_pool3d = (
    _pooling(f"max_pool{axes}d", axes, _maximum, ".") for axes in (1, 2, 3)
)
avg_pool1d, avg_pool2d, avg_pool3d = (
    _pooling(f"avg_pool{axes}d", axes, _mean, "; integers become f64, as in np.mean.")
    for axes in (1, 2, 3)
)
