"""Layers in plain NumPy, from their definitions: what the table of layer_rows compares to."""

from __future__ import annotations

from itertools import product
from math import erf
from typing import Any

import numpy as np


def softmax(x: Any, axis: int = -1) -> Any:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def normal(x: Any, axes: Any, epsilon: float) -> Any:
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


def same(size: int, window: int, stride: int) -> tuple[int, int]:
    """Padding before and after, by which -(-size // stride) windows fit."""
    missing = max((-(-size // stride) - 1) * stride + window - size, 0)
    return missing // 2, missing - missing // 2


def windows(x: Any, size: Any, strides: Any, padding: str, fill: float = 0.0) -> Any:
    """[N, H', W', kh, kw, C] of x: [N, H, W, C]."""
    if padding == "same":
        around = [same(n, k, s) for n, k, s in zip(x.shape[1:3], size, strides, strict=True)]
        x = np.pad(x, [(0, 0), *around, (0, 0)], constant_values=fill)
    counts = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:3], size, strides, strict=True)]
    out = np.empty((x.shape[0], *counts, *size, x.shape[3]))
    for i, j in product(*map(range, counts)):
        top, left = i * strides[0], j * strides[1]
        out[:, i, j] = x[:, top : top + size[0], left : left + size[1]]
    return out


def conv2d(x: Any, w: Any, strides: Any = (1, 1), padding: str = "valid") -> Any:
    return np.einsum("nijklc,klco->nijo", windows(x, w.shape[:2], strides, padding), w)


def depthwise(x: Any, w: Any) -> Any:
    out = np.einsum("nijklc,klcm->nijcm", windows(x, w.shape[:2], (1, 1), "valid"), w)
    return out.reshape(*out.shape[:3], -1)


def transposed(x: Any, w: Any, stride: int) -> Any:
    """w: [kh, kw, filters, channels]; each pixel adds its multiple of the kernel. Valid."""
    kh, kw, filters, _ = w.shape
    n, height, width, _ = x.shape
    out = np.zeros(
        (
            n,
            (height - 1) * stride + max(kh, stride),
            (width - 1) * stride + max(kw, stride),
            filters,
        )
    )
    for i, j in product(range(height), range(width)):
        patch = np.einsum("nc,klfc->nklf", x[:, i, j], w)
        out[:, i * stride : i * stride + kh, j * stride : j * stride + kw] += patch
    return out


def attention(w: list[Any], q: Any, v: Any, causal: bool) -> Any:
    """Weights as in Keras: query, key, value, output; kernel and bias of each."""
    query = np.einsum("ntd,dhk->nhtk", q, w[0]) + w[1][:, None]
    key = np.einsum("nsd,dhk->nhsk", v, w[2]) + w[3][:, None]
    value = np.einsum("nsd,dhk->nhsk", v, w[4]) + w[5][:, None]
    scores = np.einsum("nhtk,nhsk->nhts", query, key) / np.sqrt(query.shape[-1])
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    mixed = np.einsum("nhts,nhsk->nthk", softmax(scores), value)
    return np.einsum("nthk,hkd->ntd", mixed, w[6]) + w[7]


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def simple_step(w: list[Any], x: Any, h: Any) -> Any:
    return (np.tanh(x @ w[0] + h[0] @ w[1] + w[2]),)


def lstm_step(w: list[Any], x: Any, state: Any) -> Any:
    h, c = state
    i, f, g, o = np.split(x @ w[0] + h @ w[1] + w[2], 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_step(w: list[Any], x: Any, state: Any) -> Any:
    """reset_after: bias is [2, 3 units]."""
    (h,) = state
    xs, hs = np.split(x @ w[0] + w[2][0], 3, -1), np.split(h @ w[1] + w[2][1], 3, -1)
    z, r = sigmoid(xs[0] + hs[0]), sigmoid(xs[1] + hs[1])
    return (z * h + (1 - z) * np.tanh(xs[2] + r * hs[2]),)


def gru_before_step(w: list[Any], x: Any, state: Any) -> Any:
    """The reset gate before the product: bias is [3 units]."""
    (h,) = state
    xs, kernels = np.split(x @ w[0] + w[2], 3, -1), np.split(w[1], 3, -1)
    z, r = sigmoid(xs[0] + h @ kernels[0]), sigmoid(xs[1] + h @ kernels[1])
    return (z * h + (1 - z) * np.tanh(xs[2] + (r * h) @ kernels[2]),)


def recurrent(step: Any, w: list[Any], x: Any, states: int = 1, mask: Any = None) -> Any:
    """All outputs [N, T, units] of x: [N, T, D], from states of zeros."""
    state = (np.zeros((len(x), w[1].shape[0])),) * states
    outs = []
    for t in range(x.shape[1]):
        new = step(w, x[:, t], state)
        if mask is not None:
            new = tuple(np.where(mask[:, t, None], a, b) for a, b in zip(new, state, strict=True))
        state = new
        outs.append(state[0])
    return np.stack(outs, 1)


erf_array = np.vectorize(erf)


def gelu(x: Any) -> Any:
    return x * 0.5 * (1 + erf_array(x / np.sqrt(2)))
