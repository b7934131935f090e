"""Layers of several inputs: each takes a list of arrays."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from tracejit.nn.layer import Layer


class Add(Layer):
    def call(self, inputs: Any) -> Any:
        return reduce(np.add, inputs)


class Subtract(Layer):
    def call(self, inputs: Any) -> Any:
        first, second = inputs
        return np.subtract(first, second)


class Multiply(Layer):
    def call(self, inputs: Any) -> Any:
        return reduce(np.multiply, inputs)


class Average(Layer):
    def call(self, inputs: Any) -> Any:
        return reduce(np.add, inputs) / len(inputs)


class Maximum(Layer):
    def call(self, inputs: Any) -> Any:
        return reduce(np.maximum, inputs)


class Minimum(Layer):
    def call(self, inputs: Any) -> Any:
        return reduce(np.minimum, inputs)


class Concatenate(Layer):
    def __init__(self, axis: int = -1, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.axis = axis

    def call(self, inputs: Any) -> Any:
        return np.concatenate(list(inputs), axis=self.axis)


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
