"""Philox 4x32-10, the counter-based random generator, in vector form.

Source: Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", SC'11.
"""

from __future__ import annotations

from typing import Final

from tracejit.codegen.llvm.builder import Builder
from tracejit.codegen.llvm.values import Vec
from tracejit.ir.types import U32, U64

ROUNDS: Final = 10
MULTIPLIERS: Final = (0xD2511F53, 0xCD9E8D57)
WEYL: Final = (0x9E3779B9, 0xBB67AE85)  # golden ratio and sqrt(3) - 1, as fractions of 2**32


def philox(
    b: Builder,
    key0: Vec,
    key1: Vec,
    counter_lo: Vec,
    counter_hi: Vec,
    counter_2: Vec | None = None,
    counter_3: Vec | None = None,
) -> tuple[Vec, Vec, Vec, Vec]:
    """Four u32 words per lane, all a function of the u32 key and counter words alone.

    The counter is 128 bits, least significant word first; its upper half is zero if not given.
    """
    zero = b.like(counter_lo, 0)
    c0, c1 = counter_lo, counter_hi
    c2 = zero if counter_2 is None else counter_2
    c3 = zero if counter_3 is None else counter_3
    for _ in range(ROUNDS):
        high0, low0 = _multiply(b, c0, MULTIPLIERS[0])
        high1, low1 = _multiply(b, c2, MULTIPLIERS[1])
        c0, c1, c2, c3 = b.xor(b.xor(high1, c1), key0), low1, b.xor(b.xor(high0, c3), key1), low0
        key0 = b.iadd(key0, b.like(key0, WEYL[0]))
        key1 = b.iadd(key1, b.like(key1, WEYL[1]))
    return c0, c1, c2, c3


def _multiply(b: Builder, x: Vec, multiplier: int) -> tuple[Vec, Vec]:
    """High and low word of x * multiplier."""
    wide = b.cast("zext", x, U64)
    product = b.imul(wide, b.like(wide, multiplier))
    high = b.cast("trunc", b.lshr(product, b.like(wide, 32)), U32)
    return high, b.cast("trunc", product, U32)
