"""What the type rules share: domains of dtypes, and the errors a user reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from tracejit.ir.graph import Array
from tracejit.ir.types import (
    BF16,
    BOOL,
    F16,
    F32,
    DType,
    DTypeError,
    ShapeError,
    TensorType,
    dtype_name,
    is_float,
    is_integer,
)


@dataclass(frozen=True, slots=True)
class Domain:
    """The dtypes a primitive takes, with the words an error uses for them."""

    words: str
    holds: Callable[[DType], bool]

    def check(self, op: str, dtype: DType) -> None:
        if not self.holds(dtype):
            raise DTypeError(f"{op}: takes {self.words}, not {dtype_name(dtype)}; cast it first")


FLOATS = Domain("floats", is_float)
INTS = Domain("integers", is_integer)
NUMBERS = Domain("numbers", lambda dtype: dtype != BOOL)
BITS = Domain("bool or integers", lambda dtype: dtype == BOOL or is_integer(dtype))
BOOLS = Domain("bool", lambda dtype: dtype == BOOL)
ANY = Domain("any dtype", lambda dtype: True)


def arity(op: str, operands: int, given: tuple[TensorType, ...]) -> None:
    if len(given) != operands:
        raise ShapeError(f"{op}: takes {operands} operand(s), got {len(given)}")


def same_type(op: str, types: tuple[TensorType, ...]) -> None:
    """All operands must agree: broadcasting and promotion are nodes of their own."""
    first = types[0]
    for other in types[1:]:
        if other.dtype != first.dtype:
            raise DTypeError(f"{op}: {first} and {other}: dtypes differ; cast one of them")
        if other.shape != first.shape:
            raise ShapeError(f"{op}: {first} and {other}: shapes differ; broadcast one of them")


def check_axes(op: str, operand: TensorType, axes: tuple[int, ...]) -> None:
    """Axes must be sorted, unique and within the operand's."""
    if any(not 0 <= a < operand.ndim for a in axes):
        raise ShapeError(f"{op}: {operand}: axes {axes} are out of range")
    if list(axes) != sorted(set(axes)):
        raise ShapeError(f"{op}: {operand}: axes {axes} must be sorted, each once")


def check_shape(op: str, shape: tuple[int, ...]) -> None:
    if any(d < 0 for d in shape):
        raise ShapeError(f"{op}: {shape} has a negative size")


def widen(array: Array) -> Array:
    """f16 and bf16 compute in f32 and round once at the end, in every backend."""
    return array.astype(F32) if array.dtype in (F16, BF16) else array


def without(items: Iterable[int], removed: Iterable[int]) -> tuple[int, ...]:
    """`items` in order, less those of `removed`."""
    gone = set(removed)
    return tuple(i for i in items if i not in gone)


def in_numpy(fn: Callable[..., object], gives: DType | None = None) -> Callable[..., Array]:
    """An eval rule from a NumPy function: quiet, widened for half floats, always an array.

    gives: the result's dtype; None: that of the first operand.
    """

    def evaluate(*arrays: Array, **attrs: object) -> Array:
        with np.errstate(all="ignore"):
            result = np.asarray(fn(*(widen(a) for a in arrays), **attrs))
            return result.astype(gives or arrays[0].dtype, copy=False)

    return evaluate
