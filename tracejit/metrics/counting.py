"""Metrics of counts: confusions at thresholds, areas, F scores, intersections over unions."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.losses import EPSILON, aligned, as_array
from tracejit.metrics.base import Metric, ratio
from tracejit.nn.losses import one_hot

CELLS = ("true_positives", "false_positives", "true_negatives", "false_negatives")


class Confusion(Metric):
    """How many labels and predictions (> threshold) agree and differ, for each threshold."""

    cells: tuple[str, ...] = CELLS

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self._single = not isinstance(thresholds, list | tuple | np.ndarray)
        given = [0.5 if thresholds is None else thresholds] if self._single else thresholds
        self._thresholds = np.asarray(given, self.dtype)
        for cell in self.cells:
            setattr(self, cell, self.add_variable((len(given),), cell))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        t, p = aligned(y_true, y_pred)
        weight = None
        if sample_weight is not None:
            weight = np.astype(as_array(sample_weight), self.dtype)
            weight = np.reshape(weight, weight.shape + (1,) * (t.ndim - weight.ndim))
            weight = np.ravel(np.broadcast_to(weight, t.shape))
        label = np.greater(np.ravel(t), 0)
        said = np.greater(np.expand_dims(np.ravel(p), 0), np.expand_dims(self._thresholds, 1))
        found = {
            "true_positives": np.logical_and(said, label),
            "false_positives": np.logical_and(said, np.logical_not(label)),
            "true_negatives": np.logical_and(np.logical_not(said), np.logical_not(label)),
            "false_negatives": np.logical_and(np.logical_not(said), label),
        }
        for cell in self.cells:
            count = np.astype(found[cell], self.dtype)
            total = np.sum(count if weight is None else count * weight, axis=1)
            variable = getattr(self, cell)
            variable.assign(variable + total)

    def scalar(self, values: Any) -> Any:
        """One number where one threshold was given."""
        return values[0] if self._single else values


class _Cell(Confusion):
    def result(self) -> Any:
        return self.scalar(getattr(self, self.cells[0]).value)


class TruePositives(_Cell):
    cells = ("true_positives",)


class FalsePositives(_Cell):
    cells = ("false_positives",)


class TrueNegatives(_Cell):
    cells = ("true_negatives",)


class FalseNegatives(_Cell):
    cells = ("false_negatives",)


class Precision(Confusion):
    """True positives among what was said to be positive."""

    cells = ("true_positives", "false_positives")

    def result(self) -> Any:
        true, false = (getattr(self, c).value for c in self.cells)
        return self.scalar(ratio(true, true + false))


class Recall(Confusion):
    """True positives among what is positive."""

    cells = ("true_positives", "false_negatives")

    def result(self) -> Any:
        true, missed = (getattr(self, c).value for c in self.cells)
        return self.scalar(ratio(true, true + missed))


class AUC(Confusion):
    """The area under a curve through `num_thresholds` points. curve: "ROC" or "PR".

    "PR" interpolates as Davis & Goadrich 2006.
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        if curve not in ("ROC", "PR"):
            raise ValueError(f"AUC: curve {curve!r} is no ROC or PR")
        inner = [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]
        super().__init__([-EPSILON, *inner, 1 + EPSILON], name, dtype)
        self.curve = curve

    def result(self) -> Any:
        tp, fp, tn, fn = (getattr(self, c).value for c in CELLS)
        if self.curve == "PR":
            return _area_of_precision(tp, fp, fn)
        x, y = ratio(fp, fp + tn), ratio(tp, tp + fn)
        return np.sum((x[:-1] - x[1:]) * (y[:-1] + y[1:]) / 2)


def _area_of_precision(tp: Any, fp: Any, fn: Any) -> Any:
    said = tp + fp
    slope = ratio(tp[:-1] - tp[1:], np.maximum(said[:-1] - said[1:], 0))
    intercept = tp[1:] - slope * said[1:]
    both = np.logical_and(said[:-1] > 0, said[1:] > 0)
    quotient = np.where(both, said[:-1] / np.where(both, said[1:], 1), 1)
    area = slope * (tp[:-1] - tp[1:] + intercept * np.log(quotient))
    return np.sum(ratio(area, np.maximum(tp[1:] + fn[1:], 0)))


class FBetaScore(Metric):
    """(1 + beta^2) precision recall / (beta^2 precision + recall), per class of [N, classes].

    average: None (one per class), "micro", "macro" or "weighted". threshold: of predictions; None:
    the largest is the one.
    """

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype)
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(f"{type(self).__name__}: average {average!r} is no micro, macro, ...")
        self.average, self.beta, self.threshold = average, beta, threshold
        self.counts: Any = None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        t, p = aligned(y_true, y_pred)
        if self.counts is None:
            self.counts = self.add_variable((3, p.shape[-1]), "counts")
        if self.threshold is None:
            said = np.logical_and(p >= np.max(p, axis=-1, keepdims=True), np.abs(p) > 1e-9)
        else:
            said = np.greater(p, self.threshold)
        said, t = np.astype(said, self.dtype), np.astype(t, self.dtype)
        rows = [said * t, said * (1 - t), (1 - said) * t]
        if sample_weight is not None:
            weight = np.reshape(np.astype(as_array(sample_weight), self.dtype), (-1, 1))
            rows = [r * weight for r in rows]
        self.counts.assign(self.counts + np.stack([np.sum(r, axis=0) for r in rows]))

    def result(self) -> Any:
        if self.counts is None:
            return np.zeros((), self.dtype)
        hit, wrong, missed = self.counts.value
        present = hit + missed
        if self.average == "micro":
            hit, wrong, missed = np.sum(hit), np.sum(wrong), np.sum(missed)
        precision = hit / (hit + wrong + EPSILON)
        recall = hit / (hit + missed + EPSILON)
        square = self.beta**2
        score = (1 + square) * precision * recall / (square * precision + recall + EPSILON)
        if self.average == "macro":
            return np.mean(score)
        if self.average == "weighted":
            return np.sum(score * present / (np.sum(present) + EPSILON))
        return score


class F1Score(FBetaScore):
    """The harmonic mean of precision and recall; see FBetaScore."""

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)


class MeanIoU(Metric):
    """Intersection over union of each class, averaged over the classes met.

    y_true, y_pred: classes, int[...]; sparse_y_pred=False: y_pred [..., classes] of probabilities.
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        sparse_y_pred: bool = True,
    ) -> None:
        super().__init__(name, dtype)
        self.num_classes, self.sparse_y_pred = num_classes, sparse_y_pred
        self.confusion = self.add_variable((num_classes, num_classes), "confusion")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        p = as_array(y_pred)
        p = p if self.sparse_y_pred else np.argmax(p, axis=-1)
        true, said = (
            one_hot(np.ravel(np.astype(as_array(y), np.int32)), self.num_classes, self.dtype)
            for y in (y_true, p)
        )
        if sample_weight is not None:
            true = true * np.reshape(np.astype(as_array(sample_weight), self.dtype), (-1, 1))
        self.confusion.assign(self.confusion + np.matmul(np.transpose(true), said))

    def result(self) -> Any:
        table = self.confusion.value
        both = np.diagonal(table)
        union = np.sum(table, axis=0) + np.sum(table, axis=1) - both
        met = np.sum(np.astype(union > 0, self.dtype))
        return ratio(np.sum(ratio(both, union)), met)
