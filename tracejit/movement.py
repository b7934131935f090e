"""Reshaping, permuting, joining, splitting, padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.functions import axes_of, axis_of, checked_dtype, lift, live, traces
from tracejit.ir import ops
from tracejit.ir.types import DType, Shape, ShapeError
from tracejit.lowering import broadcast_shapes, broadcast_to, cast
from tracejit.promotion import common_dtype
from tracejit.source import here
from tracejit.tracer import Tracer


def _shape(shape: Any) -> Shape:
    return tuple(int(n) for n in shape) if np.iterable(shape) else (int(shape),)


def promoted(values: Sequence[Any]) -> list[Tracer]:
    """Operands in the one dtype that NumPy would join them in."""
    trace = live()
    tracers = [trace.lift(v) for v in values]
    if all(t.weak for t in tracers):
        tracers = [trace.array(t) for t in tracers]
    dtype = common_dtype(tuple(t.kind for t in tracers))
    return [fitted(t, dtype) for t in tracers]


def fitted(x: Tracer, dtype: DType) -> Tracer:
    """x in the dtype of an operation; raises OverflowError for a Python int beyond it."""
    value = x.node.scalar() if x.weak else None
    if type(value) is int and dtype.kind in "iu":
        kind: Any = dtype
        limits = np.iinfo(kind)
        if not limits.min <= value <= limits.max:
            raise OverflowError(f"Python integer {value} out of bounds for {dtype}{here()}")
    return x.home.wrap(cast(x.node, dtype))


@traces(np.reshape)
def reshape(a: Any, shape: Any, order: str = "C") -> Any:
    """One size may be -1."""
    x, sizes = lift(a), _shape(shape)
    if order not in ("C", "A"):
        raise UnsupportedError(f"np.reshape: order={order!r} has no traced form{here()}; use .T")
    if sizes.count(-1) == 1:
        rest = prod(n for n in sizes if n != -1)
        sizes = tuple(x.size // rest if n == -1 and rest else n for n in sizes)
    if prod(sizes) != x.size or any(n < 0 for n in sizes):
        raise ShapeError(
            f"reshape: {x.node.type} has {x.size} elements, which do not fit into"
            f" shape {list(_shape(shape))}{here()}"
        )
    return x.home.wrap(ops.reshape(x.node, sizes))


@traces(np.ravel)
def ravel(a: Any, order: str = "C") -> Any:
    return reshape(a, (-1,) if np.size(a) else (0,), order)


@traces(np.transpose)
def transpose(a: Any, axes: Any = None) -> Any:
    x = lift(a)
    order = range(x.ndim)[::-1] if axes is None else [axis_of(x.ndim, d) for d in axes]
    if sorted(order) != list(range(x.ndim)):
        raise ShapeError(f"transpose: axes {tuple(axes)} do not match {x.node.type}{here()}")
    return x.home.wrap(ops.transpose(x.node, order))


@traces(np.matrix_transpose)
def matrix_transpose(x: Any) -> Any:
    return swapaxes(x, -1, -2)


@traces(np.swapaxes)
def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    order = list(range(np.ndim(a)))
    i, j = axis_of(len(order), axis1), axis_of(len(order), axis2)
    order[i], order[j] = order[j], order[i]
    return transpose(a, order)


@traces(np.moveaxis)
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    ndim = np.ndim(a)
    origin = np.lib.array_utils.normalize_axis_tuple(source, ndim)
    target = np.lib.array_utils.normalize_axis_tuple(destination, ndim)
    order = [d for d in range(ndim) if d not in origin]
    for to, start in sorted(zip(target, origin, strict=True)):
        order.insert(to, start)
    return transpose(a, order)


@traces(np.squeeze)
def squeeze(a: Any, axis: Any = None) -> Any:
    x = lift(a)
    gone = tuple(d for d, n in enumerate(x.shape) if n == 1) if axis is None else axes_of(x, axis)
    if any(x.shape[d] != 1 for d in gone):
        raise ShapeError(f"squeeze: axis {axis} of {x.node.type} does not have size 1{here()}")
    return reshape(x, [n for d, n in enumerate(x.shape) if d not in gone])


@traces(np.expand_dims)
def expand_dims(a: Any, axis: Any) -> Any:
    given = axis if isinstance(axis, list | tuple) else (axis,)
    ndim = np.ndim(a) + len(given)
    new = np.lib.array_utils.normalize_axis_tuple(given, ndim)
    old = iter(np.shape(a))
    return reshape(a, [1 if d in new else next(old) for d in range(ndim)])


@traces(np.broadcast_to)
def broadcast(array: Any, shape: Any) -> Any:
    x = lift(array)
    return x.home.wrap(broadcast_to(x.node, _shape(shape)))


@traces(np.broadcast_arrays)
def broadcast_arrays(*args: Any) -> Any:
    tracers = [lift(a) for a in args]
    shape = broadcast_shapes("broadcast_arrays", *(t.node for t in tracers))
    return tuple(broadcast(t, shape) for t in tracers)


def each(form: Callable[[Any], Any]) -> Callable[..., Any]:
    """One array gives one, several a tuple."""

    def of_all(*arys: Any) -> Any:
        results = tuple(form(a) for a in arys)
        return results[0] if len(results) == 1 else results

    of_all.__name__, of_all.__module__ = form.__name__, form.__module__
    return of_all


@traces(np.atleast_1d)
@each
def atleast_1d(a: Any) -> Any:
    return a if np.ndim(a) else reshape(a, (1,))


@traces(np.atleast_2d)
@each
def atleast_2d(a: Any) -> Any:
    return a if np.ndim(a) > 1 else reshape(a, (1, -1))


@traces(np.concatenate)
def concatenate(arrays: Any, axis: int | None = 0, dtype: Any = None) -> Any:
    parts = promoted(list(arrays))
    if axis is None:
        parts, axis = [lift(ravel(p)) for p in parts], 0
    first = parts[0]
    d = axis_of(first.ndim, axis)
    for p in parts[1:]:
        if p.shape[:d] + p.shape[d + 1 :] != first.shape[:d] + first.shape[d + 1 :]:
            raise ShapeError(
                f"concatenate: {first.node.type} and {p.node.type} differ outside axis {d}{here()}"
            )
    joined = first.home.wrap(ops.concatenate([p.node for p in parts], d))
    return joined if dtype is None else astype(joined, dtype)


@traces(np.stack)
def stack(arrays: Any, axis: int = 0, dtype: Any = None) -> Any:
    parts = promoted(list(arrays))
    shapes = {p.shape for p in parts}
    if len(shapes) > 1:
        types = " and ".join(str(p.node.type) for p in parts[:4])
        raise ShapeError(f"stack: {types}: all shapes must be the same{here()}")
    return concatenate([expand_dims(p, axis) for p in parts], axis, dtype)


@traces(np.vstack)
def vstack(tup: Any, dtype: Any = None) -> Any:
    return concatenate([atleast_2d(a) for a in tup], 0, dtype)


@traces(np.hstack)
def hstack(tup: Any, dtype: Any = None) -> Any:
    parts = [atleast_1d(a) for a in tup]
    return concatenate(parts, 0 if np.ndim(parts[0]) == 1 else 1, dtype)


@traces(np.column_stack)
def column_stack(tup: Any) -> Any:
    return concatenate([reshape(a, (-1, 1)) if np.ndim(a) < 2 else a for a in tup], 1)


@traces(np.split)
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    size = np.shape(ary)[axis]
    if np.ndim(indices_or_sections) == 0 and size % indices_or_sections:
        raise ShapeError(
            f"split: axis {axis} has size {size}, not a multiple of {indices_or_sections}{here()}"
        )
    return array_split(ary, indices_or_sections, axis)


@traces(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    """The bounds are NumPy's own: those of the indices split the same way."""
    x = lift(ary)
    d = axis_of(x.ndim, axis)
    out, start = [], 0
    for part in np.array_split(np.arange(x.shape[d]), indices_or_sections):
        if part.size:
            start = int(part[0])
        out.append(x[(slice(None),) * d + (slice(start, start + part.size),)])
    return out


@traces(np.flip)
def flip(m: Any, axis: Any = None) -> Any:
    x = lift(m)
    return x.home.wrap(ops.reverse(x.node, axes_of(x, axis)))


@traces(np.tile)
def tile(A: Any, reps: Any) -> Any:
    counts = _shape(reps)
    ndim = max(len(counts), np.ndim(A))
    counts = (1,) * (ndim - len(counts)) + counts
    shape = (1,) * (ndim - np.ndim(A)) + np.shape(A)
    spread = broadcast(
        reshape(A, [n for s in shape for n in (1, s)]),
        [n for c, s in zip(counts, shape, strict=True) for n in (c, s)],
    )
    return reshape(spread, [c * s for c, s in zip(counts, shape, strict=True)])


@traces(np.repeat)
def repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    """repeats: one number, or one for each row, which must be known: they decide the shape."""
    if isinstance(repeats, Tracer) and repeats.ndim and not repeats.has_value:
        raise UnsupportedError(
            f"np.repeat: the number of each row's repeats must be known when traced{here()}; give a"
            " NumPy array, or one int"
        )
    x = lift(a if axis is not None and np.ndim(a) else ravel(a))
    if np.size(repeats) != 1:
        rows = np.repeat(np.arange(x.shape[axis or 0]), np.asarray(repeats))
        return x[(*(slice(None),) * axis_of(x.ndim, axis or 0), rows)]
    repeats = np.asarray(repeats).item()
    d, count = axis_of(x.ndim, axis or 0), int(repeats)
    before, after = x.shape[: d + 1], x.shape[d + 1 :]
    spread = broadcast(reshape(x, (*before, 1, *after)), (*before, count, *after))
    return reshape(spread, (*x.shape[:d], x.shape[d] * count, *after))


@traces(np.roll)
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    x = lift(a)
    if axis is None:
        return reshape(roll(ravel(x), shift, 0), x.shape)
    shifts, axes = np.broadcast_arrays(shift, axis)
    out: Any = x
    for by, d in zip(shifts.ravel(), axes.ravel(), strict=True):
        d = axis_of(x.ndim, int(d))
        at = -int(by) % max(x.shape[d], 1)
        lead = (slice(None),) * d
        if at:
            out = concatenate([out[(*lead, slice(at, None))], out[(*lead, slice(None, at))]], d)
    return out


@traces(np.copy)
def copy(a: Any) -> Any:
    x = lift(a)
    fresh = x.home.wrap(x.node, x.weak)
    fresh.own = True
    return fresh


@traces(np.astype)
def astype(x: Any, dtype: Any, copy: bool = True) -> Any:
    tracer = live().lift(x)
    if not copy and tracer.dtype == checked_dtype(dtype) and not tracer.weak:
        return tracer
    return tracer.home.wrap(cast(tracer.node, checked_dtype(dtype)))


@traces(np.full_like)
def full_like(a: Any, fill_value: Any, dtype: Any = None, shape: Any = None) -> Any:
    like = np.shape(a) if shape is None else _shape(shape)
    target = lift(a).dtype if dtype is None else checked_dtype(dtype)
    value = live().lift(fill_value)
    return value.home.wrap(broadcast_to(cast(value.node, target), like))


@traces(np.zeros_like, np.empty_like)
def zeros_like(a: Any, dtype: Any = None, shape: Any = None) -> Any:
    return full_like(a, 0, dtype, shape)


@traces(np.ones_like)
def ones_like(a: Any, dtype: Any = None, shape: Any = None) -> Any:
    return full_like(a, 1, dtype, shape)


@traces(np.shape)
def shape(a: Any) -> Any:
    return a.shape if hasattr(a, "shape") else lift(a).shape


@traces(np.ndim)
def ndim(a: Any) -> Any:
    return len(shape(a))


@traces(np.size)
def size(a: Any, axis: int | None = None) -> Any:
    return prod(shape(a)) if axis is None else shape(a)[axis]
