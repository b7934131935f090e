"""Loss scaling: gradients in f16 that would vanish are computed from a larger loss."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from tracejit.nn.configured import Configured
from tracejit.optim.optimizer import Optimizer
from tracejit.variable import Variable


class LossScaleOptimizer(Configured):
    """An optimizer that gets the gradients of `scale_loss(loss)`, and divides them again.

    A step with a gradient that is not finite changes nothing but halves the scale, which doubles
    after `dynamic_growth_steps` steps that were finite. As in Keras; `compile` puts one around the
    optimizer of a model with layers of the policy "mixed_float16".
    Source: Micikevicius et al. 2017, arXiv:1710.03740, section 3.2.
    """

    def __init__(
        self,
        inner_optimizer: Optimizer,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
    ) -> None:
        self.inner_optimizer = inner_optimizer
        self.dynamic_growth_steps = dynamic_growth_steps
        self.scale = Variable(np.float32(initial_scale), name="loss_scale", trainable=False)
        self.finite_steps = Variable(np.zeros((), np.int32), name="finite_steps", trainable=False)

    def __getattr__(self, name: str) -> Any:
        """All else is the inner optimizer's."""
        if name == "inner_optimizer":
            raise AttributeError(name)
        return getattr(self.inner_optimizer, name)

    @property
    def learning_rate(self) -> Any:
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: Any) -> None:
        self.inner_optimizer.learning_rate = rate

    @property
    def variables(self) -> list[Variable]:
        return [*self.inner_optimizer.variables, self.scale, self.finite_steps]

    def counters(self) -> dict[str, Variable]:
        """The Variables that belong to no weight, by name."""
        own = {"scale": self.scale, "finite_steps": self.finite_steps}
        return {**self.inner_optimizer.counters(), **own}

    def scale_loss(self, loss: Any) -> Any:
        return loss * np.astype(self.scale.value, loss.dtype)

    def apply(self, grads: Sequence[Any], variables: Sequence[Variable]) -> None:
        """Moves the Variables by one step, if all gradients are finite."""
        inner = self.inner_optimizer
        inner.build(variables)
        finite = reduce(np.logical_and, [np.all(np.isfinite(g)) for g in grads])
        held = [(v, v.value) for v in (*variables, *inner.variables)]
        inner.apply([g / np.astype(self.scale.value, g.dtype) for g in grads], variables)
        for variable, before in held:
            variable.assign(np.where(finite, variable.value, before))
        run = np.where(finite, self.finite_steps.value + 1, 0)
        grows = run >= self.dynamic_growth_steps
        change = np.where(finite, np.where(grows, 2.0, 1.0), 0.5)
        self.scale.assign(self.scale.value * np.astype(change, np.float32))
        self.finite_steps.assign(np.where(grows, 0, run))
