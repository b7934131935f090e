"""x ** y of floats, outlined: e**(y ln|x|), the logarithm with more bits than the result has."""

from __future__ import annotations

from typing import Final

import numpy as np

from tracejit.codegen.llvm.builder import Builder
from tracejit.codegen.llvm.coefficients import POW_ATANH, POW_EXP2, POW_LOG2
from tracejit.codegen.llvm.exponential import expm1_kernel, scaled
from tracejit.codegen.llvm.formats import (
    FORMATS,
    LOG2_E,
    fast_two_sum,
    polynomial,
    power_of_two,
    round_to_integer,
    two_product,
)
from tracejit.codegen.llvm.logarithm import split
from tracejit.codegen.llvm.values import Vec
from tracejit.ir.types import F32, F64

# ln 2 in three parts, the first two exact times any exponent, or nearly; 2/3 in two.
LN2_REST: Final = float.fromhex("0x1.f97b57a079a19p-103")
TWO_THIRDS: Final = (float.fromhex("0x1.5555555555555p-1"), float.fromhex("0x1.5555555555555p-55"))
# |ln x| >= 2**-53 unless x = 1: a larger exponent changes nothing, and infinity need not occur.
LARGEST_EXPONENT: Final = 2.0**70
# x ** y as multiplications: cheaper, and no less accurate, for these exponents.
SHORT_EXPONENTS: Final = (1.0, 2.0, 3.0, 4.0)


def power(b: Builder, x: Vec, y: Vec) -> Vec:
    """x ** y with the special cases of C's pow, which are NumPy's."""
    exponent = y.literal
    if exponent == 0:
        return b.like(x, 1)
    if exponent == -1:
        return b.fdiv(b.like(x, 1), x)
    if exponent in SHORT_EXPONENTS:
        square = x if exponent == 1 else b.fmul(x, x)
        return square if exponent <= 2 else b.fmul(square, x if exponent == 3 else square)
    return b.outlined("pow", x.dtype, _power, x, y)


def _power(b: Builder, args: list[Vec]) -> Vec:
    x, y = args
    size = b.call("llvm.fabs", x)
    result = _power_f32(b, size, y) if x.dtype == F32 else _power_f64(b, size, y)
    zero, one = b.like(x, 0), b.like(x, 1)
    whole = _is_whole(b, y)
    odd = b.and_(whole, b.not_(_is_whole(b, b.fmul(y, b.like(y, 0.5)))))
    result = b.select(odd, b.call("llvm.copysign", result, x), result)
    negative = b.and_(b.fcmp("olt", x, zero), b.fcmp("ogt", x, b.like(x, -np.inf)))
    undefined = b.or_(b.fcmp("uno", x, y), b.and_(negative, b.not_(whole)))
    result = b.select(undefined, b.like(x, np.nan), result)
    always_one = b.or_(b.fcmp("oeq", x, one), b.fcmp("oeq", y, zero))
    return b.select(always_one, one, result)


def _is_whole(b: Builder, y: Vec) -> Vec:
    """Integers and both infinities."""
    return b.fcmp("oeq", b.call("llvm.floor", y), y)


def _bounded(b: Builder, y: Vec, bound: float) -> Vec:
    return b.minimum(b.maximum(y, b.like(y, -bound)), b.like(y, bound))


def _at_zero_and_infinity(b: Builder, size: Vec, y: Vec, result: Vec) -> Vec:
    """0 or inf where the base is 0 or inf, by the sign of y."""
    zero, infinity = b.like(size, 0), b.like(size, np.inf)
    vanishes = b.fcmp("oeq", size, zero)
    grows = b.xor(vanishes, b.fcmp("ogt", y, zero))
    end = b.or_(vanishes, b.fcmp("oeq", size, infinity))
    return b.select(end, b.select(grows, infinity, zero), result)


def _power_f32(b: Builder, size: Vec, y: Vec) -> Vec:
    """2**(y log2 x) in f64, which keeps bits to spare; rounded once, at the end."""
    m, k = split(b, b.convert(size, F64))
    one = b.like(m, 1)
    s = b.fdiv(b.fsub(m, one), b.fadd(m, one))
    log2 = b.fma(s, polynomial(b, POW_LOG2, b.fmul(s, s)), k)
    exponent = b.fmul(_bounded(b, b.convert(y, F64), LARGEST_EXPONENT), log2)
    exponent = _bounded(b, exponent, 200.0)
    n, n_bits = round_to_integer(b, exponent, 1.0)
    fraction = polynomial(b, POW_EXP2, b.fsub(exponent, n))
    result = b.convert(b.fmul(fraction, power_of_two(b, n_bits, F64)), F32)
    return _at_zero_and_infinity(b, size, y, result)


def _power_f64(b: Builder, size: Vec, y: Vec) -> Vec:
    """e**(y L), the logarithm L and the product as sums of two doubles."""
    format_ = FORMATS[F64]
    log_hi, log_lo = _double_log(b, size)
    bounded = _bounded(b, y, LARGEST_EXPONENT)
    hi, lo = two_product(b, bounded, log_hi)
    lo = b.fadd(lo, b.fmul(bounded, log_lo))
    within = b.fcmp("olt", b.call("llvm.fabs", hi), b.like(hi, 1000.0))
    lo = b.select(within, lo, b.like(lo, 0))
    lowest, highest = format_.exp_range
    hi = b.minimum(b.maximum(hi, b.like(hi, lowest)), b.like(hi, highest))
    n, n_bits = round_to_integer(b, hi, LOG2_E)
    r = b.fma(n, b.like(n, -format_.ln2_hi), hi)
    r, lost = fast_two_sum(b, r, b.fma(n, b.like(n, -format_.ln2_lo), lo))
    return _at_zero_and_infinity(
        b, size, y, scaled(b, expm1_kernel(b, r, lost, format_.exp), n_bits)
    )


def _double_log(b: Builder, x: Vec) -> tuple[Vec, Vec]:
    """ln x as hi + lo, within 2**-65 of itself: 2 atanh(s) + k ln 2, s = (m - 1) / (m + 1).

    2 atanh(s) = 2s + s z (2/3 + z P(z)), z = s*s; only z P(z), at most 2**-6 of its sum, is single.
    """
    format_ = FORMATS[F64]
    m, k = split(b, x)
    two = b.like(m, 2)
    f = b.fsub(m, b.like(m, 1))
    below = b.fadd(f, two)
    below_lost = b.fsub(f, b.fsub(below, two))
    s = b.fdiv(f, below)
    product, error = two_product(b, s, below)
    rest = b.fsub(b.fsub(b.fsub(f, product), error), b.fmul(s, below_lost))
    s_lo = b.fdiv(rest, below)

    z, z_lo = two_product(b, s, s)
    z_lo = b.fma(b.fmul(s, two), s_lo, z_lo)
    c, c_lo = fast_two_sum(b, b.like(m, TWO_THIRDS[0]), b.fmul(z, polynomial(b, POW_ATANH, z)))
    c_lo = b.fadd(c_lo, b.like(m, TWO_THIRDS[1]))
    w, w_lo = two_product(b, z, c)
    w_lo = b.fma(z, c_lo, b.fma(z_lo, c, w_lo))
    v, v_lo = two_product(b, s, w)
    v_lo = b.fma(s, w_lo, b.fma(s_lo, w, v_lo))

    hi, lo = fast_two_sum(b, b.fmul(s, two), v)
    lo = b.fadd(lo, b.fma(s_lo, two, v_lo))
    total, lost = fast_two_sum(b, b.fmul(k, b.like(k, format_.ln2_hi)), hi)
    middle, middle_lost = two_product(b, k, b.like(k, format_.ln2_lo))
    low = b.fadd(lost, middle)
    low = b.fadd(low, b.fadd(lo, b.fma(k, b.like(k, LN2_REST), middle_lost)))
    return fast_two_sum(b, total, low)
