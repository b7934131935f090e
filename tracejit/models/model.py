"""`Model`: a layer that can be compiled, fitted, evaluated and saved, as in Keras."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np

from tracejit import optim, tree
from tracejit.callbacks import History
from tracejit.ir.graph import Array
from tracejit.ir.types import F16, F32
from tracejit.jit import jit
from tracejit.models import compiled as steps
from tracejit.models import fitting
from tracejit.models.batches import ArrayBatches, Batch, as_numpy
from tracejit.models.compiled import Compiled
from tracejit.nn import symbolic
from tracejit.nn.initializers import new_seed
from tracejit.nn.layer import Layer, layers_in


class Model(Layer):
    """Subclass it and write `call(x, training=None)`; or Model(inputs, outputs) of `tj.Input`s.

    `fit` runs one compiled program per batch: forward, backward, optimizer and metrics. There is
    one for each batch size; that of the last, smaller batch is compiled on a thread while the
    first batches run, so nothing is padded, and no batch waits in the middle of an epoch.
    Overriding `train_step(x, y, sample_weight)` replaces that program's content; it gives the loss,
    or a dict of numbers to log.
    """

    untracked = Layer.untracked | {"history"}
    supports_masking = True  # by the layers inside
    stop_training = False
    compiled: Compiled | None
    seed: int
    input_types: Any

    def __new__(cls, *args: Any, **keywords: Any) -> Self:
        if cls is Model and (args or "inputs" in keywords):
            from tracejit.models.functional import Functional

            return Functional.__new__(Functional, *args, **keywords)  # type: ignore[return-value]
        self = super().__new__(cls, *args, **keywords)
        self.compiled = None
        self.seed = new_seed()
        self.input_types = None
        return self

    def build(self, input_shape: Any) -> None:
        """Builds all layers. input_shape: of x, batch included (None: any); a list for several."""
        many = isinstance(input_shape, list)
        shapes = input_shape if many else [input_shape]
        symbols = [symbolic.Symbol(tuple(s), self.compute_dtype, "x") for s in shapes]
        self.build_with(symbols if many else symbols[0])

    def build_with(self, x: Any) -> None:
        """Builds for arrays or Symbols like x."""
        if not self.built:
            self(tree.map(self._symbol_like, x))

    def _symbol_like(self, a: Any) -> Any:
        if isinstance(a, symbolic.Symbol):
            return a
        array: Array = a if hasattr(a, "dtype") else np.asarray(a)
        return symbolic.Symbol(self._sizes_of(array), array.dtype, "x")

    def _sizes_of(self, x: Any) -> tuple[int | None, ...]:
        """The shape of an input; with its batch size only where a layer keeps the states of one."""
        stateful = any(getattr(module, "stateful", False) for module in self.modules())
        return (x.shape[0] if stateful else None, *x.shape[1:])

    def build_from(self, *args: Any, **keywords: Any) -> None:
        """The layers inside build themselves when they are called; only the types are kept."""
        self.input_types = tree.map(lambda a: (self._sizes_of(a), str(a.dtype)), args[0])
        self.built = True

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        """The layers inside have put masks on what they gave."""
        return None

    @property
    def layers(self) -> list[Layer]:
        """The layers held directly."""
        found: list[Layer] = []
        for _, member in self.members():
            if isinstance(member, Layer) and not any(member is f for f in found):
                found.append(member)
        return found

    def get_layer(self, name: str) -> Layer:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ValueError(f"{self.name} has no layer {name!r}; {[x.name for x in self.layers]}")

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        auto_scale_loss: bool = True,
    ) -> None:
        """Says how to train. run_eagerly: define by run, for a debugger.

        auto_scale_loss: an `optim.LossScaleOptimizer` if a layer keeps f32 and computes in f16.
        """
        found = optim.get(optimizer)
        if auto_scale_loss and not isinstance(found, optim.LossScaleOptimizer):
            kinds = {(layer.dtype, layer.compute_dtype) for layer in layers_in(self)}
            found = optim.LossScaleOptimizer(found) if (F32, F16) in kinds else found
        self.compiled = Compiled(found, loss, loss_weights, metrics, weighted_metrics, run_eagerly)

    def needs_compile(self) -> Compiled:
        if self.compiled is None:
            raise ValueError(f"{self.name}: call compile(optimizer=..., loss=...) first")
        return self.compiled

    @property
    def optimizer(self) -> Any:
        return self.needs_compile().optimizer

    @property
    def metrics(self) -> list[Any]:
        return self.needs_compile().all_metrics()

    def train_step(self, x: Any, y: Any, sample_weight: Any) -> Any:
        """What one step does. Runs traced, as a whole."""
        return steps.train_step(self, x, y, sample_weight)

    def test_step(self, x: Any, y: Any, sample_weight: Any) -> Any:
        return steps.test_step(self, x, y, sample_weight)

    def predict_step(self, x: Any) -> Any:
        return steps.predict_step(self, x)

    def step(self, kind: str) -> Callable[..., Any]:
        """The jitted "train", "test" or "predict" step."""
        own = (
            self.compiled.steps
            if self.compiled is not None
            else self.__dict__.setdefault("_steps", {})
        )
        if kind not in own:
            method = getattr(self, f"{kind}_step")
            eager = self.compiled is not None and self.compiled.run_eagerly
            own[kind] = method if eager else jit(_named(method, f"{self.name}_{kind}"))
        found: Callable[..., Any] = own[kind]
        return found

    def prepare(self, batch: Batch) -> None:
        """Builds layers, metrics and the optimizer's state for batches like this one."""
        x, y, _ = batch
        self.build_with(x)
        compiled = self.needs_compile()
        if compiled.losses is None:
            y_pred = self(tree.map(self._symbol_like, x))
            compiled.resolve(y, y_pred)
        compiled.optimizer.build(self.trainable_variables)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> History:
        """Trains. x, y: arrays (or lists or dicts of them); or x an iterable of (x, y) batches.

        shuffle: in an order that the model's seed and the epoch's number decide. Each epoch of a
        run that was saved and taken up again at `initial_epoch` is the one it would have been.
        """
        data = fitting.Data(
            x, y, sample_weight, batch_size or 32, shuffle, class_weight, steps_per_epoch
        )
        return fitting.fit(
            self, data, epochs, initial_epoch, verbose, callbacks,
            fitting.Validation(
                validation_split, validation_data, validation_batch_size or batch_size or 32,
                validation_steps, validation_freq,
            ),
        )  # fmt: skip

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        return_dict: bool = False,
    ) -> Any:
        """The loss, and the metrics after it if there are any; by name with return_dict."""
        source = fitting.batches_of(x, y, sample_weight, batch_size or 32, steps)
        logs = fitting.evaluate(self, source)
        if verbose not in (0, "auto"):
            print(fitting.text_of(logs))
        if return_dict:
            return logs
        values = list(logs.values())
        return values if len(values) > 1 else values[0]

    def predict(self, x: Any, batch_size: int | None = None, steps: int | None = None) -> Any:
        """The outputs for all examples, as arrays."""
        source = fitting.batches_of(x, None, None, batch_size or 32, steps)
        return fitting.predict(self, source)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One step; the metrics count on from the batches before."""
        data = fitting.Data(x, y, sample_weight, 1 << 62, False, class_weight, None)
        return self._on_batch("train", data.source().shapes()[0], return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        batch = ArrayBatches(x, y, sample_weight, 1 << 62).shapes()[0]
        return self._on_batch("test", batch, return_dict)

    def _on_batch(self, kind: str, batch: Batch, return_dict: bool) -> Any:
        self.prepare(batch)
        self.step(kind)(*batch)
        logs = self.needs_compile().results()
        values = list(logs.values())
        return logs if return_dict else values if len(values) > 1 else values[0]

    def predict_on_batch(self, x: Any) -> Any:
        arrays = as_numpy(x)
        self.build_with(arrays)
        return self.step("predict")(arrays)

    def reset_metrics(self) -> None:
        self.needs_compile().reset()

    def summary(self, width: int | None = None, print_fn: Any = None) -> None:
        """A table of the layers: output shape, parameters, FLOPs per example."""
        from tracejit.models.summary import summary

        summary(self, width, print_fn)

    def save(self, path: str | Path) -> None:
        """Writes the model, its weights and the state of its training. See `tracejit.saving`."""
        from tracejit.saving import save_model

        save_model(self, path)

    def save_weights(self, path: str | Path) -> None:
        """Writes the weights only."""
        from tracejit.saving import save_weights

        save_weights(self, path)

    def load_weights(self, path: str | Path) -> None:
        """Reads what `save_weights` or `save` wrote for a model of the same layers."""
        from tracejit.saving import load_weights

        load_weights(self, path)


def _named(method: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The method under a name by which dumps and logs call it."""

    def step(*batch: Any) -> Any:
        return method(*batch)

    step.__name__ = name
    return step
