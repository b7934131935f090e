"""Neural-network functions: arrays in, arrays out, channels last."""

from tracejit.nn.activations import (
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    logsumexp,
    relu,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from tracejit.nn.layers import dropout, embedding, flatten, layer_norm, rms_norm
from tracejit.nn.losses import one_hot, sigmoid_cross_entropy, softmax_cross_entropy

__all__ = [
    "dropout",
    "elu",
    "embedding",
    "flatten",
    "gelu",
    "layer_norm",
    "leaky_relu",
    "log_softmax",
    "logsumexp",
    "one_hot",
    "relu",
    "rms_norm",
    "selu",
    "sigmoid",
    "sigmoid_cross_entropy",
    "silu",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
    "tanh",
]
