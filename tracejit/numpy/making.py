"""What makes arrays. Python floats have the default dtype (f32); in a trace the result is part of
the graph instead of captured memory.
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from tracejit import movement, selection
from tracejit.functions import checked_dtype
from tracejit.ir import ops
from tracejit.ir.graph import Scalar
from tracejit.ir.types import BOOL, F64, I64, TensorType
from tracejit.lowering import cast
from tracejit.source import here
from tracejit.trace import current_trace, default_float
from tracejit.tracer import Tracer
from tracejit.variable import Variable


def default_complex() -> Any:
    return np.dtype(np.complex128 if default_float() == F64 else np.complex64)


def check_device(device: Any) -> None:
    """The CPU is the one device; raises ValueError for another."""
    if device not in (None, "cpu"):
        raise ValueError(f"device {device!r} is not there{here()}: arrays are on 'cpu'")


def wanted_dtype(dtype: Any, default: Any) -> Any:
    """The dtype asked for, or the default; in a trace one that tracejit knows."""
    if current_trace() is not None:
        return checked_dtype(default if dtype is None else dtype)
    return np.dtype(default if dtype is None else dtype)


def default_dtype(value: Any) -> Any:
    """The dtype of an array of this value: that of an array, or the default one of its kind."""
    if hasattr(value, "dtype"):
        return value.dtype
    if isinstance(value, complex):
        return default_complex()
    return default_float() if isinstance(value, float) else np.asarray(value).dtype


def full(
    shape: Any, fill_value: Any, dtype: Any = None, order: str = "C", *, device: Any = None
) -> Any:
    check_device(device)
    sizes = (int(shape),) if np.ndim(shape) == 0 else tuple(int(n) for n in shape)
    wanted = wanted_dtype(dtype, default_dtype(fill_value))
    trace = current_trace()
    if trace is None:
        value = fill_value.numpy() if isinstance(fill_value, Variable) else fill_value
        return np.full(sizes, value, wanted, "F" if order == "F" else "C")
    if isinstance(fill_value, Tracer | Variable) or np.ndim(fill_value):
        value = trace.array(fill_value)
        return movement.full_like(value, value, wanted, sizes)
    number: Scalar = np.asarray(fill_value).astype(wanted).item()
    return trace.wrap(trace.builder.full(number, TensorType(sizes, wanted)))


def zeros(shape: Any, dtype: Any = None, order: str = "C", *, device: Any = None) -> Any:
    return full(shape, 0.0, default_float() if dtype is None else dtype, order, device=device)


def ones(shape: Any, dtype: Any = None, order: str = "C", *, device: Any = None) -> Any:
    return full(shape, 1.0, default_float() if dtype is None else dtype, order, device=device)


def empty(shape: Any, dtype: Any = None, order: str = "C", *, device: Any = None) -> Any:
    """Zeros: what is not written is not random."""
    return zeros(shape, dtype, order, device=device)


def arange(
    start: Any, stop: Any = None, step: Any = 1, dtype: Any = None, *, device: Any = None
) -> Any:
    """The bounds are Python numbers: they decide the shape."""
    check_device(device)
    first, last = (0, start) if stop is None else (start, stop)
    is_float = builtins.any(isinstance(v, float) for v in (first, last, step))
    wanted = wanted_dtype(dtype, default_float() if is_float else I64)
    trace = current_trace()
    if trace is None:
        whole = not is_float and wanted.kind in "iu"
        made: Any = np.arange
        return made(first, last, step, wanted if whole else None).astype(wanted)
    size = np.arange(first, last, step).size
    # As NumPy does it: in f64, by multiples of the second element less the first.
    counted = F64 if is_float else wanted if wanted.kind in "iu" else I64
    out: Any = trace.wrap(ops.iota(trace.builder, (size,), 0, counted))
    gap = (first + step) - first
    out = out if gap == 1 else out * gap
    out = out if first == 0 else out + first
    return trace.wrap(cast(out.node, wanted))


def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False,
    dtype: Any = None, axis: int = 0, *, device: Any = None,
) -> Any:  # fmt: skip
    """num: how many, a Python int."""
    check_device(device)
    wanted = wanted_dtype(dtype, default_of(start, stop))
    points, gap = np.linspace(start, stop, num, endpoint=endpoint, retstep=True, axis=axis)
    points = np.astype(np.floor(points) if wanted.kind in "iu" else points, wanted)
    return (points, gap) if retstep else points


def default_of(*values: Any) -> Any:
    """The float or complex dtype of what is computed from these: of arrays theirs, else default."""
    if builtins.any(hasattr(v, "dtype") for v in values):
        return np.result_type(*values, 1.0)
    is_complex = builtins.any(isinstance(v, complex) for v in values)
    return default_complex() if is_complex else default_float()


def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0,
    dtype: Any = None, axis: int = 0,
) -> Any:  # fmt: skip
    points = np.logspace(start, stop, num, endpoint, base, axis=axis)
    return np.astype(points, wanted_dtype(dtype, default_of(start, stop, base)))


def geomspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Any:
    """Equal ratios between neighbours; the bounds have one sign."""
    points = np.geomspace(start, stop, num, endpoint, axis=axis)
    return np.astype(points, wanted_dtype(dtype, default_of(start, stop)))


def eye(
    N: int, M: int | None = None, k: int = 0, dtype: Any = None, order: str = "C", *,
    device: Any = None,
) -> Any:  # fmt: skip
    check_device(device)
    wanted = wanted_dtype(dtype, default_float())
    return _banded(N, M, k, wanted, "eq") if current_trace() else np.eye(N, M, k, wanted)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    """1 at and below diagonal k."""
    wanted = wanted_dtype(dtype, default_float())
    return _banded(N, M, k, wanted, "le") if current_trace() else np.tri(N, M, k, wanted)


def _banded(N: int, M: int | None, k: int, dtype: Any, test: str) -> Any:
    trace = current_trace()
    assert trace is not None
    like = trace.builder.full(False, TensorType((), BOOL))
    shape = (N, N if M is None else M)
    return trace.wrap(ops.cast(selection.band(like, shape, test, k), dtype))


def identity(n: int, dtype: Any = None) -> Any:
    return eye(n, dtype=dtype)


def asarray(
    a: Any, dtype: Any = None, order: Any = None, *, device: Any = None, copy: bool | None = None
) -> Any:
    """An array of numbers, lists, arrays, buffers, or objects with __dlpack__ or __array__.

    Python floats, also in lists, get the default dtype. copy: whether the memory is new; None
    where it must be, False raises ValueError then. In a trace every array is a value of its own.
    """
    check_device(device)
    trace = current_trace()
    if trace is not None and holds_traced(a):
        if copy is False and not isinstance(a, Tracer | Variable):
            raise ValueError(f"asarray: a list cannot be an array without a copy{here()}")
        tracer = trace.array(a)
        return tracer if dtype is None else movement.astype(tracer, dtype)
    if isinstance(a, Variable):
        a = a.numpy()
    if isinstance(a, list | tuple) and holds_variable(a):
        a = [asarray(v) for v in a]
    wanted = None if dtype is None else wanted_dtype(dtype, None)
    if not (hasattr(a, "dtype") or hasattr(a, "__array__")) and hasattr(a, "__dlpack__"):
        known: Any = np.from_dlpack(a, copy=copy)
        return known if wanted is None else known.astype(wanted, copy=False)
    if wanted is None and isinstance(a, float | complex | list | tuple) and of_python(a):
        wanted = _default_of_kind(np.asarray(a).dtype)
    return np.array(a, dtype=wanted, order=order or "K", copy=copy)


def _default_of_kind(dtype: Any) -> Any:
    return {"f": default_float(), "c": default_complex()}.get(dtype.kind, dtype)


def array(
    a: Any, dtype: Any = None, copy: bool | None = True, order: Any = None, ndmin: int = 0
) -> Any:
    out = asarray(a, dtype, order, copy=copy if not holds_traced(a) else None)
    return out if np.ndim(out) >= ndmin else out[(None,) * (ndmin - np.ndim(out))]


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Any:
    """An array of another library, without a copy unless asked for."""
    check_device(device)
    if isinstance(x, Tracer | Variable):
        return asarray(x)
    return np.from_dlpack(x, copy=copy)


def holds_traced(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return builtins.any(holds_traced(v) for v in value)
    return isinstance(value, Tracer) or (isinstance(value, Variable) and bool(current_trace()))


def holds_variable(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return builtins.any(holds_variable(v) for v in value)
    return isinstance(value, Variable)


def of_python(value: Any) -> bool:
    """Whether every number in it is Python's own: those have no dtype."""
    if isinstance(value, list | tuple):
        return builtins.all(of_python(v) for v in value)
    return type(value) in (bool, int, float, complex)
