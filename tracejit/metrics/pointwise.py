"""Metrics that are means over examples: accuracies, and the losses as metrics."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit import losses
from tracejit.losses import aligned, as_array
from tracejit.metrics.base import Mean, mean_of
from tracejit.nn.losses import one_hot


def accuracy(y_true: Any, y_pred: Any) -> Any:
    """Whether both are the same."""
    t, p = aligned(y_true, y_pred)
    return np.astype(np.equal(t, p), np.float32)


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    t, p = aligned(y_true, y_pred)
    hit = np.equal(t, np.astype(np.greater(p, threshold), p.dtype))
    return np.mean(np.astype(hit, np.float32), axis=-1)


def _classes(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """The class of each example; int[...] of [...] or [..., 1]."""
    t, p = as_array(y_true), as_array(y_pred)
    if t.ndim == p.ndim and t.shape[-1] == 1:
        t = np.squeeze(t, -1)
    return (t if t.dtype.kind in "iu" else np.astype(t, np.int32)), p


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    t, p = _classes(y_true, y_pred)
    return np.astype(np.equal(t, np.argmax(p, axis=-1)), np.float32)


def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    return sparse_categorical_accuracy(np.argmax(as_array(y_true), axis=-1), y_pred)


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """Whether fewer than k classes are more likely than the right one."""
    t, p = _classes(y_true, y_pred)
    own = np.sum(one_hot(t, p.shape[-1], p.dtype) * p, axis=-1, keepdims=True)
    above = np.sum(np.astype(np.greater(p, own), np.int32), axis=-1)
    return np.astype(np.less(above, k), np.float32)


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    return sparse_top_k_categorical_accuracy(np.argmax(as_array(y_true), axis=-1), y_pred, k)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """The cosine: as a metric not negated."""
    return -losses.cosine_similarity(y_true, y_pred, axis)


Accuracy = mean_of("Accuracy", accuracy)
BinaryAccuracy = mean_of("BinaryAccuracy", binary_accuracy)
CategoricalAccuracy = mean_of("CategoricalAccuracy", categorical_accuracy)
SparseCategoricalAccuracy = mean_of("SparseCategoricalAccuracy", sparse_categorical_accuracy)
TopKCategoricalAccuracy = mean_of("TopKCategoricalAccuracy", top_k_categorical_accuracy)
SparseTopKCategoricalAccuracy = mean_of(
    "SparseTopKCategoricalAccuracy", sparse_top_k_categorical_accuracy
)
MeanSquaredError = mean_of("MeanSquaredError", losses.mean_squared_error)
MeanAbsoluteError = mean_of("MeanAbsoluteError", losses.mean_absolute_error)
MeanAbsolutePercentageError = mean_of(
    "MeanAbsolutePercentageError", losses.mean_absolute_percentage_error
)
MeanSquaredLogarithmicError = mean_of(
    "MeanSquaredLogarithmicError", losses.mean_squared_logarithmic_error
)
LogCoshError = mean_of("LogCoshError", losses.log_cosh)
CosineSimilarity = mean_of("CosineSimilarity", cosine_similarity)
Hinge = mean_of("Hinge", losses.hinge)
SquaredHinge = mean_of("SquaredHinge", losses.squared_hinge)
CategoricalHinge = mean_of("CategoricalHinge", losses.categorical_hinge)
KLDivergence = mean_of("KLDivergence", losses.kl_divergence)
Poisson = mean_of("Poisson", losses.poisson)
BinaryCrossentropy = mean_of("BinaryCrossentropy", losses.binary_crossentropy)
CategoricalCrossentropy = mean_of("CategoricalCrossentropy", losses.categorical_crossentropy)
SparseCategoricalCrossentropy = mean_of(
    "SparseCategoricalCrossentropy", losses.sparse_categorical_crossentropy
)


class RootMeanSquaredError(Mean):
    """The square root of the mean over all elements."""

    def update_state(  # type: ignore[override]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        t, p = aligned(y_true, y_pred)
        super().update_state(np.square(p - t), sample_weight)

    def result(self) -> Any:
        return np.sqrt(super().result())
