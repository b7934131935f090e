"""Regularisers (weights -> a penalty on the loss) and constraints (weights -> weights)."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.nn.configured import Configured, lookup

_EPSILON = 1e-7  # Keras's


class Regularizer(Configured):
    def __call__(self, x: Any) -> Any:
        raise NotImplementedError


class L1(Regularizer):
    """l1 sum |x|."""

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = l1

    def __call__(self, x: Any) -> Any:
        return self.l1 * np.sum(np.abs(x))


class L2(Regularizer):
    """l2 sum x^2."""

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = l2

    def __call__(self, x: Any) -> Any:
        return self.l2 * np.sum(np.square(x))


class L1L2(Regularizer):
    """l1 sum |x| + l2 sum x^2."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = l1, l2

    def __call__(self, x: Any) -> Any:
        return self.l1 * np.sum(np.abs(x)) + self.l2 * np.sum(np.square(x))


class OrthogonalRegularizer(Regularizer):
    """factor times the mean |cosine| between different rows (or columns) of a matrix."""

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        if mode not in ("rows", "columns"):
            raise ValueError(f"OrthogonalRegularizer: mode {mode!r} is no rows or columns")
        self.factor, self.mode = factor, mode

    def __call__(self, x: Any) -> Any:
        x = x if self.mode == "rows" else np.transpose(x)
        x = x / np.sqrt(np.maximum(np.sum(np.square(x), axis=1, keepdims=True), 1e-12))
        n = x.shape[0]
        cosines = np.abs(x @ np.transpose(x)) * (1 - np.eye(n, dtype=x.dtype))
        return self.factor * 0.5 * np.sum(cosines) / max(1.0, n * (n - 1) / 2)


class Constraint(Configured):
    """Applied to a weight after every step of `fit`."""

    def __call__(self, w: Any) -> Any:
        raise NotImplementedError


class NonNeg(Constraint):
    def __call__(self, w: Any) -> Any:
        return np.maximum(w, 0)


def _norms(w: Any, axis: Any) -> Any:
    return np.sqrt(np.sum(np.square(w), axis=axis, keepdims=True))


class UnitNorm(Constraint):
    """Norm 1 along `axis`."""

    def __init__(self, axis: Any = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        return w / (_EPSILON + _norms(w, self.axis))


class MaxNorm(Constraint):
    """Norm at most `max_value` along `axis`."""

    def __init__(self, max_value: float = 2, axis: Any = 0) -> None:
        self.max_value, self.axis = max_value, axis

    def __call__(self, w: Any) -> Any:
        norms = _norms(w, self.axis)
        return w * (np.clip(norms, 0, self.max_value) / (_EPSILON + norms))


class MinMaxNorm(Constraint):
    """The norm along `axis` moved towards [min_value, max_value] by `rate`."""

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Any = 0
    ) -> None:
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w: Any) -> Any:
        norms = _norms(w, self.axis)
        wanted = self.rate * np.clip(norms, self.min_value, self.max_value)
        return w * ((wanted + (1 - self.rate) * norms) / (_EPSILON + norms))


REGULARIZERS: dict[str, type[Any]] = {c.__name__: c for c in (L1, L2, L1L2, OrthogonalRegularizer)}
CONSTRAINTS: dict[str, type[Any]] = {c.__name__: c for c in (NonNeg, UnitNorm, MaxNorm, MinMaxNorm)}


def get_regularizer(identifier: Any) -> Any:
    """A regulariser by name ("l2"), or what is one already."""
    return lookup(identifier, REGULARIZERS, "regularizer")


def get_constraint(identifier: Any) -> Any:
    """A constraint by name ("max_norm"), or what is one already."""
    return lookup(identifier, CONSTRAINTS, "constraint")
