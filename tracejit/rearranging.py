"""More of NumPy's ways to put arrays together and apart; each in terms of those in movement.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.functions import axis_of, lift, traces
from tracejit.movement import concatenate, each, flip, moveaxis, reshape, transpose
from tracejit.source import here


@traces(np.unstack)
def unstack(x: Any, axis: int = 0) -> Any:
    array = lift(x)
    lead = (slice(None),) * axis_of(array.ndim, axis)
    return tuple(array[(*lead, i)] for i in range(array.shape[len(lead)]))


@traces(np.meshgrid)
def meshgrid(*xi: Any, indexing: str = "xy", sparse: bool = False) -> Any:
    vectors = [reshape(x, (-1,)) for x in xi]
    count = len(vectors)
    places = list(range(count))
    if indexing == "xy" and count > 1:
        places[:2] = 1, 0
    open_ = [
        reshape(v, [-1 if d == at else 1 for d in range(count)])
        for v, at in zip(vectors, places, strict=True)
    ]
    return tuple(open_ if sparse else np.broadcast_arrays(*open_))


@traces(np.fliplr)
def fliplr(m: Any) -> Any:
    return flip(m, 1)


@traces(np.flipud)
def flipud(m: Any) -> Any:
    return flip(m, 0)


@traces(np.rot90)
def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    a, b = (axis_of(np.ndim(m), d) for d in axes)
    order = list(range(np.ndim(m)))
    order[a], order[b] = b, a
    turns = {
        0: lambda: lift(m),
        1: lambda: transpose(flip(m, b), order),
        2: lambda: flip(flip(m, a), b),
        3: lambda: flip(transpose(m, order), b),
    }
    return turns[k % 4]()


@traces(np.rollaxis)
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    d = axis_of(np.ndim(a), axis)
    start = start + np.ndim(a) if start < 0 else start
    return np.moveaxis(a, d, start - (start > d))


@traces(np.atleast_3d)
@each
def atleast_3d(a: Any) -> Any:
    shape = np.shape(a)
    new = {0: (1, 1, 1), 1: (1, *shape, 1), 2: (*shape, 1)}.get(len(shape), shape)
    return reshape(a, new)


@traces(np.dstack)
def dstack(tup: Any) -> Any:
    return concatenate([atleast_3d(a) for a in tup], 2)


@traces(np.append)
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    return concatenate([arr, values], axis)


@traces(np.hsplit)
def hsplit(ary: Any, indices_or_sections: Any) -> Any:
    return np.split(ary, indices_or_sections, axis=0 if np.ndim(ary) == 1 else 1)


@traces(np.vsplit)
def vsplit(ary: Any, indices_or_sections: Any) -> Any:
    return np.split(ary, indices_or_sections, axis=0)


@traces(np.delete)
def delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    """What is left out must be known, for it decides the shape."""
    if hasattr(obj, "__array_function__") and not isinstance(obj, np.ndarray):
        raise UnsupportedError(f"np.delete: the indices must be known when traced{here()}")
    x = lift(arr) if axis is not None else lift(reshape(arr, (-1,)))
    d = axis_of(x.ndim, axis or 0)
    kept = np.delete(np.arange(x.shape[d]), obj)
    return np.take(x, kept, axis=d)


@traces(np.vander)
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    array: Any = lift(x)
    array = array.astype(np.promote_types(array.dtype, np.int64))
    count = array.shape[0] if N is None else N
    powers = np.ones_like(array)
    columns = []
    for _ in range(count):
        columns.append(powers)
        powers = powers * array
    return np.stack(columns if increasing else columns[::-1], axis=1)


@traces(np.kron)
def kron(a: Any, b: Any) -> Any:
    x, y = lift(a), lift(b)
    ndim = max(x.ndim, y.ndim)
    xs, ys = ((1,) * (ndim - t.ndim) + t.shape for t in (x, y))
    wide = reshape(x, [n for s in xs for n in (s, 1)]) * reshape(y, [n for s in ys for n in (1, s)])
    return reshape(wide, [m * n for m, n in zip(xs, ys, strict=True)])


@traces(np.cross)
def cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Any:
    """Of vectors of three."""
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = moveaxis(a, axisa, -1), moveaxis(b, axisb, -1)
    if x.shape[-1] != 3 or y.shape[-1] != 3:
        raise UnsupportedError(f"np.cross: vectors of 3 have a traced form only{here()}")
    (x0, x1, x2), (y0, y1, y2) = (unstack(v, axis=-1) for v in (x, y))
    out = np.stack([x1 * y2 - x2 * y1, x2 * y0 - x0 * y2, x0 * y1 - x1 * y0], axis=-1)
    return np.moveaxis(out, -1, axisc)


@traces(np.linalg.cross)
def _cross(x1: Any, x2: Any, axis: int = -1) -> Any:
    return cross(x1, x2, axis=axis)


@traces(np.linalg.outer)
def outer(x1: Any, x2: Any) -> Any:
    return np.outer(x1, x2)


@traces(np.linalg.diagonal)
def diagonal(x: Any, offset: int = 0) -> Any:
    return np.diagonal(x, offset, -2, -1)


@traces(np.linalg.trace)
def trace(x: Any, offset: int = 0, dtype: Any = None) -> Any:
    return np.sum(diagonal(x, offset), axis=-1, dtype=dtype)


@traces(np.linalg.multi_dot)
def multi_dot(arrays: Any) -> Any:
    """From left to right."""
    out, *rest = arrays
    for a in rest:
        out = out @ a
    return out
