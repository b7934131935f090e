"""Float remainder and floor division, exact for every input, as NumPy defines them (npy_divmod)."""

from __future__ import annotations

import numpy as np

from tracejit.codegen.llvm.builder import Builder
from tracejit.codegen.llvm.loops import repeat_while_any
from tracejit.codegen.llvm.values import Vec
from tracejit.ir.types import F32, F64, U64


def remainder(b: Builder, x: Vec, y: Vec) -> Vec:
    """x - floor(x / y) * y, of y's sign (a zero too); nan for infinite x or zero y."""
    rest = _fmod(b, x, y)
    zero = b.like(x, 0)
    apart = _signs_differ(b, rest, y)
    shifted = b.select(apart, b.fadd(rest, y), rest)
    return b.select(b.fcmp("oeq", rest, zero), b.call("llvm.copysign", zero, y), shifted)


def floor_divide(b: Builder, x: Vec, y: Vec) -> Vec:
    """floor(x / y), from the exact remainder; x / 0 is what division gives."""
    zero, one = b.like(x, 0), b.like(x, 1)
    rest = _fmod(b, x, y)
    quotient = b.fdiv(b.fsub(x, rest), y)
    apart = _signs_differ(b, rest, y)
    quotient = b.select(apart, b.fsub(quotient, one), quotient)
    floor = b.call("llvm.floor", quotient)
    # (x - rest) / y is an integer but for rounding: take the nearest
    above = b.fcmp("ogt", b.fsub(quotient, floor), b.like(x, 0.5))
    floor = b.select(above, b.fadd(floor, one), floor)
    plain = b.fdiv(x, y)
    signed_zero = b.call("llvm.copysign", zero, plain)
    floor = b.select(b.fcmp("oeq", quotient, zero), signed_zero, floor)
    return b.select(b.fcmp("oeq", y, zero), plain, floor)


def _signs_differ(b: Builder, rest: Vec, y: Vec) -> Vec:
    """Where rest is neither 0 nor of y's sign; false for nan."""
    zero = b.like(y, 0)
    apart = b.xor(b.fcmp("olt", y, zero), b.fcmp("olt", rest, zero))
    return b.and_(apart, b.fcmp("one", rest, zero))


def _fmod(b: Builder, x: Vec, y: Vec) -> Vec:
    """C's fmod: x - trunc(x / y) * y, exactly."""
    return b.outlined("fmod", x.dtype, _fmod_body, x, y)


def _fmod_body(b: Builder, args: list[Vec]) -> Vec:
    x, y = args
    size, modulus = b.call("llvm.fabs", x), b.call("llvm.fabs", y)
    infinity = b.like(x, np.inf)
    finite = b.fcmp("olt", size, infinity)
    divides = b.and_(finite, b.fcmp("one", y, b.like(y, 0)))
    works = b.and_(divides, b.fcmp("olt", modulus, infinity))
    rest = _reduce(b, b.select(works, size, b.like(x, 0)), b.select(works, modulus, b.like(x, 1)))
    rest = b.select(works, rest, b.select(divides, size, b.like(x, np.nan)))
    return b.call("llvm.copysign", rest, x)


def _reduce(b: Builder, size: Vec, modulus: Vec) -> Vec:
    """size mod modulus for finite size >= 0, modulus > 0: one quotient of many bits after another.

    Each step subtracts an exact multiple of the modulus; a quotient rounded up leaves a negative
    rest, which the next step, or in the end one addition, repairs.
    """
    wide_size, wide_modulus = b.convert(size, F64), b.convert(modulus, F64)

    def step(values: list[Vec]) -> tuple[list[Vec], Vec]:
        (rest,) = values
        rest = _subtract_multiple(b, rest, wide_modulus, narrow=size.dtype == F32)
        return [rest], b.fcmp("oge", b.call("llvm.fabs", rest), wide_modulus)

    (rest,) = repeat_while_any(b, [wide_size], step)
    negative = b.fcmp("olt", rest, b.like(rest, 0))
    return b.convert(b.select(negative, b.fadd(rest, wide_modulus), rest), size.dtype)


def _subtract_multiple(b: Builder, rest: Vec, modulus: Vec, narrow: bool) -> Vec:
    """rest - q * modulus, exactly, for an integer q near rest / modulus.

    narrow: both came from f32, so q cut to 29 bits times the modulus' 24 fits a double.
    """
    if not narrow:
        # rest / modulus may overflow: divide by a multiple of the modulus where it would. The test
        # is by 2**602, not 600, since rest * 2**-602 may round up among the denormals.
        for _ in range(2):
            far = b.fcmp("oge", b.fmul(b.call("llvm.fabs", rest), b.like(rest, 2.0**-602)), modulus)
            modulus = b.select(far, b.fmul(modulus, b.like(rest, 2.0**600)), modulus)
    quotient = b.call("llvm.trunc", b.fdiv(rest, modulus))
    if narrow:
        return b.fsub(rest, b.fmul(_cut(b, quotient, 24), modulus))
    if b.has_fma:
        return b.fma(b.fneg(quotient), modulus, rest)
    quotient, high = _cut(b, quotient, 29), _cut(b, modulus, 27)
    rest = b.fsub(rest, b.fmul(quotient, high))
    return b.fsub(rest, b.fmul(quotient, b.fsub(modulus, high)))


def _cut(b: Builder, x: Vec, bits: int) -> Vec:
    """The double x with its last `bits` mantissa bits zeroed."""
    mask = b.const(2**64 - 2**bits, U64, x.lanes)
    return b.bitcast(b.and_(b.bitcast(x, U64), mask), F64)
