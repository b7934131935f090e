"""Normalisation, embedding, dropout, attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit import random
from tracejit.errors import ShapeError
from tracejit.ir.types import BOOL
from tracejit.nn import flash
from tracejit.nn.activations import Axis, primitive, softmax
from tracejit.numpy.standard import take
from tracejit.source import here


def layer_norm(
    x: Any, scale: Any = None, bias: Any = None, axis: Axis = -1, epsilon: float = 1e-5
) -> Any:
    """(x - mean) / sqrt(var + epsilon) along `axis`, times scale, plus bias.

    Source: Ba et al. 2016, arXiv:1607.06450.
    """
    centred = x - np.mean(x, axis=axis, keepdims=True)
    var = np.mean(centred * centred, axis=axis, keepdims=True)
    return _affine(centred * primitive("rsqrt", var + epsilon), scale, bias)


def batch_norm(
    x: Any, mean: Any, var: Any, scale: Any = None, bias: Any = None, epsilon: float = 1e-5
) -> Any:
    """(x - mean) / sqrt(var + epsilon), times scale, plus bias; all but x: [channels].

    Source: Ioffe & Szegedy 2015, arXiv:1502.03167.
    """
    factor = primitive("rsqrt", var + epsilon)
    return _affine((x - mean) * factor, scale, bias)


def moments(x: Any, axis: Axis, keepdims: bool = False, where: Any = None) -> tuple[Any, Any]:
    """Mean and (biased) variance along `axis`.

    where: bool, broadcast to x: the elements that count; of none both are 0.
    """
    mean = _mean(x, axis, where)
    centred = x - mean
    var = _mean(centred * centred, axis, where)
    if keepdims:
        return mean, var
    return np.squeeze(mean, axis), np.squeeze(var, axis)


def _mean(x: Any, axis: Axis, where: Any) -> Any:
    """Along `axis`, which stays with size 1."""
    if where is None:
        return np.mean(x, axis=axis, keepdims=True)
    counted = np.sum(np.broadcast_to(where, x.shape), axis=axis, keepdims=True, dtype=x.dtype)
    return np.sum(np.where(where, x, 0), axis=axis, keepdims=True) / np.maximum(counted, 1)


def group_norm(
    x: Any, groups: int, scale: Any = None, bias: Any = None, epsilon: float = 1e-5
) -> Any:
    """Each example's channels in `groups` groups, each normalised over itself and all places.

    x: [N, ..., C]; scale, bias: [C]. Source: Wu & He 2018, arXiv:1803.08494.
    """
    shape = np.shape(x)
    if shape[-1] % groups:
        raise ShapeError(f"group_norm: {shape[-1]} channels in {groups} groups{here()}")
    # The places keep their axes: both forms then differ by an index map.
    grouped = np.reshape(x, (*shape[:-1], groups, shape[-1] // groups))
    axes = (*range(1, len(shape) - 1), len(shape))
    return _affine(np.reshape(layer_norm(grouped, axis=axes, epsilon=epsilon), shape), scale, bias)


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
    return take(table, indices, axis=0)


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


def scaled_dot_product_attention(
    q: Any, k: Any, v: Any, mask: Any = None, is_causal: bool = False, scale: float | None = None
) -> Any:
    """softmax(q k^T scale) v: [..., T, D'] of q [..., T, D], k [..., S, D], v [..., S, D'].

    mask: bool[..., T, S], True where q may look; or floats to add. is_causal: q sees only what is
    not after it. scale: 1 / sqrt(D) if None. A row that may look nowhere sees all alike.
    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.1.
    """
    if mask is None and flash.pays(q, k, v, is_causal):
        return flash.attend(q, k, v, is_causal, _scale_of(q, scale))
    return np.matmul(attention_weights(q, k, mask, is_causal, scale), v)


def attention_weights(
    q: Any, k: Any, mask: Any = None, is_causal: bool = False, scale: float | None = None
) -> Any:
    """How much each of q looks at each of k: [..., T, S]. See `scaled_dot_product_attention`."""
    scores = np.matmul(np.multiply(q, _scale_of(q, scale)), np.swapaxes(k, -1, -2))
    least = lowest(scores.dtype)
    if is_causal:
        rows, columns = np.shape(scores)[-2:]
        scores = np.where(np.tril(np.ones((rows, columns), np.bool_)), scores, least)
    if mask is not None:
        is_bool = (
            np.asarray(mask).dtype == BOOL if not hasattr(mask, "dtype") else mask.dtype == BOOL
        )
        scores = np.where(mask, scores, least) if is_bool else scores + mask
    return softmax(scores)


def _scale_of(q: Any, scale: float | None) -> float:
    return float(np.shape(q)[-1]) ** -0.5 if scale is None else scale


def lowest(dtype: Any) -> float:
    """A score that no other comes near, and that a sum with it does not overflow."""
    return float(np.finfo(np.float16 if dtype.itemsize == 2 else dtype).min) / 2
