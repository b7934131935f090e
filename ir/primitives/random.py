"""random_bits: Philox 4x32-10, counter based, so the same bits for any number of threads.

Source: Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", section 4.
"""

from __future__ import annotations

from math import prod

import numpy as np

from tracejit.ir.graph import Array, primitive
from tracejit.ir.primitives.checks import arity, check_shape
from tracejit.ir.types import U32, DTypeError, Shape, ShapeError, TensorType

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)  # the golden ratio and sqrt(3) - 1, as 32-bit fractions
ROUNDS = 10

Words = np.ndarray[tuple[int, ...], np.dtype[np.uint64]]


def philox(counter: Words, key: Words) -> Words:
    """Ten rounds: counter[4, n] and key[2] of 32-bit words give blocks [4, n] of such words.

    The words sit in uint64, so that the 32 x 32 bit products need no splitting.
    """
    low = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    c0, c1, c2, c3 = counter
    k0, k1 = int(key[0]), int(key[1])
    for _ in range(ROUNDS):
        p0, p1 = c0 * np.uint64(MULTIPLIERS[0]), c2 * np.uint64(MULTIPLIERS[1])
        c0, c1, c2, c3 = (
            (p1 >> half) ^ c1 ^ np.uint64(k0),
            p1 & low,
            (p0 >> half) ^ c3 ^ np.uint64(k1),
            p0 & low,
        )
        k0, k1 = (k0 + WEYL[0]) & 0xFFFFFFFF, (k1 + WEYL[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3])


def _infer(*types: TensorType, shape: Shape) -> TensorType:
    arity("random_bits", 1, types)
    (key,) = types
    if key.dtype != U32:
        raise DTypeError(f"random_bits: a key is u32[2], not {key}")
    if key.shape != (2,):
        raise ShapeError(f"random_bits: a key is u32[2], not {key}")
    check_shape("random_bits", shape)
    return TensorType(shape, U32)


def _eval(key: Array, shape: Shape) -> Array:
    """Element i is word i % 4 of the block whose counter is i // 4."""
    size = prod(shape)
    block = np.arange(-(-size // 4), dtype=np.uint64)
    zero = np.zeros_like(block)
    counter = np.stack([block & np.uint64(0xFFFFFFFF), block >> np.uint64(32), zero, zero])
    words = philox(counter, key.astype(np.uint64))
    return words.T.reshape(-1)[:size].astype(U32).reshape(shape)


primitive("random_bits", _infer, _eval, None)
