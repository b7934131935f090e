"""What `compile` gives a model: its optimizer, losses and metrics, and the steps made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit import losses, metrics, tree
from tracejit.ir.graph import Array
from tracejit.metrics import Mean, Metric
from tracejit.nn import masking
from tracejit.nn.mode import collected_losses, training_mode
from tracejit.transform import value_and_grad


class Compiled:
    """loss, loss_weights, metrics: one for all outputs, or one for each in their structure."""

    def __init__(
        self,
        optimizer: Any,
        loss: Any,
        loss_weights: Any,
        metrics: Any,
        weighted_metrics: Any,
        run_eagerly: bool,
    ) -> None:
        self.optimizer = optimizer
        self.loss, self.loss_weights = loss, loss_weights
        self.asked: dict[bool, Any] = {False: metrics, True: weighted_metrics}
        self.run_eagerly = run_eagerly
        self.loss_mean = Mean(name="loss")
        self.losses: list[Any] | None = None
        # (output, metric, whether sample weights count)
        self.metrics: list[tuple[int, Metric, bool]] = []
        self.steps: dict[str, Any] = {}

    def resolve(self, y: Any, y_pred: Any) -> None:
        """Finds losses and metrics for outputs of these shapes, once."""
        if self.losses is not None:
            return
        labels, outputs = tree.leaves(y), tree.leaves(y_pred)
        count = len(outputs)
        found = _spread(self.loss, y_pred, count)
        self.losses = [None if one is None else losses.get(one) for one in found]
        for weighted, asked in self.asked.items():
            for i, wanted in enumerate(_each_metrics(asked, y_pred, count)):
                for one in wanted:
                    metric = _metric(one, labels[i] if i < len(labels) else None, outputs[i])
                    if count > 1:
                        metric.name = f"output{i}_{metric.name}"
                    self.metrics.append((i, metric, weighted))

    def all_metrics(self) -> list[Metric]:
        return [self.loss_mean, *(m for _, m, _ in self.metrics)]

    def total_loss(self, model: Any, y: Any, y_pred: Any, weight: Any, extra: list[Any]) -> Any:
        """The losses of all outputs, what layers added, and the penalties on weights."""
        assert self.losses is not None, "resolved before a step is traced"
        outputs = tree.leaves(y_pred)
        labels = tree.leaves(y) if y is not None else [None] * len(outputs)
        factors = _spread(self.loss_weights, y_pred, len(outputs))
        parts = []
        for loss, t, p, factor in zip(self.losses, labels, outputs, factors, strict=True):
            if loss is not None:
                value = loss(t, p, weight)
                parts.append(value if factor is None else value * factor)
        parts += [*extra, *model.losses]
        if not parts:
            raise ValueError(f"{model.name}: no loss: compile with loss=, or add one by add_loss")
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def count(self, x: Any, y: Any, y_pred: Any, weight: Any, loss: Any) -> None:
        """Adds a batch to the metrics."""
        self.loss_mean.update_state(loss, sample_weight=float(tree.leaves(x)[0].shape[0]))
        labels, outputs = tree.leaves(y), tree.leaves(y_pred)
        for output, metric, weighted in self.metrics:
            given = weight if weighted else None
            metric.update_state(labels[output], outputs[output], given)

    def reset(self) -> None:
        for metric in self.all_metrics():
            metric.reset_state()

    def results(self) -> dict[str, float | Array]:
        found: dict[str, float | Array] = {}
        for metric in self.all_metrics():
            value = np.asarray(metric.result())
            found[metric.name] = float(value) if value.ndim == 0 else value
        return found


def _spread(asked: Any, outputs: Any, count: int) -> list[Any]:
    """One for each output: the same for all; or from a list or dict like the outputs."""
    if isinstance(asked, dict) and isinstance(outputs, dict):
        return [asked.get(key) for key in sorted(outputs)]
    if isinstance(asked, list | tuple):
        if len(asked) != count:
            raise ValueError(f"compile: {len(asked)} given for {count} outputs")
        return list(asked)
    return [asked] * count


def _each_metrics(asked: Any, outputs: Any, count: int) -> list[list[Any]]:
    if asked is None:
        return [[]] * count
    if isinstance(asked, list | tuple) and (
        count == 1 or not any(isinstance(a, list | tuple) for a in asked)
    ):
        # One list: for the only output, or, of several, one entry each.
        return [list(asked)] if count == 1 else [[a] for a in _spread(asked, outputs, count)]
    each = _spread(asked, outputs, count)
    return [m if isinstance(m, list) else [] if m is None else [m] for m in each]


def _metric(identifier: Any, label: Any, output: Any) -> Metric:
    """A metric; "accuracy" and "crossentropy" are the kind that labels and output call for."""
    if identifier not in ("accuracy", "acc", "crossentropy", "ce"):
        return metrics.get(identifier)
    wide = output.shape[-1] > 1
    sparse = (
        label is None or len(label.shape) < len(output.shape) or label.shape[-1] != output.shape[-1]
    )
    kind = ("Sparse" if sparse else "") + "Categorical" if wide else "Binary"
    suffix = "Accuracy" if identifier in ("accuracy", "acc") else "Crossentropy"
    made: Metric = metrics.METRICS[kind + suffix](name=identifier)
    return made


def train_step(model: Any, x: Any, y: Any, weight: Any) -> Any:
    """One step of the optimizer, and the metrics of it: the loss."""
    compiled = model.compiled
    variables = model.trainable_variables

    def loss_fn() -> Any:
        with training_mode(True), collected_losses() as extra:
            y_pred = model(x, training=True)
        masks = [masking.of(p) for p in tree.leaves(y_pred)]
        loss = compiled.total_loss(model, y, y_pred, weight, extra)
        return compiled.optimizer.scale_loss(loss), (loss, y_pred, masks)

    (_, (loss, y_pred, masks)), grads = value_and_grad(loss_fn, wrt=variables, has_aux=True)()
    masking.put(tree.leaves(y_pred), masks)
    compiled.optimizer.apply(grads, variables)
    model.apply_constraints()
    compiled.count(x, y, y_pred, weight, loss)
    return loss


def test_step(model: Any, x: Any, y: Any, weight: Any) -> Any:
    compiled = model.compiled
    with training_mode(False), collected_losses() as extra:
        y_pred = model(x, training=False)
    loss = compiled.total_loss(model, y, y_pred, weight, extra)
    compiled.count(x, y, y_pred, weight, loss)
    return loss


def predict_step(model: Any, x: Any) -> Any:
    with training_mode(False):
        return model(x, training=False)
