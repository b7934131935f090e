"""log and log1p, inline: ln x = k ln 2 + ln(1 + f), sqrt(1/2) <= 1 + f < sqrt(2)."""

from __future__ import annotations

import numpy as np

from tracejit.codegen.llvm.builder import Builder
from tracejit.codegen.llvm.coefficients import ATANH_F64, LOG1P_F32
from tracejit.codegen.llvm.exponential import x_where_tiny
from tracejit.codegen.llvm.formats import FORMATS, fast_two_sum, polynomial
from tracejit.codegen.llvm.values import Vec
from tracejit.ir.types import F32


def split(b: Builder, x: Vec) -> tuple[Vec, Vec]:
    """(m, k): x = m * 2**k, sqrt(1/2) <= m < sqrt(2), for finite x > 0, denormals included."""
    format_ = FORMATS[x.dtype]
    lift = format_.mantissa + 2
    denormal = b.fcmp("olt", x, b.like(x, format_.least_normal))
    x = b.select(denormal, b.fmul(x, b.like(x, 2.0**lift)), x)
    shifted = _from_sqrt_half(b, x)
    fraction = b.and_(shifted, b.like(shifted, format_.mantissa_mask))
    m = b.bitcast(b.iadd(fraction, b.like(fraction, format_.sqrt_half_bits)), x.dtype)
    zero = format_.magic + format_.bias
    offset = b.select(denormal, b.like(x, zero + lift), b.like(x, zero))
    return m, b.fsub(_exponent(b, shifted), offset)


def _from_sqrt_half(b: Builder, x: Vec) -> Vec:
    """x's bits, shifted so that the exponent field steps up at sqrt(1/2) * 2**k: biased k."""
    format_ = FORMATS[x.dtype]
    bits = b.bitcast(x, format_.bits)
    return b.iadd(bits, b.like(bits, format_.one_bits - format_.sqrt_half_bits))


def _exponent(b: Builder, shifted: Vec) -> Vec:
    """The exponent field as a float, plus magic (AVX2 converts no 64-bit integers)."""
    dtype = np.dtype(f"f{shifted.dtype.itemsize}")
    format_ = FORMATS[dtype]
    field = b.lshr(shifted, b.like(shifted, format_.mantissa))
    return b.bitcast(b.or_(field, b.like(field, format_.magic_bits)), dtype)


def _log(b: Builder, f: Vec, k: Vec) -> Vec:
    """k ln 2 + ln(1 + f)."""
    return _log_f32(b, f, k) if f.dtype == F32 else _log_f64(b, f, k)


def _log_f32(b: Builder, f: Vec, k: Vec) -> Vec:
    """ln(1 + f) = f - f*f/2 + f**3 P(f); the rounding error of k ln 2 + f is added back."""
    format_ = FORMATS[F32]
    p = polynomial(b, LOG1P_F32, f)
    tail = b.fmul(b.fma(p, f, b.like(f, -0.5)), b.fmul(f, f))
    head, lost = fast_two_sum(b, b.fmul(k, b.like(k, format_.ln2_hi)), f)
    tail = b.fadd(tail, b.fma(k, b.like(k, format_.ln2_lo), lost))
    return b.fadd(head, tail)


def _log_f64(b: Builder, f: Vec, k: Vec) -> Vec:
    """ln(1 + f) = f - (f*f/2 - s (f*f/2 + R(s*s))), s = f / (2 + f). As in fdlibm's e_log.c."""
    format_ = FORMATS[f.dtype]
    s = b.fdiv(f, b.fadd(f, b.like(f, 2)))
    z = b.fmul(s, s)
    r = b.fmul(polynomial(b, ATANH_F64, z), z)
    half_square = b.fmul(b.fmul(f, b.like(f, 0.5)), f)
    small = b.fma(k, b.like(k, format_.ln2_lo), b.fmul(s, b.fadd(half_square, r)))
    head, lost = fast_two_sum(b, b.fmul(k, b.like(k, format_.ln2_hi)), f)
    return b.fadd(head, b.fsub(b.fadd(small, lost), half_square))


def _at_the_ends(b: Builder, x: Vec, pole: float, y: Vec) -> Vec:
    """y, but -inf at x = pole, nan below it, x itself where that is inf or nan."""
    bottom = b.like(x, pole)
    y = b.select(b.fcmp("olt", x, b.like(x, np.inf)), y, x)
    below = b.select(b.fcmp("oeq", x, bottom), b.like(x, -np.inf), b.like(x, np.nan))
    return b.select(b.fcmp("ole", x, bottom), below, y)


def log(b: Builder, x: Vec) -> Vec:
    """ln x; -inf at 0, nan below."""
    m, k = split(b, x)
    return _at_the_ends(b, x, 0.0, _log(b, b.fsub(m, b.like(x, 1)), k))


def log1p(b: Builder, x: Vec) -> Vec:
    """ln(1 + x): k from the rounded 1 + x, then f = (1 + x) 2**-k - 1 from x itself.

    With p = 4 * 2**-k, never denormal: f = x/4 * p + (p/4 - 1), rounded once.
    """
    format_ = FORMATS[x.dtype]
    shifted = _from_sqrt_half(b, b.fadd(x, b.like(x, 1)))
    field = b.and_(shifted, b.like(shifted, (2 * format_.bias + 1) << format_.mantissa))
    top = b.like(field, (2 * format_.bias + 2) << format_.mantissa)
    power = b.bitcast(b.isub(top, field), x.dtype)
    quarter, minus_one = b.like(x, 0.25), b.like(x, -1)
    f = b.fma(b.fmul(x, quarter), power, b.fma(power, quarter, minus_one))
    k = b.fsub(_exponent(b, shifted), b.like(x, format_.magic + format_.bias))
    return x_where_tiny(b, x, _at_the_ends(b, x, -1.0, _log(b, f, k)))
