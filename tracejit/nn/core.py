"""Dense, Embedding, Activation and its kin, and layers that only move elements about."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tracejit import random
from tracejit.custom import checkpoint
from tracejit.errors import ShapeError
from tracejit.nn import activations, functions
from tracejit.nn.initializers import new_seed
from tracejit.nn.keras_order import DENSE, in_order
from tracejit.nn.layer import Layer, Weighted
from tracejit.nn.regularizers import get_regularizer
from tracejit.source import here
from tracejit.variable import Variable


@in_order(DENSE)
class Dense(Weighted):
    """activation(x @ kernel + bias): [..., n] -> [..., units]. Weights: kernel [n, units], bias."""

    supports_masking = True

    def __init__(self, units: int, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.units = units

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_kernel((input_shape[-1], self.units))
        self.bias = self.add_bias((self.units,))

    def call(self, x: Any) -> Any:
        if x.shape[-1] != self.kernel.shape[0]:
            raise ShapeError(
                f"{self.name}: built for [..., {self.kernel.shape[0]}], called with"
                f" {list(x.shape)}{here()}"
            )
        return self.finish(np.matmul(x, self.read(self.kernel)))


class Embedding(Layer):
    """Rows of a table: int[...] -> [..., output_dim]. Weight: embeddings, the table.

    mask_zero: 0 stands for no entry: the result has a mask, False there.
    """

    supports_masking = True

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        self.input_dim, self.output_dim, self.mask_zero = input_dim, output_dim, mask_zero
        uniform = embeddings_initializer == "uniform"
        self._table = (
            "random_uniform" if uniform else embeddings_initializer,
            embeddings_regularizer,
            embeddings_constraint,
        )

    def build(self, input_shape: Any = None) -> None:
        draw, regularizer, constraint = self._table
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim), draw, regularizer=regularizer,
            constraint=constraint, name="embeddings",
        )  # fmt: skip

    def call(self, x: Any) -> Any:
        x = x if x.dtype.kind in "iu" else np.astype(x, np.int32)
        return functions.embedding(self.read(self.embeddings), x)

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        return np.not_equal(inputs, 0) if self.mask_zero else None


class Masking(Layer):
    """The input, with a mask that is False where a step's features all equal `mask_value`."""

    supports_masking = True

    def __init__(self, mask_value: float = 0.0, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.mask_value = mask_value

    def call(self, x: Any) -> Any:
        counts = np.any(np.not_equal(x, self.mask_value), axis=-1, keepdims=True)
        return np.where(counts, x, 0)

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        return np.any(np.not_equal(inputs, self.mask_value), axis=-1)


class Elementwise(Layer):
    """A layer that leaves elements where they are."""

    supports_masking = True


class Activation(Elementwise):
    def __init__(self, activation: Any, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.activation = activations.get(activation)

    def call(self, x: Any) -> Any:
        return self.activation(x)


class ReLU(Elementwise):
    """min(max(x, threshold), max_value), negative_slope (x - threshold) below the threshold."""

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        self.max_value, self.negative_slope, self.threshold = max_value, negative_slope, threshold

    def call(self, x: Any) -> Any:
        if (self.negative_slope, self.threshold) == (0, 0):
            y = activations.relu(x)
        else:
            below = np.multiply(np.subtract(x, self.threshold), self.negative_slope)
            y = np.where(np.greater_equal(x, self.threshold), x, below)
        return y if self.max_value is None else np.minimum(y, self.max_value)


class LeakyReLU(Elementwise):
    def __init__(self, negative_slope: float = 0.3, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.negative_slope = negative_slope

    def call(self, x: Any) -> Any:
        return activations.leaky_relu(x, self.negative_slope)


class ELU(Elementwise):
    def __init__(self, alpha: float = 1.0, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.alpha = alpha

    def call(self, x: Any) -> Any:
        return activations.elu(x, self.alpha)


class Softmax(Elementwise):
    """mask: bool, of as many axes as x; what is False there takes no share."""

    def __init__(self, axis: int = -1, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.axis = axis

    def call(self, x: Any, mask: Any = None) -> Any:
        if mask is None or mask.ndim < x.ndim:
            return activations.softmax(x, self.axis)
        lowest = functions.lowest(x.dtype)
        shares = activations.softmax(np.where(mask, x, lowest), self.axis)
        return np.where(mask, shares, 0)


class PReLU(Elementwise):
    """x where x >= 0, else alpha x, with a weight alpha: [..., 1 along shared_axes]."""

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: Any = None,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        self._alpha = (alpha_initializer, alpha_regularizer, alpha_constraint)
        self.shared_axes = (shared_axes,) if isinstance(shared_axes, int) else shared_axes or ()

    def build(self, input_shape: Any) -> None:
        draw, regularizer, constraint = self._alpha
        shape = [1 if d in self.shared_axes else n for d, n in enumerate(input_shape)][1:]
        self.alpha = self.add_weight(
            shape, draw, regularizer=regularizer, constraint=constraint, name="alpha"
        )

    def call(self, x: Any) -> Any:
        return np.where(np.greater_equal(x, 0), x, np.multiply(self.read(self.alpha), x))


class ActivityRegularization(Elementwise):
    """The identity, with a penalty on what passes."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.activity_regularizer = get_regularizer("l1l2")
        self.activity_regularizer.l1, self.activity_regularizer.l2 = l1, l2

    def call(self, x: Any) -> Any:
        return x


class Seeded(Elementwise):
    """A layer that draws random numbers while training. State: u32[2], (seed, draws so far)."""

    def __init__(self, seed: int | None = None, **keywords: Any) -> None:
        super().__init__(**keywords)
        start = np.array([new_seed() if seed is None else seed, 0], np.uint32)
        self.seed_state = Variable(start, name=f"{self.name}_seed", trainable=False)

    def next_key(self) -> Any:
        """A key that no earlier draw of this layer had."""
        key = self.seed_state.value
        self.seed_state.assign(np.add(key, np.array([0, 1], np.uint32)))
        return key


class Dropout(Seeded):
    """While training each element is 0 with probability `rate`, the others divided by 1 - rate.

    noise_shape: the shape of what is drawn, broadcast to the input; None is the batch size.
    """

    def __init__(
        self, rate: float, noise_shape: Any = None, seed: int | None = None, **keywords: Any
    ) -> None:
        super().__init__(seed, **keywords)
        if not 0 <= rate <= 1:
            raise ValueError(f"Dropout: rate {rate} is outside [0, 1]")
        self.rate, self.noise_shape = rate, noise_shape

    def call(self, x: Any, training: bool | None = None) -> Any:
        if not training or self.rate == 0:
            return x
        if self.rate == 1:
            return np.zeros_like(x)
        if self.noise_shape is None:
            return functions.dropout(x, self.rate, self.next_key())
        shape = tuple(m if n is None else n for n, m in zip(self.noise_shape, x.shape, strict=True))
        kept = random.bernoulli(self.next_key(), 1 - self.rate, shape)
        return np.where(kept, np.multiply(x, 1 / (1 - self.rate)), 0)


class SpatialDropout1D(Dropout):
    """Drops whole channels of [N, T, C]."""

    def __init__(self, rate: float, seed: int | None = None, **keywords: Any) -> None:
        super().__init__(rate, (None, 1, None), seed, **keywords)


class SpatialDropout2D(Dropout):
    """Drops whole channels of [N, H, W, C]."""

    def __init__(self, rate: float, seed: int | None = None, **keywords: Any) -> None:
        super().__init__(rate, (None, 1, 1, None), seed, **keywords)


class GaussianNoise(Seeded):
    """While training adds a normal of this standard deviation."""

    def __init__(self, stddev: float, seed: int | None = None, **keywords: Any) -> None:
        super().__init__(seed, **keywords)
        self.stddev = stddev

    def call(self, x: Any, training: bool | None = None) -> Any:
        if not training or self.stddev == 0:
            return x
        return x + random.normal(self.next_key(), x.shape, x.dtype) * self.stddev


class GaussianDropout(Seeded):
    """While training multiplies by a normal of mean 1 and variance rate / (1 - rate)."""

    def __init__(self, rate: float, seed: int | None = None, **keywords: Any) -> None:
        super().__init__(seed, **keywords)
        if not 0 <= rate < 1:
            raise ValueError(f"GaussianDropout: rate {rate} is outside [0, 1)")
        self.rate = rate

    def call(self, x: Any, training: bool | None = None) -> Any:
        if not training or self.rate == 0:
            return x
        noise = random.normal(self.next_key(), x.shape, x.dtype)
        return x * (1 + noise * float(np.sqrt(self.rate / (1 - self.rate))))


class Lambda(Layer):
    """A function as a layer. It has no description that could be saved."""

    def __init__(self, function: Any, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)


class Identity(Elementwise):
    def call(self, x: Any) -> Any:
        return x


class Flatten(Layer):
    """[N, ...] -> [N, all the rest]."""

    def call(self, x: Any) -> Any:
        return functions.flatten(x)


class Reshape(Layer):
    """[N, ...] -> [N, *target_shape]; one size may be -1."""

    def __init__(self, target_shape: Any, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.target_shape = tuple(target_shape)

    def call(self, x: Any) -> Any:
        known = prod(n for n in self.target_shape if n != -1)
        rest = prod(x.shape[1:]) // max(known, 1)
        return np.reshape(x, (x.shape[0], *(rest if n == -1 else n for n in self.target_shape)))


class Permute(Layer):
    """Moves the axes after the batch: dims (2, 1) exchanges the first two, counted from 1."""

    def __init__(self, dims: Any, **keywords: Any) -> None:
        super().__init__(**keywords)
        if sorted(dims) != list(range(1, len(dims) + 1)):
            raise ValueError(f"Permute: dims {tuple(dims)} are no permutation of 1..{len(dims)}")
        self.dims = tuple(dims)

    def call(self, x: Any) -> Any:
        return np.transpose(x, (0, *self.dims))


class RepeatVector(Layer):
    """[N, C] -> [N, n, C]."""

    def __init__(self, n: int, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.n = n

    def call(self, x: Any) -> Any:
        return np.broadcast_to(np.expand_dims(x, 1), (x.shape[0], self.n, *x.shape[1:]))


class TimeDistributed(Layer):
    """A layer applied to each step of [N, T, ...] alike."""

    supports_masking = True

    def __init__(self, layer: Layer, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.layer = layer

    def call(self, x: Any, training: bool | None = None) -> Any:
        n, steps, *rest = x.shape
        y = self.layer(np.reshape(x, (n * steps, *rest)), training=training)
        return np.reshape(y, (n, steps, *y.shape[1:]))


class Remat(Elementwise):
    """A layer whose inner values are not kept for the backward sweep but computed again.

    Less memory, more work: see `tj.checkpoint`, which `keras.remat` corresponds to.
    """

    def __init__(self, layer: Layer, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.layer = layer

    def call(self, x: Any, training: bool | None = None) -> Any:
        return checkpoint(self.layer)(x, training=training)

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        return self.layer.compute_mask(inputs, mask) if self.layer.supports_masking else None


class Rescaling(Elementwise):
    """x scale + offset, of any numbers."""

    def __init__(self, scale: Any, offset: Any = 0.0, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.scale, self.offset = scale, offset

    def call(self, x: Any) -> Any:
        scale, offset = (
            v if isinstance(v, int | float) else np.asarray(v, self.compute_dtype)
            for v in (self.scale, self.offset)
        )
        return np.astype(x, self.compute_dtype) * scale + offset
