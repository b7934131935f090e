"""Every loss and metric with its settings against NumPy; jitted against eager; gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import tracejit as tj
from tests.nn import references as ref
from tests.nn.test_layers import differences
from tracejit import losses, metrics

RNG = np.random.default_rng(11)
N = 7
NUMBERS, OTHERS = RNG.standard_normal((N, 4)), RNG.standard_normal((N, 4))
POSITIVE = RNG.uniform(0.5, 2.0, (N, 4))
BITS, CHANCES = RNG.integers(0, 2, (N, 4)), RNG.uniform(0.05, 0.95, (N, 4))
CLASSES = RNG.integers(0, 4, N)
ONE_HOT = np.eye(4)[CLASSES]
SHARES = ref.softmax(NUMBERS)
WEIGHTS = RNG.uniform(0.5, 2.0, N)


class Row(NamedTuple):
    loss: Any
    y_true: Any
    y_pred: Any
    per_example: Callable[[Any, Any], Any]


def entropy(t: Any, p: Any) -> Any:
    return -(t * np.log(p) + (1 - t) * np.log(1 - p))


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def picked(classes: Any, p: Any) -> Any:
    return -np.log(p[np.arange(N), classes])


def huber(t: Any, p: Any) -> Any:
    e = abs(p - t)
    return np.where(e < 0.5, e**2 / 2, 0.5 * e - 0.125).mean(-1)


def focal(t: Any, p: Any, alpha: float = 0.25) -> Any:
    right = np.where(t == 1, p, 1 - p)
    return (np.where(t == 1, alpha, 1 - alpha) * (1 - right) ** 3 * -np.log(right)).mean(-1)


def cosine(t: Any, p: Any) -> Any:
    return (t * p).sum(-1) / np.linalg.norm(t, axis=-1) / np.linalg.norm(p, axis=-1)


ROWS: dict[str, Row] = {
    "MeanSquaredError": Row(
        losses.MeanSquaredError(), NUMBERS, OTHERS, lambda t, p: ((t - p) ** 2).mean(-1)
    ),
    "MeanAbsoluteError": Row(
        losses.MeanAbsoluteError(), NUMBERS, OTHERS, lambda t, p: abs(t - p).mean(-1)
    ),
    "MeanAbsolutePercentageError": Row(
        losses.MeanAbsolutePercentageError(), NUMBERS, OTHERS,
        lambda t, p: 100 * abs((t - p) / t).mean(-1),
    ),
    "MeanSquaredLogarithmicError": Row(
        losses.MeanSquaredLogarithmicError(), POSITIVE, CHANCES,
        lambda t, p: (np.log((1 + t) / (1 + p)) ** 2).mean(-1),
    ),
    "Huber": Row(losses.Huber(delta=0.5), NUMBERS, OTHERS, huber),
    "LogCosh": Row(
        losses.LogCosh(), NUMBERS, OTHERS, lambda t, p: np.log(np.cosh(p - t)).mean(-1)
    ),
    "Hinge": Row(
        losses.Hinge(), BITS, OTHERS, lambda t, p: np.maximum(1 - (2 * t - 1) * p, 0).mean(-1)
    ),
    "Hinge signed": Row(
        losses.Hinge(), 2 * BITS - 1, OTHERS, lambda t, p: np.maximum(1 - t * p, 0).mean(-1)
    ),
    "SquaredHinge": Row(
        losses.SquaredHinge(), BITS, OTHERS,
        lambda t, p: (np.maximum(1 - (2 * t - 1) * p, 0) ** 2).mean(-1),
    ),
    "CategoricalHinge": Row(
        losses.CategoricalHinge(), ONE_HOT, OTHERS,
        lambda t, p: np.maximum(((1 - t) * p).max(-1) - (t * p).sum(-1) + 1, 0),
    ),
    "KLDivergence": Row(
        losses.KLDivergence(), SHARES, ref.softmax(OTHERS),
        lambda t, p: (t * np.log(t / p)).sum(-1),
    ),
    "Poisson": Row(
        losses.Poisson(), POSITIVE, CHANCES, lambda t, p: (p - t * np.log(p + 1e-7)).mean(-1)
    ),
    "CosineSimilarity": Row(
        losses.CosineSimilarity(), NUMBERS, OTHERS, lambda t, p: -cosine(t, p)
    ),
    "BinaryCrossentropy": Row(
        losses.BinaryCrossentropy(), BITS, CHANCES, lambda t, p: entropy(t, p).mean(-1)
    ),
    "BinaryCrossentropy logits, smoothed": Row(
        losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2), BITS, OTHERS,
        lambda t, p: entropy(0.8 * t + 0.1, sigmoid(p)).mean(-1),
    ),
    "BinaryFocalCrossentropy": Row(
        losses.BinaryFocalCrossentropy(apply_class_balancing=True, gamma=3.0), BITS, CHANCES, focal
    ),
    "BinaryFocalCrossentropy logits": Row(
        losses.BinaryFocalCrossentropy(gamma=3.0, from_logits=True), BITS, OTHERS,
        lambda t, p: 2 * focal(t, sigmoid(p), 0.5),
    ),
    "CategoricalCrossentropy": Row(
        losses.CategoricalCrossentropy(), ONE_HOT, SHARES, lambda t, p: -(t * np.log(p)).sum(-1)
    ),
    "CategoricalCrossentropy logits, smoothed": Row(
        losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2), ONE_HOT, OTHERS,
        lambda t, p: -((0.8 * t + 0.05) * np.log(ref.softmax(p))).sum(-1),
    ),
    "CategoricalFocalCrossentropy": Row(
        losses.CategoricalFocalCrossentropy(alpha=0.3, gamma=1.5), ONE_HOT, SHARES,
        lambda t, p: (-t * np.log(p) * 0.3 * (1 - p) ** 1.5).sum(-1),
    ),
    "SparseCategoricalCrossentropy": Row(
        losses.SparseCategoricalCrossentropy(), CLASSES, SHARES, picked
    ),
    "SparseCategoricalCrossentropy logits": Row(
        losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=2), CLASSES, OTHERS,
        lambda t, p: np.where(t == 2, 0, picked(t, ref.softmax(p))),
    ),
    "Dice": Row(
        losses.Dice(), BITS, CHANCES,
        lambda t, p: 1 - 2 * (t * p).sum() / (t.sum() + p.sum() + 1e-7),
    ),
    "Tversky": Row(
        losses.Tversky(alpha=0.3, beta=0.7), BITS, CHANCES,
        lambda t, p: 1 - (t * p).sum() / (
            (t * p).sum() + 0.3 * ((1 - t) * p).sum() + 0.7 * (t * (1 - p)).sum() + 1e-7
        ),
    ),
}  # fmt: skip


def test_every_loss_has_a_row() -> None:
    assert {name.split()[0] for name in ROWS} == set(losses.LOSSES)
    assert len(losses.LOSSES) >= 18


@pytest.mark.parametrize("name", ROWS)
def test_a_loss_is_its_definition(name: str) -> None:
    loss, t, p, per_example = ROWS[name]
    wanted = per_example(t, p)
    np.testing.assert_allclose(loss(t, p), np.mean(wanted), rtol=1e-6)
    compiled = tj.jit(lambda t, p: loss(t, p))
    np.testing.assert_allclose(compiled(t, p), loss(t, p), rtol=1e-12)
    small = p.astype(np.float32)
    np.testing.assert_allclose(compiled(t, small), np.mean(wanted), rtol=2e-4, atol=1e-6)
    assert compiled(t, small).dtype == np.float32
    again = type(loss).from_config(loss.get_config())
    np.testing.assert_array_equal(again(t, p), loss(t, p))
    by_name = losses.get(loss.name)
    assert type(by_name) is type(loss)


@pytest.mark.parametrize("name", ROWS)
def test_the_gradient_of_a_loss(name: str) -> None:
    loss, t, p, _ = ROWS[name]
    p = p.copy()
    gradient = tj.jit(tj.grad(lambda p: loss(t, p)))(p)
    found = differences(lambda: float(loss(t, p)), p)
    np.testing.assert_allclose(gradient, found, rtol=1e-5, atol=1e-8)


def test_weights_and_reductions() -> None:
    per_example = ((NUMBERS - OTHERS) ** 2).mean(-1)
    wanted = {
        "sum_over_batch_size": (per_example * WEIGHTS).sum() / N,
        "mean_with_sample_weight": (per_example * WEIGHTS).sum() / WEIGHTS.sum(),
        "sum": (per_example * WEIGHTS).sum(),
        "none": per_example * WEIGHTS,
    }
    for reduction, value in wanted.items():
        loss = losses.MeanSquaredError(reduction=reduction)
        np.testing.assert_allclose(loss(NUMBERS, OTHERS, WEIGHTS), value, rtol=1e-12)
        np.testing.assert_allclose(loss(NUMBERS, OTHERS, WEIGHTS[:, None]), value, rtol=1e-12)
        traced = tj.jit(lambda t, p, w, loss=loss: loss(t, p, w))(NUMBERS, OTHERS, WEIGHTS)
        np.testing.assert_allclose(traced, value, rtol=1e-12)


def test_labels_with_and_without_a_last_axis() -> None:
    p = CHANCES[:, :1]
    for name in ("mse", "bce", "huber"):
        loss = losses.get(name)
        np.testing.assert_allclose(loss(BITS[:, 0], p), loss(BITS[:, :1], p))
    sparse = losses.SparseCategoricalCrossentropy()
    np.testing.assert_allclose(sparse(CLASSES[:, None], SHARES), sparse(CLASSES, SHARES))


def test_names_that_are_not_there() -> None:
    with pytest.raises(ValueError, match="loss 'mess' is not there; there are binary_crossentropy"):
        losses.get("mess")
    with pytest.raises(TypeError, match=r"Huber: unknown arguments \['delt'\]"):
        losses.Huber(delt=1)
    with pytest.raises(ValueError, match="reduction 'mean' is none of 'sum_over_batch_size'"):
        losses.Huber("mean")
    mine = losses.get(lambda t, p: abs(t - p).mean(-1))
    np.testing.assert_allclose(mine(NUMBERS, OTHERS), abs(NUMBERS - OTHERS).mean())


# ---- metrics -------------------------------------------------------------------------------------


def rank(t: Any, p: Any) -> Any:
    order = np.argsort(-p, axis=-1)
    return np.array([list(row).index(c) for row, c in zip(order, t, strict=True)])


def auc(t: Any, p: Any, w: Any) -> Any:
    """By definition: the weight of pairs (positive, negative) in the right order."""
    t, p = t.ravel(), p.ravel()
    w = np.repeat(w, 4)
    pairs = w[t == 1][:, None] * w[t == 0]
    return (pairs * (p[t == 1][:, None] > p[t == 0])).sum() / pairs.sum()


def counted(t: Any, p: Any, w: Any, threshold: float, label: int, said: bool) -> float:
    return float((w[:, None] * ((p > threshold) == said) * (t == label)).sum())


def f_beta(t: Any, p: Any, w: Any, beta: float) -> Any:
    said = p == p.max(-1, keepdims=True)
    hit, wrong, missed = (
        (w[:, None] * x).sum(0) for x in (said * t, said * (1 - t), (1 - said) * t)
    )
    precision, recall = hit / (hit + wrong + 1e-7), hit / (hit + missed + 1e-7)
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall + 1e-7)


def iou(t: Any, p: Any, w: Any) -> float:
    found = []
    for c in range(4):
        either = w[(t == c) | (p == c)].sum()
        if either:
            found.append(w[(t == c) & (p == c)].sum() / either)
    return float(np.mean(found))


def r2(t: Any, p: Any, w: Any) -> Any:
    mean = np.average(t, axis=0, weights=w)
    return 1 - (w[:, None] * (t - p) ** 2).sum(0) / (w[:, None] * (t - mean) ** 2).sum(0)


def mean_of(per_example: Any) -> Any:
    return lambda t, p, w: np.average(per_example(t, p), weights=w)


M = metrics
METRICS: dict[str, tuple[Any, Any, Any, Any]] = {
    "Accuracy": (M.Accuracy, CLASSES, np.argmax(SHARES, -1), mean_of(lambda t, p: t == p)),
    "BinaryAccuracy": (
        lambda: M.BinaryAccuracy(threshold=0.4), BITS, CHANCES,
        mean_of(lambda t, p: ((p > 0.4) == t).mean(-1)),
    ),
    "CategoricalAccuracy": (
        M.CategoricalAccuracy, ONE_HOT, SHARES, mean_of(lambda t, p: p.argmax(-1) == CLASSES)
    ),
    "SparseCategoricalAccuracy": (
        M.SparseCategoricalAccuracy, CLASSES, SHARES, mean_of(lambda t, p: p.argmax(-1) == t)
    ),
    "TopKCategoricalAccuracy": (
        lambda: M.TopKCategoricalAccuracy(k=2), ONE_HOT, SHARES,
        mean_of(lambda t, p: rank(CLASSES, p) < 2),
    ),
    "SparseTopKCategoricalAccuracy": (
        lambda: M.SparseTopKCategoricalAccuracy(k=3), CLASSES, SHARES,
        mean_of(lambda t, p: rank(t, p) < 3),
    ),
    "RootMeanSquaredError": (
        M.RootMeanSquaredError, NUMBERS, OTHERS,
        lambda t, p, w: np.sqrt(np.average((t - p) ** 2, weights=np.repeat(w, 4).reshape(N, 4))),
    ),
    "CosineSimilarity": (M.CosineSimilarity, NUMBERS, OTHERS, mean_of(cosine)),
    "AUC": (lambda: M.AUC(num_thresholds=4000), BITS, CHANCES, auc),
    "TruePositives": (
        M.TruePositives, BITS, CHANCES, lambda t, p, w: counted(t, p, w, 0.5, 1, True)
    ),
    "FalsePositives": (
        M.FalsePositives, BITS, CHANCES, lambda t, p, w: counted(t, p, w, 0.5, 0, True)
    ),
    "TrueNegatives": (
        lambda: M.TrueNegatives(0.3), BITS, CHANCES,
        lambda t, p, w: counted(t, p, w, 0.3, 0, False),
    ),
    "FalseNegatives": (
        lambda: M.FalseNegatives([0.3, 0.6]), BITS, CHANCES,
        lambda t, p, w: [counted(t, p, w, x, 1, False) for x in (0.3, 0.6)],
    ),
    "Precision": (
        M.Precision, BITS, CHANCES,
        lambda t, p, w: np.average(t[p > 0.5], weights=(w[:, None] * np.ones(4))[p > 0.5]),
    ),
    "Recall": (
        M.Recall, BITS, CHANCES,
        lambda t, p, w: np.average(p[t > 0] > 0.5, weights=(w[:, None] * np.ones(4))[t > 0]),
    ),
    "F1Score": (M.F1Score, ONE_HOT, SHARES, lambda t, p, w: f_beta(t, p, w, 1.0)),
    "FBetaScore": (
        lambda: M.FBetaScore("macro", 0.5), ONE_HOT, SHARES,
        lambda t, p, w: f_beta(t, p, w, 0.5).mean(),
    ),
    "MeanIoU": (lambda: M.MeanIoU(4), CLASSES, np.argmax(SHARES, -1), iou),
    "R2Score": (M.R2Score, NUMBERS, OTHERS, lambda t, p, w: r2(t, p, w).mean()),
    "PearsonCorrelation": (
        M.PearsonCorrelation, NUMBERS[:, 0], OTHERS[:, 0],
        lambda t, p, w: np.cov(t, p, aweights=w)[0, 1]
        / np.sqrt(np.cov(t, aweights=w) * np.cov(p, aweights=w)),
    ),
}  # fmt: skip

# Metrics that are means of the losses above.
for _loss in (
    "MeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError",
    "MeanSquaredLogarithmicError", "LogCosh", "Hinge", "SquaredHinge", "CategoricalHinge",
    "KLDivergence", "Poisson", "BinaryCrossentropy", "CategoricalCrossentropy",
    "SparseCategoricalCrossentropy",
):  # fmt: skip
    _row = ROWS[_loss]
    _name = "LogCoshError" if _loss == "LogCosh" else _loss
    METRICS[_name] = (getattr(M, _name), _row.y_true, _row.y_pred, mean_of(_row.per_example))


def test_every_metric_has_a_row() -> None:
    assert set(METRICS) | {"Mean", "Sum", "MeanMetricWrapper"} == set(metrics.METRICS)
    assert len(METRICS) >= 20


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_its_definition(name: str, target: str) -> None:
    """Over two batches, in a step; reset, it gives the same again."""
    make, t, p, wanted = METRICS[name]
    metric = make()
    step = tj.jit(lambda t, p, w: metric.update_state(t, p, w), target=target)
    for weights in (WEIGHTS, np.ones(N)):
        metric.reset_state()
        metric.reset_state()
        for part in (slice(None, 4), slice(4, None)):
            step(t[part], p[part], weights[part])
        np.testing.assert_allclose(metric.result(), wanted(t, p, weights), rtol=3e-5, atol=1e-6)
    assert step.cache_info().entries == 2
    fresh = type(metric).from_config(metric.get_config())
    np.testing.assert_allclose(fresh(t, p), wanted(t, p, np.ones(N)), rtol=3e-5, atol=1e-6)
    assert metric.trainable_variables == []


def test_means_and_sums() -> None:
    mean, total = metrics.Mean(), metrics.Sum()
    assert float(mean.result()) == 0
    for m in (mean, total):
        m.update_state([1.0, 2.0])
        m.update_state(5.0, sample_weight=2.0)
    assert float(mean.result()) == 13 / 4
    assert float(total.result()) == 13
    mean.reset_state()
    assert float(mean(3.0)) == 3


def test_the_area_under_precision_and_recall() -> None:
    """As interpolated by hand: labels 0 0 1 1, predictions 0 0.5 0.3 0.9, three thresholds."""
    area = metrics.AUC(num_thresholds=3, curve="PR")
    area.update_state([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
    # Between thresholds -eps and 0.5 precision falls from 1 to 1/2 at slope 1/3, then stays.
    known = 0.5 + (1 / 3) * (1 + (1 - 1 / 3) * np.log(4)) / 2
    np.testing.assert_allclose(area.result(), known, rtol=1e-5)


def test_a_metric_of_ones_own_and_names() -> None:
    mine = metrics.get(lambda t, p: abs(t - p).max(-1))
    np.testing.assert_allclose(
        mine(NUMBERS, OTHERS), abs(NUMBERS - OTHERS).max(-1).mean(), rtol=1e-5
    )
    assert isinstance(metrics.get("mse"), metrics.MeanSquaredError)
    with pytest.raises(ValueError, match="metric 'acuracy' is not there; there are mean"):
        metrics.get("acuracy")
