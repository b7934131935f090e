"""Counting and comparing samples: bins, histograms, covariance."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.functions import lift, traces
from tracejit.ir import ops
from tracejit.ir.types import F64, I64, is_float
from tracejit.lowering import broadcast_to, cast, emit
from tracejit.movement import astype
from tracejit.selection import integer_index
from tracejit.source import here
from tracejit.tracer import Tracer


def bincount(x: Any, weights: Any, length: int) -> Any:
    """How often each of 0 to length - 1 occurs in x, or the sum of its weights."""
    index = integer_index(x)
    node = cast(index.node, I64)
    if weights is None:
        values = ops.full_like(node, 1)
    else:
        values = broadcast_to(cast(lift(weights).node, F64), node.shape)
    # What is beyond goes to a row of its own, which is cut off.
    below = emit("lt", node, ops.full_like(node, 0))
    beyond = emit("or", below, emit("ge", node, ops.full_like(node, length)))
    target = emit("select", beyond, ops.full_like(node, length), node)
    rows = ops.sum_of_rows(target, values, length + 1)
    return index.home.wrap(ops.slice(rows, (0,), (length,)))


@traces(np.histogram_bin_edges)
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    """bins: how many, a Python int, or the edges themselves."""
    if isinstance(bins, str):
        raise ValueError(f"histogram: bins={bins!r} depends on values{here()}; give their number")
    if np.ndim(bins):
        return lift(bins)
    if range is not None:
        low, high = range
        if low == high:
            low, high = low - 0.5, high + 0.5
        return lift(np.linspace(low, high, int(bins) + 1))
    x = lift(a)
    low, high = (astype(f(x), np.float64) for f in (np.min, np.max))
    flat = low == high
    low, high = np.where(flat, low - 0.5, low), np.where(flat, high + 0.5, high)
    inner = low + np.arange(int(bins)) * ((high - low) / int(bins))
    edges = np.append(inner, high)
    return astype(edges, x.dtype) if is_float(x.dtype) else edges


@traces(np.histogram)
def histogram(
    a: Any, bins: Any = 10, range: Any = None, density: bool = False, weights: Any = None
) -> Any:
    """(counts, edges). The last bin holds its right edge too."""
    edges = lift(histogram_bin_edges(a, bins, range))
    count = edges.size - 1
    x = lift(np.ravel(a))
    places = np.searchsorted(edges, x, "right") - 1
    places = np.where(x == edges[-1], count - 1, places)
    places = np.where((x >= edges[0]) & (x <= edges[-1]), places, count)
    given = None if weights is None else np.ravel(weights)
    found = bincount(places, given, count)
    if not density:
        return found, edges
    return found / np.diff(edges) / np.sum(found), edges


@traces(np.cov)
def cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None,
    fweights: Any = None, aweights: Any = None, dtype: Any = None,
) -> Any:  # fmt: skip
    """Rows are variables, columns observations; of one variable a number."""
    x = _variables(m, y, rowvar)
    x = astype(x, np.result_type(x.dtype, F64) if dtype is None else dtype)
    ddof = (0 if bias else 1) if ddof is None else ddof
    if fweights is None and aweights is None:
        centred = x - np.mean(x, axis=1, keepdims=True)
        total: Any = x.shape[1] - ddof
        product = centred @ centred.T
    else:
        weight = astype(1.0 if fweights is None else fweights, x.dtype)
        weight = weight if aweights is None else weight * aweights
        whole = np.sum(weight)
        centred = x - np.sum(x * weight, axis=1, keepdims=True) / whole
        lost = whole if aweights is None else np.sum(weight * aweights)
        total = whole - ddof * (1 if aweights is None else lost / whole)
        product = (centred * weight) @ centred.T
    return np.squeeze(product / total)


def _variables(m: Any, y: Any, rowvar: bool) -> Tracer:
    def rows(value: Any) -> Any:
        array = np.atleast_2d(lift(value))
        return array if rowvar or array.shape[0] == 1 else array.T

    return lift(rows(m) if y is None else np.concatenate([rows(m), rows(y)]))


@traces(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, dtype: Any = None) -> Any:
    c = cov(x, y, rowvar, dtype=dtype)
    if np.ndim(c) == 0:
        return c / c
    deviation = np.sqrt(np.diagonal(c))
    return np.clip(c / deviation[:, None] / deviation, -1, 1)
