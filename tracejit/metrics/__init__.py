"""Metrics with Keras's names and results. They may be updated inside a compiled step."""

from __future__ import annotations

from typing import Any

from tracejit.metrics.base import Mean, MeanMetricWrapper, Metric, Sum
from tracejit.metrics.counting import (
    AUC,
    F1Score,
    FalseNegatives,
    FalsePositives,
    FBetaScore,
    MeanIoU,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from tracejit.metrics.fitting import PearsonCorrelation, R2Score
from tracejit.metrics.pointwise import (
    Accuracy,
    BinaryAccuracy,
    BinaryCrossentropy,
    CategoricalAccuracy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    RootMeanSquaredError,
    SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy,
    SparseTopKCategoricalAccuracy,
    SquaredHinge,
    TopKCategoricalAccuracy,
)
from tracejit.nn.configured import lookup

METRICS: dict[str, type[Any]] = {
    name: value
    for name, value in list(globals().items())
    if isinstance(value, type) and issubclass(value, Metric) and name != "Metric"
}

_SHORT = {
    "mse": "mean_squared_error", "mae": "mean_absolute_error", "kld": "kl_divergence",
    "mape": "mean_absolute_percentage_error", "msle": "mean_squared_logarithmic_error",
    "rmse": "root_mean_squared_error", "cosine": "cosine_similarity",
    "top_k": "top_k_categorical_accuracy",
}  # fmt: skip


def get(identifier: Any) -> Metric:
    """A metric by name ("mse", "sparse_categorical_accuracy"), a function, or a Metric."""
    if isinstance(identifier, str):
        identifier = _SHORT.get(identifier, identifier)
    if isinstance(identifier, Metric):
        return identifier
    found = lookup(identifier, METRICS, "metric")
    return found if isinstance(found, Metric) else MeanMetricWrapper(found)


__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanIoU",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "PearsonCorrelation",
    "Poisson",
    "Precision",
    "R2Score",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "get",
]
