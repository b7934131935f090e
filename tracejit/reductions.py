"""Sums, means, extrema and where they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.functions import axes_of, axis_of, checked_dtype, lift, traces
from tracejit.ir import ops
from tracejit.ir.graph import Node
from tracejit.ir.types import BOOL, I64, ShapeError, is_float
from tracejit.lowering import cast, emit, reduce
from tracejit.promotion import float_dtype, sum_dtype, wide_dtype
from tracejit.source import here
from tracejit.tracer import Tracer

Axis = Any  # None, an int, or a tuple of ints


def _reduced(op: str, x: Tracer, node: Node, axis: Axis, keepdims: bool) -> Tracer:
    return x.home.wrap(reduce(op, node, axes_of(x, axis), keepdims))


def masked(x: Any, where: Any, neutral: Any) -> Any:
    """x, and neutral where the mask is False."""
    return x if where is True else np.where(where, x, neutral)


def counted(x: Tracer, axis: Axis, where: Any = True, keepdims: bool = False) -> Any:
    """How many elements a reduction folds: a number, or an array where the mask decides."""
    if where is True:
        return int(np.prod([x.shape[d] for d in axes_of(x, axis)], dtype=np.int64))
    return sum(np.broadcast_to(lift(where), x.shape), axis, keepdims=keepdims)


@traces(np.sum)
def sum(
    a: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False, initial: Any = 0,
    where: Any = True,
) -> Any:  # fmt: skip
    """Integers add up in 64 bits, as in NumPy."""
    x = lift(masked(a, where, 0))
    total = sum_dtype(x.dtype) if dtype is None else checked_dtype(dtype)
    out = _reduced("reduce_sum", x, cast(x.node, total), axis, keepdims)
    return out if type(initial) in (int, float) and initial == 0 else out + initial


@traces(np.prod)
def prod(
    a: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False, initial: Any = 1,
    where: Any = True,
) -> Any:  # fmt: skip
    x = lift(masked(a, where, 1))
    total = sum_dtype(x.dtype) if dtype is None else checked_dtype(dtype)
    out = _reduced("reduce_prod", x, cast(x.node, total), axis, keepdims)
    return out if type(initial) in (int, float) and initial == 1 else out * initial


@traces(np.mean)
def mean(
    a: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False, where: Any = True
) -> Any:
    """Halves are summed in f32."""
    x = lift(a)
    result = float_dtype(x.dtype) if dtype is None else checked_dtype(dtype)
    wide = x.home.wrap(cast(x.node, wide_dtype(result)))
    total = sum(wide, axis, keepdims=keepdims, where=where)
    count = counted(x, axis, where, keepdims)
    divisor = ops.full_like(total.node, count) if where is True else cast(count.node, total.dtype)
    return x.home.wrap(cast(total.node / divisor, result))


@traces(np.average)
def average(
    a: Any, axis: Axis = None, weights: Any = None, returned: bool = False, keepdims: bool = False
) -> Any:
    """weights: of the shape of a, or of its sizes along axis."""
    x = lift(a)
    if weights is None:
        found = mean(x, axis, keepdims=keepdims)
        total: Any = np.full_like(found, counted(x, axis))
        return (found, total) if returned else found
    w = lift(weights)
    if w.shape != x.shape:
        along = axes_of(x, axis)
        w = lift(np.transpose(w, np.argsort(np.argsort(_as_given(x, axis)))))
        w = lift(np.reshape(w, [n if d in along else 1 for d, n in enumerate(x.shape)]))
    w = lift(np.broadcast_to(w, x.shape))
    total = sum(w, axis, keepdims=keepdims)
    found = sum(x * w, axis, keepdims=keepdims) / total
    return (found, total) if returned else found


def _as_given(x: Tracer, axis: Axis) -> list[int]:
    """The axes in the order of the argument."""
    given = axis if isinstance(axis, list | tuple) else (axis,)
    return [axis_of(x.ndim, d) for d in given]


@traces(np.var)
def var(
    a: Any, axis: Axis = None, dtype: Any = None, ddof: Any = 0, keepdims: bool = False,
    where: Any = True, mean: Any = None, correction: Any = None,
) -> Any:  # fmt: skip
    """The mean square distance from the mean, over count - ddof. mean: with its axes kept."""
    x = lift(a)
    result = float_dtype(x.dtype) if dtype is None else checked_dtype(dtype)
    wide: Any = x.home.wrap(cast(x.node, wide_dtype(result)))
    middle = np.mean(wide, axis, keepdims=True, where=where) if mean is None else mean
    total = sum((wide - middle) ** 2, axis, keepdims=keepdims, where=where)
    left = counted(x, axis, where, keepdims) - (ddof if correction is None else correction)
    if where is True:
        return (total / left if left > 0 else total * float("nan")).astype(result)
    some = left > 0
    return np.where(some, total / np.where(some, left, 1), np.nan).astype(result)


@traces(np.std)
def std(
    a: Any, axis: Axis = None, dtype: Any = None, ddof: Any = 0, keepdims: bool = False,
    where: Any = True, mean: Any = None, correction: Any = None,
) -> Any:  # fmt: skip
    return np.sqrt(var(a, axis, dtype, ddof, keepdims, where, mean, correction))


def _extreme(op: str, a: Any, axis: Axis, keepdims: bool, initial: Any, where: Any) -> Any:
    combine = np.maximum if op == "reduce_max" else np.minimum
    if where is not True and initial is None:
        raise ValueError(f"{op[-3:]}: where= needs initial=, the value of an empty row{here()}")
    a = masked(a, where, initial)
    x = lift(a)
    if initial is None or counted(x, axis):
        out = _reduced(op, x, x.node, axis, keepdims)
        return out if initial is None else combine(out, initial)
    shape = np.empty(x.shape, bool).any(axis=axis, keepdims=keepdims).shape
    return np.full_like(x, initial, shape=shape)


@traces(np.max)
def max(
    a: Any, axis: Axis = None, keepdims: bool = False, initial: Any = None, where: Any = True
) -> Any:
    return _extreme("reduce_max", a, axis, keepdims, initial, where)


@traces(np.min)
def min(
    a: Any, axis: Axis = None, keepdims: bool = False, initial: Any = None, where: Any = True
) -> Any:
    return _extreme("reduce_min", a, axis, keepdims, initial, where)


@traces(np.ptp)
def ptp(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    return max(a, axis, keepdims) - min(a, axis, keepdims)


def _truths(op: str, a: Any, axis: Axis, keepdims: bool) -> Any:
    x = lift(a)
    if counted(x, axis):
        return _reduced(op, x, cast(x.node, BOOL), axis, keepdims)
    # An empty `any` is False and an empty `all` True: their complements counted are zero.
    found = sum(np.logical_not(x) if op == "reduce_min" else x, axis, keepdims=keepdims)
    return found == 0 if op == "reduce_min" else found != 0


@traces(np.any)
def any(a: Any, axis: Axis = None, keepdims: bool = False, where: Any = True) -> Any:
    return _truths("reduce_max", masked(a, where, False), axis, keepdims)


@traces(np.all)
def all(a: Any, axis: Axis = None, keepdims: bool = False, where: Any = True) -> Any:
    return _truths("reduce_min", masked(a, where, True), axis, keepdims)


@traces(np.count_nonzero)
def count_nonzero(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    return sum(np.not_equal(lift(a), 0), axis, keepdims=keepdims)


def _arg(op: str, a: Any, axis: int | None, keepdims: bool) -> Tracer:
    """The least index at which x equals its extremum, or is nan."""
    x = lift(a)
    if axis is None:
        flat = _arg(op, np.reshape(x, -1), 0, False)
        return lift(np.reshape(flat, (1,) * x.ndim)) if keepdims else flat
    if x.ndim == 0 and axis in (0, -1):
        x = lift(np.reshape(x, (1,)))
        return lift(np.reshape(_arg(op, x, 0, False), ()))
    d, node = axis_of(x.ndim, axis), x.node
    size = x.shape[d]
    if size == 0:
        raise ShapeError(f"arg{op[-3:]}: {x.node.type} is empty along axis {d}{here()}")
    best = ops.broadcast_to(reduce(op, node, (d,), keepdims=True), x.shape)
    hit = emit("eq", node, best)
    if is_float(x.dtype):
        hit = emit("or", hit, emit("ne", node, node))
    index = ops.iota(node.builder, x.shape, d, I64)
    found = emit("select", hit, index, ops.full_like(index, size))
    return x.home.wrap(reduce("reduce_min", found, (d,), keepdims))


@traces(np.argmax)
def argmax(a: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    return _arg("reduce_max", a, axis, keepdims)


@traces(np.argmin)
def argmin(a: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    return _arg("reduce_min", a, axis, keepdims)
