"""Recurrent layers: a cell over a sequence [N, T, D], the whole loop a part of the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.control import scan
from tracejit.errors import ShapeError
from tracejit.nn.keras_order import RECURRENT, SEED_LAST, arguments, in_order
from tracejit.nn.layer import Layer
from tracejit.nn.recurrent_cells import (
    GRUCell,
    LSTMCell,
    SimpleRNNCell,
    StackedRNNCells,
    build_cell,
    initial_state,
    over,
)
from tracejit.source import here
from tracejit.variable import Variable


class RNN(Layer):
    """A cell over the steps of [N, T, D]: its last output [N, units], or all [N, T, units].

    cell: a cell, or a list of them, one on top of the other. return_sequences: all outputs.
    return_state: the last states too, after the output. go_backwards: from the last step to the
    first; the outputs stand in the order they were made. stateful: goes on with the states of the
    batch before, which `reset_state` makes 0. unroll: a step of its own for each t in the program,
    instead of a loop. zero_output_for_mask: 0 where a mask is False, instead of the output before.

    Where a mask bool[N, T] is False the states stay as they were.
    """

    supports_masking = True

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        several = isinstance(cell, list | tuple)
        self.cell: Any = StackedRNNCells(cell, dtype=self.dtype_policy) if several else cell
        self.return_sequences, self.return_state = return_sequences, return_state
        self.go_backwards, self.stateful, self.unroll = go_backwards, stateful, unroll
        self.zero_output_for_mask = zero_output_for_mask
        self.states: Any = None

    def build(self, input_shape: Any) -> None:
        batch, _, *rest = input_shape
        build_cell(self.cell, (batch, *rest))
        if self.stateful:
            with_values = initial_state(self.cell, batch, self.compute_dtype)
            self.states = tree.map(self._state, with_values)

    def _state(self, like: Any) -> Variable:
        zeros = np.zeros(like.shape, like.dtype)
        return Variable(zeros, name=f"{self.name}_state", trainable=False)

    def reset_state(self) -> None:
        """Makes the states of a stateful layer 0."""
        for variable in tree.leaves(self.states):
            variable.assign(0)

    def get_initial_state(self, batch_size: int) -> list[Any]:
        return initial_state(self.cell, batch_size, self.compute_dtype)

    def call(
        self,
        x: Any,
        initial_state: Any = None,
        mask: Any = None,
        training: bool | None = None,
    ) -> Any:
        """initial_state: a list of the cell's states, as `return_state` gives them."""
        if x.ndim < 3:
            raise ShapeError(f"{self.name}: takes [N, T, ...], not {list(x.shape)}{here()}")
        zs, step = over(self.cell, self._in_time(x), training)
        counts = None
        if mask is not None:
            counts = self._in_time(np.expand_dims(np.astype(mask, np.bool_), -1))
        states, out = self._run(step, self._first(x, initial_state), zs, counts)
        for variable, state in zip(tree.leaves(self.states), tree.leaves(states), strict=False):
            variable.assign(state)
        return (out, *states) if self.return_state else out

    def _in_time(self, x: Any) -> Any:
        """[N, T, ...] as [T, N, ...], in the order of the steps."""
        by_time = np.swapaxes(x, 0, 1)
        return np.flip(by_time, 0) if self.go_backwards else by_time

    def _first(self, x: Any, given: Any) -> list[Any]:
        if given is not None:
            states = list(given) if isinstance(given, list | tuple) else [given]
            return tree.map(self._cast, states)
        if self.states is None:
            return self.get_initial_state(x.shape[0])
        kept: list[Any] = tree.map(lambda v: v.value, self.states)
        if tree.leaves(kept)[0].shape[0] != x.shape[0]:
            raise ShapeError(
                f"{self.name}: is stateful and was built for batches of"
                f" {tree.leaves(kept)[0].shape[0]}, not {x.shape[0]}{here()}"
            )
        return kept

    def _run(self, step: Any, states: list[Any], zs: Any, counts: Any) -> tuple[list[Any], Any]:
        """The last states, and the output."""
        zeroed = counts is not None and self.zero_output_for_mask
        by_state = getattr(self.cell, "shows_state", False) and not zeroed
        silent = by_state and not self.return_sequences

        def one(states: list[Any], now: Any) -> tuple[list[Any], Any]:
            z, counted = now
            out, new = step(z, states)
            if counted is not None:
                out = np.where(counted, out, 0 if zeroed else _shown(states))
                new = tree.map(lambda a, b: np.where(counted, a, b), new, states)
            return new, None if silent else out

        states, outs = (unrolled if self.unroll else scan)(one, states, (zs, counts))
        if silent:
            return states, _shown(states)
        return states, np.swapaxes(outs, 0, 1) if self.return_sequences else outs[-1]

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        passed = mask if self.return_sequences else None
        return [passed, *([None] * len(self._sizes()))] if self.return_state else passed

    def _sizes(self) -> list[Any]:
        size = self.cell.state_size
        return list(size) if isinstance(size, list | tuple) else [size]


def _shown(states: list[Any]) -> Any:
    """The state that is the output: the first one, of the uppermost cell."""
    top = states[-1] if isinstance(states[0], list) else states
    return top[0]


def unrolled(f: Any, init: Any, xs: Any) -> tuple[Any, Any]:
    """`scan` as so many steps one after the other."""
    ys = []
    for t in range(tree.leaves(xs)[0].shape[0]):
        init, y = f(init, tree.map(lambda a, t=t: a[t], xs))
        ys.append(y)
    return init, tree.map(lambda *parts: np.stack(parts), *ys)


class _RNNOf(RNN):
    """An RNN that makes its cell."""

    cell_class: Any

    def __init__(self, *args: Any, **keywords: Any) -> None:
        assert not args, "`in_order` gives names to all"
        of_loop = arguments(RNN)
        loop = {n: v for n, v in keywords.items() if n in of_loop}
        cell = {n: v for n, v in keywords.items() if n not in of_loop or n == "dtype"}
        super().__init__(self.cell_class(**cell), **loop)

    @property
    def units(self) -> int:
        return int(self.cell.units)


@in_order(SEED_LAST, of=SimpleRNNCell)
class SimpleRNN(_RNNOf):
    """See `SimpleRNNCell` and `RNN`."""

    cell_class = SimpleRNNCell


@in_order(RECURRENT, of=LSTMCell)
class LSTM(_RNNOf):
    """See `LSTMCell` and `RNN`. States: h and c."""

    cell_class = LSTMCell


@in_order(RECURRENT, of=GRUCell)
class GRU(_RNNOf):
    """See `GRUCell` and `RNN`."""

    cell_class = GRUCell


MERGES: dict[str, Callable[[Any, Any], Any]] = {
    "concat": lambda a, b: np.concatenate([a, b], axis=-1),
    "sum": np.add,
    "ave": lambda a, b: (a + b) / 2,
    "mul": np.multiply,
}


class Bidirectional(Layer):
    """A recurrent layer forwards and another like it backwards; their outputs side by side.

    merge_mode: "concat", "sum", "ave", "mul", or None for a tuple of both. Weights: those of the
    forward layer, then those of the backward one.
    """

    supports_masking = True

    def __init__(
        self,
        layer: RNN,
        merge_mode: str | None = "concat",
        backward_layer: RNN | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        if merge_mode is not None and merge_mode not in MERGES:
            known = ", ".join(map(repr, MERGES))
            raise ValueError(f"Bidirectional: merge_mode {merge_mode!r} is none of {known}, None")
        self.merge_mode = merge_mode
        self.forward_layer = layer
        self.backward_layer = backward_layer or again(layer, go_backwards=not layer.go_backwards)
        if self.backward_layer.go_backwards == layer.go_backwards:
            raise ValueError("Bidirectional: both layers go the same way: set go_backwards of one")

    def build(self, input_shape: Any) -> None:
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(input_shape)
                layer.built = True

    def call(
        self,
        x: Any,
        initial_state: Any = None,
        mask: Any = None,
        training: bool | None = None,
    ) -> Any:
        """initial_state: the forward layer's states, then as many of the backward layer."""
        half = 0 if initial_state is None else len(initial_state) // 2
        outs: list[Any] = []
        states: list[Any] = []
        for i, layer in enumerate((self.forward_layer, self.backward_layer)):
            first = list(initial_state[i * half : (i + 1) * half]) if half else None
            given = layer(x, initial_state=first, mask=mask, training=training)
            out, *last = given if layer.return_state else (given,)
            outs.append(np.flip(out, 1) if layer.go_backwards and layer.return_sequences else out)
            states += last
        merged = outs if self.merge_mode is None else [MERGES[self.merge_mode](*outs)]
        return (*merged, *states) if len(merged) + len(states) > 1 else merged[0]

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        layer = self.forward_layer
        passed = mask if layer.return_sequences else None
        states = 2 * len(layer._sizes()) if layer.return_state else 0
        outs = [passed] * (2 if self.merge_mode is None else 1)
        return [*outs, *([None] * states)] if len(outs) + states > 1 else passed


def again(layer: Any, **changes: Any) -> Any:
    """A layer made from the same arguments, those changed, and with layers inside made again."""

    def remade(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [remade(v) for v in value]
        return again(value) if isinstance(value, Layer) else value

    config = {name: remade(value) for name, value in layer.get_config().items()}
    del config["name"]
    return type(layer).from_config({**config, **changes})
