"""Sorting and what follows from it: medians, quantiles, the largest, each value once."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.errors import ShapeError, UnsupportedError
from tracejit.functions import axis_of, lift, traces
from tracejit.ir import ops
from tracejit.ir.graph import Attr
from tracejit.selection import take
from tracejit.source import here
from tracejit.trace import current_trace
from tracejit.tracer import Tracer


def _call(name: str, *operands: Tracer, **attrs: Attr) -> tuple[Tracer, ...]:
    nodes = ops.host_call(name, *(x.node for x in operands), **attrs)
    return tuple(operands[0].home.wrap(node) for node in nodes)


def along(name: str, a: Any, axis: Any, **attrs: Attr) -> Tracer:
    """One result of a function along an axis; of all elements if the axis is None."""
    x = lift(a) if axis is not None else lift(np.ravel(a))
    if x.ndim == 0:
        raise ShapeError(f"np.{name}: {x.node.type} has no axis{here()}")
    return _call(name, x, axis=axis_of(x.ndim, -1 if axis is None else axis), **attrs)[0]


def _plain(name: str, order: Any) -> None:
    if order is not None:
        raise UnsupportedError(
            f"np.{name}: order= is for fields, which arrays here have not{here()}"
        )


@traces(np.sort)
def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, stable: Any = None) -> Any:
    """nan last."""
    _plain("sort", order)
    return along("sort", a, axis, stable=bool(stable) or kind in ("stable", "mergesort"))


@traces(np.argsort)
def argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, stable: Any = None) -> Any:
    """Always stable: equals keep their order."""
    _plain("argsort", order)
    a = np.reshape(lift(a), (1,)) if np.ndim(a) == 0 else a
    return along("argsort", a, axis)


@traces(np.lexsort)
def lexsort(keys: Any, axis: int = -1) -> Any:
    """By the last key first."""
    rows = [lift(k) for k in keys]
    return _call("lexsort", *rows, axis=axis_of(rows[0].ndim, axis))[0]


def _kth(x: Any, axis: Any, kth: Any) -> tuple[int, ...]:
    size = np.size(x) if axis is None else np.shape(x)[axis]
    wanted = sorted(int(k) for k in np.atleast_1d(kth))
    if any(not -size <= k < size for k in wanted):
        raise ValueError(f"kth(={wanted}) out of bounds ({size}){here()}")
    return tuple(sorted({k % size for k in wanted}))


@traces(np.partition)
def partition(
    a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None
) -> Any:
    _plain("partition", order)
    return along("partition", a, axis, kth=_kth(a, axis, kth))


@traces(np.argpartition)
def argpartition(
    a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None
) -> Any:
    _plain("argpartition", order)
    return along("argpartition", a, axis, kth=_kth(a, axis, kth))


def top_k(x: Any, k: int) -> tuple[Any, Any]:
    """The k largest of the last axis, largest first, and their indices; as `jax.lax.top_k`.

    Of equals the first come first; nan counts as the largest. Indices are i64.
    """
    if current_trace() is None:
        from tracejit.ir.host.table import HOST

        values, index = HOST["top_k"].eval(np.asarray(x), k=int(k))
        return values, index
    found = _call("top_k", lift(x), k=int(k))
    return found[0], found[1]


def unique(
    ar: Any, size: int, fill_value: Any, equal_nan: bool
) -> tuple[Tracer, Tracer, Tracer, Tracer]:
    """(values, first places, inverse, counts), padded to a size: `np.unique` of known shape."""
    x = lift(np.ravel(ar))
    first, inverse, counts, number = _call("unique", x, size=size, equal_nan=equal_nan)
    if x.size == 0:
        filled = np.full(size, 0 if fill_value is None else fill_value).astype(x.dtype)
        return lift(filled), first, inverse, counts
    values: Any = take(x, first)
    if fill_value is not None:
        values = np.where(np.arange(size) < number, values, fill_value).astype(x.dtype)
    return lift(values), first, inverse, counts
