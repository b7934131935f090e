"""What metrics share: numbers kept in Variables, so that a compiled step can add to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.losses import as_array, heeding, weighted
from tracejit.nn import masking
from tracejit.nn.configured import config_of, snake
from tracejit.nn.module import Module
from tracejit.variable import Variable


class Metric(Module):
    """A subclass makes its state by `add_variable`, and writes `update_state` and `result`.

    metric(y_true, y_pred, sample_weight=None) updates and gives the result so far.
    """

    trainable = False

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        self.name = name or snake(type(self).__name__)
        self.dtype = np.dtype(np.float32 if dtype is None else dtype)
        self._first: list[tuple[Variable, Any]] = []

    untracked = frozenset({"_first"})

    def add_variable(self, shape: tuple[int, ...] = (), name: str = "state") -> Variable:
        """A Variable of zeros; keep it in an attribute."""
        zeros = np.zeros(shape, self.dtype)
        variable = Variable(zeros, name=f"{self.name}_{name}", trainable=False)
        self._first.append((variable, zeros))
        return variable

    def update_state(self, *args: Any, **keywords: Any) -> None:
        raise NotImplementedError

    def result(self) -> Any:
        raise NotImplementedError

    def reset_state(self) -> None:
        for variable, first in self._first:
            variable.assign(first)

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        self.update_state(*args, **keywords)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        return config_of(type(self), self._made_from)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        return cls(**config)

    def cast(self, x: Any) -> Any:
        return np.astype(as_array(x), self.dtype)


def ratio(a: Any, b: Any) -> Any:
    """a / b, 0 where b is 0."""
    return np.where(b == 0, 0, a / np.where(b == 0, 1, b))


class Sum(Metric):
    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.total = self.add_variable(name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        values, _ = weighted(self.cast(values), sample_weight)
        self.total.assign(self.total + np.sum(values))

    def result(self) -> Any:
        return self.total.value


class Mean(Metric):
    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.total = self.add_variable(name="total")
        self.count = self.add_variable(name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        values, weight = weighted(self.cast(values), sample_weight)
        self.total.assign(self.total + np.sum(values))
        self.count.assign(self.count + (np.size(values) if weight is None else np.sum(weight)))

    def result(self) -> Any:
        return ratio(self.total.value, self.count.value)


class MeanMetricWrapper(Mean):
    """The mean of function(y_true, y_pred, **settings) over examples, those a mask leaves."""

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str | None = None,
        dtype: Any = None,
        **settings: Any,
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", None), dtype)
        self._function = fn
        self._settings = settings

    def update_state(  # type: ignore[override]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        weight = heeding(masking.of(y_pred), sample_weight, False, self.dtype)
        values = self._function(y_true, y_pred, **self._settings)
        super().update_state(values, weight)


def mean_of(name: str, function: Callable[..., Any]) -> type[Any]:
    """The class of a MeanMetricWrapper of one function."""

    def __init__(self: Any, name: str | None = None, dtype: Any = None, **settings: Any) -> None:
        MeanMetricWrapper.__init__(
            self, function, name or snake(type(self).__name__), dtype, **settings
        )

    doc = f"The mean over examples of `{function.__name__}`."
    return type(name, (MeanMetricWrapper,), {"__init__": __init__, "__doc__": doc})
