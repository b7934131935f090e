"""Reduction of large arguments modulo pi/2 (Payne & Hanek 1983), one double at a time.

x = m * 2**e with a 53-bit integer m, so x * 2/pi mod 4 takes only the bits of 2/pi from 2**(2 - e)
down. With 192 of them 126 bits of the fraction are right, and no double comes closer than 2**-62
to a multiple of pi/2: at least 64 bits of the rest are good.
"""

from __future__ import annotations

from typing import Final

from tracejit.codegen.llvm.builder import Builder
from tracejit.codegen.llvm.values import Vec
from tracejit.ir.types import F64, U64

# 2/pi = 0.w1 w2 ... in words of 64 bits, after a zero word for the bits that small arguments want
TWO_OVER_PI_WORDS: Final = (
    0x0000000000000000, 0xA2F9836E4E441529, 0xFC2757D1F534DDC0, 0xDB6295993C439041,
    0xFE5163ABDEBBC561, 0xB7246E3A424DD2E0, 0x06492EEA09D1921C, 0xFE1DEB1CB129A73E,
    0xE88235F52EBB4484, 0xE99C7026B45F7E41, 0x3991D639835339F4, 0x9C845F8BBDF9283B,
    0x1FF897FFDE05980F, 0xEF2F118B5A0A6D1F, 0x6D367ECF27CB09B7, 0x4F463F669E5FEA2D,
    0x7527BAC7EBE5F17B, 0x3D0739F78A5292EA, 0x6BFB5FB11F8D5D08, 0x56033046FC7B6BAB,
    0xF0CFBC209AF4361D,
)  # fmt: skip
# pi/2 * 2**127, upper and lower word
HALF_PI_WORDS: Final = (0xC90FDAA22168C234, 0xC4C6628B80DC1CD1)

_TABLE: Final = "tj.two_over_pi"
_FUNCTION: Final = "tj.rem_pio2"

_BODY: Final = f"""\
define internal {{ double, double, i64 }} @{_FUNCTION}(double %x) nounwind {{
  %bits = bitcast double %x to i64
  %magnitude = and i64 %bits, 9223372036854775807
  %field = lshr i64 %magnitude, 52
  %fraction = and i64 %bits, 4503599627370495
  %m = or i64 %fraction, 4503599627370496
  ; first bit of the table that matters: e - 2, and 64 for the zero word; e = field - 1075
  %first = sub i64 %field, 1013
  %word = lshr i64 %first, 6
  %shift = and i64 %first, 63
  %p0 = getelementptr i64, ptr @{_TABLE}, i64 %word
  %p1 = getelementptr i64, ptr %p0, i64 1
  %p2 = getelementptr i64, ptr %p0, i64 2
  %p3 = getelementptr i64, ptr %p0, i64 3
  %w0 = load i64, ptr %p0, align 8
  %w1 = load i64, ptr %p1, align 8
  %w2 = load i64, ptr %p2, align 8
  %w3 = load i64, ptr %p3, align 8
  %a0 = call i64 @llvm.fshl.i64(i64 %w0, i64 %w1, i64 %shift)
  %a1 = call i64 @llvm.fshl.i64(i64 %w1, i64 %w2, i64 %shift)
  %a2 = call i64 @llvm.fshl.i64(i64 %w2, i64 %w3, i64 %shift)
  ; turns = the upper 128 bits of m * a0:a1:a2 mod 2**192, in quarter turns times 2**126
  %wide.m = zext i64 %m to i128
  %wide.a1 = zext i64 %a1 to i128
  %wide.a2 = zext i64 %a2 to i128
  %low = mul i128 %wide.m, %wide.a2
  %carry = lshr i128 %low, 64
  %middle = mul i128 %wide.m, %wide.a1
  %lower = add i128 %middle, %carry
  %high = mul i64 %m, %a0
  %wide.high = zext i64 %high to i128
  %upper = shl i128 %wide.high, 64
  %turns = add i128 %upper, %lower
  %rounded = add i128 %turns, {1 << 125}
  %count = lshr i128 %rounded, 126
  %quadrant = trunc i128 %count to i64
  ; the rest, -1/2 <= rest * 2**-128 < 1/2 quarter turns: times pi/2, as a normalised integer
  %rest = shl i128 %turns, 2
  %is.below = icmp slt i128 %rest, 0
  %negated = sub i128 0, %rest
  %size = select i1 %is.below, i128 %negated, i128 %rest
  %zeros = call i128 @llvm.ctlz.i128(i128 %size, i1 false)
  %normal = shl i128 %size, %zeros
  %normal.hi = lshr i128 %normal, 64
  %normal.lo = and i128 %normal, {2**64 - 1}
  %product = mul i128 %normal.hi, {HALF_PI_WORDS[0]}
  %cross1 = mul i128 %normal.hi, {HALF_PI_WORDS[1]}
  %cross2 = mul i128 %normal.lo, {HALF_PI_WORDS[0]}
  %cross1.hi = lshr i128 %cross1, 64
  %cross2.hi = lshr i128 %cross2, 64
  %cross = add i128 %cross1.hi, %cross2.hi
  %angle = add i128 %product, %cross
  ; 53 bits and the next 64, as doubles; angle * 2**(-127 - zeros) is the rest in radians
  %top = lshr i128 %angle, 75
  %top.shifted = shl i128 %top, 75
  %tail = sub i128 %angle, %top.shifted
  %next = lshr i128 %tail, 11
  %top.word = trunc i128 %top to i64
  %next.word = trunc i128 %next to i64
  %top.float = uitofp i64 %top.word to double
  %next.float = uitofp i64 %next.word to double
  %zeros.word = trunc i128 %zeros to i64
  %scale.field = sub i64 971, %zeros.word
  %scale.bits = shl i64 %scale.field, 52
  %scale = bitcast i64 %scale.bits to double
  %hi.size = fmul double %top.float, %scale
  ; 0x3BF0... is 2**-64
  %next.scaled = fmul double %next.float, 0x3BF0000000000000
  %lo.size = fmul double %next.scaled, %scale
  ; signs: of the rest, and of x, which also turns the quadrant back
  %is.negative = icmp slt i64 %bits, 0
  %flips = xor i1 %is.below, %is.negative
  %hi.negated = fneg double %hi.size
  %lo.negated = fneg double %lo.size
  %hi = select i1 %flips, double %hi.negated, double %hi.size
  %lo = select i1 %flips, double %lo.negated, double %lo.size
  %back = sub i64 0, %quadrant
  %turned = select i1 %is.negative, i64 %back, i64 %quadrant
  %r0 = insertvalue {{ double, double, i64 }} poison, double %hi, 0
  %r1 = insertvalue {{ double, double, i64 }} %r0, double %lo, 1
  %r2 = insertvalue {{ double, double, i64 }} %r1, i64 %turned, 2
  ret {{ double, double, i64 }} %r2
}}"""


def reduce_lanes(b: Builder, x: Vec) -> tuple[Vec, Vec, Vec]:
    """(hi, lo, quadrant) of each lane: x = quadrant * pi/2 + hi + lo modulo 2 pi; |x| >= 2**20.

    quadrant is u64, meant modulo 4. An infinite or nan lane gives any numbers.
    """
    words = ", ".join(f"i64 {w}" for w in TWO_OVER_PI_WORDS)
    b.declares[_TABLE] = (
        f"@{_TABLE} = internal constant [{len(TWO_OVER_PI_WORDS)} x i64] [{words}], align 8"
    )
    b.declares["llvm.fshl.i64"] = "declare i64 @llvm.fshl.i64(i64, i64, i64)"
    b.declares["llvm.ctlz.i128"] = "declare i128 @llvm.ctlz.i128(i128, i1)"
    b.declares[_FUNCTION] = _BODY
    parts = [b.like(x, 0), b.like(x, 0), b.const(0, U64, x.lanes)]
    for lane in range(x.lanes):
        argument = b.extract(x, lane)
        record = b.fresh("record")
        b.lines.append(
            f"  {record} = call {{ double, double, i64 }} @{_FUNCTION}({argument.typed})"
        )
        for i, dtype in enumerate((F64, F64, U64)):
            field = b.inst(f"extractvalue {{ double, double, i64 }} {record}, {i}", dtype, 1)
            parts[i] = b.insert(parts[i], field, lane)
    return parts[0], parts[1], parts[2]
