"""Losses, one per example: take their mean yourself."""

from __future__ import annotations

from typing import Any

import numpy as np

import tracejit.numpy as tnp
from tracejit.errors import DTypeError, ShapeError
from tracejit.nn.activations import _centred
from tracejit.source import here
from tracejit.tracer import Tracer
from tracejit.variable import Variable


def _is_class(labels: Any, classes: int) -> Any:
    """bool[..., classes]: whether the class is the label. Compared in 32 bits, which vectorise."""
    traced = isinstance(labels, Tracer | Variable)
    labels = labels if traced else np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise DTypeError(f"labels: {labels.dtype} does not hold integers{here()}")
    if labels.dtype.itemsize > 4:
        labels = np.astype(labels, np.int32)
    return np.equal(np.expand_dims(labels, -1), tnp.arange(classes, dtype=labels.dtype))


def one_hot(labels: Any, num_classes: int, dtype: Any = np.float32) -> Any:
    """labels: int[...] -> dtype[..., num_classes], 1 at the label; a row of 0 for any other int."""
    return np.astype(_is_class(labels, num_classes), dtype)


def softmax_cross_entropy(logits: Any, labels: Any) -> Any:
    """-log softmax(logits)[label]: float[...] of logits: float[..., classes].

    labels: int[...], the class of each example; or float[..., classes], its probabilities.
    """
    shape = np.shape(logits)
    centred, _ = _centred(logits, -1)
    log_total = np.log(np.sum(np.exp(centred), axis=-1))
    if np.shape(labels) == shape:
        dense = np.astype(labels, centred.dtype) if labels.dtype.kind in "biu" else labels
        return log_total * np.sum(dense, axis=-1) - np.sum(dense * centred, axis=-1)
    if np.shape(labels) != shape[:-1]:
        raise ShapeError(
            f"softmax_cross_entropy: logits {list(shape)} take labels {list(shape[:-1])} (classes)"
            f" or {list(shape)} (probabilities), not {list(np.shape(labels))}{here()}"
        )
    # Comparing instead of indexing keeps forward and backward in one pass over the row.
    picked = np.where(_is_class(labels, shape[-1]), centred, 0)
    return log_total - np.sum(picked, axis=-1)


def sigmoid_cross_entropy(logits: Any, labels: Any) -> Any:
    """-log p(labels), p = sigmoid(logits), elementwise: max(x, 0) - x z + log(1 + exp(-|x|))."""
    x, z = logits, labels
    return np.maximum(x, 0) - np.multiply(x, z) + np.log1p(np.exp(-np.abs(x)))
