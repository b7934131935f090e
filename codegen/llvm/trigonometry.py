"""sin and cos, outlined: x = n pi/2 + r, |r| <= pi/4, right for every finite x.

Up to 2**20 by subtracting n times pi/2 in parts (Cody & Waite 1980, "Software manual for the
elementary functions"); beyond, lane by lane, by multiplying with the bits of 2/pi that matter
(Payne & Hanek 1983, "Radian reduction for trigonometric functions").
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tracejit.codegen.llvm.builder import Builder
from tracejit.codegen.llvm.coefficients import COS_F32, COS_F64, SIN_F32, SIN_F64
from tracejit.codegen.llvm.formats import FORMATS, polynomial, round_to_integer, two_sum
from tracejit.codegen.llvm.payne_hanek import reduce_lanes
from tracejit.codegen.llvm.values import Vec
from tracejit.ir.types import F32, F64

LARGE: Final = 2.0**20
TWO_OVER_PI: Final = float.fromhex("0x1.45f306dc9c883p-1")
# pi/2 in parts of 33 bits (times n < 2**20: exact), the last of 53
HALF_PI: Final = (
    float.fromhex("0x1.921fb544p+0"),
    float.fromhex("0x1.0b4611a6p-34"),
    float.fromhex("0x1.3198a2ep-69"),
    float.fromhex("0x1.b839a252049c1p-104"),
)


def sin(b: Builder, x: Vec) -> Vec:
    """sin x; nan at infinity."""
    return b.outlined("sin", x.dtype, lambda b, args: _wave(b, args[0], 0), x)


def cos(b: Builder, x: Vec) -> Vec:
    """cos x = sin(x + pi/2); nan at infinity."""
    return b.outlined("cos", x.dtype, lambda b, args: _wave(b, args[0], 1), x)


def _wave(b: Builder, x: Vec, quarter_turns: int) -> Vec:
    """sin(x + quarter_turns * pi/2): sin or cos of r, by the quadrant, with its sign."""
    size = b.call("llvm.fabs", x)
    hi, lo, quadrant = _reduce(b, b.convert(x, F64))
    quadrant = b.iadd(quadrant, b.like(quadrant, quarter_turns))
    if x.dtype == F32:
        r = b.convert(hi, F32)
        sine, cosine = _sin_f32(b, r), _cos_f32(b, r)
    else:
        sine, cosine = _sin_f64(b, hi, lo), _cos_f64(b, hi, lo)
    format_ = FORMATS[x.dtype]
    quadrant = b.convert(quadrant, format_.bits)
    zero = b.like(quadrant, 0)
    swapped = b.icmp("ne", b.and_(quadrant, b.like(quadrant, 1)), zero)
    value = b.bitcast(b.select(swapped, cosine, sine), format_.bits)
    width = 8 * x.dtype.itemsize
    sign = b.shl(b.and_(quadrant, b.like(quadrant, 2)), b.like(quadrant, width - 2))
    result = b.bitcast(b.xor(value, sign), x.dtype)
    if quarter_turns == 0:  # keep -0.0
        result = b.select(b.fcmp("oeq", x, b.like(x, 0)), x, result)
    return b.select(b.fcmp("olt", size, b.like(x, np.inf)), result, b.like(x, np.nan))


def _reduce(b: Builder, x: Vec) -> tuple[Vec, Vec, Vec]:
    """(hi, lo, quadrant): x = quadrant * pi/2 + hi + lo, in f64; branches on any large lane."""
    small = _reduce_small(b, x)
    is_large = b.fcmp("oge", b.call("llvm.fabs", x), b.like(x, LARGE))
    any_large = b.horizontal("or", is_large)
    b.lines += [f"  br i1 {any_large.ref}, label %large, label %reduced", "large:"]
    # a lane that is not large gets some argument that is, and is overwritten
    large = reduce_lanes(b, b.select(is_large, x, b.like(x, LARGE)))
    merged = [b.select(is_large, far, near) for far, near in zip(large, small, strict=True)]
    b.lines += ["  br label %reduced", "reduced:"]
    hi, lo, quadrant = (
        b.inst(
            f"phi {near.type} [ {near.ref}, %entry ], [ {far.ref}, %large ]", near.dtype, x.lanes
        )
        for near, far in zip(small, merged, strict=True)
    )
    return hi, lo, quadrant


def _reduce_small(b: Builder, x: Vec) -> tuple[Vec, Vec, Vec]:
    n, quadrant = round_to_integer(b, x, TWO_OVER_PI)
    first, second, third, last = (b.like(x, -part) for part in HALF_PI)
    rest = b.fma(n, first, x)
    hi, lo = two_sum(b, rest, b.fmul(n, second))
    lo = b.fma(n, last, b.fma(n, third, lo))
    hi, lo = two_sum(b, hi, lo)
    return hi, lo, quadrant


def _sin_f32(b: Builder, r: Vec) -> Vec:
    z = b.fmul(r, r)
    return b.fma(b.fmul(z, r), polynomial(b, SIN_F32, z), r)


def _cos_f32(b: Builder, r: Vec) -> Vec:
    z = b.fmul(r, r)
    return b.fma(b.fmul(z, z), polynomial(b, COS_F32, z), b.fma(z, b.like(z, -0.5), b.like(z, 1)))


def _sin_f64(b: Builder, r: Vec, lo: Vec) -> Vec:
    """sin(r + lo) = r + (r**3 S(r*r) + lo (1 - r*r/2))."""
    z = b.fmul(r, r)
    cosine = b.fma(z, b.like(z, -0.5), b.like(z, 1))
    return b.fadd(r, b.fma(b.fmul(z, r), polynomial(b, SIN_F64, z), b.fmul(lo, cosine)))


def _cos_f64(b: Builder, r: Vec, lo: Vec) -> Vec:
    """cos(r + lo) = 1 - r*r/2 + (r**4 C(r*r) - r lo), with the rounding of the first two."""
    z = b.fmul(r, r)
    one = b.like(z, 1)
    half = b.fmul(z, b.like(z, 0.5))
    head = b.fsub(one, half)
    lost = b.fsub(b.fsub(one, head), half)
    tail = b.fma(b.fmul(z, z), polynomial(b, COS_F64, z), b.fneg(b.fmul(r, lo)))
    return b.fadd(head, b.fadd(lost, tail))
