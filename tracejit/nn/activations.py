"""Activation functions, each a composition. All take x: float[...] and give its shape and dtype."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import pi, sqrt
from typing import Any

import numpy as np

from tracejit.ir.graph import PRIMITIVES
from tracejit.ir.types import F64, is_float
from tracejit.lowering import cast, emit
from tracejit.source import user_loc
from tracejit.trace import current_trace
from tracejit.transform import stop_gradient
from tracejit.ufuncs import untraced

Axis = int | tuple[int, ...]


def primitive(name: str, x: Any) -> Any:
    """A float primitive that NumPy has no name for: sigmoid, erf, rsqrt. Integers become f64."""
    trace = current_trace()
    if trace is None:
        array = np.asarray(untraced(x))
        return PRIMITIVES[name].eval(array if is_float(array.dtype) else array.astype(F64))
    trace.builder.loc = user_loc()
    tracer = trace.lift(x)
    node = tracer.node if is_float(tracer.dtype) else cast(tracer.node, F64)
    return trace.wrap(emit(name, node), tracer.weak)


def relu(x: Any) -> Any:
    """max(x, 0), with derivative 0 at 0; nan stays nan."""
    return np.where(np.less_equal(x, 0), 0, x)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return primitive("sigmoid", x)


def tanh(x: Any) -> Any:
    return np.tanh(x)


def silu(x: Any) -> Any:
    """x sigmoid(x), also called swish."""
    return np.multiply(x, sigmoid(x))


def gelu(x: Any, approximate: bool = True) -> Any:
    """x Phi(x), with Phi the normal distribution function.

    approximate: by tanh (Hendrycks & Gimpel 2016, arXiv:1606.08415, section 2), else by erf.
    """
    if approximate:
        inner = np.multiply(sqrt(2 / pi), np.add(x, np.multiply(0.044715, np.power(x, 3))))
        return np.multiply(np.multiply(x, 0.5), np.add(1, np.tanh(inner)))
    return np.multiply(np.multiply(x, 0.5), np.add(1, primitive("erf", np.multiply(x, sqrt(0.5)))))


def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow."""
    return np.logaddexp(x, 0)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where x > 0, else alpha (exp(x) - 1)."""
    positive = np.greater(x, 0)
    return np.where(positive, x, np.multiply(alpha, np.expm1(np.where(positive, 0, x))))


def selu(x: Any) -> Any:
    """Source: Klambauer et al. 2017, arXiv:1706.02515: the constants of its section 2."""
    return np.multiply(1.0507009873554805, elu(x, 1.6732632423543772))


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    return np.where(np.greater_equal(x, 0), x, np.multiply(x, negative_slope))


def _centred(x: Any, axis: Axis) -> tuple[Any, Any]:
    """x less its maximum along `axis`, which no derivative sees; and that maximum."""
    top = stop_gradient(np.max(x, axis=axis, keepdims=True))
    return np.subtract(x, top), top


def softmax(x: Any, axis: Axis = -1) -> Any:
    """exp(x) / sum(exp(x)) along `axis`, without overflow."""
    weights = np.exp(_centred(x, axis)[0])
    return weights / np.sum(weights, axis=axis, keepdims=True)


def log_softmax(x: Any, axis: Axis = -1) -> Any:
    """log(softmax(x)), accurate where softmax underflows."""
    centred, _ = _centred(x, axis)
    return centred - np.log(np.sum(np.exp(centred), axis=axis, keepdims=True))


def logsumexp(x: Any, axis: Axis | None = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) along `axis` (None: all); -inf of all -inf."""
    top = stop_gradient(np.max(x, axis=axis, keepdims=True))
    top = np.where(np.isfinite(top), top, 0)
    total = np.log(np.sum(np.exp(np.subtract(x, top)), axis=axis, keepdims=keepdims))
    return total + (top if keepdims else np.reshape(top, np.shape(total)))


def linear(x: Any) -> Any:
    return x


def exponential(x: Any) -> Any:
    return np.exp(x)


def relu6(x: Any) -> Any:
    return np.minimum(relu(x), 6)


def softsign(x: Any) -> Any:
    """x / (|x| + 1)."""
    return np.divide(x, np.add(np.abs(x), 1))


def hard_sigmoid(x: Any) -> Any:
    """relu6(x + 3) / 6."""
    return np.multiply(relu6(np.add(x, 3)), 1 / 6)


def hard_silu(x: Any) -> Any:
    """x hard_sigmoid(x)."""
    return np.multiply(x, hard_sigmoid(x))


def mish(x: Any) -> Any:
    """x tanh(softplus(x)). Source: Misra 2019, arXiv:1908.08681."""
    return np.multiply(x, np.tanh(softplus(x)))


def celu(x: Any, alpha: float = 1.0) -> Any:
    """x where x > 0, else alpha (exp(x / alpha) - 1)."""
    positive = np.greater(x, 0)
    below = np.multiply(np.where(positive, 0, x), 1 / alpha)
    return np.where(positive, x, np.multiply(alpha, np.expm1(below)))


def log_sigmoid(x: Any) -> Any:
    """log(sigmoid(x)), without overflow."""
    return np.negative(softplus(np.negative(x)))


Activation = Callable[[Any], Any]

# The names that layers take. Where a default of Keras differs from that of the function here, the
# name means Keras's: gelu by erf, leaky_relu with slope 0.2.
ACTIVATIONS: dict[str, Activation] = {
    "celu": celu, "elu": elu, "exponential": exponential, "gelu": partial(gelu, approximate=False),
    "hard_sigmoid": hard_sigmoid, "hard_silu": hard_silu, "hard_swish": hard_silu,
    "leaky_relu": partial(leaky_relu, negative_slope=0.2), "linear": linear,
    "log_sigmoid": log_sigmoid, "log_softmax": log_softmax, "mish": mish, "relu": relu,
    "relu6": relu6, "selu": selu, "sigmoid": sigmoid, "silu": silu, "softmax": softmax,
    "softplus": softplus, "softsign": softsign, "swish": silu, "tanh": tanh,
}  # fmt: skip


def get(identifier: Any) -> Activation:
    """An activation by name, or what is one already; None is `linear`. Raises ValueError."""
    if identifier is None:
        return linear
    if callable(identifier):
        return identifier
    if identifier in ACTIVATIONS:
        return ACTIVATIONS[identifier]
    raise ValueError(f"activation {identifier!r} is not there; there are {', '.join(ACTIVATIONS)}")
