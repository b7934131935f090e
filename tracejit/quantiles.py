"""Medians, quantiles and percentiles: a sort, and what lies between two of its elements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from tracejit.functions import axes_of, lift, traces
from tracejit.ir.types import is_float
from tracejit.source import here
from tracejit.tracer import Tracer


@dataclass(frozen=True, slots=True)
class Method:
    """Where the quantile q of n sorted elements lies: at(q (n + 1 - alpha - beta) + alpha - 1).

    Elements count from 0, and between two of them lies what is between their values; a place
    beyond the ends is the end. exact: `at` gives places of elements, of whatever dtype.
    """

    alpha: float
    beta: float
    at: Callable[[Any], Any] = lambda place: place
    exact: bool = False


# Source: Hyndman & Fan 1996, "Sample quantiles in statistical packages"; the last four NumPy's.
METHODS: dict[str, Method] = {
    "inverted_cdf": Method(0, 1, np.ceil, exact=True),
    "averaged_inverted_cdf": Method(0, 1, lambda p: (np.floor(p) + np.ceil(p) + 1) / 2),
    # Half-way between two elements it is the one with an even number, which count from 1 there.
    "closest_observation": Method(-0.5, 1.5, lambda p: np.ceil(p) + (p % 2 == 0), exact=True),
    "interpolated_inverted_cdf": Method(0, 1),
    "hazen": Method(0.5, 0.5),
    "weibull": Method(0, 0),
    "linear": Method(1, 1),
    "median_unbiased": Method(1 / 3, 1 / 3),
    "normal_unbiased": Method(3 / 8, 3 / 8),
    "lower": Method(1, 1, np.floor, exact=True),
    "higher": Method(1, 1, np.ceil, exact=True),
    "midpoint": Method(1, 1, lambda p: (np.floor(p) + np.ceil(p)) / 2),
    "nearest": Method(1, 1, np.round, exact=True),
}
# A partition at more places takes as long as a sort.
MANY_PLACES = 8


def _rows(a: Any, axis: Any, exact: bool) -> tuple[Tracer, tuple[int, ...]]:
    """The axes to be reduced flattened into the last, and which they were. Floats, if not exact."""
    x: Any = lift(a)
    axes = axes_of(x, axis)
    kept = [d for d in range(x.ndim) if d not in axes]
    x = x if exact or is_float(x.dtype) else x.astype(np.float64)
    moved = np.transpose(x, (*kept, *axes))
    return lift(
        np.reshape(moved, (*(x.shape[d] for d in kept), prod(x.shape[d] for d in axes)))
    ), axes


def _restored(found: Any, a: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    """The reduced axes put back as 1, behind those of the quantiles."""
    if not keepdims:
        return found
    shape = np.shape(a)
    kept = [1 if d in axes else n for d, n in enumerate(shape)]
    lead = np.ndim(found) - (len(shape) - len(axes))
    return np.reshape(found, (*np.shape(found)[:lead], *kept))


def _interpolated(x: Any, place: Any, count: Any) -> Any:
    """Sorted rows [.., n] at places [..]: a number between 0 and count - 1."""
    below = np.floor(place)
    part = (place - below).astype(x.dtype)
    low = np.clip(below, 0, count - 1).astype(np.int64)
    high = np.clip(below + 1, 0, count - 1).astype(np.int64)
    a: Any = np.take_along_axis(x, low[..., None], -1)[..., 0]
    b: Any = np.take_along_axis(x, high[..., None], -1)[..., 0]
    step = b - a
    found = np.where(part < 0.5, a + step * part, b - step * (1 - part))
    return np.where((part == 0) | (a == b), a, found)


def _quantile(a: Any, q: Any, axis: Any, method: str, keepdims: bool, skip_nan: bool) -> Any:
    if method not in METHODS:
        raise ValueError(
            f"np.quantile: method {method!r} is not there{here()}; there are {', '.join(METHODS)}"
        )
    rule = METHODS[method]
    x, axes = _rows(a, axis, rule.exact)
    if x.size == 0:  # no rows, or nothing in them
        empty = np.full_like(x, np.nan, shape=(*np.shape(q), *x.shape[:-1]))
        return _restored(empty, a, axes, keepdims)
    size, lead = x.shape[-1], x.shape[:-1]
    count: Any = float(size)
    if skip_nan:
        count = np.sum(~np.isnan(x), -1).astype(np.float64)
    share = q if isinstance(q, Tracer) else np.asarray(q, np.float64)
    wanted = np.reshape(share, (*np.shape(share), *(1,) * len(lead)))
    span = count + (1 - rule.alpha - rule.beta)
    place = np.clip(rule.at(span * wanted + (rule.alpha - 1)), 0, np.maximum(count - 1, 0))
    ordered: Any = _ordered(x, place)
    shape = (*np.shape(share), *lead)
    rows = np.broadcast_to(ordered, (*shape, size))
    found = _interpolated(lift(rows), lift(np.broadcast_to(place, shape)), count)
    if not is_float(x.dtype):
        return _restored(found, a, axes, keepdims)
    spoiled = (count == 0) if skip_nan else np.isnan(ordered[..., -1])
    result = x.dtype if rule.exact or np.ndim(q) == 0 else np.result_type(x.dtype, q.dtype)
    return _restored(np.where(spoiled, np.nan, found).astype(result), a, axes, keepdims)


def _ordered(x: Tracer, place: Any) -> Any:
    """Rows sorted, at the known places at least, and at the end, where a nan is."""
    if isinstance(place, Tracer):
        return np.sort(x, -1)
    low = np.floor(np.ravel(place)).astype(int)
    wanted = {*low.tolist(), *(low + 1).tolist(), x.shape[-1] - 1}
    kept = [k for k in wanted if 0 <= k < x.shape[-1]]
    return np.partition(x, kept, -1) if len(kept) <= MANY_PLACES else np.sort(x, -1)


def _checked(q: Any, high: float) -> Any:
    """The quantiles as shares; raises ValueError as NumPy does for what is known to be none."""
    if isinstance(q, Tracer):
        return q / high
    shares = np.asarray(q, np.float64) / high
    if not ((shares >= 0) & (shares <= 1)).all():
        name = (
            "Quantiles must be in the range [0, 1]"
            if high == 1
            else ("Percentiles must be in the range [0, 100]")
        )
        raise ValueError(f"{name}{here()}")
    return shares


def _form(high: float, skip_nan: bool) -> Any:
    def quantile(
        a: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False
    ) -> Any:
        return _quantile(a, _checked(q, high), axis, method, keepdims, skip_nan)

    return quantile


traces(np.quantile)(_form(1, skip_nan=False))
traces(np.percentile)(_form(100, skip_nan=False))
traces(np.nanquantile)(_form(1, skip_nan=True))
traces(np.nanpercentile)(_form(100, skip_nan=True))


@traces(np.median)
def median(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean of the middle two; nan where any element is."""
    return _quantile(a, 0.5, axis, "linear", keepdims, skip_nan=False)


@traces(np.nanmedian)
def nanmedian(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _quantile(a, 0.5, axis, "linear", keepdims, skip_nan=True)
