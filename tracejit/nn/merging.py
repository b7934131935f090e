"""Layers of several inputs: each takes a list of arrays."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from tracejit.nn import masking
from tracejit.nn.layer import Layer


class Merging(Layer):
    """A step of the result counts where it counts in any input; one without a mask has all."""

    supports_masking = True

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        if mask is None or any(one is None for one in mask):
            return None
        return reduce(np.logical_or, mask)


class Add(Merging):
    def call(self, inputs: Any) -> Any:
        return reduce(np.add, inputs)


class Subtract(Merging):
    def call(self, inputs: Any) -> Any:
        first, second = inputs
        return np.subtract(first, second)


class Multiply(Merging):
    def call(self, inputs: Any) -> Any:
        return reduce(np.multiply, inputs)


class Average(Merging):
    def call(self, inputs: Any) -> Any:
        return reduce(np.add, inputs) / len(inputs)


class Maximum(Merging):
    def call(self, inputs: Any) -> Any:
        return extreme(np.maximum, inputs)


class Minimum(Merging):
    def call(self, inputs: Any) -> Any:
        return extreme(np.minimum, inputs)


def extreme(of_two: Any, inputs: Any) -> Any:
    """The largest or smallest; a step that does not count in one input is not compared."""
    out, counts = inputs[0], masking.of(inputs[0])
    for x in inputs[1:]:
        mask = masking.of(x)
        other = x if mask is None else np.where(masking.wide(mask, x), x, out)
        if counts is not None:
            out = np.where(masking.wide(counts, out), out, x)
        both = mask is not None and counts is not None
        counts = np.logical_or(counts, mask) if both else None
        out = of_two(out, other)
    return out


class Concatenate(Merging):
    def __init__(self, axis: int = -1, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.axis = axis

    def call(self, inputs: Any) -> Any:
        return np.concatenate(list(inputs), axis=self.axis)

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        """As Keras: along the last axis, a step counts where it does in any input."""
        if mask is None:
            return None
        full = [
            np.broadcast_to(np.True_ if m is None else masking.wide(m, x), x.shape)
            for x, m in zip(inputs, mask, strict=True)
        ]
        return np.any(np.concatenate(full, axis=self.axis), axis=-1)


class Dot(Layer):
    """Products summed along `axes` of two inputs, per example; of unit vectors with `normalize`."""

    def __init__(self, axes: Any, normalize: bool = False, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.axes, self.normalize = axes, normalize

    def call(self, inputs: Any) -> Any:
        pair = self.axes if isinstance(self.axes, list | tuple) else (self.axes, self.axes)
        moved = []
        for x, axis in zip(inputs, pair, strict=True):
            if self.normalize:
                square = np.sum(np.square(x), axis=axis, keepdims=True)
                x = x / np.sqrt(np.maximum(square, 1e-12))
            moved.append(np.moveaxis(x, axis, -1))
        a, b = moved
        left = np.reshape(a, (a.shape[0], -1, a.shape[-1]))
        right = np.reshape(b, (b.shape[0], -1, b.shape[-1]))
        product = np.matmul(left, np.swapaxes(right, 1, 2))
        return np.reshape(product, (a.shape[0], *(a.shape[1:-1] + b.shape[1:-1] or (1,))))
