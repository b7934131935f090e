"""Complex arrays in traced code: two real ones. They come from numpy.fft, and go back into it.

A traced function may return them: outside it they are NumPy's complex arrays. They are no arguments
of traced functions, and know the functions below only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from tracejit import tree
from tracejit.errors import UnsupportedError
from tracejit.functions import live, name_of
from tracejit.source import here, user_loc
from tracejit.trace import current_trace

Form = TypeVar("Form", bound=Callable[..., Any])

# What numpy's functions and ufuncs do with complex arrays.
COMPLEX: dict[Callable[..., Any], Callable[..., Any]] = {}


def on_complex(*functions: Callable[..., Any]) -> Callable[[Form], Form]:
    """Makes the decorated function the form of these NumPy functions on complex arrays."""

    def row(form: Form) -> Form:
        COMPLEX.update(dict.fromkeys(functions, form))
        return form

    return row


class ComplexArray:
    """real + i imag: traced arrays of one shape and dtype."""

    __slots__ = ("imag", "real")
    __array_priority__ = 2000.0
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, real: Any, imag: Any) -> None:
        self.real = real
        self.imag = imag

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.real.shape)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(self.real.size)

    @property
    def dtype(self) -> Any:
        return np.dtype("c8" if self.real.dtype == np.float32 else "c16")

    def conj(self) -> ComplexArray:
        return ComplexArray(self.real, -self.imag)

    conjugate = conj

    def __getitem__(self, index: Any) -> ComplexArray:
        return ComplexArray(self.real[index], self.imag[index])

    def __len__(self) -> int:
        return len(self.real)

    def __repr__(self) -> str:
        return f"ComplexArray({self.real!r}, {self.imag!r})"

    def sum(self, axis: Any = None, keepdims: bool = False) -> Any:
        return both(np.sum, self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Any:
        return both(np.mean, self, axis=axis, keepdims=keepdims)

    def reshape(self, *shape: Any) -> Any:
        return ComplexArray(self.real.reshape(*shape), self.imag.reshape(*shape))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **asked: Any) -> Any:
        if method != "__call__" or asked:
            raise _unsupported(f"np.{ufunc.__name__}.{method}")
        return _called(ufunc, operands, {})

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, keywords: dict[str, Any]
    ) -> Any:
        return _called(function, args, keywords)


def _called(function: Callable[..., Any], args: Any, keywords: dict[str, Any]) -> Any:
    trace = current_trace()
    if trace is None or function not in COMPLEX:
        raise _unsupported(name_of(function))
    trace.builder.loc = user_loc()
    return COMPLEX[function](*args, **keywords)


def _unsupported(name: str) -> UnsupportedError:
    known = ", ".join(sorted({f.__name__ for f in COMPLEX}))
    return UnsupportedError(
        f"{name} has no form for complex arrays in traced code{here()}. They know {known};"
        " for others take .real and .imag"
    )


def parts(value: Any) -> tuple[Any, Any]:
    """The real and the imaginary part of any operand."""
    if isinstance(value, ComplexArray):
        return value.real, value.imag
    if isinstance(value, complex):
        return value.real, value.imag
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind == "c":
        return live().array(np.ascontiguousarray(value.real)), np.ascontiguousarray(value.imag)
    return value, 0.0


def joined(real: Any, imag: Any) -> ComplexArray:
    """Parts of one shape and dtype."""
    a, b = np.broadcast_arrays(live().array(real), live().array(imag))
    wide = np.result_type(a.dtype, b.dtype)
    return ComplexArray(a.astype(wide), b.astype(wide))


def both(function: Callable[..., Any], z: ComplexArray, *args: Any, **keywords: Any) -> Any:
    """A function that does not mix the parts."""
    return ComplexArray(function(z.real, *args, **keywords), function(z.imag, *args, **keywords))


@on_complex(np.add)
def add(x: Any, y: Any) -> Any:
    (a, b), (c, d) = parts(x), parts(y)
    return joined(a + c, b + d)


@on_complex(np.subtract)
def subtract(x: Any, y: Any) -> Any:
    (a, b), (c, d) = parts(x), parts(y)
    return joined(a - c, b - d)


def _is_real(x: Any) -> bool:
    kind = getattr(getattr(x, "dtype", None), "kind", "c" if isinstance(x, complex) else "f")
    return kind != "c"


@on_complex(np.multiply)
def multiply(x: Any, y: Any) -> Any:
    (a, b), (c, d) = parts(x), parts(y)
    if _is_real(x):
        return joined(a * c, a * d)
    return joined(a * c, b * c) if _is_real(y) else joined(a * c - b * d, a * d + b * c)


@on_complex(np.true_divide)
def divide(x: Any, y: Any) -> Any:
    (a, b), (c, d) = parts(x), parts(y)
    if _is_real(y):
        return joined(a / c, b / c)
    size = c * c + d * d
    return joined((a * c + b * d) / size, (b * c - a * d) / size)


@on_complex(np.exp)
def exp(z: ComplexArray) -> Any:
    size = np.exp(z.real)
    return joined(size * np.cos(z.imag), size * np.sin(z.imag))


@on_complex(np.absolute)
def absolute(z: ComplexArray) -> Any:
    """With slope 0 at 0, as of the real absolute value."""
    size = z.real * z.real + z.imag * z.imag
    some = size > 0
    return np.where(some, np.sqrt(np.where(some, size, 1)), 0).astype(z.real.dtype)


COMPLEX.update(
    {
        np.negative: lambda z: both(np.negative, z),
        np.positive: lambda z: z,
        np.conjugate: ComplexArray.conj,
        np.square: lambda z: multiply(z, z),
        np.angle: lambda z: np.arctan2(z.imag, z.real),
        np.real: lambda z: z.real,
        np.imag: lambda z: z.imag,
        np.sum: ComplexArray.sum,
        np.mean: ComplexArray.mean,
        np.reshape: lambda z, shape: both(np.reshape, z, shape),
        np.transpose: lambda z, axes=None: both(np.transpose, z, axes),
        np.moveaxis: lambda z, source, target: both(np.moveaxis, z, source, target),
        np.roll: lambda z, shift, axis=None: both(np.roll, z, shift, axis),
    }
)


def _operator(form: Callable[[Any, Any], Any], swap: bool = False) -> Callable[[Any, Any], Any]:
    return lambda self, other: form(other, self) if swap else form(self, other)


for _name, _form in (("add", add), ("sub", subtract), ("mul", multiply), ("truediv", divide)):
    setattr(ComplexArray, f"__{_name}__", _operator(_form))
    setattr(ComplexArray, f"__r{_name}__", _operator(_form, swap=True))
for _name, _unary in (("neg", COMPLEX[np.negative]), ("abs", absolute)):
    setattr(ComplexArray, f"__{_name}__", _unary)


def _whole(_: None, children: Any) -> Any:
    """NumPy's complex array where the parts are arrays, as they are outside a trace."""
    real, imag = children
    if not all(isinstance(p, np.ndarray | np.generic) for p in (real, imag)):
        return ComplexArray(real, imag)
    whole = np.empty(real.shape, "c8" if real.dtype == np.float32 else "c16")
    whole.real, whole.imag = real, imag
    return whole


tree.register(ComplexArray, lambda z: ((z.real, z.imag), None), _whole)
