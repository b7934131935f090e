"""NumPy's namespace for traced code: `import tracejit.numpy as np`.

Most names here *are* NumPy's functions, which trace by themselves when an operand is traced. What
makes arrays differs in two ways: floats have the default dtype (f32), and inside a trace the result
is part of the graph instead of captured memory.
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy as _np

from tracejit import (  # noqa: F401  (fill FUNCTIONS)
    contraction,
    cumulative,
    movement,
    rearranging,
    reductions,
    searching,
    selection,
)
from tracejit.functions import FUNCTIONS, SHAPELESS, checked_dtype
from tracejit.ir import ops as _ops
from tracejit.ir.graph import Scalar as _Scalar
from tracejit.ir.types import BF16, BOOL, I64, TensorType
from tracejit.numpy import linalg as linalg
from tracejit.trace import current_trace, default_float
from tracejit.tracer import Tracer
from tracejit.ufuncs import UFUNCS
from tracejit.variable import Variable

bool_, int8, int16, int32, int64 = _np.bool_, _np.int8, _np.int16, _np.int32, _np.int64
uint8, uint16, uint32, uint64 = _np.uint8, _np.uint16, _np.uint32, _np.uint64
float16, float32, float64 = _np.float16, _np.float32, _np.float64
bfloat16 = BF16.type
pi, e, inf, nan, newaxis = _np.pi, _np.e, _np.inf, _np.nan, None
ndarray, dtype, finfo, iinfo, issubdtype = (
    _np.ndarray, _np.dtype, _np.finfo, _np.iinfo, _np.issubdtype,
)  # fmt: skip
broadcast_shapes = _np.broadcast_shapes

_TRACED: dict[str, Any] = {
    **{n: f for n, f in vars(_np).items() if isinstance(f, _np.ufunc) and f in UFUNCS},
    **{n: f for n, f in vars(_np).items() if callable(f) and f in FUNCTIONS},
    "matmul": _np.matmul,
    "vecdot": _np.vecdot,
    "divmod": _np.divmod,
    "modf": _np.modf,
}
# What NumPy has and traced code has not: eager, with an error that says so for a traced operand.
_EAGER: dict[str, Any] = {
    **{f.__name__: f for f in SHAPELESS},
    **{
        f.__name__: f
        for f in (
            _np.sort, _np.argsort, _np.lexsort, _np.partition, _np.argpartition, _np.median,
            _np.percentile, _np.quantile, _np.nanmedian, _np.nanpercentile, _np.nanquantile,
            _np.nextafter, _np.spacing, _np.histogram, _np.can_cast, _np.promote_types,
            _np.from_dlpack, _np.ldexp, _np.frexp, _np.gcd, _np.lcm, _np.bitwise_count, _np.real,
            _np.imag, _np.tril_indices, _np.triu_indices, _np.indices, _np.logspace,
            _np.geomspace,
        )
    },
}  # fmt: skip
_TRACED_OR_EAGER = {**_EAGER, **_TRACED}


def nonzero(a: Any, size: int | None = None, fill_value: Any = 0) -> Any:
    """NumPy's; with size=n also in traced code: n indices, the last of them fill_value."""
    if size is None:
        return _np.nonzero(a)
    if current_trace() is not None:
        return searching.nonzero(a, size, fill_value)
    found = _np.nonzero(a)
    filler = _np.full(builtins.max(size - len(found[0]), 0), fill_value)
    return tuple(_np.concatenate([f, filler])[:size].astype(_np.int64) for f in found)


def flatnonzero(a: Any, size: int | None = None, fill_value: Any = 0) -> Any:
    return nonzero(_np.ravel(a), size, fill_value)[0]


def __getattr__(name: str) -> Any:
    if name in _TRACED_OR_EAGER:
        return _TRACED_OR_EAGER[name]
    raise AttributeError(
        f"tracejit.numpy has no {name!r}"
        + (": numpy has, but it has no traced form" if hasattr(_np, name) else "")
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *_TRACED_OR_EAGER})


def _dtype_of(fill: Any, dtype: Any) -> Any:
    if dtype is not None:
        return checked_dtype(dtype)
    return default_float() if isinstance(fill, float) else _np.asarray(fill).dtype


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    sizes = (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)
    trace = current_trace()
    if trace is None:
        return _np.full(sizes, fill_value, _dtype_of(fill_value, dtype))
    if isinstance(fill_value, Tracer | Variable):
        value = trace.array(fill_value)
        return movement.full_like(value, value, dtype, sizes)
    target = TensorType(sizes, _dtype_of(fill_value, dtype))
    number: _Scalar = _np.asarray(fill_value).item()
    return trace.wrap(trace.builder.full(number, target))


def zeros(shape: Any, dtype: Any = None) -> Any:
    return full(shape, 0.0, dtype)


def ones(shape: Any, dtype: Any = None) -> Any:
    return full(shape, 1.0, dtype)


def empty(shape: Any, dtype: Any = None) -> Any:
    return full(shape, 0.0, dtype)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Any:
    """The bounds are Python numbers: they decide the shape."""
    first, last = (0, start) if stop is None else (start, stop)
    known = _np.arange(first, last, step)
    is_float = builtins.any(isinstance(v, float) for v in (first, last, step))
    wanted = checked_dtype(dtype) if dtype is not None else default_float() if is_float else I64
    trace = current_trace()
    if trace is None:
        return known.astype(wanted)
    index = _ops.iota(trace.builder, (known.size,), 0, wanted)
    out: Any = trace.wrap(index)
    out = out if step == 1 else out * step
    return out if first == 0 else out + first


def linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None) -> Any:
    wanted = default_float() if dtype is None else checked_dtype(dtype)
    return _np.linspace(start, stop, num, endpoint=endpoint).astype(wanted)


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    wanted = default_float() if dtype is None else checked_dtype(dtype)
    trace = current_trace()
    if trace is None:
        return _np.eye(N, M, k, dtype=wanted)
    shape = (N, N if M is None else M)
    like = trace.builder.full(False, TensorType((), BOOL))
    return trace.wrap(_ops.cast(selection.band(like, shape, "eq", k), wanted))


def identity(n: int, dtype: Any = None) -> Any:
    return eye(n, dtype=dtype)


def asarray(a: Any, dtype: Any = None) -> Any:
    """An array; Python floats, also in lists, get the default dtype."""
    trace = current_trace()
    if trace is not None and _holds_traced(a):
        tracer = trace.array(a)
        return tracer if dtype is None else movement.astype(tracer, dtype)
    if isinstance(a, Variable):
        a = a.numpy()
    known = _np.asarray(a) if dtype is None else _np.asarray(a, dtype=checked_dtype(dtype))
    from_python = not hasattr(a, "dtype") and dtype is None
    return known.astype(default_float()) if from_python and known.dtype.kind == "f" else known


def array(a: Any, dtype: Any = None, copy: bool = True) -> Any:
    out = asarray(a, dtype)
    return out.copy() if copy and out is a and isinstance(out, _np.ndarray) else out


def _holds_traced(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return builtins.any(_holds_traced(v) for v in value)
    return isinstance(value, Tracer | Variable)
