"""Indices of several axes, choices among arrays, functions along axes."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.functions import axes_of, axis_of, lift, traces
from tracejit.ir.types import BOOL
from tracejit.movement import astype, concatenate, moveaxis, promoted, reshape
from tracejit.selection import integer_index
from tracejit.source import here
from tracejit.tracer import Tracer


@traces(np.unravel_index)
def unravel_index(indices: Any, shape: Any, order: str = "C") -> Any:
    """A flat index as one per axis."""
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    rest: Any = astype(integer_index(indices), np.int64)
    found = []
    for size in sizes if order == "F" else sizes[::-1]:
        found.append(rest % max(size, 1))
        rest = rest // max(size, 1)
    return tuple(found if order == "F" else found[::-1])


@traces(np.ravel_multi_index)
def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: str = "C") -> Any:
    """One index per axis as a flat one. mode: clip, wrap, or raise, which here clips too."""
    modes = (mode,) * len(dims) if isinstance(mode, str) else mode
    steps = list(zip(multi_index, dims, modes, strict=True))
    flat: Any = 0
    for index, size, how in steps[::-1] if order == "F" else steps:
        whole: Any = astype(integer_index(index), np.int64)
        inside = whole % size if how == "wrap" else np.clip(whole, 0, size - 1)
        flat = flat * size + inside
    return flat


@traces(np.ix_)
def ix_(*args: Any) -> Any:
    """Each vector on an axis of its own; a mask must be known."""
    known = [np.nonzero(a)[0] if np.asarray(a).dtype == bool else a for a in map(_known, args)]
    count = len(known)
    return tuple(
        reshape(lift(a), [-1 if d == i else 1 for d in range(count)]) for i, a in enumerate(known)
    )


def _known(value: Any) -> Any:
    return value if isinstance(value, Tracer) else np.asarray(value)


@traces(np.tril_indices_from)
def tril_indices_from(arr: Any, k: int = 0) -> Any:
    rows, columns = lift(arr).shape
    return np.tril_indices(rows, k, columns)


@traces(np.triu_indices_from)
def triu_indices_from(arr: Any, k: int = 0) -> Any:
    rows, columns = lift(arr).shape
    return np.triu_indices(rows, k, columns)


@traces(np.diag_indices_from)
def diag_indices_from(arr: Any) -> Any:
    x = lift(arr)
    return np.diag_indices(x.shape[0], x.ndim)


@traces(np.diagflat)
def diagflat(v: Any, k: int = 0) -> Any:
    return np.diag(np.ravel(lift(v)), k)


@traces(np.choose)
def choose(a: Any, choices: Any, mode: str = "raise") -> Any:
    """choices[a[i]][i]; False is 0, True 1. mode: wrap, clip, or raise, which here clips too."""
    arrays = promoted(list(choices))
    chosen = lift(a)
    index: Any = chosen.astype(np.int32) if chosen.dtype == BOOL else integer_index(chosen)
    count = len(arrays)
    index = index % count if mode == "wrap" else np.clip(index, 0, count - 1)
    out: Any = arrays[-1]
    for n in range(count - 1):
        out = np.where(index == n, arrays[n], out)
    return np.broadcast_to(out, np.broadcast_shapes(index.shape, np.shape(out)))


@traces(np.compress)
def compress(condition: Any, a: Any, axis: int | None = None) -> Any:
    """The condition must be known, for it decides the shape."""
    if isinstance(condition, Tracer):
        if not condition.has_value:
            raise UnsupportedError(
                f"np.compress: the shape of the result depends on a traced condition{here()};"
                " use np.where(condition, x, other)"
            )
        condition = np.asarray(condition)
    return np.take(lift(a), np.flatnonzero(condition), axis=axis)


@traces(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    """Every function is called on the whole of x; the last condition that holds decides."""
    array = lift(x)
    conditions = list(condlist) if isinstance(condlist, list | tuple) else [condlist]
    if np.ndim(conditions[0]) == 0 and array.ndim:
        conditions = [np.asarray(conditions)]
    out: Any = np.zeros_like(array)
    values = [f(array, *args, **kw) if callable(f) else f for f in funclist]
    if len(values) == len(conditions) + 1:
        out = astype(np.broadcast_to(values[-1], array.shape), array.dtype)
    elif len(values) != len(conditions):
        raise ValueError(
            f"piecewise: {len(values)} functions for {len(conditions)} conditions{here()}"
        )
    for condition, value in zip(conditions, values, strict=False):
        out = np.where(condition, astype(value, array.dtype), out)
    return out


@traces(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """Where to insert must be known, for the places that others take depend on it."""
    if isinstance(obj, Tracer):
        raise UnsupportedError(f"np.insert: the indices must be known when traced{here()}")
    x = lift(arr) if axis is not None else lift(np.ravel(arr))
    d = axis_of(x.ndim, axis or 0)
    new = lift(astype(values, x.dtype))
    size = x.shape[d]
    count = len(np.insert(np.arange(size), obj, 0)) - size
    if np.ndim(obj) == 0 and not isinstance(obj, slice):
        # One place, and there all of the values' first axis.
        new = lift(moveaxis(new[(None,) * (x.ndim - new.ndim)], 0, d))
        count = new.shape[d]
    new = lift(np.broadcast_to(new, (*x.shape[:d], count, *x.shape[d + 1 :])))
    order = np.insert(np.arange(size), obj, np.arange(size, size + count))
    return np.take(concatenate([x, new], d), order, axis=d)


@traces(np.resize)
def resize(a: Any, new_shape: Any) -> Any:
    """Repeats a, as often as it takes."""
    shape = (new_shape,) if isinstance(new_shape, int) else tuple(new_shape)
    x = lift(np.ravel(a))
    if x.size == 0:
        return np.zeros_like(x, shape=shape)
    times = -(-prod(shape) // x.size)
    return np.reshape(np.tile(x, times)[: prod(shape)], shape)


@traces(np.block)
def block(arrays: Any) -> Any:
    """Nested lists: the innermost are joined along the last axis."""

    def depth(value: Any) -> int:
        return 1 + max(map(depth, value)) if isinstance(value, list) else 0

    def leaves(value: Any) -> list[Any]:
        return [v for part in value for v in leaves(part)] if isinstance(value, list) else [value]

    levels = depth(arrays)
    ndim = max(levels, *(np.ndim(v) for v in leaves(arrays)))

    def joined(value: Any, level: int) -> Any:
        if not isinstance(value, list):
            return lift(value)[(None,) * (ndim - np.ndim(value))]
        return concatenate([joined(v, level + 1) for v in value], ndim - levels + level)

    return joined(arrays, 0)


@traces(np.dsplit)
def dsplit(ary: Any, indices_or_sections: Any) -> Any:
    return np.split(ary, indices_or_sections, axis=2)


@traces(np.apply_along_axis)
def apply_along_axis(func1d: Any, axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    """func1d of every vector along the axis, all at once (`vmap`)."""
    from tracejit.vectorize import vmap

    x = lift(arr)
    d = axis_of(x.ndim, axis)
    rows = moveaxis(x, d, -1)
    lead = rows.shape[:-1]
    flat = reshape(rows, (prod(lead), x.shape[d]))
    out = vmap(lambda row: func1d(row, *args, **kwargs))(flat)
    out = reshape(out, (*lead, *out.shape[1:]))
    inner = range(len(lead), np.ndim(out))
    return moveaxis(out, list(inner), [d + i for i in range(len(inner))])


@traces(np.apply_over_axes)
def apply_over_axes(func: Any, a: Any, axes: Any) -> Any:
    x: Any = lift(a)
    for d in axes_of(x, axes):
        out = func(x, d)
        x = out if np.ndim(out) == x.ndim else np.expand_dims(out, d)
    return x
