"""Finding: sorted search, interpolation, nan-aware reductions; and what has no static shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.cumulative import running
from tracejit.functions import SHAPELESS, checked_dtype, lift, traces
from tracejit.ir import ops
from tracejit.ir.types import BOOL, I64, is_float
from tracejit.lowering import cast, emit
from tracejit.movement import promoted


@traces(np.searchsorted)
def searchsorted(a: Any, v: Any, side: str = "left") -> Any:
    """Binary search, log2(size) steps for all of v at once."""
    table, value = promoted([a, v])
    size = table.shape[0]
    low = ops.full_like(cast(value.node, I64), 0)
    if size == 0:
        return value.trace.wrap(low)
    # Invariant: of the elements before `low` all are less than v (or equal, on the right side).
    step = 1 << (size.bit_length() - 1)
    test = "lt" if side == "left" else "le"
    while step:
        probe = emit("minimum", low + (step - 1), ops.full_like(low, size - 1))
        found = ops.gather_rows(table.node, probe)
        inside = emit("le", low + step, ops.full_like(low, size))
        goes = emit("and", emit(test, found, value.node), inside)
        low = emit("select", goes, low + step, low)
        step //= 2
    return value.trace.wrap(low)


@traces(np.digitize)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """bins: rising."""
    return searchsorted(bins, x, "left" if right else "right")


@traces(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None) -> Any:
    at, known, values = promoted([x, xp, fp])
    count = known.shape[0]
    upper = np.clip(searchsorted(known, at, "right"), 1, max(count - 1, 1))
    x0, x1 = np.take(known, upper - 1), np.take(known, upper)
    y0, y1 = np.take(values, upper - 1), np.take(values, upper)
    out = y0 + (y1 - y0) * ((at - x0) / np.where(x1 == x0, 1, x1 - x0))
    out = np.where(at <= known[0], values[0] if left is None else left, out)
    out = np.where(at >= known[-1], values[-1] if right is None else right, out)
    out = np.where(at == known[0], values[0], out)
    return np.where(at == known[-1], values[-1], out)


# nan-aware reductions


def _without_nan(a: Any, neutral: Any) -> Any:
    x = lift(a)
    return np.where(np.isnan(x), neutral, x) if is_float(x.dtype) else x


@traces(np.nansum)
def nansum(a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    return np.sum(_without_nan(a, 0), axis=axis, dtype=dtype, keepdims=keepdims)


@traces(np.nanprod)
def nanprod(a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    return np.prod(_without_nan(a, 1), axis=axis, dtype=dtype, keepdims=keepdims)


def _count(a: Any, axis: Any, keepdims: bool) -> Any:
    return np.sum(~np.isnan(a), axis=axis, keepdims=keepdims)


@traces(np.nanmean)
def nanmean(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    total = np.mean(_without_nan(a, 0), axis=axis, keepdims=keepdims)
    share = np.mean(np.astype(~np.isnan(a), total.dtype), axis=axis, keepdims=keepdims)
    return total / share


@traces(np.nanvar)
def nanvar(a: Any, axis: Any = None, ddof: Any = 0, keepdims: bool = False) -> Any:
    x = lift(a)
    gap = x - nanmean(x, axis, True)
    total = nansum(gap * gap, axis, keepdims=keepdims)
    left = np.astype(_count(x, axis, keepdims) - ddof, total.dtype)
    return np.where(left > 0, total / np.where(left > 0, left, 1), np.nan)


@traces(np.nanstd)
def nanstd(a: Any, axis: Any = None, ddof: Any = 0, keepdims: bool = False) -> Any:
    return np.sqrt(nanvar(a, axis, ddof, keepdims))


@traces(np.nanmax)
def nanmax(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """nan where nothing else is there."""
    found = np.max(_without_nan(a, -np.inf), axis=axis, keepdims=keepdims)
    return np.where(_count(a, axis, keepdims) == 0, np.nan, found)


@traces(np.nanmin)
def nanmin(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    found = np.min(_without_nan(a, np.inf), axis=axis, keepdims=keepdims)
    return np.where(_count(a, axis, keepdims) == 0, np.nan, found)


@traces(np.sinc)
def sinc(x: Any) -> Any:
    y = lift(x) * np.pi
    zero = y == 0
    return np.where(zero, 1, np.sin(y) / np.where(zero, 1, y))


@traces(np.select)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    out = default
    for condition, choice in zip(condlist[::-1], choicelist[::-1], strict=True):
        out = np.where(lift(condition), choice, out)
    return out


@traces(np.isin)
def isin(element: Any, test_elements: Any, invert: bool = False) -> Any:
    x, tests = promoted([element, test_elements])
    found = np.any(x[..., None] == np.reshape(tests, -1), axis=-1)
    return ~found if invert else found


@traces(np.array_equal)
def array_equal(a1: Any, a2: Any) -> Any:
    x, y = lift(a1), lift(a2)
    if x.shape != y.shape:
        return x.trace.array(False)
    return np.all(x == y)


@traces(np.isdtype)
def isdtype(dtype: Any, kind: Any) -> bool:
    return bool(np.isdtype(checked_dtype(dtype), kind))


# What has a shape that depends on values

_OUTSIDE = "compute it outside the traced function and pass the result in"
_SIZED = "give the number of places: tracejit.numpy.nonzero(x, size=n) fills up with fill_value"

SHAPELESS.update(
    {
        **dict.fromkeys((np.nonzero, np.flatnonzero, np.argwhere), _SIZED),
        **dict.fromkeys(
            [
                np.unique,
                np.unique_all,
                np.unique_counts,
                np.unique_inverse,
                np.unique_values,
                np.union1d,
                np.intersect1d,
                np.setdiff1d,
                np.setxor1d,
            ],
            f"{_OUTSIDE}, or count with comparisons: np.sum(x[:, None] == values, axis=0)",
        ),
        np.extract: "use np.where(condition, x, other)",
        np.compress: "use np.where(condition, x, other)",
        np.bincount: "with a known length: np.sum(x[:, None] == np.arange(length), axis=0)",
        np.trim_zeros: _OUTSIDE,
    }
)


def nonzero(a: Any, size: int, fill_value: Any = 0) -> tuple[Any, ...]:
    """The indices of the first `size` elements that are not 0; fill_value where there are fewer.

    By a running count of them, and a scatter of each position to the row of its number.
    """
    x = lift(a)
    hit = cast(ops.reshape(x.node, (x.size,)), BOOL)
    number = running("add", cast(hit, I64)) + (-1)
    beyond = ops.full_like(number, size)
    fits = emit("and", hit, emit("lt", number, beyond))
    places = ops.iota(hit.builder, hit.shape, 0, I64)
    rows = ops.scatter_add_rows(emit("select", fits, number, beyond), places, size + 1)
    flat = x.trace.wrap(ops.slice(rows, (0,), (size,)))
    filled = np.greater(np.sum(x.trace.wrap(cast(hit, I64))), np.arange(size))
    found, stride = [], x.size
    for n in x.shape:
        stride = stride // n if n else 1
        found.append(np.where(filled, (flat // max(stride, 1)) % max(n, 1), fill_value))
    return tuple(found)
