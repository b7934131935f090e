"""`Variable`: the one mutable cell. A weight, a moment, a running mean, a random key."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np

from tracejit.ir.graph import Array
from tracejit.ir.types import DType, Shape, ShapeError, TensorType, type_of
from tracejit.operators import ArrayOperators
from tracejit.source import here
from tracejit.trace import current_trace, default_float

_ALIGNMENT = 64  # bytes: a cache line, and the widest vector
_numbers = count()


def aligned_empty(shape: Shape, dtype: DType) -> Array:
    """Uninitialised memory that starts on a cache line."""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


# Methods of arrays that change them.
IN_PLACE = frozenset({"byteswap", "fill", "partition", "put", "resize", "setfield", "sort"})


class Variable(ArrayOperators):
    """An array that can be assigned to, of one shape, dtype and address for its whole life.

    In expressions it acts as its value. Under `jit` reading one makes it an input of the step, and
    assigning makes it an output that is written in place when the step runs.

    value: array or number; a Python float takes the default dtype unless `dtype` is given.
    """

    __slots__ = ("_array", "name", "trainable", "type")

    def __init__(
        self, value: Any, dtype: Any = None, name: str | None = None, trainable: bool = True
    ) -> None:
        if isinstance(value, float) and dtype is None:
            dtype = default_float()
        given = np.asarray(value.numpy() if isinstance(value, Variable) else value, dtype=dtype)
        self.type: TensorType = type_of(given)
        self._array = aligned_empty(self.type.shape, self.type.dtype)
        self._array[...] = given
        self.name = name if name is not None else f"variable{next(_numbers)}"
        self.trainable = trainable

    __hash__ = object.__hash__

    @property
    def shape(self) -> Shape:
        return self.type.shape

    @property
    def dtype(self) -> DType:
        return self.type.dtype

    @property
    def ndim(self) -> int:
        return self.type.ndim

    @property
    def size(self) -> int:
        return self.type.size

    @property
    def value(self) -> Any:
        """The content: a tracer under `jit`, else a copy of the array."""
        trace = current_trace()
        return self.numpy() if trace is None else trace.read(self)

    @value.setter
    def value(self, value: Any) -> None:
        self.assign(value)

    def numpy(self) -> Array:
        """A copy of the stored array."""
        return self._array.copy()

    @property
    def buffer(self) -> Array:
        """The stored array itself; it changes with the Variable."""
        return self._array

    def assign(self, value: Any) -> Variable:
        """Replaces the content; `value` is cast to the dtype and must have the shape.

        Raises ShapeError for another shape. Gives the Variable back.
        """
        shape = np.shape(value)
        if shape not in (self.shape, ()):
            raise ShapeError(
                f"assign: variable {self.name!r} is {self.type}, the value has shape "
                f"{list(shape)}{here()}; a Variable keeps its shape"
            )
        trace = current_trace()
        if trace is None:
            self.store(value)
        else:
            trace.assign(self, value)
        return self

    def store(self, value: Any) -> None:
        """Writes an array into the buffer, now."""
        from tracejit.ufuncs import untraced

        self._array[...] = untraced(value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        trace = current_trace()
        if trace is not None:
            return trace.read(self).__array__(dtype, copy)
        return np.array(self._array, dtype=dtype)

    def __getattr__(self, name: str) -> Any:
        """Array methods that take the content: `.sum()`, `.T`, `.reshape(...)`."""
        if name.startswith("_"):
            raise AttributeError(name)
        if name in IN_PLACE:
            raise AttributeError(
                f"Variable.{name} would change a copy of {self.name!r}{here()}; write"
                " v.assign(value)"
            )
        return getattr(self.value, name)

    def __getitem__(self, index: Any) -> Any:
        return self.value[index]

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Any:
        return iter(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __float__(self) -> float:
        return float(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def __repr__(self) -> str:
        return f"Variable({self.name!r}, {self.type}, {self._array!r})"
