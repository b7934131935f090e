"""The methods of ufuncs: reduce, reduceat, accumulate, outer; and out=, where=, at, which write.

A traced array is a value, and a write gives the *name* another: the tracer that was passed as out=
stands for the result from there on. That is NumPy's meaning as long as nobody else sees the memory,
so arguments, captured arrays and arrays with views are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.cumulative import ACCUMULATE, accumulate
from tracejit.errors import UnsupportedError
from tracejit.functions import axes_of, axis_of, lift
from tracejit.indexing import check_bounds, expanded
from tracejit.ir.types import BOOL, DType, is_float
from tracejit.lowering import broadcast_to, cast, least, most
from tracejit.movement import moveaxis
from tracejit.source import here
from tracejit.tracer import Tracer
from tracejit.ufuncs import apply, unsupported
from tracejit.variable import Variable

# `reduceat` of more parts takes a mask for each, all at once: so many kernels are slow to compile.
MANY_PARTS = 32

_REDUCTIONS: dict[np.ufunc, Any] = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
    np.logical_and: np.all,
    np.logical_or: np.any,
}


def _log_sum(x: Tracer, axis: int, base: Any) -> Any:
    """log of the sum of base**x, from the largest on."""
    top = np.max(x, axis=axis, keepdims=True)
    safe = np.where(np.isfinite(top), top, 0)
    exp, log = (np.exp2, np.log2) if base == 2 else (np.exp, np.log)
    return np.squeeze(safe, axis) + log(np.sum(exp(x - safe), axis=axis))


# Associative ufuncs without a reduction of their own.
_FOLDED = frozenset(
    {
        np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.logical_xor, np.fmax, np.fmin, np.hypot,
        np.logaddexp, np.logaddexp2,
    }
)  # fmt: skip


def _neutral(ufunc: np.ufunc, dtype: DType) -> Any:
    """What changes no element of that dtype."""
    neutral: dict[np.ufunc, Any] = {
        np.bitwise_and: True if dtype == BOOL else -1,
        np.fmax: np.nan if is_float(dtype) else least(dtype),
        np.fmin: np.nan if is_float(dtype) else most(dtype),
        np.maximum: least(dtype),
        np.minimum: most(dtype),
        np.logaddexp: -np.inf,
        np.logaddexp2: -np.inf,
    }
    return np.array(neutral.get(ufunc, 0)).astype(dtype)


def reduce(
    ufunc: np.ufunc, array: Any, axis: Any = 0, dtype: Any = None, keepdims: bool = False,
    initial: Any = np._NoValue, where: Any = True,
) -> Any:  # fmt: skip
    """ufunc.reduce: elements combined along the axis, several axes, or all with None."""
    known = {"dtype": dtype, "keepdims": keepdims, "initial": initial, "where": where}
    function = _REDUCTIONS.get(ufunc)
    if function is not None:
        usual = {"dtype": None, "keepdims": False, "initial": np._NoValue, "where": True}
        return function(array, axis=axis, **{k: v for k, v in known.items() if v is not usual[k]})
    if ufunc not in _FOLDED:
        raise unsupported(f"np.{ufunc.__name__}.reduce")
    x = lift(array if dtype is None else np.astype(lift(array), dtype))  # type: ignore[call-overload]
    axes = axes_of(x, axis)
    x = lift(x if where is True else np.where(where, x, _neutral(ufunc, x.dtype)))
    for d in reversed(axes):
        x = lift(_folded(ufunc, x, d))
    if initial is not np._NoValue and initial is not None:
        x = apply(ufunc, initial, x)
    return np.expand_dims(x, axes) if keepdims and axes else x


def _folded(ufunc: np.ufunc, x: Tracer, d: int) -> Any:
    """Halves are combined until one row is left: as deep as log2 of the size."""
    lead = (slice(None),) * d
    if x.shape[d] == 0:
        if ufunc in (np.fmax, np.fmin):
            raise ValueError(f"{ufunc.__name__}.reduce of no elements, which have none{here()}")
        return np.full_like(np.sum(x, axis=d), _neutral(ufunc, x.dtype), dtype=x.dtype)
    if ufunc in (np.logaddexp, np.logaddexp2):
        return _log_sum(x, d, 2 if ufunc is np.logaddexp2 else np.e)
    if ufunc is np.logical_xor:
        x = lift(x.astype(bool))
    while x.shape[d] > 1:
        half, size = x.shape[d] // 2, x.shape[d]
        pairs = apply(ufunc, x[(*lead, slice(0, half))], x[(*lead, slice(half, 2 * half))])
        rest = x[(*lead, slice(2 * half, size))]
        x = lift(np.concatenate([pairs, rest], axis=d) if size % 2 else pairs)
    return x[(*lead, 0)]


def reduceat(ufunc: np.ufunc, array: Any, indices: Any, axis: int = 0, dtype: Any = None) -> Any:
    """ufunc.reduceat: of elements from indices[i] up to indices[i + 1], the last up to the end.

    Where those are none, it is the element at indices[i]. Traced indices beyond the ends are read
    as the ends; known ones raise IndexError.
    """
    x = lift(array)
    d = axis_of(x.ndim, axis)
    size, lead = x.shape[d], (slice(None),) * d
    if isinstance(indices, Variable | Tracer) or len(indices) > MANY_PARTS:
        return _masked_parts(ufunc, x, lift(indices), d, dtype)
    starts = [int(i) for i in indices]
    for i in starts:
        if not 0 <= i < size:
            name = f"np.{ufunc.__name__}.reduceat"
            raise IndexError(f"{name}: index {i} is out of bounds [0, {size}){here()}")
    if not starts:
        return reduce(ufunc, x, d, dtype, keepdims=True)[(*lead, slice(0, 0))]
    parts = [
        reduce(ufunc, x[(*lead, slice(i, max(i + 1, end)))], d, dtype, keepdims=True)
        for i, end in zip(starts, [*starts[1:], size], strict=True)
    ]
    return np.concatenate(parts, axis=d)


def _masked_parts(ufunc: np.ufunc, x: Tracer, indices: Tracer, d: int, dtype: Any) -> Any:
    """Every part as a mask over all elements."""
    size = x.shape[d]
    starts: Any = np.clip(indices, 0, size - 1)[:, None]
    ends = np.maximum(np.concatenate([starts[1:], np.full((1, 1), size)]), starts + 1)
    place = np.arange(size)
    inside = np.logical_and(place >= starts, place < ends)
    rows = moveaxis(x, d, -1)[..., None, :]
    initial = _neutral(ufunc, x.dtype) if ufunc in (np.maximum, np.minimum) else np._NoValue
    return np.moveaxis(reduce(ufunc, rows, -1, dtype, initial=initial, where=inside), -1, d)


def accumulated(ufunc: np.ufunc, array: Any, axis: int = 0, dtype: Any = None) -> Any:
    """ufunc.accumulate: element i is elements 0 to i combined."""
    if ufunc in ACCUMULATE:
        return accumulate(ufunc, array, axis=axis, dtype=dtype)
    if ufunc not in _FOLDED:
        raise unsupported(f"np.{ufunc.__name__}.accumulate")
    x: Any = lift(array if dtype is None else lift(array).astype(dtype))
    x = x.astype(bool) if ufunc is np.logical_xor else x
    lead = (slice(None),) * axis_of(x.ndim, axis)
    distance = 1
    while distance < x.shape[len(lead)]:
        before, after = x[(*lead, slice(None, -distance))], x[(*lead, slice(distance, None))]
        head = x[(*lead, slice(None, distance))]
        x = np.concatenate([head, apply(ufunc, before, after)], axis=len(lead))
        distance *= 2
    return x


def outer(ufunc: np.ufunc, a: Any, b: Any, dtype: Any = None) -> Any:
    """ufunc.outer: each element of a with each of b."""
    first, second = (np.asarray(x) if isinstance(x, list | tuple) else x for x in (a, b))
    wide = np.reshape(first, (*np.shape(first), *(1,) * np.ndim(second)))
    return apply(ufunc, wide, second, dtype=dtype)


METHODS: dict[str, Callable[..., Any]] = {
    "reduce": reduce,
    "reduceat": reduceat,
    "accumulate": accumulated,
    "outer": outer,
}


# Writing


def written(name: str, out: Any, result: Any, where: Any = True) -> Any:
    """`out` with the result in it, where the mask is True; a tj.Variable or a traced array.

    Raises UnsupportedError for memory that others see.
    """
    if isinstance(out, Variable):
        out.assign(result if where is True else np.where(where, result, out))
        return out
    if not isinstance(out, Tracer) or not out.is_own:
        raise UnsupportedError(
            f"{name}: out= (or an operator like +=) would write a traced value into"
            f" {_what(out)}{here()}; write `a = a + b`, or assign to a tj.Variable"
        )
    value = lift(result)
    if not np.can_cast(value.dtype, out.dtype, "same_kind"):
        raise TypeError(f"{name}: {value.node.type} cannot be stored in {out.node.type}{here()}")
    node = broadcast_to(cast(value.node, out.dtype), out.shape)
    if where is not True:
        node = lift(np.where(where, out.home.wrap(node), out)).node
    out.node = broadcast_to(node, out.shape)
    return out


def overwrite(name: str, x: Tracer, value: Any, instead: str) -> None:
    """x stands for the value from here on, which has its type; as a method of arrays does it.

    Raises UnsupportedError for memory that others see. instead: what to write then.
    """
    if not x.is_own:
        raise UnsupportedError(
            f"{name} would write into {_what(x)}{here()}; write {instead}, or do it to a copy:"
            " x = x.copy()"
        )
    written(name, x, value)


def _what(out: Any) -> str:
    if not isinstance(out, Tracer):
        return "an existing array"
    return f"{out.node.type}, an argument, a view, or an array of which views are held"


def assign(x: Tracer, index: Any, value: Any) -> None:
    """x[index] = value, where nobody else sees the memory of x."""
    if not x.is_own:
        raise UnsupportedError(
            f"item assignment: a traced {_what(x)}, cannot be changed in place{here()}; write"
            " x = x.at[index].set(value) or np.where(mask, value, x), or assign to a copy:"
            " x = x.copy()"
        )
    if isinstance(index, Tracer) and index.dtype == BOOL and not index.has_value:
        x.node = _masked(x, index, value).node
        return
    for axis, item in enumerate(expanded(x, index if isinstance(index, tuple) else (index,))):
        if isinstance(item, np.ndarray | list):
            check_bounds(x, np.asarray(item), axis)
    x.node = x.at[index].set(value).node


def _masked(x: Tracer, mask: Tracer, value: Any) -> Tracer:
    """x with one value, or row, wherever the mask of its leading axes is True."""
    rest = x.shape[mask.ndim :]
    if mask.shape != x.shape[: mask.ndim] or np.ndim(value) > len(rest):
        raise UnsupportedError(
            f"item assignment: {x.node.type} through a mask {mask.node.type} takes one value for"
            f" all places{here()}; for several write np.where(mask, values, x)"
        )
    spread = np.reshape(mask, (*mask.shape, *(1,) * len(rest)))
    return lift(np.where(spread, lift(value).astype(x.dtype), x))


def at(ufunc: np.ufunc, a: Any, indices: Any, b: Any = None) -> None:
    """ufunc.at: a[indices] = ufunc(a[indices], b), once for every index, also for equal ones."""
    name = {np.add: "add", np.subtract: "subtract", np.multiply: "multiply"}
    name |= {np.divide: "divide", np.minimum: "min", np.maximum: "max"}
    if ufunc not in name:
        raise unsupported(f"np.{ufunc.__name__}.at")
    if not isinstance(a, Tracer) or not a.is_own:
        raise UnsupportedError(
            f"np.{ufunc.__name__}.at would write into {_what(a)}{here()}; write"
            f" x = x.at[indices].{name[ufunc]}(values)"
        )
    written(f"np.{ufunc.__name__}.at", a, getattr(a.at[indices], name[ufunc])(b))
