"""The models in NumPy's names and tracejit's."""

from collections.abc import Callable
from typing import Any

import numpy as np

import tracejit as tj
from benchmarks.workloads import HEADS, LEAK, NORM_EPSILON
from tracejit import nn

Array = Any


def cross_entropy(logits: Array, y: Array) -> Array:
    return nn.softmax_cross_entropy(logits, y).mean()


def dense_layers(params: Any, x: Array) -> Array:
    for w, b in params[:-1]:
        x = np.maximum(x @ w + b, 0)
    w, b = params[-1]
    return x @ w + b


def mlp(params: Any, x: Array, y: Array) -> Array:
    return cross_entropy(dense_layers(params, x), y)


def lenet(params: Any, x: Array, y: Array) -> Array:
    for name in ("conv1", "conv2"):
        w, b = params[name]
        x = nn.max_pool2d(np.maximum(nn.conv2d(x, w, padding=2) + b, 0), 2)
    return cross_entropy(dense_layers(params["dense"], x.reshape(x.shape[0], -1)), y)


def normed(x: Array, norm: Any, axes: tuple[int, ...]) -> Array:
    scale, shift = norm
    centred = x - x.mean(axes, keepdims=True)
    variance = (centred * centred).mean(axes, keepdims=True)
    return centred / np.sqrt(variance + NORM_EPSILON) * scale + shift


def block(params: Any, x: Array) -> Array:
    stride = 2 if "skip" in params else 1
    h = nn.conv2d(x, params["conv1"], strides=stride, padding=1)
    h = np.maximum(normed(h, params["norm1"], (0, 1, 2)), 0)
    h = normed(nn.conv2d(h, params["conv2"], padding=1), params["norm2"], (0, 1, 2))
    if "skip" in params:
        x = nn.conv2d(x, params["skip"], strides=stride, padding=0)
    return np.maximum(h + x, 0)


def resnet(params: Any, x: Array, y: Array) -> Array:
    x = np.maximum(nn.conv2d(x, params["stem"], padding=1), 0)
    for block_params in params["blocks"]:
        x = block(block_params, x)
    return cross_entropy(x.mean((1, 2)) @ params["dense"], y)


def attention(params: Any, x: Array) -> Array:
    batch, length, width = x.shape
    parts = np.split(x @ params["qkv"], 3, axis=-1)
    heads = (batch, length, HEADS, width // HEADS)
    q, k, v = (part.reshape(heads).swapaxes(1, 2) for part in parts)
    scores = q @ k.swapaxes(-1, -2) / np.float32(np.sqrt(width // HEADS))
    causal = np.tril(np.ones((length, length), bool))
    weights = nn.softmax(np.where(causal, scores, np.float32(-1e9)), -1)
    return (weights @ v).swapaxes(1, 2).reshape(batch, length, width) @ params["out"]


def gpt(params: Any, x: Array, y: Array) -> Array:
    h = np.take(params["embedding"], x, axis=0) + params["positions"]
    for block_params in params["blocks"]:
        h = h + attention(block_params, normed(h, block_params["norm1"], (-1,)))
        up = normed(h, block_params["norm2"], (-1,)) @ block_params["up"]
        h = h + nn.gelu(up) @ block_params["down"]
    return cross_entropy(normed(h, params["norm"], (-1,)) @ params["embedding"].T, y)


def lstm(params: Any, x: Array, y: Array) -> Array:
    """The carry: the output and the cell, each [batch, hidden]."""
    w, u, b = params["gates"]

    def step(carry: Any, x: Array) -> Any:
        h, c = carry
        i, f, g, o = np.split(x @ w + h @ u + b, 4, axis=-1)
        c = nn.sigmoid(f) * c + nn.sigmoid(i) * np.tanh(g)
        return (nn.sigmoid(o) * np.tanh(c), c), None

    zeros = np.zeros((x.shape[0], u.shape[0]), np.float32)
    (h, _), _ = tj.scan(step, (zeros, zeros), x.swapaxes(0, 1))
    return cross_entropy(h @ params["dense"], y)


def generated(params: Any, noise: Array) -> Array:
    """Images in (-1, 1): [batch, 32, 32, 3]."""
    first, *norms = params["norms"]
    h = (noise @ params["dense"]).reshape(noise.shape[0], 4, 4, -1)
    h = np.maximum(normed(h, first, (0, 1, 2)), 0)
    *inner, last = params["convs"]
    for w, norm in zip(inner, norms, strict=True):
        h = nn.conv_transpose2d(h, w, 2, ((1, 1), (1, 1)))
        h = np.maximum(normed(h, norm, (0, 1, 2)), 0)
    return np.tanh(nn.conv_transpose2d(h, last, 2, ((1, 1), (1, 1))))


def judged(params: Any, images: Array) -> Array:
    """One logit an image."""
    first, *inner = params["convs"]
    h = nn.leaky_relu(nn.conv2d(images, first, 2, 1), LEAK)
    for w, norm in zip(inner, params["norms"], strict=True):
        h = nn.leaky_relu(normed(nn.conv2d(h, w, 2, 1), norm, (0, 1, 2)), LEAK)
    return h.reshape(h.shape[0], -1) @ params["dense"]


def discriminator_loss(params: Any, images: Array, fakes: Array) -> Array:
    real = nn.sigmoid_cross_entropy(judged(params, images), 1.0).mean()
    return real + nn.sigmoid_cross_entropy(judged(params, fakes), 0.0).mean()


def generator_loss(params: Any, discriminator: Any, noise: Array) -> Array:
    logits = judged(discriminator, generated(params, noise))
    return nn.sigmoid_cross_entropy(logits, 1.0).mean()


LOSSES: dict[str, Callable[[Any, Array, Array], Array]] = {
    "mlp": mlp,
    "lenet": lenet,
    "resnet": resnet,
    "lstm": lstm,
    "gpt": gpt,
}
