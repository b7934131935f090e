"""erf, inline: an odd polynomial near 0; beyond, 1 - erfc, small so that its error weighs less."""

from __future__ import annotations

from tracejit.codegen.llvm import coefficients
from tracejit.codegen.llvm.builder import Builder
from tracejit.codegen.llvm.exponential import reduced_expm1
from tracejit.codegen.llvm.formats import polynomial, power_of_two
from tracejit.codegen.llvm.values import Vec
from tracejit.ir.types import F32


def erf(b: Builder, x: Vec) -> Vec:
    """2/sqrt(pi) * integral of e**(-t*t) from 0 to x."""
    single = x.dtype == F32
    size = b.call("llvm.fabs", x)
    near_table = coefficients.ERF_NEAR_F32 if single else coefficients.ERF_NEAR_F64
    near = b.fma(x, polynomial(b, near_table, b.fmul(x, x)), x)
    far = b.call("llvm.copysign", _far_f32(b, size) if single else _far_f64(b, size), x)
    return b.select(b.fcmp("olt", size, b.like(x, 0.92 if single else 1.0)), near, far)


def _far_f32(b: Builder, size: Vec) -> Vec:
    """1 - e**g(x), with a polynomial g = ln(1 - erf(x)); from x = 4 on it rounds to 1."""
    t = b.minimum(size, b.like(size, 4.0))
    logarithm = polynomial(b, coefficients.ERFC_LOG_F32, t)
    q, n_bits = reduced_expm1(b, logarithm, coefficients.EXP_F32)
    power = power_of_two(b, n_bits, size.dtype)
    return b.fma(b.fneg(power), q, b.fsub(b.like(size, 1), power))


def _far_f64(b: Builder, size: Vec) -> Vec:
    """1 - e**(-x*x) * Q((x - 2) / (x + 2)); from x = 6 on it rounds to 1."""
    t = b.minimum(size, b.like(size, 6.0))
    two = b.like(t, 2)
    factor = polynomial(b, coefficients.ERFCX_F64, b.fdiv(b.fsub(t, two), b.fadd(t, two)))
    q, n_bits = reduced_expm1(b, b.fneg(b.fmul(t, t)), coefficients.EXPM1_F64)
    power = power_of_two(b, n_bits, size.dtype)
    return b.fma(b.fneg(b.fma(q, power, power)), factor, b.like(size, 1))
