"""Callbacks of `fit`, with Keras's names and arguments."""

from __future__ import annotations

import csv
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any

from tracejit.events import EventWriter
from tracejit.ir.graph import Array

Logs = dict[str, Any]


class Callback:
    """A subclass overrides what it needs. `self.model` is the model that is trained."""

    model: Any = None
    params: dict[str, Any] = {}  # noqa: RUF012  (replaced as a whole)

    def set_model(self, model: Any) -> None:
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None: ...
    def on_train_end(self, logs: Logs | None = None) -> None: ...
    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None: ...
    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None: ...
    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None: ...
    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None: ...
    def on_test_begin(self, logs: Logs | None = None) -> None: ...
    def on_test_end(self, logs: Logs | None = None) -> None: ...


def overriding(callbacks: list[Callback], name: str) -> list[Callback]:
    """Those that do something at that point: nobody else is called."""
    return [c for c in callbacks if getattr(type(c), name) is not getattr(Callback, name)]


class History(Callback):
    """`history[name]`: the value at the end of each of the epochs in `epoch`. `fit` returns it."""

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


class LambdaCallback(Callback):
    """Functions as a callback; those at batches make `fit` look up the metrics at every batch."""

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
    ) -> None:
        given = locals()
        self._given = {n: f for n, f in given.items() if n.startswith("on_") and f is not None}

    def _call(self, name: str, *args: Any) -> None:
        if name in self._given:
            self._given[name](*args)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_begin", epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_end", epoch, logs)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._call("on_train_begin", logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._call("on_train_end", logs)


class _Watching(Callback):
    """A callback that compares a metric with the best so far.

    monitor: its name in the logs. mode: "min", "max", or "auto", which is max for names with acc,
    auc, precision, recall, f1, iou or r2 in them. min_delta: what counts as better.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"{type(self).__name__}: mode {mode!r} is no auto, min or max")
        rising = ("acc", "auc", "precision", "recall", "f1", "iou", "r2")
        self.monitor = monitor
        self.rises = mode == "max" or (mode == "auto" and any(n in monitor for n in rising))
        self.min_delta = abs(min_delta)
        self.best: float | None = None

    def value(self, logs: Logs | None) -> float:
        """Raises KeyError with what there is."""
        if not logs or self.monitor not in logs:
            known = ", ".join(logs or {})
            raise KeyError(f"{type(self).__name__}: no {self.monitor!r} among {known}")
        return float(logs[self.monitor])

    def better(self, value: float, than: float | None) -> bool:
        if than is None:
            return True
        return value - self.min_delta > than if self.rises else value + self.min_delta < than


class EarlyStopping(_Watching):
    """Stops when the metric has not got better for `patience` epochs."""

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.wait, self.stopped_epoch, self.best_epoch = 0, 0, 0
        self.best: float | None = None
        self.best_weights: list[Array] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if epoch < self.start_from_epoch:
            return
        value = self.value(logs)
        self.wait += 1
        if self.better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.better(value, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)


class ModelCheckpoint(_Watching):
    """Saves the model after epochs. filepath may name logs, as in "m-{epoch:02d}.safetensors".

    save_best_only: only where the metric got better. save_weights_only: without the optimizer.
    """

    def __init__(
        self,
        filepath: str | Path,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
    ) -> None:
        super().__init__(monitor, mode)
        self.filepath, self.verbose = str(filepath), verbose
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_best_only:
            value = self.value(logs)
            if not self.better(value, self.best):
                return
            self.best = value
        path = self.filepath.format(epoch=epoch + 1, **(logs or {}))
        (self.model.save_weights if self.save_weights_only else self.model.save)(path)
        if self.verbose:
            print(f"Epoch {epoch + 1}: saved {path}")


class ReduceLROnPlateau(_Watching):
    """Multiplies the learning rate by `factor` when the metric stands still. No new trace."""

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if factor >= 1:
            raise ValueError(f"ReduceLROnPlateau: factor {factor} is not less than 1")
        self.factor, self.patience, self.verbose = factor, patience, verbose
        self.cooldown, self.min_lr = cooldown, min_lr

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.wait, self.cooling = 0, 0
        self.best: float | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.value(logs)
        optimizer = self.model.optimizer
        if logs is not None:
            logs["learning_rate"] = float(optimizer.learning_rate)
        if self.cooling > 0:
            self.cooling -= 1
            self.wait = 0
        if self.better(value, self.best):
            self.best, self.wait = value, 0
        elif self.cooling <= 0:
            self.wait += 1
            rate = float(optimizer.learning_rate)
            if self.wait >= self.patience and rate > self.min_lr:
                optimizer.learning_rate = max(rate * self.factor, self.min_lr)
                self.cooling, self.wait = self.cooldown, 0


class LearningRateScheduler(Callback):
    """Sets the learning rate before each epoch to schedule(epoch, learning rate). No new trace."""

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        try:
            rate = self.schedule(epoch, float(optimizer.learning_rate))
        except TypeError:
            rate = self.schedule(epoch)
        optimizer.learning_rate = float(rate)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class CSVLogger(Callback):
    """A line of a file for each epoch; append=False begins the file anew."""

    def __init__(self, filename: str | Path, separator: str = ",", append: bool = False) -> None:
        self.path, self.separator, self.append = Path(filename), separator, append
        self.names: list[str] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.names = None
        if self.append and self.path.exists():
            with self.path.open(newline="", encoding="utf-8") as file:
                header = next(csv.reader(file, delimiter=self.separator), None)
            self.names = header[1:] if header else None
        else:
            self.path.write_text("", encoding="utf-8")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=self.separator)
            if self.names is None:
                self.names = sorted(logs)
                writer.writerow(["epoch", *self.names])
            writer.writerow([epoch, *(logs.get(name, "") for name in self.names)])


class TensorBoard(Callback):
    """The metrics as curves for TensorBoard: `log_dir/train` and `log_dir/validation`.

    update_freq: "epoch"; "batch" or a number of batches for the metrics within an epoch as well.
    """

    def __init__(self, log_dir: str | Path = "./logs", update_freq: str | int = "epoch") -> None:
        self.writers = {part: EventWriter(Path(log_dir) / part) for part in ("train", "validation")}
        every = {"epoch": 0, "batch": 1}.get(str(update_freq), update_freq)
        if not isinstance(every, int):
            raise ValueError(
                f"TensorBoard: update_freq is {update_freq!r}; it is 'epoch', 'batch' or a number"
            )
        self.every = every
        self._batches = 0

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self.every and self._batches % self.every == 0:
            for name, value in (logs or {}).items():
                self.writers["train"].add(f"batch_{name}", float(value), self._batches)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        for name, value in (logs or {}).items():
            part = "validation" if name.startswith("val_") else "train"
            self.writers[part].add(f"epoch_{name.removeprefix('val_')}", float(value), epoch)


class TerminateOnNaN(Callback):
    """Stops at the first batch whose loss is nan or infinite."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not isfinite(loss):
            print(f"Batch {batch}: the loss is {loss}, training stops")
            self.model.stop_training = True
