"""Reductions that pass over nan. Where nothing else is there, what they give is NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.functions import lift, traces
from tracejit.ir.types import is_float

Axis = Any  # None, an int, or a tuple of ints


def _without_nan(a: Any, neutral: Any) -> Any:
    x = lift(a)
    return np.where(np.isnan(x), neutral, x) if is_float(x.dtype) else x


@traces(np.nansum)
def nansum(
    a: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False, initial: Any = 0,
    where: Any = True,
) -> Any:  # fmt: skip
    kept = _without_nan(a, 0)
    return np.sum(kept, axis, dtype, keepdims=keepdims, initial=initial, where=where)


@traces(np.nanprod)
def nanprod(
    a: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False, initial: Any = 1,
    where: Any = True,
) -> Any:  # fmt: skip
    kept = _without_nan(a, 1)
    return np.prod(kept, axis, dtype, keepdims=keepdims, initial=initial, where=where)


def _numbers(x: Any, where: Any) -> Any:
    """Where x is a number and asked for; True where that is everywhere."""
    return np.logical_and(~np.isnan(x), where) if is_float(x.dtype) else where


@traces(np.nanmean)
def nanmean(
    a: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False, where: Any = True
) -> Any:
    x: Any = lift(a)
    return np.mean(x, axis, dtype, keepdims=keepdims, where=_numbers(x, where))


@traces(np.nanvar)
def nanvar(
    a: Any, axis: Axis = None, dtype: Any = None, ddof: Any = 0, keepdims: bool = False,
    where: Any = True, mean: Any = None, correction: Any = None,
) -> Any:  # fmt: skip
    x: Any = lift(a)
    asked = ddof if correction is None else correction
    known = {} if mean is None else {"mean": mean}
    there = _numbers(x, where)
    return np.var(x, axis, dtype, ddof=asked, keepdims=keepdims, where=there, **known)


@traces(np.nanstd)
def nanstd(
    a: Any, axis: Axis = None, dtype: Any = None, ddof: Any = 0, keepdims: bool = False,
    where: Any = True, mean: Any = None, correction: Any = None,
) -> Any:  # fmt: skip
    return np.sqrt(nanvar(a, axis, dtype, ddof, keepdims, where, mean, correction))


def _extreme(
    reduce: Any, neutral: float, a: Any, axis: Axis, keepdims: bool, initial: Any, where: Any
) -> Any:
    x = lift(a)
    if not is_float(x.dtype):
        return reduce(x, axis=axis, keepdims=keepdims, initial=initial, where=where)
    there = _numbers(x, where)
    found = reduce(np.where(there, x, neutral), axis=axis, keepdims=keepdims, initial=initial)
    if initial is not None:
        return found
    return np.where(np.any(there, axis=axis, keepdims=keepdims), found, np.nan)


@traces(np.nanmax)
def nanmax(
    a: Any, axis: Axis = None, keepdims: bool = False, initial: Any = None, where: Any = True
) -> Any:
    """nan where nothing else is there."""
    return _extreme(np.max, -np.inf, a, axis, keepdims, initial, where)


@traces(np.nanmin)
def nanmin(
    a: Any, axis: Axis = None, keepdims: bool = False, initial: Any = None, where: Any = True
) -> Any:
    return _extreme(np.min, np.inf, a, axis, keepdims, initial, where)


@traces(np.nanargmax)
def nanargmax(a: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """0 where all are nan: NumPy raises ValueError there, which a traced value cannot."""
    return np.argmax(_without_nan(a, -np.inf), axis=axis, keepdims=keepdims)


@traces(np.nanargmin)
def nanargmin(a: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    return np.argmin(_without_nan(a, np.inf), axis=axis, keepdims=keepdims)


@traces(np.nancumsum)
def nancumsum(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    return np.cumsum(_without_nan(a, 0), axis, dtype)


@traces(np.nancumprod)
def nancumprod(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    return np.cumprod(_without_nan(a, 1), axis, dtype)
