"""SGD and Adam. One pure rule each; Variables and pytrees are two ways to call it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.source import here
from tracejit.variable import Variable

Rate = float | Callable[[Any], Any]


def adam(
    g: Any, m: Any, v: Any, t: Any, lr: Any = 1e-3, b1: float = 0.9, b2: float = 0.999,
    eps: float = 1e-8,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """One Adam step: returns (update, m, v), each shaped like g: [...]; the update is subtracted.

    t: steps done so far, this one included [count], >= 1. lr: step size [parameter units].
    The bias corrections are folded into the step size, as the end of section 2 suggests.
    Source: Kingma & Ba 2014, arXiv:1412.6980, Algorithm 1.
    """
    m = b1 * m + (1 - b1) * g
    v = b2 * v + (1 - b2) * g * g
    size = lr * np.sqrt(1 - b2**t) / (1 - b1**t)
    return _like(size, g) * m / (np.sqrt(v) + eps), m, v


def _like(x: Any, g: Any) -> Any:
    """A step size in the dtype of what it scales: it is computed wider, and must not widen that."""
    return x.astype(g.dtype) if hasattr(x, "astype") else x


class Optimizer:
    """The two ways to call a rule.

    Variables:  `opt.apply(grads, variables)`. Pytrees: `state = opt.init(params)`, then
    `params, state = opt.update(grads, state, params)`.
    learning_rate: a float, or a function of the step count (0 at the first step).
    """

    slots: tuple[str, ...] = ()

    def __init__(self, learning_rate: Rate) -> None:
        self.learning_rate = learning_rate
        self.step = Variable(np.zeros((), np.int32), name="step", trainable=False)
        self._state: dict[Variable, tuple[Variable, ...]] = {}

    def rule(self, p: Any, g: Any, slots: tuple[Any, ...], t: Any) -> tuple[Any, tuple[Any, ...]]:
        """The new parameter and slots. t: this step's number, from 1."""
        raise NotImplementedError

    def rate(self, t: Any) -> Any:
        return self.learning_rate(t - 1) if callable(self.learning_rate) else self.learning_rate

    @property
    def variables(self) -> list[Variable]:
        """The step count, then the slots of every Variable seen so far."""
        return [self.step, *(slot for slots in self._state.values() for slot in slots)]

    def apply(self, grads: Sequence[Any], variables: Sequence[Variable]) -> None:
        """Moves the Variables by one step."""
        if len(grads) != len(variables):
            counts = f"{len(grads)} gradients for {len(variables)} variables"
            raise ValueError(f"apply: {counts}{here()}")
        t = self.step.value + 1
        self.step.assign(t)
        for variable, g in zip(variables, grads, strict=True):
            slots = self._slots(variable)
            new, filled = self.rule(variable.value, g, tuple(s.value for s in slots), t)
            variable.assign(new)
            for slot, value in zip(slots, filled, strict=True):
                slot.assign(value)

    def _slots(self, variable: Variable) -> tuple[Variable, ...]:
        slots = self._state.get(variable)
        if slots is None:
            zeros = np.zeros(variable.shape, variable.dtype)
            slots = tuple(
                Variable(zeros, name=f"{variable.name}_{slot}", trainable=False)
                for slot in self.slots
            )
            self._state[variable] = slots
        return slots

    def init(self, params: Any) -> dict[str, Any]:
        """The state for a pytree of parameters: the step count, and a tree like it per slot."""
        zeros = {name: tree.map(np.zeros_like, params) for name in self.slots}
        return {"step": np.zeros((), np.int32), **zeros}

    def update(self, grads: Any, state: dict[str, Any], params: Any) -> tuple[Any, dict[str, Any]]:
        """One step: the new parameters and state."""
        t = state["step"] + 1
        leaves, spec = tree.flatten(params)
        gradients = tree.leaves(grads)
        slots = zip(*(tree.leaves(state[name]) for name in self.slots), strict=True)
        rows = list(slots) if self.slots else [()] * len(leaves)
        moved = [self.rule(p, g, row, t) for p, g, row in zip(leaves, gradients, rows, strict=True)]
        new: dict[str, Any] = {"step": t}
        for i, name in enumerate(self.slots):
            new[name] = tree.unflatten(spec, [row[i] for _, row in moved])
        return tree.unflatten(spec, [p for p, _ in moved]), new


class SGD(Optimizer):
    """p - lr g; with momentum mu the velocity u <- mu u - lr g, and p + u.

    nesterov: p + mu u - lr g instead. Source: Sutskever et al. 2013, section 2; as in Keras.
    """

    def __init__(
        self, learning_rate: Rate = 0.01, momentum: float = 0.0, nesterov: bool = False
    ) -> None:
        super().__init__(learning_rate)
        self.momentum = momentum
        self.nesterov = nesterov
        self.slots = ("momentum",) if momentum else ()

    def rule(self, p: Any, g: Any, slots: tuple[Any, ...], t: Any) -> tuple[Any, tuple[Any, ...]]:
        move = _like(self.rate(t), g) * g
        if not self.momentum:
            return p - move, ()
        velocity = self.momentum * slots[0] - move
        step = self.momentum * velocity - move if self.nesterov else velocity
        return p + step, (velocity,)


class Adam(Optimizer):
    """See `adam`. Argument names and defaults as in Keras, epsilon as in the paper."""

    slots = ("m", "v")

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(learning_rate)
        for name, beta in (("beta_1", beta_1), ("beta_2", beta_2)):
            if not 0 <= beta < 1:
                raise ValueError(f"Adam: {name} = {beta} is outside [0, 1)")
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def rule(self, p: Any, g: Any, slots: tuple[Any, ...], t: Any) -> tuple[Any, tuple[Any, ...]]:
        m, v = slots
        update, m, v = adam(g, m, v, t, self.rate(t), self.beta_1, self.beta_2, self.epsilon)
        return p - update, (m, v)
