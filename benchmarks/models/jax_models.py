"""The models in jax.numpy and jax.lax, images channels last as XLA's CPU convolutions want them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.workloads import HEADS, LEAK, NORM_EPSILON

Array = Any


def cross_entropy(logits: Array, y: Array) -> Array:
    log_softmax = jax.nn.log_softmax(logits)
    return -jnp.mean(jnp.take_along_axis(log_softmax, y[..., None], axis=-1))


def dense_layers(params: Any, x: Array) -> Array:
    for w, b in params[:-1]:
        x = jax.nn.relu(x @ w + b)
    w, b = params[-1]
    return x @ w + b


def mlp(params: Any, x: Array, y: Array) -> Array:
    return cross_entropy(dense_layers(params, x), y)


def conv(x: Array, w: Array, stride: int, padding: int) -> Array:
    around = ((padding, padding),) * 2
    layouts = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, w, (stride, stride), around, dimension_numbers=layouts)


def max_pool(x: Array) -> Array:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def lenet(params: Any, x: Array, y: Array) -> Array:
    for name in ("conv1", "conv2"):
        w, b = params[name]
        x = max_pool(jax.nn.relu(conv(x, w, 1, 2) + b))
    return cross_entropy(dense_layers(params["dense"], x.reshape(x.shape[0], -1)), y)


def normed(x: Array, norm: Any, axes: tuple[int, ...]) -> Array:
    scale, shift = norm
    centred = x - x.mean(axes, keepdims=True)
    variance = (centred * centred).mean(axes, keepdims=True)
    return centred * lax.rsqrt(variance + NORM_EPSILON) * scale + shift


def block(params: Any, x: Array) -> Array:
    stride = 2 if "skip" in params else 1
    h = jax.nn.relu(normed(conv(x, params["conv1"], stride, 1), params["norm1"], (0, 1, 2)))
    h = normed(conv(h, params["conv2"], 1, 1), params["norm2"], (0, 1, 2))
    if "skip" in params:
        x = conv(x, params["skip"], stride, 0)
    return jax.nn.relu(h + x)


def resnet(params: Any, x: Array, y: Array) -> Array:
    x = jax.nn.relu(conv(x, params["stem"], 1, 1))
    for block_params in params["blocks"]:
        x = block(block_params, x)
    return cross_entropy(x.mean((1, 2)) @ params["dense"], y)


def attention(params: Any, x: Array) -> Array:
    batch, length, width = x.shape
    parts = jnp.split(x @ params["qkv"], 3, axis=-1)
    heads = (batch, length, HEADS, width // HEADS)
    q, k, v = (part.reshape(heads).swapaxes(1, 2) for part in parts)
    scores = q @ k.swapaxes(-1, -2) / jnp.sqrt(jnp.float32(width // HEADS))
    causal = jnp.tril(jnp.ones((length, length), bool))
    weights = jax.nn.softmax(jnp.where(causal, scores, -1e9), axis=-1)
    return (weights @ v).swapaxes(1, 2).reshape(batch, length, width) @ params["out"]


def gpt(params: Any, x: Array, y: Array) -> Array:
    h = params["embedding"][x] + params["positions"]
    for block_params in params["blocks"]:
        h = h + attention(block_params, normed(h, block_params["norm1"], (-1,)))
        up = normed(h, block_params["norm2"], (-1,)) @ block_params["up"]
        h = h + jax.nn.gelu(up) @ block_params["down"]
    return cross_entropy(normed(h, params["norm"], (-1,)) @ params["embedding"].T, y)


def lstm(params: Any, x: Array, y: Array) -> Array:
    w, u, b = params["gates"]

    def step(carry: Any, x: Array) -> Any:
        h, c = carry
        i, f, g, o = jnp.split(x @ w + h @ u + b, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    zeros = jnp.zeros((x.shape[0], u.shape[0]))
    (h, _), _ = lax.scan(step, (zeros, zeros), x.swapaxes(0, 1))
    return cross_entropy(h @ params["dense"], y)


def conv_transpose(x: Array, w: Array) -> Array:
    """w: [4, 4, out, in], stride 2, as the gradient of a convolution with one place around."""
    return lax.conv_general_dilated(
        x, w[::-1, ::-1], (1, 1), ((2, 2), (2, 2)), lhs_dilation=(2, 2),
        dimension_numbers=("NHWC", "HWOI", "NHWC"),
    )  # fmt: skip


def generated(params: Any, noise: Array) -> Array:
    first, *norms = params["norms"]
    h = (noise @ params["dense"]).reshape(noise.shape[0], 4, 4, -1)
    h = jax.nn.relu(normed(h, first, (0, 1, 2)))
    *inner, last = params["convs"]
    for w, norm in zip(inner, norms, strict=True):
        h = jax.nn.relu(normed(conv_transpose(h, w), norm, (0, 1, 2)))
    return jnp.tanh(conv_transpose(h, last))


def judged(params: Any, images: Array) -> Array:
    first, *inner = params["convs"]
    h = jax.nn.leaky_relu(conv(images, first, 2, 1), LEAK)
    for w, norm in zip(inner, params["norms"], strict=True):
        h = jax.nn.leaky_relu(normed(conv(h, w, 2, 1), norm, (0, 1, 2)), LEAK)
    return h.reshape(h.shape[0], -1) @ params["dense"]


def discriminator_loss(params: Any, images: Array, fakes: Array) -> Array:
    real = jax.nn.softplus(-judged(params, images)).mean()
    return real + jax.nn.softplus(judged(params, fakes)).mean()


def generator_loss(params: Any, discriminator: Any, noise: Array) -> Array:
    return jax.nn.softplus(-judged(discriminator, generated(params, noise))).mean()


LOSSES: dict[str, Callable[[Any, Array, Array], Array]] = {
    "mlp": mlp,
    "lenet": lenet,
    "resnet": resnet,
    "lstm": lstm,
    "gpt": gpt,
}
