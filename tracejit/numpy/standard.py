"""Functions that the array API standard gives another signature, or another result, than NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.functions import call
from tracejit.numpy.making import check_device, holds_traced


def expand_dims(a: Any, axis: Any = 0) -> Any:
    """axis: where the new axes of size 1 are in the result; an int or a tuple."""
    return np.expand_dims(a, axis)


def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """An array also where NumPy gives a Python int."""
    count = np.count_nonzero(a, axis=axis, keepdims=keepdims)
    return np.int64(count) if type(count) is int else count


def clip(
    a: Any, min: Any = None, max: Any = None, *, a_min: Any = None, a_max: Any = None, **asked: Any
) -> Any:
    """Not below min, not above max. a_min and a_max: NumPy's older names of these."""
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    if low is None and high is None:
        return np.copy(a)
    return np.clip(a, low, high, **asked)


def take(a: Any, indices: Any, axis: int | None = None, **asked: Any) -> Any:
    """Also of a plain array by a traced index, which NumPy's own would try to have as numbers."""
    if holds_traced(indices):
        return call(np.take, (a, indices), {"axis": axis, **asked})
    return np.take(a, indices, axis=axis, **asked)


def full_like(
    a: Any, fill_value: Any, dtype: Any = None, *, device: Any = None, shape: Any = None
) -> Any:
    """Also with a traced fill_value."""
    check_device(device)
    if holds_traced(fill_value):
        return call(np.full_like, (a, fill_value), {"dtype": dtype, "shape": shape})
    return np.full_like(a, fill_value, dtype=dtype, shape=shape)


def sort(
    a: Any, axis: Any = -1, *, descending: bool = False, stable: bool = True, kind: Any = None
) -> Any:
    """Rising, nan last; descending: the reverse of that."""
    out = np.sort(a, axis=axis, kind=_kind(stable, kind))
    return np.flip(out, -1 if axis is None else axis) if descending else out


def argsort(
    a: Any, axis: Any = -1, *, descending: bool = False, stable: bool = True, kind: Any = None
) -> Any:
    """The indices that `sort` takes; equals keep their order, also where descending."""
    how = _kind(stable, kind)
    if not descending:
        return np.argsort(a, axis=axis, kind=how)
    if axis is None:
        return argsort(np.ravel(a), descending=True, kind=how)
    last = np.shape(a)[axis] - 1
    return last - np.flip(np.argsort(np.flip(a, axis), axis=axis, kind=how), axis)


def _kind(stable: bool, kind: Any) -> Any:
    return kind or ("stable" if stable else None)
