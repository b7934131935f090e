"""Normalisation, embedding, dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit import random
from tracejit.nn.activations import Axis, primitive


def layer_norm(
    x: Any, scale: Any = None, bias: Any = None, axis: Axis = -1, epsilon: float = 1e-5
) -> Any:
    """(x - mean) / sqrt(var + epsilon) along `axis`, times scale, plus bias.

    Source: Ba et al. 2016, arXiv:1607.06450.
    """
    centred = x - np.mean(x, axis=axis, keepdims=True)
    var = np.mean(centred * centred, axis=axis, keepdims=True)
    return _affine(centred * primitive("rsqrt", var + epsilon), scale, bias)


def rms_norm(x: Any, scale: Any = None, axis: Axis = -1, epsilon: float = 1e-6) -> Any:
    """x / sqrt(mean(x^2) + epsilon), times scale.

    Source: Zhang & Sennrich 2019, arXiv:1910.07467.
    """
    square = np.mean(np.square(x), axis=axis, keepdims=True)
    return _affine(x * primitive("rsqrt", square + epsilon), scale, None)


def _affine(x: Any, scale: Any, bias: Any) -> Any:
    x = x if scale is None else x * scale
    return x if bias is None else x + bias


def embedding(table: Any, indices: Any) -> Any:
    """Rows of table: [V, ...] at indices: int[...], as [..., ...]."""
    return np.take(table, indices, axis=0)


def dropout(x: Any, rate: float, key: Any) -> Any:
    """x with each element 0 with probability `rate`, the others divided by 1 - rate."""
    if not 0 <= rate < 1:
        raise ValueError(f"dropout: rate {rate} is outside [0, 1)")
    if rate == 0:
        return x
    kept = random.bernoulli(key, 1 - rate, np.shape(x))
    return np.where(kept, np.multiply(x, 1 / (1 - rate)), 0)


def flatten(x: Any) -> Any:
    """[N, ...] -> [N, all the rest]."""
    return np.reshape(x, (np.shape(x)[0], int(np.prod(np.shape(x)[1:], dtype=np.int64))))
