"""Metrics of how well numbers are predicted together."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.losses import aligned, as_array
from tracejit.metrics.base import Metric, ratio


class R2Score(Metric):
    """1 - residual / variance, of each column of [N, outputs].

    class_aggregation: "uniform_average", "variance_weighted_average", or None.
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype)
        if class_aggregation not in ("uniform_average", "variance_weighted_average", None):
            raise ValueError(f"R2Score: class_aggregation {class_aggregation!r} is not there")
        self.class_aggregation = class_aggregation
        self.sums: Any = None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        t, p = aligned(y_true, y_pred)
        if self.sums is None:
            self.sums = self.add_variable((4, t.shape[-1]), "sums")
        t, p = np.astype(t, self.dtype), np.astype(p, self.dtype)
        weight = np.ones_like(t)
        if sample_weight is not None:
            given = np.reshape(np.astype(as_array(sample_weight), self.dtype), (-1, 1))
            weight = np.broadcast_to(given, t.shape)
        rows = [weight * t, weight * t * t, weight * np.square(t - p), weight]
        self.sums.assign(self.sums + np.stack([np.sum(r, axis=0) for r in rows]))

    def result(self) -> Any:
        if self.sums is None:
            return np.zeros((), self.dtype)
        total, squares, residual, count = self.sums.value
        variance = squares - total * ratio(total, count)
        score = np.where(variance == 0, 0, 1 - ratio(residual, variance))
        if self.class_aggregation == "uniform_average":
            return np.mean(score)
        if self.class_aggregation is None:
            return score
        return ratio(np.sum(score * variance), np.sum(variance))


class PearsonCorrelation(Metric):
    """The correlation of all labels with all predictions."""

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.sums = self.add_variable((6,), "sums")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        t, p = (np.astype(np.ravel(y), self.dtype) for y in aligned(y_true, y_pred))
        w = np.ones_like(t)
        if sample_weight is not None:
            w = np.ravel(np.astype(as_array(sample_weight), self.dtype))
        products = [w, w * t, w * p, w * t * t, w * p * p, w * t * p]
        self.sums.assign(self.sums + np.stack([np.sum(x) for x in products]))

    def result(self) -> Any:
        n, t, p, tt, pp, tp = self.sums.value
        spread = np.sqrt(np.maximum((n * tt - t * t) * (n * pp - p * p), 0))
        return ratio(n * tp - t * p, spread)
