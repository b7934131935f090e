"""random_bits: Philox 4x32-10, counter based, so the same bits for any number of threads.

Source: Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", section 4.
"""

from __future__ import annotations

from math import prod

import numpy as np

from tracejit.ir import ops
from tracejit.ir.graph import Array, Node, primitive
from tracejit.ir.lanes import Lanes
from tracejit.ir.primitives.checks import arity, check_shape
from tracejit.ir.types import U32, U64, DTypeError, Shape, ShapeError, TensorType

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


def _batch(lanes: Lanes, shape: Shape) -> Node:
    """Keys [lanes, 2]: the rounds spelled out in 64-bit words, [lanes, blocks]."""
    (keys,) = lanes.nodes
    size, builder = prod(shape), keys.builder
    blocks = -(-size // 4)
    wide = ops.cast(keys, U64)
    k0, k1 = (
        ops.broadcast(ops.slice(wide, (0, i), (lanes.size, i + 1)), (lanes.size, blocks), (0, 1))
        for i in (0, 1)
    )
    low, half = ops.full_like(k0, 0xFFFFFFFF), ops.full_like(k0, 32)
    block = ops.iota(builder, (lanes.size, blocks), 1, U64)
    zero = ops.zeros_like(block)
    c0, c1, c2, c3 = ops.and_(block, low), ops.shift_right(block, half), zero, zero
    for _ in range(ROUNDS):
        p0, p1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            ops.xor(ops.xor(ops.shift_right(p1, half), c1), k0),
            ops.and_(p1, low),
            ops.xor(ops.xor(ops.shift_right(p0, half), c3), k1),
            ops.and_(p0, low),
        )
        k0, k1 = ops.and_(k0 + WEYL[0], low), ops.and_(k1 + WEYL[1], low)
    words = [ops.reshape(ops.cast(c, U32), (lanes.size, blocks, 1)) for c in (c0, c1, c2, c3)]
    flat = ops.reshape(ops.concatenate(words, 2), (lanes.size, 4 * blocks))
    return ops.reshape(ops.slice(flat, (0, 0), (lanes.size, size)), (lanes.size, *shape))


primitive("random_bits", _infer, _eval, None, batch=_batch)
