"""What the vector mathematics needs to know of f32 and f64, and the few steps it repeats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tracejit.codegen.llvm import coefficients
from tracejit.codegen.llvm.builder import Builder
from tracejit.codegen.llvm.values import Vec
from tracejit.ir.types import F32, F64, U32, U64, DType


@dataclass(frozen=True, slots=True)
class Format:
    """Layout and reduction constants of a float format.

    magic: 1.5 * 2**mantissa: x + magic rounds x to an integer n and leaves n in the low bits.
    ln2_hi + ln2_lo: ln 2, the first short enough that times any exponent it is exact.
    exp, expm1: coefficients of (e**r - 1 - r) / r**2, good for e**r, and for e**r - 1 alone.
    tiny: |x| below which x + x*x/2 rounds to x.
    """

    bits: DType
    mantissa: int
    bias: int
    sqrt_half_bits: int
    magic: float
    ln2_hi: float
    ln2_lo: float
    exp: Sequence[float]
    expm1: Sequence[float]
    exp_range: tuple[float, float]
    tanh_one: float
    tiny: float

    @property
    def one_bits(self) -> int:
        return self.bias << self.mantissa

    @property
    def magic_bits(self) -> int:
        return (self.bias + self.mantissa) << self.mantissa | 1 << (self.mantissa - 1)

    @property
    def mantissa_mask(self) -> int:
        return (1 << self.mantissa) - 1

    @property
    def least_normal(self) -> float:
        return float(2.0 ** (1 - self.bias))


# exp_range: beyond it e**x rounds to 0, or overflows; tanh_one: from there tanh rounds to 1.
FORMATS: Final[dict[DType, Format]] = {
    F32: Format(
        bits=U32,
        mantissa=23,
        bias=127,
        sqrt_half_bits=0x3F3504F3,
        magic=1.5 * 2.0**23,
        ln2_hi=float.fromhex("0x1.62e4p-1"),
        ln2_lo=float.fromhex("0x1.7f7d1cp-20"),
        exp=coefficients.EXP_F32,
        expm1=coefficients.EXPM1_F32,
        exp_range=(-104.0, 89.0),
        tanh_one=9.125,
        tiny=2.0**-25,
    ),
    F64: Format(
        bits=U64,
        mantissa=52,
        bias=1023,
        sqrt_half_bits=0x3FE6A09E667F3BCD,
        magic=1.5 * 2.0**52,
        ln2_hi=float.fromhex("0x1.62e42fefa38p-1"),
        ln2_lo=float.fromhex("0x1.ef35793c7673p-45"),
        exp=coefficients.EXPM1_F64,
        expm1=coefficients.EXPM1_F64,
        exp_range=(-746.0, 710.0),
        tanh_one=19.5,
        tiny=2.0**-54,
    ),
}

LOG2_E: Final = 1.4426950408889634


def polynomial(b: Builder, coefficients: Sequence[float], x: Vec) -> Vec:
    """Horner's rule; coefficients lowest power first."""
    result = b.like(x, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        result = b.fma(result, x, b.like(x, c))
    return result


def fast_two_sum(b: Builder, x: Vec, y: Vec) -> tuple[Vec, Vec]:
    """(s, e): s + e = x + y exactly, s rounded; for |x| >= |y| or x = 0. Dekker 1971."""
    total = b.fadd(x, y)
    return total, b.fadd(b.fsub(x, total), y)


def two_sum(b: Builder, x: Vec, y: Vec) -> tuple[Vec, Vec]:
    """(s, e): s + e = x + y exactly, s rounded. Knuth, TAOCP 2, 4.2.2."""
    total = b.fadd(x, y)
    share = b.fsub(total, x)
    return total, b.fadd(b.fsub(x, b.fsub(total, share)), b.fsub(y, share))


def two_product(b: Builder, x: Vec, y: Vec) -> tuple[Vec, Vec]:
    """(p, e): p + e = x * y exactly, p rounded; f64 only. Dekker 1971 where there is no fma."""
    product = b.fmul(x, y)
    if b.has_fma:
        return product, b.fma(x, y, b.fneg(product))
    x_hi, x_lo = _halves(b, x)
    y_hi, y_lo = _halves(b, y)
    error = b.fsub(b.fmul(x_hi, y_hi), product)
    error = b.fadd(error, b.fmul(x_hi, y_lo))
    error = b.fadd(error, b.fmul(x_lo, y_hi))
    return product, b.fadd(error, b.fmul(x_lo, y_lo))


def _halves(b: Builder, x: Vec) -> tuple[Vec, Vec]:
    """x as the sum of two doubles of 26 bits at most. Veltkamp's split."""
    scaled = b.fmul(x, b.like(x, 2.0**27 + 1))
    high = b.fsub(scaled, b.fsub(scaled, x))
    return high, b.fsub(x, high)


def round_to_integer(b: Builder, x: Vec, factor: float) -> tuple[Vec, Vec]:
    """(n, bits): n = x * factor rounded to an integer, in float and in the low bits of `bits`.

    For |x * factor| well below 2**mantissa. One fma, one subtraction, no conversion.
    """
    format_ = FORMATS[x.dtype]
    magic = b.like(x, format_.magic)
    shifted = b.fma(x, b.like(x, factor), magic)
    return b.fsub(shifted, magic), b.bitcast(shifted, format_.bits)


def power_of_two(b: Builder, n_bits: Vec, dtype: DType) -> Vec:
    """2**n for n in the low bits, from the least normal exponent to the largest."""
    format_ = FORMATS[dtype]
    exponent = b.shl(n_bits, b.like(n_bits, format_.mantissa))
    return b.bitcast(b.iadd(exponent, b.like(n_bits, format_.one_bits)), dtype)
