"""Python's operators in terms of NumPy's functions, for tracers and Variables."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np


def _unary(ufunc: np.ufunc) -> Callable[[Any], Any]:
    def operator(self: Any) -> Any:
        from tracejit.ufuncs import apply

        return apply(ufunc, self)

    return operator


def _binary(ufunc: np.ufunc, swap: bool = False) -> Callable[[Any, Any], Any]:
    def operator(self: Any, other: Any) -> Any:
        from tracejit.ufuncs import apply

        # The protocol by which an operand of another library keeps the operation for itself.
        if getattr(other, "__array_ufunc__", self) is None or _is_complex(other):
            return NotImplemented
        return apply(ufunc, other, self) if swap else apply(ufunc, self, other)

    return operator


def _is_complex(value: Any) -> bool:
    """Whether it is two traced arrays, which know what to do with one."""
    return type(value).__name__ == "ComplexArray"


class ArrayOperators:
    """No in-place operators: `x += y` rebinds `x`, as it does for a number."""

    __slots__ = ("__weakref__",)

    __array_priority__ = 1000.0

    __add__, __radd__ = _binary(np.add), _binary(np.add, swap=True)
    __sub__, __rsub__ = _binary(np.subtract), _binary(np.subtract, swap=True)
    __mul__, __rmul__ = _binary(np.multiply), _binary(np.multiply, swap=True)
    __truediv__, __rtruediv__ = _binary(np.true_divide), _binary(np.true_divide, swap=True)
    __floordiv__, __rfloordiv__ = _binary(np.floor_divide), _binary(np.floor_divide, swap=True)
    __mod__, __rmod__ = _binary(np.remainder), _binary(np.remainder, swap=True)
    __divmod__, __rdivmod__ = _binary(np.divmod), _binary(np.divmod, swap=True)
    __pow__, __rpow__ = _binary(np.power), _binary(np.power, swap=True)
    __matmul__, __rmatmul__ = _binary(np.matmul), _binary(np.matmul, swap=True)
    __and__, __rand__ = _binary(np.bitwise_and), _binary(np.bitwise_and, swap=True)
    __or__, __ror__ = _binary(np.bitwise_or), _binary(np.bitwise_or, swap=True)
    __xor__, __rxor__ = _binary(np.bitwise_xor), _binary(np.bitwise_xor, swap=True)
    __lshift__, __rlshift__ = _binary(np.left_shift), _binary(np.left_shift, swap=True)
    __rshift__, __rrshift__ = _binary(np.right_shift), _binary(np.right_shift, swap=True)
    __lt__, __le__ = _binary(np.less), _binary(np.less_equal)
    __gt__, __ge__ = _binary(np.greater), _binary(np.greater_equal)
    __eq__, __ne__ = _binary(np.equal), _binary(np.not_equal)
    __neg__, __pos__ = _unary(np.negative), _unary(np.positive)
    __abs__, __invert__ = _unary(np.absolute), _unary(np.invert)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **keywords: Any) -> Any:
        from tracejit.ufuncs import call_ufunc

        if any(map(_is_complex, operands)):
            return NotImplemented
        return call_ufunc(ufunc, method, operands, keywords)

    def __array_namespace__(self, api_version: str | None = None) -> ModuleType:
        """The namespace of the Python array API standard."""
        from tracejit import numpy

        return numpy

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, keywords: dict[str, Any]
    ) -> Any:
        from tracejit.functions import call

        return call(function, args, keywords)
