"""Counter-based random numbers: a key decides every bit, for any number of threads.

A key is an array u32[2]. Never draw twice with one key: `split` it first, as in JAX.
"""

from __future__ import annotations

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
