"""Tensor types: a static shape and a dtype, written `f32[64,128]`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

import ml_dtypes
import numpy as np

DType = np.dtype[np.generic]
Shape = tuple[int, ...]

BOOL: DType = np.dtype(np.bool_)
I8, I16, I32, I64 = (np.dtype(t) for t in (np.int8, np.int16, np.int32, np.int64))
U8, U16, U32, U64 = (np.dtype(t) for t in (np.uint8, np.uint16, np.uint32, np.uint64))
F16, F32, F64 = (np.dtype(t) for t in (np.float16, np.float32, np.float64))
BF16: DType = np.dtype(ml_dtypes.bfloat16)

DTYPES: dict[str, DType] = {
    "bool": BOOL,
    "i8": I8, "i16": I16, "i32": I32, "i64": I64,
    "u8": U8, "u16": U16, "u32": U32, "u64": U64,
    "f16": F16, "bf16": BF16, "f32": F32, "f64": F64,
}  # fmt: skip
_NAMES: dict[DType, str] = {dtype: name for name, dtype in DTYPES.items()}


class ShapeError(ValueError):
    """Shapes that do not fit an operation."""


class DTypeError(TypeError):
    """A dtype that an operation does not take."""


class UnboundedError(ValueError):
    """A gradient was asked of a loop that runs an unknown number of times."""


UNBOUNDED = (
    "while_loop: how often it runs is not known before, so what a gradient reads of each turn has"
    " no place; use fori_loop, scan, or while_loop(..., max_steps=n)"
)


def dtype_name(dtype: DType) -> str:
    """The short name, `f32`; raises DTypeError for a dtype that tracejit does not know."""
    name = _NAMES.get(dtype)
    if name is None:
        way = "; of complex numbers pass .real and .imag" if dtype.kind == "c" else ""
        known = ", ".join(DTYPES)
        raise DTypeError(f"dtype {dtype} is not supported; use one of {known}{way}")
    return name


def is_float(dtype: DType) -> bool:
    return dtype.kind == "f" or dtype == BF16


def is_integer(dtype: DType) -> bool:
    return dtype.kind in "iu"


@dataclass(frozen=True, slots=True)
class TensorType:
    """The type of every value in a graph. Scalars have shape ()."""

    shape: Shape
    dtype: DType

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{dtype_name(self.dtype)}[{','.join(map(str, self.shape))}]"

    def with_shape(self, shape: Shape) -> TensorType:
        return TensorType(shape, self.dtype)

    def with_dtype(self, dtype: DType) -> TensorType:
        return TensorType(self.shape, dtype)


@dataclass(frozen=True, slots=True)
class TupleType(TensorType):
    """The type of an operation with several results, which `item` nodes take out one by one.

    Written `(f32[2], i64[])`. It has no shape and no dtype of its own.
    """

    items: tuple[TensorType, ...]

    @property
    def nbytes(self) -> int:
        return sum(item.nbytes for item in self.items)

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.items))})"


def tuple_type(items: Iterable[TensorType]) -> TupleType:
    return TupleType((), BOOL, tuple(items))


_TYPE = re.compile(r"(\w+)\[([\d,]*)\]")


def parse_type(text: str) -> TensorType:
    """The inverse of str(type); raises ValueError on anything else."""
    text = text.strip()
    if text.startswith("(") and text.endswith(")"):
        return tuple_type(parse_type(m[0]) for m in _TYPE.finditer(text))
    match = _TYPE.fullmatch(text)
    if match is None or match[1] not in DTYPES:
        raise ValueError(f"not a tensor type: {text!r} (expected, for example, f32[64,128])")
    dims = tuple(int(d) for d in match[2].split(",")) if match[2] else ()
    return TensorType(dims, DTYPES[match[1]])


def type_of(array: np.ndarray[tuple[int, ...], DType]) -> TensorType:
    """The type of a NumPy array; raises DTypeError where the dtype is not supported."""
    dtype = array.dtype if array.dtype.isnative else array.dtype.newbyteorder("=")
    dtype_name(dtype)
    return TensorType(tuple(array.shape), dtype)
