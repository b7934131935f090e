"""Learning rates as functions of the step, with Keras's names and formulas.

They are computed in the step itself, from the step count: a schedule never makes a new trace.
step: int or array of rank 0, from 0. The result is f64.
"""

from __future__ import annotations

from math import log, pi
from typing import Any

import numpy as np

from tracejit.nn.configured import Configured


def _float(step: Any) -> Any:
    return np.float64(step) if isinstance(step, int | float) else np.astype(step, np.float64)


class LearningRateSchedule(Configured):
    def __call__(self, step: Any) -> Any:
        raise NotImplementedError


class ExponentialDecay(LearningRateSchedule):
    """initial rate^(step / decay_steps); staircase: whole exponents only."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
    ) -> None:
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.decay_rate, self.staircase = decay_rate, staircase

    def __call__(self, step: Any) -> Any:
        p = _float(step) / self.decay_steps
        return self.initial_learning_rate * self.decay_rate ** (
            np.floor(p) if self.staircase else p
        )


class InverseTimeDecay(ExponentialDecay):
    """initial / (1 + rate step / decay_steps); staircase: whole quotients only."""

    def __call__(self, step: Any) -> Any:
        p = _float(step) / self.decay_steps
        p = np.floor(p) if self.staircase else p
        return self.initial_learning_rate / (1 + self.decay_rate * p)


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[i] for boundaries[i - 1] < step <= boundaries[i]."""

    def __init__(self, boundaries: list[int], values: list[float]) -> None:
        if len(values) != len(boundaries) + 1:
            raise ValueError(
                f"PiecewiseConstantDecay: {len(boundaries)} boundaries part"
                f" {len(boundaries) + 1} values, not {len(values)}"
            )
        self.boundaries, self.values = boundaries, values

    def __call__(self, step: Any) -> Any:
        x = _float(step)
        out = self.values[0] + 0 * x
        for boundary, value in zip(self.boundaries, self.values[1:], strict=True):
            out = np.where(x > boundary, value, out)
        return out


class PolynomialDecay(LearningRateSchedule):
    """From initial to end as (1 - step / decay_steps)^power. cycle: over ever longer spans."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
    ) -> None:
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.end_learning_rate, self.power, self.cycle = end_learning_rate, power, cycle

    def __call__(self, step: Any) -> Any:
        x, span = _float(step), float(self.decay_steps)
        if self.cycle:
            p = x / (span * np.maximum(np.ceil(x / span), 1))
        else:
            p = np.minimum(x, span) / span
        height = self.initial_learning_rate - self.end_learning_rate
        return height * (1 - p) ** self.power + self.end_learning_rate


class CosineDecay(LearningRateSchedule):
    """Half a cosine from initial to alpha initial, after a linear way up to `warmup_target`.

    Source: Loshchilov & Hutter 2016, arXiv:1608.03983.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self.initial_learning_rate, self.decay_steps, self.alpha = (
            initial_learning_rate, decay_steps, alpha,
        )  # fmt: skip
        self.warmup_target, self.warmup_steps = warmup_target, warmup_steps

    def __call__(self, step: Any) -> Any:
        x, start = _float(step), self.initial_learning_rate
        if self.warmup_target is None:
            return start * self._decay(x)
        rising = start + (self.warmup_target - start) * x / max(self.warmup_steps, 1)
        falling = self.warmup_target * self._decay(np.maximum(x - self.warmup_steps, 0))
        return np.where(x < self.warmup_steps, rising, falling)

    def _decay(self, x: Any) -> Any:
        p = np.minimum(x, self.decay_steps) / self.decay_steps
        return (1 - self.alpha) * 0.5 * (1 + np.cos(pi * p)) + self.alpha


class CosineDecayRestarts(LearningRateSchedule):
    """Cosines, each t_mul times as long and m_mul times as high as the one before."""

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
    ) -> None:
        self.initial_learning_rate, self.first_decay_steps = (
            initial_learning_rate, first_decay_steps,
        )  # fmt: skip
        self.t_mul, self.m_mul, self.alpha = t_mul, m_mul, alpha

    def __call__(self, step: Any) -> Any:
        p, t = _float(step) / self.first_decay_steps, self.t_mul
        if t == 1:
            restarts = np.floor(p)
            p = p - restarts
        else:
            # The small addend keeps the floor right where a restart falls on a whole step.
            restarts = np.floor(np.log(1 - p * (1 - t)) / log(t) + 1e-12)
            length = t**restarts
            p = (p - (1 - length) / (1 - t)) / length
        cosine = 0.5 * self.m_mul**restarts * (1 + np.cos(pi * p))
        return self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha)


SCHEDULES: dict[str, type[Any]] = {
    c.__name__: c
    for c in (
        ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay, CosineDecay,
        CosineDecayRestarts,
    )
}  # fmt: skip
