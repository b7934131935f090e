"""The loops of `fit`, `evaluate` and `predict`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit import debug, tree
from tracejit.callbacks import Callback, History, overriding
from tracejit.jit import Jitted
from tracejit.models.batches import (
    ArrayBatches,
    Batches,
    IterableBatches,
    class_weights,
    is_source,
    shuffled,
)
from tracejit.models.progress import progress, text_of

__all__ = ["Data", "Validation", "batches_of", "evaluate", "fit", "predict", "text_of"]

Logs = dict[str, Any]


def batches_of(
    x: Any, y: Any, weight: Any, batch_size: int, steps: int | None, order: Any = None
) -> Batches:
    """Batches of arrays, or those that an iterable gives."""
    if not is_source(x):
        return ArrayBatches(x, y, weight, batch_size, order)
    if y is not None or weight is not None:
        raise ValueError("an iterable of batches gives y and sample_weight itself")
    return IterableBatches(x, steps)


@dataclass
class Data:
    """What to train on, as `fit` takes it."""

    x: Any
    y: Any
    weight: Any
    batch_size: int
    shuffle: bool
    class_weight: dict[int, float] | None
    steps: int | None

    def __post_init__(self) -> None:
        if self.class_weight is not None:
            if is_source(self.x):
                raise ValueError("class_weight: an iterable of batches gives weights itself")
            self.weight = class_weights(self.y, self.class_weight, self.weight)

    def split(self, share: float) -> tuple[Any, Any, Any]:
        """Takes the last share of the examples away: x, y, weight to validate on."""
        if is_source(self.x):
            raise ValueError("validation_split needs arrays; give validation_data")
        if not 0 < share < 1:
            raise ValueError(f"validation_split {share} is outside (0, 1)")
        whole = ArrayBatches(self.x, self.y, self.weight).arrays
        kept = int(len(tree.leaves(whole)[0]) * (1 - share))
        self.x, self.y, self.weight = tree.map(lambda a: a[:kept], whole)
        rest: tuple[Any, Any, Any] = tree.map(lambda a: a[kept:], whole)
        return rest

    def source(self, seed: int | None = None) -> Batches:
        """The batches; shuffled by the seed if there is one."""
        source = batches_of(self.x, self.y, self.weight, self.batch_size, self.steps)
        if self.shuffle and seed is not None and isinstance(source, ArrayBatches):
            source.order = shuffled(seed, source.examples)
        return source


@dataclass
class Validation:
    share: float
    data: Any
    batch_size: int
    steps: int | None
    every: int

    def source(self, data: Data) -> Batches | None:
        if self.data is not None:
            if is_source(self.data):
                return IterableBatches(self.data, self.steps)
            x, y, w = (*self.data, None, None)[:3]
            return batches_of(x, y, w, self.batch_size, self.steps)
        if self.share:
            return batches_of(*data.split(self.share), self.batch_size, self.steps)
        return None


class Ahead:
    """Compiles steps for batches to come on a thread; `wait` before the first of them."""

    def __init__(self, jobs: Sequence[tuple[Any, tuple[Any, ...]]]) -> None:
        self._thread: threading.Thread | None = None
        self._whole: int | None = None  # examples in the first batch
        if jobs:
            self._thread = threading.Thread(target=self._compile, args=(jobs,), daemon=True)
            self._thread.start()

    @staticmethod
    def _compile(jobs: Sequence[tuple[Any, tuple[Any, ...]]]) -> None:
        for step, batch in jobs:
            try:
                compile_for(step, batch)
            except Exception:
                return  # the call itself will raise it where it can be seen

    def wait(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def meet(self, x: Any) -> None:
        """Waits if a batch is not as large as the first, whose step was compiled before."""
        if self._thread is not None:
            examples = len(tree.leaves(x)[0])
            if self._whole is None:
                self._whole = examples
            if examples != self._whole:
                self.wait()


def compile_for(step: Any, batch: tuple[Any, ...]) -> None:
    """Traces and compiles a jitted step, without a run."""
    if isinstance(step, Jitted):
        _ = step.lower(*batch).program


def fit(
    model: Any,
    data: Data,
    epochs: int,
    initial_epoch: int,
    verbose: Any,
    callbacks: Any,
    validation: Validation,
) -> History:
    held_out = validation.source(data)
    source = data.source(model.seed)
    first, *others = source.shapes()
    model.prepare(first)
    step, test = model.step("train"), model.step("test")
    if isinstance(step, Jitted) and not debug.eager_blocks:
        compile_for(step, first)
        jobs = [(step, batch) for batch in others]
        if isinstance(held_out, ArrayBatches):
            jobs += [(test, batch) for batch in held_out.shapes()]
        ahead = Ahead(jobs)
    else:
        ahead = Ahead([])
    run = _Run(model, source, step, ahead, verbose, callbacks, epochs)
    try:
        run.begin()
        for epoch in range(initial_epoch, epochs):
            logs = run.epoch(epoch)
            if held_out is not None and (epoch + 1) % validation.every == 0:
                ahead.wait()
                found = evaluate(model, held_out)
                logs.update({f"val_{name}": value for name, value in found.items()})
            run.epoch_end(epoch, logs)
            if model.stop_training:
                break
        run.end()
    finally:
        ahead.wait()
        run.bar.close()
    return run.history


class _Run:
    """One call of `fit`."""

    def __init__(
        self,
        model: Any,
        source: Batches,
        step: Callable[..., Any],
        ahead: Ahead,
        verbose: Any,
        callbacks: Any,
        epochs: int,
    ) -> None:
        self.model, self.source, self.step, self.ahead = model, source, step, ahead
        self.epochs = epochs
        self.history = History()
        given = callbacks if isinstance(callbacks, list | tuple) else [callbacks]
        self.callbacks: list[Callback] = [c for c in given if c is not None] + [self.history]
        self.bar = progress(verbose)
        self.before = overriding(self.callbacks, "on_train_batch_begin")
        self.after = overriding(self.callbacks, "on_train_batch_end")
        self.taken = 0

    def begin(self) -> None:
        self.model.stop_training = False
        for callback in self.callbacks:
            callback.set_model(self.model)
            callback.set_params({"epochs": self.epochs, "steps": self.source.steps})
            callback.on_train_begin()

    def epoch(self, number: int) -> Logs:
        """Runs one; its metrics."""
        model, step, bar = self.model, self.step, self.bar
        model.compiled.reset()
        for callback in self.callbacks:
            callback.on_epoch_begin(number)
        bar.begin(number, self.epochs, self.source.steps)
        before, after, due, ahead = self.before, self.after, bar.due, self.ahead
        taken, result = 0, None
        for x, y, w in self.source.epoch(number):
            for callback in before:
                callback.on_train_batch_begin(taken)
            ahead.meet(x)
            result = step(x, y, w)
            taken += 1
            if after:
                logs = self._logs(result)
                for callback in after:
                    callback.on_train_batch_end(taken - 1, logs)
                if model.stop_training:
                    break
            if due():
                bar.update(taken, self._logs(result))
        self.taken = taken
        return self._logs(result)

    def _logs(self, result: Any) -> Logs:
        """The metrics so far; where `train_step` gave a dict, that of the last batch."""
        if isinstance(result, dict):
            return {name: float(value) for name, value in result.items()}
        logs: Logs = self.model.compiled.results()
        return logs

    def epoch_end(self, number: int, logs: Logs) -> None:
        for callback in self.callbacks:
            callback.on_epoch_end(number, logs)
        self.bar.end(self.taken, logs)

    def end(self) -> None:
        self.model.history = self.history
        for callback in self.callbacks:
            callback.on_train_end()


def _prepared(source: Batches, kind: str, model: Any) -> Ahead:
    """Compiles for the first batch, and for the rest on a thread."""
    step = model.step(kind)
    batches = [(b[0],) if kind == "predict" else b for b in source.shapes()]
    if debug.eager_blocks:
        return Ahead([])
    compile_for(step, batches[0])
    return Ahead([(step, batch) for batch in batches[1:]])


def evaluate(model: Any, source: Batches) -> Logs:
    """The metrics over all batches."""
    model.prepare(source.shapes()[0])
    step = model.step("test")
    ahead = _prepared(source, "test", model)
    model.compiled.reset()
    result: Any = None
    for batch in source.epoch(0):
        ahead.meet(batch[0])
        result = step(*batch)
    ahead.wait()
    if isinstance(result, dict):
        return {name: float(value) for name, value in result.items()}
    logs: Logs = model.compiled.results()
    return logs


def predict(model: Any, source: Batches) -> Any:
    """All outputs, joined."""
    model.build_with(source.shapes()[0][0])
    step = model.step("predict")
    ahead = _prepared(source, "predict", model)
    found = []
    for x, _, _ in source.epoch(0):
        ahead.meet(x)
        found.append(step(x))
    ahead.wait()
    return tree.map(lambda *parts: np.concatenate(parts), *found)
