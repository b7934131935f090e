"""Vector SSA values and LLVM's spelling of element types and constants."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from tracejit.ir.types import F16, F32, F64, DType

# bf16 is known by name only: its NumPy type belongs to ml_dtypes, which codegen need not import.
BF16_NAME: Final = "bfloat16"

# name -> (LLVM element type, suffix in intrinsic names)
_SPELLING: Final[dict[str, tuple[str, str]]] = {
    "bool": ("i1", "i1"),
    "int8": ("i8", "i8"),
    "int16": ("i16", "i16"),
    "int32": ("i32", "i32"),
    "int64": ("i64", "i64"),
    "uint8": ("i8", "i8"),
    "uint16": ("i16", "i16"),
    "uint32": ("i32", "i32"),
    "uint64": ("i64", "i64"),
    "float16": ("half", "f16"),
    # As bits, always: without AVX512-BF16 LLVM rounds a bfloat anew whenever it moves one between
    # blocks or lanes, by a call of a library that is not there.
    BF16_NAME: ("i16", "i16"),
    "float32": ("float", "f32"),
    "float64": ("double", "f64"),
}


@cache
def llvm_type(dtype: DType, lanes: int = 1) -> str:
    """LLVM type of `lanes` elements in a register: `<8 x float>`, scalar `float`; bool is i1."""
    element = _SPELLING[dtype.name][0]
    return element if lanes == 1 else f"<{lanes} x {element}>"


@cache
def overload_suffix(dtype: DType, lanes: int = 1) -> str:
    """What an overloaded intrinsic's name ends in for this type: `v8f32`, scalar `f32`."""
    element = _SPELLING[dtype.name][1]
    return element if lanes == 1 else f"v{lanes}{element}"


@cache
def is_float(dtype: DType) -> bool:
    return dtype.kind == "f" or dtype.name == BF16_NAME


@cache
def is_half(dtype: DType) -> bool:
    """True for the 16-bit floats: storage formats, whose arithmetic is done in f32."""
    return dtype == F16 or dtype.name == BF16_NAME


@cache
def kind_of(dtype: DType) -> str:
    """`f` float, `i` signed, `u` unsigned, `b` bool."""
    return "f" if is_float(dtype) else dtype.kind


@cache
def bits_dtype(dtype: DType) -> DType:
    """The unsigned integer of the same width: what bit tricks on a float are done in."""
    return np.dtype(f"u{dtype.itemsize}")


def literal_text(value: float | int | bool | np.generic, dtype: DType) -> str:
    """LLVM text of one constant, bit exact (nan payloads, infinities and -0.0 included).

    Raises OverflowError if an integer does not fit dtype.
    """
    element = np.array(value, dtype=dtype)
    kind = kind_of(dtype)
    if kind == "b":
        return "true" if element else "false"
    if kind != "f":
        return str(int(element))
    bits = int(element.view(bits_dtype(dtype)))
    if dtype == F64:
        return f"0x{bits:016X}"
    if dtype == F32:
        return f"0x{_widened_bits(bits):016X}"
    return f"0xH{bits:04X}" if dtype == F16 else str(bits)


def _widened_bits(bits: int) -> int:
    """Bits of the double equal to the f32 with these bits: LLVM writes float constants so."""
    if bits & 0x7F800000 == 0x7F800000:  # inf and nan by hand: the FPU would quieten a payload
        return (bits >> 31) << 63 | 0x7FF << 52 | (bits & 0x7FFFFF) << 29
    value = struct.unpack("<f", struct.pack("<I", bits))[0]
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


@dataclass(frozen=True, slots=True)
class Vec:
    """An SSA value or constant of `lanes` elements (1 = scalar); a bool element is an i1.

    ref is `%v12`, or the constant's text, valid after its type: `splat (float 0x...)`.
    """

    ref: str
    dtype: DType
    lanes: int

    @property
    def type(self) -> str:
        return llvm_type(self.dtype, self.lanes)

    @property
    def typed(self) -> str:
        """`type ref`, as an operand is written."""
        return f"{self.type} {self.ref}"

    @property
    def literal(self) -> float | int | bool | None:
        """The value of a constant that Builder.const made; None for anything else."""
        if self.ref.startswith("%"):
            return None
        text = self.ref
        if text.startswith("splat ("):
            text = text[len("splat (") : -1].split(" ", 1)[1]
        return _parse_literal(text, self.dtype)


def _parse_literal(text: str, dtype: DType) -> float | int | bool | None:
    if text in ("true", "false"):
        return text == "true"
    if text == "zeroinitializer":
        return 0
    if not is_float(dtype):
        return int(text)
    if dtype.name == BF16_NAME:
        return float(np.uint32(int(text) << 16).view(np.float32))
    if text[2] == "H":
        return float(np.uint16(int(text[3:], 16)).view(np.float16))
    return float(struct.unpack("<d", struct.pack("<Q", int(text, 16)))[0])
