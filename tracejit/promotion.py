"""NumPy 2's dtype rules (NEP 50), asked of NumPy itself."""

from __future__ import annotations

from functools import cache

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.types import BF16, BOOL, F32, F64, I64, DType, dtype_name

# An operand's kind: its dtype, or `int` or `float` for a Python number (weak).
Kind = DType | type
Signature = tuple[tuple[DType, ...], tuple[DType, ...]]


@cache
def ufunc_dtypes(ufunc: np.ufunc, kinds: tuple[Kind, ...]) -> Signature:
    """The dtypes that NumPy computes in, and those of the results.

    Raises UnsupportedError where NumPy has no loop for these kinds.
    """
    asked = [_known_to_numpy(kind, kinds) for kind in kinds]
    try:
        resolved = ufunc.resolve_dtypes((*asked, *(None,) * ufunc.nout))
    except TypeError:
        names = ", ".join(kind_name(k) for k in kinds)
        raise UnsupportedError(f"{ufunc.__name__} is not defined for ({names})") from None
    inputs, outputs = resolved[: ufunc.nin], resolved[ufunc.nin :]
    if len(set(inputs)) > 1:
        # Comparisons of signed with unsigned 64-bit integers, and logical_* of mixed floats.
        inputs = (np.result_type(*inputs),) * ufunc.nin
    for dtype in (*inputs, *outputs):
        dtype_name(dtype)
    return inputs, outputs


def _known_to_numpy(kind: Kind, kinds: tuple[Kind, ...]) -> Kind:
    """ml_dtypes' bfloat16 does not know weak numbers: there they are bfloat16 themselves.

    And Python integers among themselves NumPy compares as objects.
    """
    strong = [k for k in kinds if isinstance(k, np.dtype)]
    if not strong and kind is int:
        return I64
    if kind in (int, float) and BF16 in strong and all(k in (BF16, BOOL) for k in strong):
        return BF16
    return kind


@cache
def common_dtype(kinds: tuple[Kind, ...]) -> DType:
    """The dtype that arrays of these kinds have when they are put into one."""
    strong = {k for k in kinds if isinstance(k, np.dtype)}
    weak = {k for k in kinds if not isinstance(k, np.dtype)}
    if not strong:
        return F64 if float in weak else I64
    dtype = np.result_type(*strong)
    if float in weak and dtype.kind in "iub":
        return F64
    if int in weak and dtype == BOOL:
        return I64
    return dtype


def sum_dtype(dtype: DType) -> DType:
    """What NumPy adds and multiplies integers up in."""
    if dtype.kind in "bi":
        return np.result_type(dtype, I64)
    return np.result_type(dtype, np.uint64) if dtype.kind == "u" else dtype


def float_dtype(dtype: DType) -> DType:
    """The float that a mean of this dtype has."""
    return F64 if dtype.kind in "biu" else dtype


def wide_dtype(dtype: DType) -> DType:
    """The dtype that sums of halves are kept in."""
    return F32 if dtype.itemsize == 2 and dtype.kind not in "iu" else dtype


def kind_name(kind: Kind) -> str:
    return dtype_name(kind) if isinstance(kind, np.dtype) else f"Python {kind.__name__}"
