"""Questions about dtypes and about this namespace, as the array API standard asks them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from tracejit.ir.types import BF16, DTYPES, I64
from tracejit.numpy.making import check_device, default_complex
from tracejit.trace import default_float
from tracejit.tracer import Tracer


@dataclass(frozen=True, slots=True)
class FloatInfo:
    """What a float dtype holds, in Python floats; of a complex dtype what its parts hold.

    bits: of one number. eps: the gap above 1. max, min: the largest and the most negative finite
    numbers. smallest_normal: the least positive number of full precision; tiny is the same.
    smallest_subnormal: the least positive number. nmant, nexp: bits of fraction and exponent.
    """

    dtype: Any
    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    smallest_subnormal: float
    resolution: float
    precision: int
    nmant: int
    nexp: int

    @property
    def tiny(self) -> float:
        return self.smallest_normal


_SIZES = ("eps", "max", "min", "smallest_normal", "smallest_subnormal", "resolution")
_COUNTS = ("precision", "nmant", "nexp")


def _dtype(kind: Any) -> Any:
    """The dtype of a dtype, of its name, or of an array."""
    found = getattr(kind, "dtype", None)
    return found if isinstance(found, np.dtype) else np.dtype(kind)


def finfo(type: Any, /) -> FloatInfo:
    """type: a float or complex dtype, or an array of one; raises ValueError for another."""
    dtype = _dtype(type)
    part = np.finfo(dtype).dtype if dtype.kind == "c" else dtype
    info: Any = ml_dtypes.finfo(part)
    sizes = (float(getattr(info, n)) for n in _SIZES)
    counts = (int(getattr(info, n)) for n in _COUNTS)
    return FloatInfo(part, int(info.bits), *sizes, *counts)  # type: ignore[arg-type]


def iinfo(type: Any, /) -> Any:
    """type: an integer dtype, or an array of one: bits, max, min as Python ints."""
    return np.iinfo(_dtype(type))


def isdtype(dtype: Any, kind: Any) -> bool:
    """kind: a dtype, a kind of the standard ("real floating", "integral", ...), or a tuple."""
    asked = _dtype(dtype)
    if asked != BF16:
        return bool(np.isdtype(asked, kind))
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return any(
        k in ("real floating", "numeric") if isinstance(k, str) else np.dtype(k) == BF16
        for k in kinds
    )


def can_cast(from_: Any, to: Any, casting: str = "safe") -> bool:
    """Whether a value of the first dtype, or array, may take the second; casting as in NumPy."""
    how: Any = casting
    return bool(np.can_cast(_dtype(from_), _dtype(to), how))


def result_type(*arrays_and_dtypes: Any) -> Any:
    """The dtype that these have together; Python numbers are weak."""
    kinds = [_kind(a) for a in arrays_and_dtypes]
    strong = [k for k in kinds if type(k) not in (bool, int, float, complex)]
    if any(np.dtype(k) == BF16 for k in strong):
        # ml_dtypes does not know weak numbers.
        return np.result_type(*strong)
    return np.result_type(*kinds)


def _kind(value: Any) -> Any:
    """A dtype, or a Python number for what is weak."""
    if isinstance(value, Tracer):
        return value.dtype if not value.weak else value.dtype.type(0).item()
    found = getattr(value, "dtype", None)
    return found if isinstance(found, np.dtype) else value


class NamespaceInfo:
    """What `__array_namespace_info__()` tells of tracejit.numpy."""

    def capabilities(self) -> dict[str, Any]:
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        return "cpu"

    def devices(self) -> list[str]:
        return ["cpu"]

    def default_dtypes(self, *, device: Any = None) -> dict[str, Any]:
        """Floats have `tj.config`'s default."""
        check_device(device)
        return {
            "real floating": default_float(),
            "complex floating": default_complex(),
            "integral": I64,
            "indexing": I64,
        }

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, Any]:
        """The standard's dtypes of a kind, or of any of a tuple of kinds."""
        check_device(device)
        known: list[Any] = [d for d in DTYPES.values() if d.itemsize != 2 or d.kind in "iu"]
        known += [np.dtype(np.complex64), np.dtype(np.complex128)]
        return {d.name: d for d in known if kind is None or isdtype(d, kind)}


def __array_namespace_info__() -> NamespaceInfo:
    return NamespaceInfo()
