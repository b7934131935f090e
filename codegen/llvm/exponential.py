"""exp, expm1, tanh and sigmoid, inline: e**x = 2**n * e**r, |r| <= ln(2)/2.

All work on q = e**r - 1 rather than e**r: 2**n + 2**n * q is rounded once, and expm1 loses nothing
near 0. Denormal results are exact to rounding: the power of two is applied in two steps.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.codegen.llvm.builder import Builder
from tracejit.codegen.llvm.formats import (
    FORMATS,
    LOG2_E,
    fast_two_sum,
    polynomial,
    power_of_two,
    round_to_integer,
)
from tracejit.codegen.llvm.values import Vec
from tracejit.ir.types import F32


def reduced_expm1(b: Builder, x: Vec, table: Sequence[float]) -> tuple[Vec, Vec]:
    """(q, n bits): e**x = 2**n * (1 + q), for x within a format's exponents."""
    format_ = FORMATS[x.dtype]
    n, n_bits = round_to_integer(b, x, LOG2_E)
    coarse = b.fma(n, b.like(x, -format_.ln2_hi), x)
    r = b.fma(n, b.like(x, -format_.ln2_lo), coarse)
    if x.dtype == F32:
        return expm1_kernel(b, r, None, table), n_bits
    lost = b.fma(n, b.like(x, -format_.ln2_lo), b.fsub(coarse, r))
    return expm1_kernel(b, r, lost, table), n_bits


def expm1_kernel(b: Builder, r: Vec, lost: Vec | None, table: Sequence[float]) -> Vec:
    """e**(r + lost) - 1 for |r| <= ln(2)/2: r + r*r * P(r) + lost; lost is an ulp of r at most."""
    p = polynomial(b, table, r)
    if lost is None:
        return b.fma(p, b.fmul(r, r), r)
    return b.fadd(b.fma(p, b.fmul(r, r), lost), r)


def scaled(b: Builder, q: Vec, n_bits: Vec) -> Vec:
    """2**n * (1 + q), to the last denormal: by 2**(n >> 1), then by the rest."""
    format_ = FORMATS[q.dtype]
    mantissa, one = b.like(n_bits, format_.mantissa), b.like(n_bits, format_.one_bits)
    first = b.shl(b.lshr(n_bits, b.like(n_bits, 1)), mantissa)
    second = b.isub(b.shl(n_bits, mantissa), first)
    first_power = b.bitcast(b.iadd(first, one), q.dtype)
    second_power = b.bitcast(b.iadd(second, one), q.dtype)
    return b.fmul(b.fma(q, first_power, first_power), second_power)


def exp(b: Builder, x: Vec) -> Vec:
    """e**x; 0 at -inf."""
    format_ = FORMATS[x.dtype]
    lo, hi = format_.exp_range
    x = b.minimum(b.maximum(x, b.like(x, lo)), b.like(x, hi))
    return scaled(b, *reduced_expm1(b, x, format_.exp))


def expm1(b: Builder, x: Vec) -> Vec:
    """e**x - 1 = 2 * (2**(n-1) * q + (2**(n-1) - 1/2)): 2**n itself may overflow."""
    format_ = FORMATS[x.dtype]
    # e**lo is far below an ulp of 1
    lo, hi = -2.0 * format_.mantissa, format_.exp_range[1]
    within = b.minimum(b.maximum(x, b.like(x, lo)), b.like(x, hi))
    q, n_bits = reduced_expm1(b, within, format_.expm1)
    half = power_of_two(b, b.isub(n_bits, b.like(n_bits, 1)), x.dtype)
    result = b.fma(q, half, b.fsub(half, b.like(x, 0.5)))
    return x_where_tiny(b, x, b.fadd(result, result))


def tanh(b: Builder, x: Vec) -> Vec:
    """(e**2x - 1) / (e**2x + 1), computed for |x|."""
    format_ = FORMATS[x.dtype]
    size = b.minimum(b.call("llvm.fabs", x), b.like(x, format_.tanh_one))
    q, n_bits = reduced_expm1(b, b.fadd(size, size), format_.expm1)
    power = power_of_two(b, n_bits, x.dtype)
    minus = b.fma(q, power, b.fsub(power, b.like(x, 1)))
    return b.call("llvm.copysign", _quotient(b, minus, b.like(x, 2), minus), x)


def sigmoid(b: Builder, x: Vec) -> Vec:
    """1 / (1 + z) or z / (1 + z) with z = e**-|x| <= 1, which keeps the denormal results."""
    format_ = FORMATS[x.dtype]
    down = b.maximum(b.fneg(b.call("llvm.fabs", x)), b.like(x, format_.exp_range[0]))
    z = scaled(b, *reduced_expm1(b, down, format_.exp))
    one = b.like(x, 1)
    top = b.select(b.fcmp("olt", x, b.like(x, 0)), z, one)
    return _quotient(b, top, one, z)


def _quotient(b: Builder, top: Vec, x: Vec, y: Vec) -> Vec:
    """top / (x + y) for x >= |y|: in f64 with the rounding of the sum, and of the quotient, mended.

    f32 has 2.5 ulp to spend, and does without; f64 has 2.
    """
    if top.dtype == F32:
        return b.fdiv(top, b.fadd(x, y))
    below, lost = fast_two_sum(b, x, y)
    inverse = b.fdiv(b.like(x, 1), below)
    ratio = b.fmul(top, inverse)
    rest = b.fma(b.fneg(ratio), lost, b.fma(b.fneg(ratio), below, top))
    return b.fma(rest, inverse, ratio)


def x_where_tiny(b: Builder, x: Vec, y: Vec) -> Vec:
    """x where x + x*x/2 rounds to x (denormals and -0.0 among them), else y."""
    small = b.fcmp("olt", b.call("llvm.fabs", x), b.like(x, FORMATS[x.dtype].tiny))
    return b.select(small, x, y)
