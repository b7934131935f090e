"""Finding: sorted search, interpolation, membership; and what has no static shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.cumulative import running
from tracejit.functions import SHAPELESS, lift, live, traces
from tracejit.ir import ops
from tracejit.ir.types import BOOL, I64
from tracejit.lowering import cast, emit
from tracejit.movement import promoted
from tracejit.promotion import common_dtype
from tracejit.selection import take
from tracejit.source import here
from tracejit.tracer import Tracer


@traces(np.searchsorted)
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    """Binary search, log2(size) steps for all of v at once."""
    table, value = promoted([a if sorter is None else take(a, sorter), v])
    size = table.shape[0]
    low = ops.full_like(cast(value.node, I64), 0)
    if size == 0:
        return value.home.wrap(low)
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
    return value.home.wrap(low)


@traces(np.digitize)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """bins: rising."""
    return searchsorted(bins, x, "left" if right else "right")


@traces(np.interp)
def interp(
    x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None
) -> Any:
    """Linear between the points (xp, fp), which rise; left and right of them constant.

    period: of x and of xp, which then need not rise; there is nothing left or right.
    """
    if period is not None:
        x, xp, fp, left, right = _periodic(x, xp, fp, period)
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


def _periodic(x: Any, xp: Any, fp: Any, period: Any) -> tuple[Any, Any, Any, None, None]:
    """The points of one period in order, with one more at each end."""
    if not isinstance(period, Tracer) and period == 0:
        raise ValueError(f"np.interp: period must be a non-zero value{here()}")
    length = np.abs(period)
    around = np.remainder(lift(xp), length)
    order = np.argsort(around)
    points, values = np.take(around, order), np.take(lift(fp), order)
    wide = np.concatenate([points[-1:] - length, points, points[:1] + length])
    ends = np.concatenate([values[-1:], values, values[:1]])
    return np.remainder(lift(x), length), wide, ends, None, None


@traces(np.sinc)
def sinc(x: Any) -> Any:
    y = lift(x) * np.pi
    zero = y == 0
    return np.where(zero, 1, np.sin(y) / np.where(zero, 1, y))


@traces(np.select)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """A number beyond the dtype of the choices wraps round in it, as in NumPy."""
    values = [live().lift(v) for v in (*choicelist, default)]
    dtype = common_dtype(tuple(v.kind for v in values))
    *choices, out = (v.home.wrap(cast(v.node, dtype)) for v in values)
    for condition, choice in zip(condlist[::-1], choices[::-1], strict=True):
        out = np.where(lift(condition), choice, out)  # type: ignore[assignment]
    return out


@traces(np.isin)
def isin(element: Any, test_elements: Any, invert: bool = False) -> Any:
    x, tests = promoted([element, test_elements])
    found = np.any(x[..., None] == np.reshape(tests, -1), axis=-1)
    return ~found if invert else found


@traces(np.array_equal)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    x, y = lift(a1), lift(a2)
    if x.shape != y.shape:
        return x.home.array(False)
    same = x == y
    return np.all(same | (np.isnan(x) & np.isnan(y)) if equal_nan else same)


@traces(np.array_equiv)
def array_equiv(a1: Any, a2: Any) -> Any:
    x, y = lift(a1), lift(a2)
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        return x.home.array(False)
    return np.all(x == y)


# What has a shape that depends on values

_OUTSIDE = "compute it outside the traced function and pass the result in"
_SIZED = "give the number of places: tracejit.numpy.nonzero(x, size=n) fills up with fill_value"

SHAPELESS.update(
    {
        **dict.fromkeys((np.nonzero, np.flatnonzero, np.argwhere), _SIZED),
        **{
            f: f"give the number of values: tracejit.numpy.{f.__name__}(x, size=n)"
            for f in (
                *(np.unique, np.unique_all, np.unique_counts, np.unique_inverse),
                np.unique_values,
            )
        },
        **dict.fromkeys(
            (np.union1d, np.intersect1d, np.setdiff1d, np.setxor1d),
            f"{_OUTSIDE}, or count with comparisons: np.sum(x[:, None] == values, axis=0)",
        ),
        np.extract: "use np.where(condition, x, other)",
        np.bincount: "with a known length: tracejit.numpy.bincount(x, weights, length=n)",
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
    rows = ops.sum_of_rows(emit("select", fits, number, beyond), places, size + 1)
    flat = x.home.wrap(ops.slice(rows, (0,), (size,)))
    filled = np.greater(np.sum(x.home.wrap(cast(hit, I64))), np.arange(size))
    found, stride = [], x.size
    for n in x.shape:
        stride = stride // n if n else 1
        found.append(np.where(filled, (flat // max(stride, 1)) % max(n, 1), fill_value))
    return tuple(found)
