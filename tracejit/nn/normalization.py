"""Normalisation layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.errors import ShapeError
from tracejit.ir.types import F32
from tracejit.nn import activations, functions, masking
from tracejit.nn.core import Elementwise
from tracejit.source import here
from tracejit.variable import Variable


class Normalizing(Elementwise):
    """A layer with a scale `gamma` and an offset `beta`, and Keras's arguments for each."""

    def __init__(
        self,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        self.epsilon, self.center, self.scale = epsilon, center, scale
        self._beta = (beta_initializer, beta_regularizer, beta_constraint)
        self._gamma = (gamma_initializer, gamma_regularizer, gamma_constraint)
        self.gamma: Any = None
        self.beta: Any = None

    def add_affine(self, shape: Any) -> None:
        """gamma and beta, where wanted."""
        for wanted, name, settings in (
            (self.scale, "gamma", self._gamma),
            (self.center, "beta", self._beta),
        ):
            if wanted:
                draw, regularizer, constraint = settings
                weight = self.add_weight(
                    shape, draw, regularizer=regularizer, constraint=constraint, name=name
                )
                setattr(self, name, weight)

    def affine(self) -> tuple[Any, Any]:
        """gamma and beta in the dtype of the computation; None for what there is not."""
        gamma, beta = self.gamma, self.beta
        return (
            None if gamma is None else self.read(gamma),
            None if beta is None else self.read(beta),
        )


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    given = axis if isinstance(axis, list | tuple) else (axis,)
    return tuple(sorted(d % ndim for d in given))


class BatchNormalization(Normalizing):
    """Normalises each channel over the batch; outside training by running moments.

    Weights: gamma, beta, then moving_mean, moving_variance, which training steps move. axis: of the
    channels. Source: Ioffe & Szegedy 2015, arXiv:1502.03167.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        **keywords: Any,
    ) -> None:
        super().__init__(epsilon, center, scale, **keywords)
        self.axis, self.momentum = axis, momentum
        self._moving = (moving_mean_initializer, moving_variance_initializer)

    def build(self, input_shape: Any) -> None:
        shape = (input_shape[self.axis],)
        self.add_affine(shape)
        mean, variance = self._moving
        self.moving_mean = self.add_weight(shape, mean, trainable=False, name="moving_mean")
        self.moving_variance = self.add_weight(
            shape, variance, trainable=False, name="moving_variance"
        )

    def call(self, x: Any, training: bool | None = None, mask: Any = None) -> Any:
        """While training the batch's own moments, which then enter the running ones.

        mask: bool, of one axis less than x; only where it is True an element enters a moment.
        """
        channel = self.axis % x.ndim
        if training and self.trainable:
            rest = tuple(d for d in range(x.ndim) if d != channel)
            wide = x if x.dtype.itemsize > 2 else np.astype(x, F32)
            where = None if mask is None else masking.wide(mask, x)
            mean, variance = functions.moments(wide, rest, where=where)
            for running, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
                kept = running.value
                running.assign(kept * self.momentum + now * (1 - self.momentum))
            mean, variance = (np.astype(v, x.dtype) for v in (mean, variance))
        else:
            mean, variance = self.read(self.moving_mean), self.read(self.moving_variance)
        gamma, beta = self.affine()
        if channel != x.ndim - 1:
            shape = [-1 if d == channel else 1 for d in range(x.ndim)]
            mean, variance, gamma, beta = (
                v if v is None else np.reshape(v, shape) for v in (mean, variance, gamma, beta)
            )
        return functions.batch_norm(x, mean, variance, gamma, beta, self.epsilon)


class LayerNormalization(Normalizing):
    """Normalises each example along `axis`. Weights: gamma, beta. Source: arXiv:1607.06450."""

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        **keywords: Any,
    ) -> None:
        super().__init__(epsilon, center, scale, **keywords)
        self.axis = axis

    def build(self, input_shape: Any) -> None:
        self.add_affine([input_shape[d] for d in _axes(self.axis, len(input_shape))])

    def call(self, x: Any) -> Any:
        axes = _axes(self.axis, x.ndim)
        gamma, beta = self.affine()
        if axes != tuple(range(x.ndim - len(axes), x.ndim)):
            shape = [x.shape[d] if d in axes else 1 for d in range(x.ndim)]
            gamma, beta = (v if v is None else np.reshape(v, shape) for v in (gamma, beta))
        return functions.layer_norm(x, gamma, beta, axes, self.epsilon)


class RMSNormalization(Elementwise):
    """x / sqrt(mean(x^2) + epsilon), times scale. Weight: scale. Source: arXiv:1910.07467."""

    def __init__(self, axis: Any = -1, epsilon: float = 1e-6, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.axis, self.epsilon = axis, epsilon

    def build(self, input_shape: Any) -> None:
        shape = [input_shape[d] for d in _axes(self.axis, len(input_shape))]
        self.scale = self.add_weight(shape, "ones", name="scale")

    def call(self, x: Any) -> Any:
        axes = _axes(self.axis, x.ndim)
        shape = [x.shape[d] if d in axes else 1 for d in range(x.ndim)]
        return functions.rms_norm(x, np.reshape(self.read(self.scale), shape), axes, self.epsilon)


class GroupNormalization(Normalizing):
    """Normalises groups of channels of each example; channels last. Weights: gamma, beta."""

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        **keywords: Any,
    ) -> None:
        super().__init__(epsilon, center, scale, **keywords)
        self.groups, self.axis = groups, axis

    def build(self, input_shape: Any) -> None:
        channels = input_shape[self.axis]
        self.count = channels if self.groups == -1 else self.groups
        if channels % self.count:
            raise ShapeError(f"{self.name}: {channels} channels in {self.count} groups{here()}")
        self.add_affine((channels,))

    def call(self, x: Any) -> Any:
        last = self.axis % x.ndim == x.ndim - 1
        y = x if last else np.moveaxis(x, self.axis, -1)
        y = functions.group_norm(y, self.count, *self.affine(), self.epsilon)
        return y if last else np.moveaxis(y, -1, self.axis)


class UnitNormalization(Elementwise):
    """x / its 2-norm along `axis`."""

    def __init__(self, axis: Any = -1, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.axis = axis

    def call(self, x: Any) -> Any:
        axes = _axes(self.axis, x.ndim)
        square = np.sum(np.square(x), axis=axes, keepdims=True)
        return x * activations.primitive("rsqrt", np.maximum(square, 1e-12))


class Normalization(Elementwise):
    """(x - mean) / sqrt(variance), both given or found by `adapt`; `axis`: those kept apart."""

    def __init__(
        self, axis: Any = -1, mean: Any = None, variance: Any = None, **keywords: Any
    ) -> None:
        super().__init__(**keywords)
        self.axis = axis
        self._given = (mean, variance)

    def build(self, input_shape: Any) -> None:
        kept = () if self.axis is None else _axes(self.axis, len(input_shape))
        shape = [n if d in kept else 1 for d, n in enumerate(input_shape)]
        values = [0.0 if self._given[0] is None else self._given[0]]
        values.append(1.0 if self._given[1] is None else self._given[1])
        names = ("mean", "variance")
        self.mean, self.variance = (
            Variable(
                np.broadcast_to(np.asarray(v, self.dtype), shape),
                name=f"{self.name}_{n}",
                trainable=False,
            )
            for v, n in zip(values, names, strict=True)
        )

    def adapt(self, x: Any) -> None:
        """Takes the moments of an array of examples."""
        array = np.asarray(x, np.float64)
        self.build_from(array)
        rest = tuple(d for d, n in enumerate(self.mean.shape) if n == 1)
        self.mean.assign(array.mean(rest, keepdims=True))
        self.variance.assign(array.var(rest, keepdims=True))

    def call(self, x: Any) -> Any:
        deviation = np.maximum(np.sqrt(self.read(self.variance)), 1e-7)
        return (np.astype(x, self.compute_dtype) - self.read(self.mean)) / deviation
