"""The rules. Names, arguments, defaults and formulas as in Keras.

p: parameter, g: its gradient, both [...]; lr: step size [parameter units]; t: the step, from 1.
Every class also takes the keywords of `Optimizer`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.nn.configured import lookup
from tracejit.optim.loss_scale import LossScaleOptimizer
from tracejit.optim.optimizer import Optimizer, Rate, Slots, check_unit_interval, like, norm


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
    return like(size, g) * m / (np.sqrt(v) + eps), m, v


class SGD(Optimizer):
    """p - lr g; with momentum mu the velocity u <- mu u - lr g, and p + u.

    nesterov: p + mu u - lr g instead. Source: Sutskever et al. 2013, section 2; as in Keras.
    """

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **keywords: Any,
    ) -> None:
        super().__init__(learning_rate, **keywords)
        if not 0 <= momentum <= 1:
            raise ValueError(f"SGD: momentum = {momentum} is outside [0, 1]")
        self.momentum = momentum
        self.nesterov = nesterov
        self.slots = ("momentum",) if momentum else ()

    def rule(self, p: Any, g: Any, slots: Slots, t: Any) -> tuple[Any, Slots]:
        move = like(self.rate(t), g) * g
        if not self.momentum:
            return p - move, ()
        velocity = self.momentum * slots[0] - move
        step = self.momentum * velocity - move if self.nesterov else velocity
        return p + step, (velocity,)


class _TwoMoments(Optimizer):
    """A rule of a mean m of gradients and a mean v of their squares."""

    slots: tuple[str, ...] = ("m", "v")

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **keywords: Any,
    ) -> None:
        super().__init__(learning_rate, **keywords)
        check_unit_interval(type(self).__name__, beta_1=beta_1, beta_2=beta_2)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def moments(self, g: Any, m: Any, v: Any) -> tuple[Any, Any]:
        return (
            self.beta_1 * m + (1 - self.beta_1) * g,
            self.beta_2 * v + (1 - self.beta_2) * g * g,
        )


class Adam(_TwoMoments):
    """See `adam`. amsgrad: divides by the largest v so far (Reddi et al. 2018)."""

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **keywords: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **keywords)
        self.amsgrad = amsgrad
        if amsgrad:
            self.slots = ("m", "v", "v_max")

    def rule(self, p: Any, g: Any, slots: Slots, t: Any) -> tuple[Any, Slots]:
        if not self.amsgrad:
            m, v = slots
            update, m, v = adam(g, m, v, t, self.rate(t), self.beta_1, self.beta_2, self.epsilon)
            return p - update, (m, v)
        m, v = self.moments(g, *slots[:2])
        most = np.maximum(slots[2], v)
        size = self.rate(t) * np.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        return p - like(size, g) * m / (np.sqrt(most) + self.epsilon), (m, v, most)


class AdamW(Adam):
    """Adam with weight decay apart from the gradient. Source: Loshchilov & Hutter 2017."""

    def __init__(
        self, learning_rate: Rate = 1e-3, weight_decay: float = 0.004, *args: Any, **keywords: Any
    ) -> None:
        super().__init__(learning_rate, *args, weight_decay=weight_decay, **keywords)


class RMSprop(Optimizer):
    """p - lr g / sqrt(mean of g^2). centered: the variance of g instead; momentum: of the steps.

    Source: Hinton 2012, Neural Networks for Machine Learning, lecture 6e.
    """

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **keywords: Any,
    ) -> None:
        super().__init__(learning_rate, **keywords)
        check_unit_interval("RMSprop", rho=rho)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered
        self.slots = ("v", *(("mean",) if centered else ()), *(("momentum",) if momentum else ()))

    def rule(self, p: Any, g: Any, slots: Slots, t: Any) -> tuple[Any, Slots]:
        named = dict(zip(self.slots, slots, strict=True))
        named["v"] = variance = self.rho * named["v"] + (1 - self.rho) * g * g
        if self.centered:
            named["mean"] = self.rho * named["mean"] + (1 - self.rho) * g
            variance = variance - named["mean"] * named["mean"]
        step = like(self.rate(t), g) * g / np.sqrt(variance + self.epsilon)
        if self.momentum:
            named["momentum"] = step = self.momentum * named["momentum"] + step
        return p - step, tuple(named.values())


class Adagrad(Optimizer):
    """p - lr g / sqrt(sum of g^2). Source: Duchi et al. 2011, JMLR 12."""

    slots = ("accumulated",)

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **keywords: Any,
    ) -> None:
        super().__init__(learning_rate, **keywords)
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, epsilon

    def fresh(self, slot: str, like: Any) -> Any:
        return np.full(np.shape(like), self.initial_accumulator_value, like.dtype)

    def rule(self, p: Any, g: Any, slots: Slots, t: Any) -> tuple[Any, Slots]:
        total = slots[0] + g * g
        return p - like(self.rate(t), g) * g / np.sqrt(total + self.epsilon), (total,)


class Adadelta(Optimizer):
    """Steps in the ratio of their own mean square to the gradient's. Source: arXiv:1212.5701."""

    slots = ("squares", "steps")

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **keywords: Any,
    ) -> None:
        super().__init__(learning_rate, **keywords)
        check_unit_interval("Adadelta", rho=rho)
        self.rho, self.epsilon = rho, epsilon

    def rule(self, p: Any, g: Any, slots: Slots, t: Any) -> tuple[Any, Slots]:
        squares = self.rho * slots[0] + (1 - self.rho) * g * g
        step = g * np.sqrt((slots[1] + self.epsilon) / (squares + self.epsilon))
        steps = self.rho * slots[1] + (1 - self.rho) * step * step
        return p - like(self.rate(t), g) * step, (squares, steps)


class Adamax(_TwoMoments):
    """Adam with the largest |g|, decayed, for sqrt(v). Source: arXiv:1412.6980, section 7.1."""

    slots = ("m", "u")

    def rule(self, p: Any, g: Any, slots: Slots, t: Any) -> tuple[Any, Slots]:
        m = self.beta_1 * slots[0] + (1 - self.beta_1) * g
        u = np.maximum(self.beta_2 * slots[1], np.abs(g))
        size = like(self.rate(t) / (1 - self.beta_1**t), g)
        return p - size * m / (u + self.epsilon), (m, u)


class Nadam(_TwoMoments):
    """Adam with Nesterov's momentum. Source: Dozat 2016; the schedule of mu is Keras's."""

    slots = ("m", "v", "mus")

    def fresh(self, slot: str, like: Any) -> Any:
        """mus: the product of mu over the steps so far."""
        return np.ones((), np.float64) if slot == "mus" else super().fresh(slot, like)

    def rule(self, p: Any, g: Any, slots: Slots, t: Any) -> tuple[Any, Slots]:
        m, v = self.moments(g, *slots[:2])
        now, following = (self.beta_1 * (1 - 0.5 * 0.96**n) for n in (t, t + 1))
        mus = slots[2] * now
        lr = self.rate(t)
        of_m = like(lr * following / (1 - mus * following), g)
        of_g = like(lr * (1 - now) / (1 - mus), g)
        deviation = np.sqrt(v * like(1 / (1 - self.beta_2**t), g)) + self.epsilon
        return p - (of_m * m + of_g * g) / deviation, (m, v, mus)


class Lion(Optimizer):
    """p - lr sign(mix of m and g). Source: Chen et al. 2023, arXiv:2302.06675."""

    slots = ("m",)

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **keywords: Any,
    ) -> None:
        super().__init__(learning_rate, **keywords)
        check_unit_interval("Lion", beta_1=beta_1, beta_2=beta_2)
        self.beta_1, self.beta_2 = beta_1, beta_2

    def rule(self, p: Any, g: Any, slots: Slots, t: Any) -> tuple[Any, Slots]:
        (m,) = slots
        direction = np.sign(self.beta_1 * m + (1 - self.beta_1) * g)
        return p - like(self.rate(t), g) * direction, (self.beta_2 * m + (1 - self.beta_2) * g,)


class Lamb(_TwoMoments):
    """Adam's step at the length of the weights. Source: You et al. 2019, arXiv:1904.00962."""

    def rule(self, p: Any, g: Any, slots: Slots, t: Any) -> tuple[Any, Slots]:
        m, v = self.moments(g, *slots)
        first, second = (like(1 / (1 - b**t), g) for b in (self.beta_1, self.beta_2))
        step = m * first / (np.sqrt(v * second) + self.epsilon)
        length, stride = norm(p), norm(step)
        usable = np.logical_and(length > 0, stride > 0)
        ratio = np.where(usable, length / np.where(usable, stride, 1), 1)
        return p - ratio * like(self.rate(t), g) * step, (m, v)


class Muon(_TwoMoments):
    """Matrices move by their momentum made orthogonal; everything else by Adam.

    A kernel of more axes counts as the matrix [all the others, last]. adam_lr_ratio: Adam's step
    size in terms of the matrices'. Source: Jordan et al. 2024, "Muon"; its coefficients.
    """

    slots = ("m", "v")
    _COEFFICIENTS = (3.4445, -4.7750, 2.0315)

    def __init__(
        self,
        learning_rate: Rate = 1e-3,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        epsilon: float = 1e-7,
        adam_lr_ratio: float = 0.1,
        momentum: float = 0.95,
        ns_steps: int = 6,
        nesterov: bool = True,
        **keywords: Any,
    ) -> None:
        super().__init__(learning_rate, adam_beta_1, adam_beta_2, epsilon, **keywords)
        check_unit_interval("Muon", momentum=momentum)
        self.adam_lr_ratio, self.momentum = adam_lr_ratio, momentum
        self.ns_steps, self.nesterov = ns_steps, nesterov

    def fresh(self, slot: str, like: Any) -> Any:
        """Matrices have no v."""
        if slot == "v" and len(np.shape(like)) >= 2:
            return np.zeros((), like.dtype)
        return super().fresh(slot, like)

    def rule(self, p: Any, g: Any, slots: Slots, t: Any) -> tuple[Any, Slots]:
        m, v = slots
        if len(np.shape(p)) < 2:
            lr = self.rate(t) * self.adam_lr_ratio
            update, m, v = adam(g, m, v, t, lr, self.beta_1, self.beta_2, self.epsilon)
            return p - update, (m, v)
        m = self.momentum * m + g
        direction = g + self.momentum * m if self.nesterov else m
        matrix = np.reshape(direction, (-1, p.shape[-1]))
        rows, columns = matrix.shape
        size = like(self.rate(t), g) * max(1.0, rows / columns) ** 0.5
        return p - size * np.reshape(self.orthogonal(matrix), p.shape), (m, v)

    def orthogonal(self, x: Any) -> Any:
        """Nearly U V^T of x = U S V^T: [rows, columns], by iterating a quintic."""
        a, b, c = self._COEFFICIENTS
        wide = x.shape[0] <= x.shape[1]
        x = x if wide else np.transpose(x)
        x = x / (norm(x) + self.epsilon)
        for _ in range(self.ns_steps):
            square = np.matmul(x, np.transpose(x))
            x = a * x + np.matmul(b * square + c * np.matmul(square, square), x)
        return x if wide else np.transpose(x)


OPTIMIZERS: dict[str, type[Any]] = {
    c.__name__: c
    for c in (
        SGD, Adam, AdamW, RMSprop, Adagrad, Adadelta, Adamax, Nadam, Lion, Lamb, Muon,
        LossScaleOptimizer,
    )
}  # fmt: skip


def get(identifier: Any) -> Any:
    """An optimizer by name ("adam"), or what is one already."""
    return (
        identifier
        if isinstance(identifier, Optimizer | LossScaleOptimizer)
        else lookup(identifier, OPTIMIZERS, "optimizer")
    )
