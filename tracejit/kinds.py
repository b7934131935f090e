"""Questions about what an array holds: its dtype, and that every traced array is real."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.functions import lift, live, traces
from tracejit.promotion import common_dtype


@traces(np.result_type)
def result_type(*arrays_and_dtypes: Any) -> Any:
    kinds = []
    for value in arrays_and_dtypes:
        if type(value) in (int, float, bool) or hasattr(value, "__array_function__"):
            kinds.append(live().lift(value).kind)
        else:
            kinds.append(np.result_type(value))
    return common_dtype(tuple(kinds))


@traces(np.common_type)
def common_type(*arrays: Any) -> Any:
    """The float type that all arrays fit; f64 for integers."""
    return np.common_type(*(np.empty(0, lift(a).dtype) for a in arrays))


@traces(np.can_cast)
def can_cast(from_: Any, to: Any, casting: str = "safe") -> bool:
    how: Any = casting
    return bool(np.can_cast(lift(from_).dtype, to, how))


@traces(np.min_scalar_type)
def min_scalar_type(a: Any) -> Any:
    return lift(a).dtype


@traces(np.iscomplexobj)
def iscomplexobj(x: Any) -> bool:
    return False


@traces(np.isrealobj)
def isrealobj(x: Any) -> bool:
    return True


@traces(np.iscomplex)
def iscomplex(x: Any) -> Any:
    return np.zeros_like(lift(x), dtype=bool)


@traces(np.isreal)
def isreal(x: Any) -> Any:
    return np.ones_like(lift(x), dtype=bool)


@traces(np.real)
def real(val: Any) -> Any:
    return lift(val)


@traces(np.imag)
def imag(val: Any) -> Any:
    return np.zeros_like(lift(val))


@traces(np.real_if_close)
def real_if_close(a: Any, tol: Any = 100) -> Any:
    return lift(a)


@traces(np.angle)
def angle(z: Any, deg: bool = False) -> Any:
    """0, or half a turn where z is negative."""
    x = lift(z)
    return np.arctan2(np.zeros_like(x), x) * (180 / np.pi if deg else 1)


@traces(np.isposinf)
def isposinf(x: Any) -> Any:
    return np.isinf(x) & ~np.signbit(x)


@traces(np.isneginf)
def isneginf(x: Any) -> Any:
    return np.isinf(x) & np.signbit(x)
