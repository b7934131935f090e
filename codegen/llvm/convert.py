"""Conversion between any two element types, with NumPy's values.

f16 and bf16 are storage formats: everything to or from them goes through f32, rounded to nearest
even. bf16 is bit work (LLVM would call a library without AVX512-BF16), f16 too where the target has
no instruction for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracejit.codegen.llvm.values import Vec, is_float, is_half
from tracejit.ir.types import BOOL, F16, F32, F64, U16, U32, U64, DType

if TYPE_CHECKING:
    from tracejit.codegen.llvm.builder import Builder


def convert(b: Builder, x: Vec, dtype: DType) -> Vec:
    """x as dtype; a float out of an integer type's range gives any value, and never traps."""
    if x.dtype == dtype:
        return x
    if is_half(x.dtype):
        return convert(b, _widen(b, x), dtype)
    if is_half(dtype):
        return _narrow(b, x, dtype)
    if dtype == BOOL:
        zero = b.like(x, 0)
        return b.fcmp("une", x, zero) if is_float(x.dtype) else b.icmp("ne", x, zero)
    if is_float(x.dtype):
        return _from_float(b, x, dtype)
    return _from_integer(b, x, dtype)


def _from_float(b: Builder, x: Vec, dtype: DType) -> Vec:
    if is_float(dtype):
        return b.cast("fpext" if dtype == F64 else "fptrunc", x, dtype)
    value = b.cast("fptosi" if dtype.kind == "i" else "fptoui", x, dtype)
    # Out of range is poison in LLVM; frozen, it is merely some value.
    return b.inst(f"freeze {value.typed}", dtype, x.lanes)


def _from_integer(b: Builder, x: Vec, dtype: DType) -> Vec:
    signed = x.dtype.kind == "i"
    if is_float(dtype):
        return b.cast("sitofp" if signed else "uitofp", x, dtype)
    if x.dtype != BOOL and x.dtype.itemsize >= dtype.itemsize:
        if x.dtype.itemsize == dtype.itemsize:
            return b.bitcast(x, dtype)
        return b.cast("trunc", x, dtype)
    return b.cast("sext" if signed else "zext", x, dtype)


def _widen(b: Builder, x: Vec) -> Vec:
    """f16 or bf16 to f32, exactly."""
    if x.dtype != F16:
        bits = b.cast("zext", b.bitcast(x, U16), U32)
        return b.bitcast(b.shl(bits, b.like(bits, 16)), F32)
    if b.has_f16:
        return b.cast("fpext", x, F32)
    bits = b.cast("zext", b.bitcast(x, U16), U32)
    magnitude = b.and_(bits, b.like(bits, 0x7FFF))
    shifted = b.shl(magnitude, b.like(bits, 13))
    normal = b.iadd(shifted, b.like(bits, (127 - 15) << 23))
    special = b.iadd(normal, b.like(bits, (128 - 16) << 23))
    # A denormal: give it an implicit one, then subtract that one as a float.
    lifted = b.bitcast(b.iadd(normal, b.like(bits, 1 << 23)), F32)
    denormal = b.bitcast(b.fsub(lifted, b.like(lifted, 2.0**-14)), U32)
    result = b.select(b.icmp("uge", magnitude, b.like(bits, 0x7C00)), special, normal)
    result = b.select(b.icmp("ult", magnitude, b.like(bits, 0x0400)), denormal, result)
    sign = b.shl(b.and_(bits, b.like(bits, 0x8000)), b.like(bits, 16))
    return b.bitcast(b.or_(result, sign), F32)


def _narrow(b: Builder, x: Vec, dtype: DType) -> Vec:
    """Anything wider to f16 or bf16, through f32."""
    if x.dtype == F64 and dtype == F16:
        x = _round_to_odd(b, x)  # NumPy rounds f64 to f16 once; ml_dtypes rounds f64 to bf16 twice
    elif x.dtype != F32:
        x = convert(b, x, F32)
    if dtype != F16:
        return b.bitcast(b.cast("trunc", _bf16_bits(b, x), U16), dtype)
    if b.has_f16:
        return b.cast("fptrunc", x, F16)
    return b.bitcast(b.cast("trunc", _f16_bits(b, x), U16), F16)


def _bf16_bits(b: Builder, x: Vec) -> Vec:
    bits = b.bitcast(x, U32)
    shift = b.like(bits, 16)
    odd = b.and_(b.lshr(bits, shift), b.like(bits, 1))
    rounded = b.iadd(b.iadd(bits, b.like(bits, 0x7FFF)), odd)
    quiet = b.or_(bits, b.like(bits, 0x0040_0000))
    return b.lshr(b.select(b.fcmp("uno", x, x), quiet, rounded), shift)


def _f16_bits(b: Builder, x: Vec) -> Vec:
    bits = b.bitcast(x, U32)
    magnitude = b.and_(bits, b.like(bits, 0x7FFF_FFFF))
    odd = b.and_(b.lshr(magnitude, b.like(bits, 13)), b.like(bits, 1))
    rebias = ((15 - 127) << 23) % 2**32 + 0xFFF
    normal = b.lshr(b.iadd(b.iadd(magnitude, b.like(bits, rebias)), odd), b.like(bits, 13))
    # Below 2**-14 the sum with 0.5 leaves the f16 denormal, rounded to even, in the low bits.
    half = b.like(x, 0.5)
    denormal = b.isub(b.bitcast(b.fadd(b.bitcast(magnitude, F32), half), U32), b.bitcast(half, U32))
    infinite = b.select(
        b.icmp("ugt", magnitude, b.like(bits, 0x7F80_0000)),
        b.like(bits, 0x7E00),
        b.like(bits, 0x7C00),
    )
    result = b.select(b.icmp("ult", magnitude, b.like(bits, 0x3880_0000)), denormal, normal)
    result = b.select(b.icmp("uge", magnitude, b.like(bits, 0x4780_0000)), infinite, result)
    sign = b.lshr(b.xor(bits, magnitude), b.like(bits, 16))
    return b.or_(result, sign)


def _round_to_odd(b: Builder, x: Vec) -> Vec:
    """f64 to f32 so that rounding the result again, to f16, rounds x only once.

    Truncated, with the last bit set if anything was lost: Boldo & Melquiond 2008, "Emulation of
    FMA and correctly rounded sums: proved algorithms using rounding to odd".
    """
    nearest = b.cast("fptrunc", x, F32)
    back = b.cast("fpext", nearest, F64)
    bits = b.bitcast(nearest, U32)
    abs_mask = b.const(2**63 - 1, U64, x.lanes)
    outward = b.icmp(
        "ugt", b.and_(b.bitcast(back, U64), abs_mask), b.and_(b.bitcast(x, U64), abs_mask)
    )
    truncated = b.isub(bits, b.cast("zext", outward, U32))
    odd = b.or_(truncated, b.cast("zext", b.fcmp("one", back, x), U32))
    return b.bitcast(b.select(b.fcmp("uno", x, x), bits, odd), F32)
