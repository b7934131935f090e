"""The discrete Fourier transform, by numpy.fft, of complex numbers as two real arrays.

It is linear over the reals, and its adjoint is itself with the other sign.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tracejit.ir import ops
from tracejit.ir.graph import Array, Node
from tracejit.ir.host.table import Types, host_function
from tracejit.ir.lanes import Lanes
from tracejit.ir.types import F32, F64, DTypeError, ShapeError, TensorType

Pair = tuple[Node, Node]


def _infer(*types: TensorType, axis: int, inverse: bool) -> Types:
    real, imag = types
    if real.dtype not in (F32, F64) or imag != real:
        raise DTypeError(f"fft: {real} and {imag}: two parts of one type, f32 or f64")
    if not 0 <= axis < real.ndim or real.shape[axis] == 0:
        raise ShapeError(f"fft: {real}: there is nothing along axis {axis}")
    return real, imag


def _eval(real: Array, imag: Array, axis: int, inverse: bool) -> tuple[Array, ...]:
    """Sums without a factor, in both directions."""
    transform: Callable[..., Array] = np.fft.ifft if inverse else np.fft.fft
    whole = np.empty(real.shape, "c8" if real.dtype == F32 else "c16")
    whole.real, whole.imag = real, imag
    with np.errstate(all="ignore"):
        found = transform(whole, axis=axis, norm="forward" if inverse else "backward")
    return np.ascontiguousarray(found.real), np.ascontiguousarray(found.imag)


def _vjp(
    g: Sequence[Node], y: Sequence[Node], real: Node, imag: Node, axis: int, inverse: bool
) -> Pair:
    of_real, of_imag = ops.host_call("fft", *g, axis=axis, inverse=not inverse)
    return of_real, of_imag


def _batch(lanes: Lanes, axis: int, inverse: bool) -> tuple[Node, ...]:
    return ops.host_call("fft", *lanes.every, axis=axis + 1, inverse=inverse)


host_function("fft", _infer, _eval, _vjp, _batch)
