"""Losses with Keras's names, arguments and results.

Functions take (y_true, y_pred) and give one number per example; classes also weigh and reduce:
loss(y_true, y_pred, sample_weight=None) is a scalar.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import log
from typing import Any

import numpy as np

from tracejit.nn import masking
from tracejit.nn.activations import log_sigmoid, softmax, softplus
from tracejit.nn.configured import Configured, lookup, snake
from tracejit.nn.losses import one_hot, sigmoid_cross_entropy, softmax_cross_entropy

EPSILON = 1e-7  # Keras's
REDUCTIONS = ("sum_over_batch_size", "mean_with_sample_weight", "sum", "none", None)


def as_array(x: Any) -> Any:
    return x if hasattr(x, "dtype") else np.asarray(x)


def widened(x: Any) -> Any:
    """16 bits become f32: sums over classes and examples need them."""
    x = as_array(x)
    narrow = x.dtype.itemsize == 2 and x.dtype.kind not in "iu"
    return np.astype(x, np.float32) if narrow else x


def aligned(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Both at one rank, where one has a last axis of size 1 more; y_true in y_pred's dtype."""
    t, p = as_array(y_true), widened(y_pred)
    if p.dtype.kind in "iub":
        p = np.astype(p, np.float32)
    if t.ndim == p.ndim + 1 and t.shape[-1] == 1:
        t, p = (t, np.expand_dims(p, -1)) if p.ndim == 1 else (np.squeeze(t, -1), p)
    elif p.ndim == t.ndim + 1 and p.shape[-1] == 1:
        t, p = (np.expand_dims(t, -1), p) if t.ndim == 1 else (t, np.squeeze(p, -1))
    return (t if t.dtype == p.dtype else np.astype(t, p.dtype)), p


def _last_mean(x: Any) -> Any:
    return np.mean(x, axis=-1)


def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    t, p = aligned(y_true, y_pred)
    return _last_mean(np.square(p - t))


def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    t, p = aligned(y_true, y_pred)
    return _last_mean(np.abs(p - t))


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Any:
    t, p = aligned(y_true, y_pred)
    return 100.0 * _last_mean(np.abs((t - p) / np.maximum(np.abs(t), EPSILON)))


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Any:
    t, p = aligned(y_true, y_pred)
    return _last_mean(
        np.square(np.log1p(np.maximum(p, EPSILON)) - np.log1p(np.maximum(t, EPSILON)))
    )


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """error^2 / 2 up to `delta`, from there delta (|error| - delta / 2)."""
    t, p = aligned(y_true, y_pred)
    error = np.abs(p - t)
    inside = 0.5 * np.square(error)
    return _last_mean(np.where(error <= delta, inside, delta * (error - 0.5 * delta)))


def log_cosh(y_true: Any, y_pred: Any) -> Any:
    t, p = aligned(y_true, y_pred)
    x = p - t
    return _last_mean(x + softplus(-2.0 * x) - log(2.0))


def _signed(t: Any) -> Any:
    """Labels 0 and 1 as -1 and 1; others stay."""
    binary = np.all(np.logical_or(t == 0, t == 1))
    return np.where(binary, 2.0 * t - 1.0, t)


def hinge(y_true: Any, y_pred: Any) -> Any:
    t, p = aligned(y_true, y_pred)
    return _last_mean(np.maximum(1.0 - _signed(t) * p, 0.0))


def squared_hinge(y_true: Any, y_pred: Any) -> Any:
    t, p = aligned(y_true, y_pred)
    return _last_mean(np.square(np.maximum(1.0 - _signed(t) * p, 0.0)))


def categorical_hinge(y_true: Any, y_pred: Any) -> Any:
    t, p = aligned(y_true, y_pred)
    right = np.sum(t * p, axis=-1)
    return np.maximum(np.max((1.0 - t) * p, axis=-1) - right + 1.0, 0.0)


def kl_divergence(y_true: Any, y_pred: Any) -> Any:
    t, p = (np.clip(x, EPSILON, 1.0) for x in aligned(y_true, y_pred))
    return np.sum(t * np.log(t / p), axis=-1)


def poisson(y_true: Any, y_pred: Any) -> Any:
    t, p = aligned(y_true, y_pred)
    return _last_mean(p - t * np.log(p + EPSILON))


def _unit(x: Any, axis: int) -> Any:
    return x / np.sqrt(np.maximum(np.sum(np.square(x), axis=axis, keepdims=True), 1e-12))


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Minus the cosine."""
    t, p = aligned(y_true, y_pred)
    return -np.sum(_unit(t, axis) * _unit(p, axis), axis=axis)


def _smoothed(t: Any, smoothing: float, classes: int) -> Any:
    return t * (1.0 - smoothing) + smoothing / classes if smoothing else t


def _binary_entropy(t: Any, p: Any, from_logits: bool) -> Any:
    if from_logits:
        return sigmoid_cross_entropy(p, t)
    p = np.clip(p, EPSILON, 1.0 - EPSILON)
    return -(t * np.log(p) + (1.0 - t) * np.log(1.0 - p))


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0
) -> Any:
    t, p = aligned(y_true, y_pred)
    return _last_mean(_binary_entropy(_smoothed(t, label_smoothing, 2), p, from_logits))


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
) -> Any:
    """Source: Lin et al. 2017, arXiv:1708.02002."""
    t, p = aligned(y_true, y_pred)
    t = _smoothed(t, label_smoothing, 2)
    probability = np.exp(log_sigmoid(p)) if from_logits else p
    right = t * probability + (1.0 - t) * (1.0 - probability)
    out = np.power(1.0 - right, gamma) * _binary_entropy(t, p, from_logits)
    if apply_class_balancing:
        out = out * (t * alpha + (1.0 - t) * (1.0 - alpha))
    return _last_mean(out)


def _probabilities(p: Any, from_logits: bool) -> Any:
    p = softmax(p) if from_logits else p / np.sum(p, axis=-1, keepdims=True)
    return np.clip(p, EPSILON, 1.0 - EPSILON)


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0
) -> Any:
    t, p = aligned(y_true, y_pred)
    t = _smoothed(t, label_smoothing, p.shape[-1])
    if from_logits:
        return softmax_cross_entropy(p, t)
    return -np.sum(t * np.log(_probabilities(p, False)), axis=-1)


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
) -> Any:
    t, p = aligned(y_true, y_pred)
    t = _smoothed(t, label_smoothing, p.shape[-1])
    p = _probabilities(p, from_logits)
    return np.sum(-t * np.log(p) * alpha * np.power(1.0 - p, gamma), axis=-1)


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None
) -> Any:
    """y_true: the class, int[...] or [..., 1]. Examples of `ignore_class` count 0."""
    t, p = as_array(y_true), widened(y_pred)
    if t.ndim == p.ndim and t.shape[-1] == 1:
        t = np.squeeze(t, -1)
    if t.dtype.kind not in "iu":
        t = np.astype(t, np.int32)
    if from_logits:
        out = softmax_cross_entropy(p, t)
    else:
        hot = one_hot(t, p.shape[-1], p.dtype)
        out = -np.sum(hot * np.log(np.clip(p, EPSILON, 1.0 - EPSILON)), axis=-1)
    return out if ignore_class is None else np.where(t == ignore_class, 0.0, out)


def dice(y_true: Any, y_pred: Any) -> Any:
    """One number for all: 1 - 2 overlap / (sum of both)."""
    t, p = aligned(y_true, y_pred)
    return 1.0 - 2.0 * np.sum(t * p) / (np.sum(t) + np.sum(p) + EPSILON)


def tversky(y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5) -> Any:
    """Source: Salehi et al. 2017, arXiv:1706.05721."""
    t, p = aligned(y_true, y_pred)
    overlap, wrong, missed = np.sum(t * p), np.sum((1.0 - t) * p), np.sum(t * (1.0 - p))
    return 1.0 - overlap / (overlap + alpha * wrong + beta * missed + EPSILON)


def weighted(values: Any, sample_weight: Any) -> tuple[Any, Any]:
    """Values times weights, which may lack last axes; and the weights, as wide as the values."""
    if sample_weight is None:
        return values, None
    if isinstance(sample_weight, int | float):
        return values * sample_weight, sample_weight * np.ones_like(values)
    weight = np.astype(as_array(sample_weight), values.dtype)
    if weight.ndim == values.ndim + 1 and weight.shape[-1] == 1:
        weight = np.squeeze(weight, -1)
    weight = np.reshape(weight, weight.shape + (1,) * (values.ndim - weight.ndim))
    weight = np.broadcast_to(weight, values.shape)
    return values * weight, weight


def heeding(mask: Any, sample_weight: Any, mean: bool, dtype: Any) -> Any:
    """Weights that are 0 where the mask is False. mean: and of mean 1, if the others are all 1."""
    if mask is None:
        return sample_weight
    counts = np.astype(mask, dtype)
    if mean:
        counts = counts * (float(mask.size) / np.maximum(np.sum(counts), 1.0))
    if sample_weight is None:
        return counts
    given = np.astype(as_array(sample_weight), dtype)
    return counts * np.reshape(given, given.shape + (1,) * (counts.ndim - given.ndim))


class Loss(Configured):
    """A subclass writes `call(y_true, y_pred)`, one number per example.

    A mask that layers put on y_pred decides which steps count, as in Keras.


    reduction: "sum_over_batch_size" (sum / number of examples), "mean_with_sample_weight" (sum /
    sum of weights), "sum", or "none".
    """

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = None):
        if reduction not in REDUCTIONS:
            known = ", ".join(map(repr, REDUCTIONS))
            raise ValueError(f"{type(self).__name__}: reduction {reduction!r} is none of {known}")
        self.reduction = reduction
        self.name = name or snake(type(self).__name__)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        raise NotImplementedError

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        values = self.call(y_true, y_pred)
        mean = self.reduction == "sum_over_batch_size"
        sample_weight = heeding(masking.of(y_pred), sample_weight, mean, values.dtype)
        values, weight = weighted(values, sample_weight)
        if self.reduction in ("none", None):
            return values
        total = np.sum(values)
        if self.reduction == "sum":
            return total
        if self.reduction == "mean_with_sample_weight" and weight is not None:
            return total / np.maximum(np.sum(weight), EPSILON)
        return total / float(max(np.size(values), 1))


class LossOf(Loss):
    """A loss by a function; the keywords go to it."""

    function: Callable[..., Any]

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(reduction, name)
        self.settings = settings
        unknown = settings.keys() - self.known()
        if unknown:
            raise TypeError(f"{type(self).__name__}: unknown arguments {sorted(unknown)}")

    @classmethod
    def known(cls) -> set[str]:
        code = cls.function.__code__
        return set(code.co_varnames[2 : code.co_argcount])

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return type(self).function(y_true, y_pred, **self.settings)


def _loss(name: str, function: Callable[..., Any]) -> type[Any]:
    doc = f"{function.__doc__ or ''}\n\nThe function `{function.__name__}`, weighed and reduced."
    return type(name, (LossOf,), {"function": staticmethod(function), "__doc__": doc.strip()})


BinaryCrossentropy = _loss("BinaryCrossentropy", binary_crossentropy)
BinaryFocalCrossentropy = _loss("BinaryFocalCrossentropy", binary_focal_crossentropy)
CategoricalCrossentropy = _loss("CategoricalCrossentropy", categorical_crossentropy)
CategoricalFocalCrossentropy = _loss("CategoricalFocalCrossentropy", categorical_focal_crossentropy)
SparseCategoricalCrossentropy = _loss(
    "SparseCategoricalCrossentropy", sparse_categorical_crossentropy
)
MeanSquaredError = _loss("MeanSquaredError", mean_squared_error)
MeanAbsoluteError = _loss("MeanAbsoluteError", mean_absolute_error)
MeanAbsolutePercentageError = _loss("MeanAbsolutePercentageError", mean_absolute_percentage_error)
MeanSquaredLogarithmicError = _loss("MeanSquaredLogarithmicError", mean_squared_logarithmic_error)
Huber = _loss("Huber", huber)
LogCosh = _loss("LogCosh", log_cosh)
Hinge = _loss("Hinge", hinge)
SquaredHinge = _loss("SquaredHinge", squared_hinge)
CategoricalHinge = _loss("CategoricalHinge", categorical_hinge)
KLDivergence = _loss("KLDivergence", kl_divergence)
Poisson = _loss("Poisson", poisson)
CosineSimilarity = _loss("CosineSimilarity", cosine_similarity)
Dice = _loss("Dice", dice)
Tversky = _loss("Tversky", tversky)

LOSSES: dict[str, type[Any]] = {
    c.__name__: c
    for c in (
        BinaryCrossentropy, BinaryFocalCrossentropy, CategoricalCrossentropy,
        CategoricalFocalCrossentropy, SparseCategoricalCrossentropy, MeanSquaredError,
        MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredLogarithmicError, Huber,
        LogCosh, Hinge, SquaredHinge, CategoricalHinge, KLDivergence, Poisson, CosineSimilarity,
        Dice, Tversky,
    )
}  # fmt: skip

_SHORT = {
    "mse": "mean_squared_error", "mae": "mean_absolute_error", "kld": "kl_divergence",
    "mape": "mean_absolute_percentage_error", "msle": "mean_squared_logarithmic_error",
    "bce": "binary_crossentropy",
}  # fmt: skip


class Custom(Loss):
    """A function of (y_true, y_pred) as a loss."""

    def __init__(self, function: Callable[..., Any], **keywords: Any) -> None:
        super().__init__(name=getattr(function, "__name__", None), **keywords)
        self.call = partial(function)  # type: ignore[method-assign]


def get(identifier: Any) -> Loss:
    """A loss by name ("mse", "sparse_categorical_crossentropy"), a function, or a Loss."""
    if isinstance(identifier, str):
        identifier = _SHORT.get(identifier, identifier)
    found = lookup(identifier, LOSSES, "loss")
    return found if isinstance(found, Loss) else Custom(found)
