"""Counter-based random numbers: a key decides every bit, for any number of threads.

A key is an array u32[2]. Never draw twice with one key: `split` it first, as in JAX.
"""

from __future__ import annotations

from math import pi, prod
from typing import Any

import numpy as np

from tracejit.ir import ops
from tracejit.ir.graph import PRIMITIVES
from tracejit.ir.types import BF16, F64, U32, Shape
from tracejit.lowering import cast
from tracejit.source import user_loc
from tracejit.trace import current_trace, default_float
from tracejit.ufuncs import untraced

# Keys that `split` and `fold_in` derive from differ from the parent in these bits, so that their
# words are none of those that the parent would draw. Digits of the golden ratio and of sqrt(3) - 1.
_DERIVED = np.array([0x9E3779B9, 0xBB67AE85], np.uint32)


def key(seed: Any) -> Any:
    """The key of a seed: an int, or an integer array of rank 0."""
    if isinstance(seed, int):
        return np.array([(seed >> 32) & 0xFFFFFFFF, seed & 0xFFFFFFFF], np.uint32)
    low = np.astype(np.asarray(seed) if isinstance(seed, np.generic) else seed, np.uint32)
    return np.stack([np.zeros_like(low), low])


def bits(key: Any, shape: Shape = ()) -> Any:
    """u32[shape], uniform. Source: Salmon et al. 2011, Philox 4x32-10."""
    trace = current_trace()
    if trace is None:
        return PRIMITIVES["random_bits"].eval(np.asarray(untraced(key), np.uint32), shape=shape)
    trace.builder.loc = user_loc()
    return trace.wrap(ops.random_bits(cast(trace.array(key).node, U32), shape))


def split(key: Any, num: int = 2) -> Any:
    """`num` independent keys: u32[num, 2]."""
    return bits(np.bitwise_xor(key, _DERIVED), (num, 2))


def fold_in(key: Any, number: Any) -> Any:
    """The key for a number: a step, a layer. Other than that of every `split`."""
    low = np.astype(np.asarray(number), np.uint32) if isinstance(number, int) else number
    mixed = bits(np.bitwise_xor(np.flip(key), _DERIVED), (2,))
    return bits(np.bitwise_xor(mixed, np.astype(low, np.uint32)), (2,))


def uniform(
    key: Any, shape: Shape = (), dtype: Any = None, minval: Any = 0.0, maxval: Any = 1.0
) -> Any:
    """Floats in [minval, maxval), with as many random bits as the dtype has digits."""
    wanted = default_float() if dtype is None else np.dtype(dtype)
    if wanted == F64:
        words = np.astype(bits(key, (2, *shape)), np.uint64)
        unit = np.astype((words[0] >> 5) * 2**26 + (words[1] >> 6), F64) * 2.0**-53
    else:
        digits = {np.dtype(np.float16): 11, BF16: 8}.get(wanted, 24)
        unit = np.astype(bits(key, shape) >> (32 - digits), wanted) * 2.0**-digits
    if isinstance(minval, float) and isinstance(maxval, float) and (minval, maxval) == (0, 1):
        return np.astype(unit, wanted)
    return np.astype(unit * (maxval - minval) + minval, wanted)


def normal(key: Any, shape: Shape = (), dtype: Any = None) -> Any:
    """Mean 0, variance 1. Source: Box & Muller 1958; both of each pair are used."""
    wanted = default_float() if dtype is None else np.dtype(dtype)
    size = prod(shape)
    half = (size + 1) // 2
    u = uniform(key, (2, half), F64 if wanted == F64 else np.float32)
    # 1 - u is in (0, 1], where the logarithm is finite.
    radius, angle = np.sqrt(-2.0 * np.log1p(-u[0])), u[1] * (2 * pi)
    both = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    return np.astype(np.reshape(both[:size], shape), wanted)


def bernoulli(key: Any, p: Any = 0.5, shape: Shape = ()) -> Any:
    """bool[shape], True with probability p."""
    return np.less(uniform(key, shape, np.float32), p)


def randint(key: Any, shape: Shape, minval: int, maxval: int, dtype: Any = np.int32) -> Any:
    """Integers in [minval, maxval), a span of at most 2^32; the bias is below 2^-32 of the span."""
    span = maxval - minval
    if not 0 < span <= 2**32:
        raise ValueError(f"randint: [{minval}, {maxval}) holds {span} integers, not 1 to 2^32")
    scaled = (np.astype(bits(key, shape), np.uint64) * span) >> 32
    return np.astype(np.astype(scaled, np.int64) + minval, dtype)
