"""One step of recurrent layers: SimpleRNNCell, LSTMCell, GRUCell, and cells on top of each other.

A cell is a layer: cell(x: [N, D], states) -> (output: [N, units], new states), states a list of
[N, units]. For a whole sequence `over` takes the product with the kernel out of the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit import numpy as tnp
from tracejit.nn import activations
from tracejit.nn.core import Dropout
from tracejit.nn.keras_order import CELL, CELL_SEED_LAST, in_order
from tracejit.nn.layer import Layer, Weighted, arguments_of

# (what a step reads, states) -> (output, new states)
Step = Callable[[Any, Any], tuple[Any, Any]]


class RecurrentCell(Weighted):
    """Weights: kernel [D, gates units], recurrent_kernel [units, gates units], bias [gates units].

    dropout, recurrent_dropout: shares of x and of the state that are 0 while training, the same
    ones at all steps of a sequence and in all gates. Source: Gal & Ghahramani 2016,
    arXiv:1512.05287.
    """

    gates = 1
    # The output is the first state.
    shows_state = True
    states = 1

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        *args: Any,
        recurrent_initializer: Any = "orthogonal",
        recurrent_regularizer: Any = None,
        recurrent_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(activation, *args, **keywords)
        self.units = units
        self._recurrent = (recurrent_initializer, recurrent_regularizer, recurrent_constraint)
        self.dropout, self.recurrent_dropout = dropout, recurrent_dropout
        self.drops = [
            Dropout(rate, seed=seed, name=f"{self.name}_{name}", dtype=self.dtype_policy)
            if rate
            else None
            for rate, name in ((dropout, "dropout"), (recurrent_dropout, "recurrent_dropout"))
        ]

    @property
    def state_size(self) -> Any:
        return self.units if self.states == 1 else [self.units] * self.states

    @property
    def output_size(self) -> int:
        return self.units

    def get_initial_state(self, batch_size: int) -> list[Any]:
        return [tnp.zeros((batch_size, self.units), self.compute_dtype)] * self.states

    def build(self, input_shape: Any) -> None:
        width = self.gates * self.units
        self.kernel = self.add_kernel((input_shape[-1], width))
        draw, regularizer, constraint = self._recurrent
        self.recurrent_kernel = self.add_weight(
            (self.units, width), draw, regularizer=regularizer, constraint=constraint,
            name="recurrent_kernel",
        )  # fmt: skip
        self.bias = self.add_bias(self.bias_shape())

    def bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.units,)

    def input_bias(self) -> Any:
        return self.read(self.bias)

    def project(self, x: Any, factor: Any = None) -> Any:
        """What a step needs of x: [..., N, D], for all gates: [..., N, gates units]."""
        y = np.matmul(x if factor is None else x * factor, self.read(self.kernel))
        return y if self.bias is None else y + self.input_bias()

    def advance(self, z: Any, states: Any, factor: Any = None) -> tuple[Any, Any]:
        """One step from what `project` made of its x. factor: dropout's, of the state."""
        raise NotImplementedError

    def call(self, x: Any, states: Any, training: bool | None = None) -> tuple[Any, Any]:
        return self.step(x.shape[0], training)(x, states)

    def step(self, batch: int, training: Any) -> Step:
        """The step that reads x: [N, D]."""
        factor, advance = self._drawn(batch, training)
        return lambda x, states: advance(self.project(x, factor), states)

    def over(self, xs: Any, training: Any) -> tuple[Any, Step]:
        """What the steps of xs: [T, N, D] read, and the step."""
        factor, advance = self._drawn(xs.shape[1], training)
        return self.project(xs, factor), advance

    def _drawn(self, batch: int, training: Any) -> tuple[Any, Step]:
        """Dropout's factors for one sequence: that of x, and `advance` with that of the state."""
        widths = (self.kernel.shape[0], self.units)
        of_x, of_state = (
            drop(tnp.ones((batch, width), self.compute_dtype), training=True)
            if drop and training
            else None
            for drop, width in zip(self.drops, widths, strict=True)
        )
        return of_x, lambda z, states: self.advance(z, states, of_state)

    def recur(self, h: Any, factor: Any) -> Any:
        """The product of the state with the recurrent kernel, for all gates."""
        return np.matmul(h if factor is None else h * factor, self.read(self.recurrent_kernel))


@in_order(CELL_SEED_LAST)
class SimpleRNNCell(RecurrentCell):
    """h' = activation(x kernel + h recurrent_kernel + bias)."""

    def advance(self, z: Any, states: Any, factor: Any = None) -> tuple[Any, Any]:
        h = self.activation(z + self.recur(states[0], factor))
        return h, [h]


class Gated(RecurrentCell):
    """A cell with a second activation, that of its gates."""

    def __init__(self, *args: Any, recurrent_activation: Any = "sigmoid", **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.recurrent_activation = activations.get(recurrent_activation)


@in_order(CELL)
class LSTMCell(Gated):
    """c' = f c + i activation(g), h' = o activation(c'); the gates in the order i, f, g, o.

    unit_forget_bias: the bias of f begins at 1. Source: Hochreiter & Schmidhuber 1997.
    """

    gates = 4
    states = 2

    def __init__(self, *args: Any, unit_forget_bias: bool = True, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.unit_forget_bias = unit_forget_bias

    def add_bias(self, shape: Any) -> Any:
        bias = super().add_bias(shape)
        if bias is not None and self.unit_forget_bias:
            bias.buffer[self.units : 2 * self.units] = 1
        return bias

    def advance(self, z: Any, states: Any, factor: Any = None) -> tuple[Any, Any]:
        h, c = states
        i, f, g, o = np.split(z + self.recur(h, factor), 4, axis=-1)
        gate = self.recurrent_activation
        c = gate(f) * c + gate(i) * self.activation(g)
        h = gate(o) * self.activation(c)
        return h, [h, c]


@in_order(CELL_SEED_LAST)
class GRUCell(Gated):
    """h' = z h + (1 - z) activation(g), g = x + r (h recurrent); in the order z, r, g.

    reset_after: r multiplies after the product (cuDNN's way), bias is [2, 3 units], that of x and
    that of h; else before, and bias is [3 units]. Source: Cho et al. 2014, arXiv:1406.1078.
    """

    gates = 3

    def __init__(self, *args: Any, reset_after: bool = True, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.reset_after = reset_after

    def bias_shape(self) -> tuple[int, ...]:
        width = self.gates * self.units
        return (2, width) if self.reset_after else (width,)

    def input_bias(self) -> Any:
        bias = self.read(self.bias)
        return bias[0] if self.reset_after else bias

    def advance(self, z: Any, states: Any, factor: Any = None) -> tuple[Any, Any]:
        (h,) = states
        both = 2 * self.units
        if self.reset_after:
            inner = self.recur(h, factor)
            if self.bias is not None:
                inner = inner + self.read(self.bias)[1]
            update, reset = self._gates(z[:, :both] + inner[:, :both])
            candidate = z[:, both:] + reset * inner[:, both:]
        else:
            kernel, kept = self.read(self.recurrent_kernel), h if factor is None else h * factor
            update, reset = self._gates(z[:, :both] + np.matmul(kept, kernel[:, :both]))
            candidate = z[:, both:] + np.matmul(reset * kept, kernel[:, both:])
        h = update * h + (1 - update) * self.activation(candidate)
        return h, [h]

    def _gates(self, z: Any) -> list[Any]:
        return list(np.split(self.recurrent_activation(z), 2, axis=-1))


class StackedRNNCells(Layer):
    """Cells on top of each other, as one: states is a list of theirs."""

    def __init__(self, cells: Any, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.cells = list(cells)

    @property
    def state_size(self) -> Any:
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> int:
        return output_size(self.cells[-1])

    @property
    def shows_state(self) -> bool:
        return getattr(self.cells[-1], "shows_state", False)

    def get_initial_state(self, batch_size: int) -> list[Any]:
        return [initial_state(cell, batch_size, self.compute_dtype) for cell in self.cells]

    def build(self, input_shape: Any) -> None:
        for cell in self.cells:
            build_cell(cell, input_shape)
            input_shape = (*input_shape[:-1], output_size(cell))

    def call(self, x: Any, states: Any, training: bool | None = None) -> tuple[Any, Any]:
        return self._joined(step_of(self.cells[0], x.shape[0], training), x.shape[0], training)(
            x, states
        )

    def over(self, xs: Any, training: Any) -> tuple[Any, Step]:
        """What the steps of xs: [T, N, D] read, and the step."""
        zs, first = over(self.cells[0], xs, training)
        return zs, self._joined(first, xs.shape[1], training)

    def _joined(self, first: Step, batch: int, training: Any) -> Step:
        steps = [first, *(step_of(cell, batch, training) for cell in self.cells[1:])]

        def step(x: Any, states: Any) -> tuple[Any, Any]:
            new = []
            for one, state in zip(steps, states, strict=True):
                x, state = one(x, state)
                new.append(state)
            return x, new

        return step


def build_cell(cell: Any, input_shape: Any) -> None:
    if isinstance(cell, Layer) and not cell.built:
        cell.build(input_shape)
        cell.built = True


def output_size(cell: Any) -> int:
    size = getattr(cell, "output_size", None) or cell.state_size
    return int(size[0] if isinstance(size, list | tuple) else size)


def initial_state(cell: Any, batch: int, dtype: Any) -> list[Any]:
    """The zeros that a cell begins with, as a list."""
    if hasattr(cell, "get_initial_state"):
        given = cell.get_initial_state(batch_size=batch)
        return list(given) if isinstance(given, list | tuple) else [given]
    sizes = cell.state_size if isinstance(cell.state_size, list | tuple) else [cell.state_size]
    own = getattr(cell, "compute_dtype", dtype)
    return [tnp.zeros((batch, size), own) for size in sizes]


def step_of(cell: Any, batch: int, training: Any) -> Step:
    """The step of a cell of one's own, or of ours, whose dropout is the same at all steps."""
    if isinstance(cell, RecurrentCell):
        return cell.step(batch, training)
    cls: Any = type(cell)
    told = {"training": training} if "training" in arguments_of(cls) else {}

    def step(x: Any, states: Any) -> tuple[Any, Any]:
        out, new = cell(x, states, **told)
        return out, list(new) if isinstance(new, list | tuple) else [new]

    return step


def over(cell: Any, xs: Any, training: Any) -> tuple[Any, Step]:
    """What the steps of xs: [T, N, D] read, and the step of a cell."""
    if isinstance(cell, RecurrentCell | StackedRNNCells):
        return cell.over(xs, training)
    return xs, step_of(cell, xs.shape[1], training)
