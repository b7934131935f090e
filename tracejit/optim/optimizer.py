"""What all optimizers share: two ways to call a rule, clipping, weight decay, averages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.nn.configured import Configured
from tracejit.source import here
from tracejit.variable import Variable

Rate = float | Callable[[Any], Any]
Slots = tuple[Any, ...]


def like(x: Any, g: Any) -> Any:
    """A step size in the dtype of what it scales: it is computed wider, and must not widen that."""
    return x.astype(g.dtype) if hasattr(x, "astype") else x


def norm(x: Any) -> Any:
    """The 2-norm of all elements."""
    return np.sqrt(np.sum(np.square(x)))


class Optimizer(Configured):
    """The two ways to call a rule.

    Variables:  `opt.apply(grads, variables)`. Pytrees: `state = opt.init(params)`, then
    `params, state = opt.update(grads, state, params)`.

    learning_rate: a float, which may be set later without a new trace; or a function of the step
    count (0 at the first step), as in `optim.schedules`.
    weight_decay: the weights times this and the learning rate are subtracted before each step.
    clipnorm, clipvalue, global_clipnorm: bounds of each gradient's norm, of each element, of the
    norm of all gradients together; one of them at most.
    use_ema: keeps a running mean of each weight, which `finalize_variable_values` assigns.
    gradient_accumulation_steps: moves the weights at every n-th call only, by the mean gradient.
    """

    slots: tuple[str, ...] = ()

    def __init__(
        self,
        learning_rate: Rate,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        gradient_accumulation_steps: int | None = None,
    ) -> None:
        kind = type(self).__name__
        bounds = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = [name for name, bound in bounds.items() if bound is not None]
        if len(given) > 1:
            raise ValueError(f"{kind}: {' and '.join(given)} exclude each other")
        steps = gradient_accumulation_steps
        if steps is not None and steps < 2:
            raise ValueError(f"{kind}: gradient_accumulation_steps = {steps} is less than 2")
        check_unit_interval(kind, ema_momentum=ema_momentum)
        self.weight_decay = weight_decay
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.use_ema, self.ema_momentum = use_ema, ema_momentum
        self.accumulated = steps or 1
        self.step = Variable(np.zeros((), np.int32), name="step", trainable=False)
        self._rate = Variable(np.zeros((), np.float64), name="learning_rate", trainable=False)
        self.learning_rate = learning_rate
        self._state: dict[Variable, tuple[Variable, ...]] = {}

    @property
    def learning_rate(self) -> Any:
        """The schedule; or the Variable that holds the step size. Setting a float assigns it."""
        return self._rate if self._schedule is None else self._schedule

    @learning_rate.setter
    def learning_rate(self, rate: Rate) -> None:
        self._schedule = rate if callable(rate) and not isinstance(rate, Variable) else None
        if self._schedule is None:
            self._rate.assign(rate)

    @property
    def iterations(self) -> Variable:
        """`step`, by Keras's name: how often `apply` was called."""
        return self.step

    def rule(self, p: Any, g: Any, slots: Slots, t: Any) -> tuple[Any, Slots]:
        """The new parameter and slots. t: this step's number, from 1."""
        raise NotImplementedError

    def rate(self, t: Any) -> Any:
        """The step size at step t, a scalar."""
        return self._rate.value if self._schedule is None else self._schedule(t - 1)

    def fresh(self, slot: str, like: Any) -> Any:
        """What a slot of a parameter holds at first."""
        return np.zeros(np.shape(like), like.dtype)

    def all_slots(self) -> tuple[str, ...]:
        """The rule's slots, and those for accumulating and averaging."""
        more = (("accumulator",) if self.accumulated > 1 else ()) + (
            ("average",) if self.use_ema else ()
        )
        return self.slots + more

    @property
    def variables(self) -> list[Variable]:
        """The step count, then the slots of every Variable seen so far."""
        return [self.step, *(slot for slots in self._state.values() for slot in slots)]

    def counters(self) -> dict[str, Variable]:
        """The Variables that belong to no weight, by name."""
        return {"step": self.step}

    def scale_loss(self, loss: Any) -> Any:
        """What to differentiate instead of the loss: see `LossScaleOptimizer`."""
        return loss

    def build(self, variables: Sequence[Variable]) -> None:
        """Makes the slots of these Variables now; else the first `apply` does."""
        for variable in variables:
            self._slots(variable)

    def apply(self, grads: Sequence[Any], variables: Sequence[Variable]) -> None:
        """Moves the Variables by one step."""
        if len(grads) != len(variables):
            counts = f"{len(grads)} gradients for {len(variables)} variables"
            hint = "; build the model before its variables are asked for" if not grads else ""
            raise ValueError(f"apply: {counts}{here()}{hint}")
        t = self.step.value + 1
        self.step.assign(t)
        states = [self._slots(variable) for variable in variables]
        rows = [
            (variable.value, g, tuple(s.value for s in slots))
            for variable, g, slots in zip(variables, grads, states, strict=True)
        ]
        for variable, slots, (new, filled) in zip(
            variables, states, self._moved(rows, t), strict=True
        ):
            variable.assign(new)
            for slot, value in zip(slots, filled, strict=True):
                slot.assign(value)

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> None:
        """`apply`, as in Keras: of pairs."""
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])

    def finalize_variable_values(self, variables: Sequence[Variable]) -> None:
        """Assigns the running means that use_ema keeps."""
        if not self.use_ema:
            return
        place = self.all_slots().index("average")
        for variable in variables:
            if variable in self._state:
                variable.assign(self._state[variable][place].value)

    def _slots(self, variable: Variable) -> tuple[Variable, ...]:
        slots = self._state.get(variable)
        if slots is None:
            slots = tuple(
                Variable(
                    self._first(slot, variable), name=f"{variable.name}_{slot}", trainable=False
                )
                for slot in self.all_slots()
            )
            self._state[variable] = slots
        return slots

    def _first(self, slot: str, parameter: Any) -> Any:
        if slot in ("accumulator", "average"):
            return np.zeros(np.shape(parameter), parameter.dtype)
        return self.fresh(slot, parameter)

    def init(self, params: Any) -> dict[str, Any]:
        """The state for a pytree of parameters: the step count, and a tree like it per slot."""
        slots = {s: tree.map(lambda p, s=s: self._first(s, p), params) for s in self.all_slots()}
        return {"step": np.zeros((), np.int32), **slots}

    def update(self, grads: Any, state: dict[str, Any], params: Any) -> tuple[Any, dict[str, Any]]:
        """One step: the new parameters and state."""
        t = state["step"] + 1
        leaves, spec = tree.flatten(params)
        names = self.all_slots()
        columns = [tree.leaves(state[name]) for name in names]
        slots = zip(*columns, strict=True) if names else iter([()] * len(leaves))
        rows = list(zip(leaves, tree.leaves(grads), slots, strict=True))
        moved = self._moved(rows, t)
        new: dict[str, Any] = {"step": t}
        for i, name in enumerate(names):
            new[name] = tree.unflatten(spec, [row[i] for _, row in moved])
        return tree.unflatten(spec, [p for p, _ in moved]), new

    def _moved(self, rows: Sequence[tuple[Any, Any, Slots]], count: Any) -> list[tuple[Any, Slots]]:
        """New parameters and slots for (parameter, gradient, slots). count: of calls, from 1."""
        if self.accumulated > 1:
            return self._accumulated(rows, count)
        gradients = self._clipped([g for _, g, _ in rows])
        return [
            self._one(p, g, slots, count) for (p, _, slots), g in zip(rows, gradients, strict=True)
        ]

    def _one(self, p: Any, g: Any, slots: Slots, t: Any) -> tuple[Any, Slots]:
        """One parameter's step: decay, rule, average."""
        if self.weight_decay:
            p = p - p * like(self.rate(t) * self.weight_decay, p)
        new, filled = self.rule(p, g, slots[: len(self.slots)], t)
        if not self.use_ema:
            return new, filled
        # The first step copies.
        kept = like(np.where(t == 1, 0.0, self.ema_momentum), p)
        return new, (*filled, kept * slots[-1] + (1 - kept) * new)

    def _accumulated(
        self, rows: Sequence[tuple[Any, Any, Slots]], count: Any
    ) -> list[tuple[Any, Slots]]:
        """As if called at every n-th call only; where the step is not due all stays as it was."""
        n, place = self.accumulated, len(self.slots)
        due = count % n == 0
        sums = [slots[place] + g for _, g, slots in rows]
        gradients = self._clipped([s / n for s in sums])
        moved = []
        for (p, _, slots), g, total in zip(rows, gradients, sums, strict=True):
            others = slots[:place] + slots[place + 1 :]
            new, filled = self._one(p, g, others, np.maximum(count // n, 1))
            held = [np.where(due, a, b) for a, b in zip(filled, others, strict=True)]
            held.insert(place, np.where(due, 0, total))
            moved.append((np.where(due, new, p), tuple(held)))
        return moved

    def _clipped(self, grads: list[Any]) -> list[Any]:
        if self.clipvalue is not None:
            return [np.clip(g, -self.clipvalue, self.clipvalue) for g in grads]
        if self.clipnorm is not None:
            return [g * (self.clipnorm / np.maximum(norm(g), self.clipnorm)) for g in grads]
        if self.global_clipnorm is not None and grads:
            square = sum(np.sum(np.square(g)) for g in grads)
            factor = self.global_clipnorm / np.maximum(np.sqrt(square), self.global_clipnorm)
            return [g * like(factor, g) for g in grads]
        return grads


def check_unit_interval(kind: str, **values: float) -> None:
    """Raises ValueError for a value outside [0, 1)."""
    for name, value in values.items():
        if not 0 <= value < 1:
            raise ValueError(f"{kind}: {name} = {value} is outside [0, 1)")
