"""Dtype policies: in what layers keep their weights, and in what they compute."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.types import BF16, DType
from tracejit.trace import default_float

_MIXED = {"mixed_bfloat16": BF16, "mixed_float16": np.dtype(np.float16)}

_current: str | None = None


def set_dtype_policy(policy: str | None) -> None:
    """The policy of layers made from here on without a `dtype`: as in Keras.

    "mixed_bfloat16" and "mixed_float16" keep weights in f32 and compute in 16 bits; any other name
    of a dtype is for both. None: the default float, as at first.
    """
    global _current
    if policy is not None:
        dtypes_of(policy)
    _current = policy


def dtype_policy() -> str | None:
    """What `set_dtype_policy` set."""
    return _current


def dtypes_of(policy: Any) -> tuple[DType, DType]:
    """The dtype of weights and that of the computation; of None the policy that was set."""
    policy = _current if policy is None else policy
    if policy is None:
        return default_float(), default_float()
    if isinstance(policy, str) and policy in _MIXED:
        return np.dtype(np.float32), _MIXED[policy]
    return np.dtype(policy), np.dtype(policy)
