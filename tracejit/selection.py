"""Choosing elements: where, clip, triangles, take."""

from __future__ import annotations

from math import prod
from typing import Any

import ml_dtypes
import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.functions import axis_of, lift, live, traces
from tracejit.ir import ops
from tracejit.ir.graph import Node
from tracejit.ir.types import BOOL, I32, I64, DTypeError, ShapeError, is_float, is_integer
from tracejit.lowering import broadcast_shapes, broadcast_to, cast, emit
from tracejit.movement import expand_dims, fitted, moveaxis, reshape
from tracejit.promotion import common_dtype
from tracejit.source import here
from tracejit.tracer import Tracer


@traces(np.where)
def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """Both values are computed; the condition chooses."""
    if x is None or y is None:
        raise UnsupportedError(
            f"np.where(condition) has a shape that depends on values{here()};"
            " use np.where(condition, x, y)"
        )
    trace = live()
    pred = cast(trace.lift(condition).node, BOOL)
    values = [trace.lift(x), trace.lift(y)]
    dtype = common_dtype(tuple(v.kind for v in values))
    a, b = (fitted(v, dtype).node for v in values)
    shape = broadcast_shapes("where", pred, a, b)
    node = emit("select", *(broadcast_to(n, shape) for n in (pred, a, b)))
    return Tracer(node, trace, weak=all(v.weak for v in values))


@traces(np.clip)
def clip(a: Any, a_min: Any = None, a_max: Any = None, min: Any = None, max: Any = None) -> Any:
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    x: Any = lift(a)
    if is_integer(x.dtype):
        # A Python int at or beyond the limits of the dtype is no bound.
        limits = np.iinfo(x.dtype)
        low = None if type(low) is int and low <= limits.min else low
        high = None if type(high) is int and high >= limits.max else high
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


@traces(np.nan_to_num)
def nan_to_num(x: Any, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    array = lift(x)
    if not is_float(array.dtype):
        return array
    limits: Any = ml_dtypes.finfo(array.dtype)
    high = float(limits.max) if posinf is None else posinf
    low = float(limits.min) if neginf is None else neginf
    out = where(np.isnan(array), nan, array)
    out = where(array == float("inf"), high, out)
    return where(array == -float("inf"), low, out)


@traces(np.round, np.around)
def round(a: Any, decimals: int = 0) -> Any:
    """Half to even; with decimals, of the scaled value, as in NumPy."""
    if decimals == 0 or not is_float(lift(a).dtype):
        return np.rint(a) if is_float(lift(a).dtype) else lift(a)
    scale = 10.0**decimals
    return np.rint(lift(a) * scale) / scale


@traces(np.fix)
def fix(x: Any) -> Any:
    return np.trunc(x)


@traces(np.isclose)
def isclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    x, y = lift(a), lift(b)
    near = (np.abs(x - y) <= atol + rtol * np.abs(y)) & np.isfinite(y)
    out = near | (x == y)
    return out | (np.isnan(x) & np.isnan(y)) if equal_nan else out


@traces(np.allclose)
def allclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    return np.all(isclose(a, b, rtol, atol, equal_nan))


def band(x: Node, shape: tuple[int, ...], test: str, k: int) -> Node:
    """Where column - row `test` k, over the last two axes of `shape`."""
    row = ops.iota(x.builder, shape, len(shape) - 2, I64)
    column = ops.iota(x.builder, shape, len(shape) - 1, I64)
    return emit(test, column - row, ops.full_like(row, k))


def _triangle(m: Any, test: str, k: int) -> Tracer:
    x = lift(m)
    if x.ndim == 1:
        x = lift(np.broadcast_to(x, (x.size, x.size)))
    keep = band(x.node, x.shape, test, k)
    return x.home.wrap(emit("select", keep, x.node, ops.zeros_like(x.node)))


@traces(np.tril)
def tril(m: Any, k: int = 0) -> Any:
    return _triangle(m, "le", k)


@traces(np.triu)
def triu(m: Any, k: int = 0) -> Any:
    return _triangle(m, "ge", k)


@traces(np.diagonal)
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The diagonal of the two axes, last in the result."""
    x = lift(moveaxis(a, (axis1, axis2), (-2, -1)))
    rows, columns = x.shape[-2:]
    size = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    x = x[..., -min(offset, 0) :, max(offset, 0) :][..., :size, :size]
    on = band(x.node, x.shape, "eq", 0)
    kept = emit("select", on, x.node, ops.zeros_like(x.node))
    if x.dtype == BOOL:  # which has no sum
        return x.home.wrap(cast(ops.sum(cast(kept, I32), [-1]), BOOL))
    return x.home.wrap(ops.sum(kept, [-1]))


@traces(np.diag)
def diag(v: Any, k: int = 0) -> Any:
    x = lift(v)
    if x.ndim == 2:
        return diagonal(x, k)
    side = x.size + abs(k)
    padded = np.pad(x, (max(k, 0), max(-k, 0)))
    return where_band(np.broadcast_to(padded, (side, side)), k)


def where_band(x: Any, k: int) -> Tracer:
    tracer = lift(x)
    on = band(tracer.node, tracer.shape, "eq", k)
    return tracer.home.wrap(emit("select", on, tracer.node, ops.zeros_like(tracer.node)))


@traces(np.trace)
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Any:
    return np.sum(diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype)


def integer_index(index: Any) -> Tracer:
    """An index array; raises for one that does not hold integers."""
    tracer = lift(index)
    if is_integer(tracer.dtype):
        return tracer
    if tracer.dtype == BOOL:
        raise UnsupportedError(
            f"index: a mask {tracer.node.type} has a result whose shape depends on values{here()};"
            " use np.where(mask, x, other)"
        )
    raise DTypeError(f"index: {tracer.node.type} does not hold integers{here()}")


@traces(np.take)
def take(a: Any, indices: Any, axis: int | None = None, mode: str = "raise") -> Any:
    """Rows along an axis. An index beyond the end is clamped to the last row."""
    x = lift(a if axis is not None and np.ndim(a) else reshape(a, (-1,)))
    d = axis_of(x.ndim, axis or 0)
    index = integer_index(indices)
    rows = lift(moveaxis(x, d, 0))
    found = x.home.wrap(ops.gather_rows(rows.node, index.node))
    return moveaxis(found, tuple(range(index.ndim)), tuple(range(d, d + index.ndim)))


def wrapped(index: Tracer, size: int) -> Tracer:
    """Negative indices count from the end, once; then all are clamped, as `gather_rows` does."""
    node = cast(index.node, I64)
    below = emit("lt", node, ops.zeros_like(node))
    node = emit("select", below, node + size, node)
    node = emit("maximum", node, ops.zeros_like(node))
    return index.home.wrap(emit("minimum", node, ops.full_like(node, max(size - 1, 0))))


def one_of(x: Tracer, index: Tracer, axis: int, keepdims: bool) -> Tracer:
    """x[..., index[...], ...] along `axis`, one element each, by comparing with the position.

    index has the shape of x with size 1 along `axis`. Compare, select and sum fuse with what makes
    x and what reads the result, forward and backward; a gather does not.
    """
    # In 32 bits, which fill a vector like f32 does; the wrapped index is within the axis.
    narrow = I32 if x.shape[axis] < 2**31 else I64
    position = ops.iota(x.node.builder, x.shape, axis, narrow)
    at = broadcast_to(cast(wrapped(index, x.shape[axis]).node, narrow), x.shape)
    kept = emit("select", emit("eq", position, at), x.node, ops.zeros_like(x.node))
    return x.home.wrap(ops.sum(kept, [axis], keepdims))


def _paired(x: Tracer, index: Tracer, d: int) -> tuple[Tracer, Tracer]:
    """Both with the sizes that they broadcast to, but for axis d."""
    sizes = [t.shape[:d] + t.shape[d + 1 :] for t in (x, index)]
    try:
        lead = np.broadcast_shapes(*sizes)
    except ValueError:
        raise ShapeError(
            f"take_along_axis: {x.node.type} and its indices {index.node.type} do not broadcast"
            f" outside axis {d}{here()}"
        ) from None
    x, index = (lift(np.broadcast_to(t, (*lead[:d], t.shape[d], *lead[d:]))) for t in (x, index))
    return x, index


@traces(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    x, index = lift(arr), integer_index(indices)
    if axis is None:
        return take(x, index)
    if x.ndim != index.ndim:
        raise ShapeError(
            f"take_along_axis: {x.node.type} and its indices {index.node.type} differ in the number"
            f" of dimensions{here()}"
        )
    d = axis_of(x.ndim, axis)
    x, index = _paired(x, index, d)
    if index.shape[d] == 1 and x.dtype != BOOL:
        return one_of(x, index, d, keepdims=True)
    x, index = lift(moveaxis(x, d, -1)), lift(moveaxis(index, d, -1))
    base = np.arange(prod(x.shape[:-1])).reshape((*x.shape[:-1], 1)) * x.shape[-1]
    flat = wrapped(index, x.shape[-1]) + base
    return moveaxis(take(reshape(x, (-1,)), flat), -1, d)


@traces(np.diff)
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Of bool: whether neighbours differ."""
    x: Any = lift(a)
    d = axis_of(x.ndim, axis)
    one = (*x.shape[:d], 1, *x.shape[d + 1 :])
    ends = [
        np.broadcast_to(end, one) if end is not None and not np.ndim(end) else end
        for end in (prepend, append)
    ]
    parts = [p for p in (ends[0], x, ends[1]) if p is not None]
    if len(parts) > 1:
        x = np.concatenate(parts, axis=d)
    lead = (slice(None),) * d
    less = np.not_equal if x.dtype == BOOL else np.subtract
    for _ in range(n):
        x = less(x[(*lead, slice(1, None))], x[(*lead, slice(None, -1))])
    return x


@traces(np.outer)
def outer(a: Any, b: Any) -> Any:
    return expand_dims(reshape(a, (-1,)), 1) * reshape(b, (-1,))
