"""Running sums, products and extrema: blocks of 16, each in log2(16) steps, then across blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.functions import axis_of, checked_dtype, lift, traces
from tracejit.ir import ops
from tracejit.ir.graph import Node, Scalar
from tracejit.lowering import cast, emit, least, most
from tracejit.promotion import sum_dtype
from tracejit.tracer import Tracer

Combine = Callable[[Node, Node], Node]

_BLOCK = 16  # elements: four steps inside, and a sixteenth of the work remains


# How two neighbours combine, and what changes nothing.
SCANS: dict[str, Callable[[Node], Scalar]] = {
    "add": lambda x: 0,
    "mul": lambda x: 1,
    "maximum": lambda x: least(x.dtype),
    "minimum": lambda x: most(x.dtype),
}


def _delayed(x: Node, distance: int, neutral: Scalar) -> Node:
    """x moved towards the end of its last axis; what comes in is neutral."""
    still = (0,) * (x.ndim - 1)
    padded = ops.pad(x, neutral, (*still, distance), (*still, 0))
    return ops.slice(padded, (0,) * x.ndim, x.shape)


def running(op: str, x: Node) -> Node:
    """Element i of the last axis is elements 0 to i combined.

    Adds at most 2.2 n log2(16) times, in an order that does not depend on threads; of floats as
    accurate as a pairwise sum. Source: Hillis & Steele 1986, and Blelloch 1990 for the blocks.
    """
    neutral, size = SCANS[op](x), x.shape[-1]
    if size <= _BLOCK:
        distance = 1
        while distance < size:
            x = emit(op, _delayed(x, distance, neutral), x)
            distance *= 2
        return x
    lead = x.shape[:-1]
    blocks = -(-size // _BLOCK)
    still = (0,) * len(lead)
    filled = ops.pad(x, neutral, (*still, 0), (*still, blocks * _BLOCK - size))
    inside = running(op, ops.reshape(filled, (*lead, blocks, _BLOCK)))
    last = ops.slice(inside, (*still, 0, _BLOCK - 1), (*lead, blocks, _BLOCK))
    before = _delayed(running(op, ops.reshape(last, (*lead, blocks))), 1, neutral)
    spread = ops.broadcast(before, inside.shape, range(before.ndim))
    whole = ops.reshape(emit(op, spread, inside), (*lead, blocks * _BLOCK))
    return ops.slice(whole, (0,) * x.ndim, x.shape)


def along(op: str, x: Tracer, axis: int) -> Tracer:
    """`running` along any axis."""
    d = axis_of(x.ndim, axis)
    order = (*(i for i in range(x.ndim) if i != d), d)
    scanned = running(op, ops.transpose(x.node, order))
    return x.home.wrap(ops.transpose(scanned, ops.inverse(order)))


def _summed(op: str, a: Any, axis: int | None, dtype: Any) -> Tracer:
    x = lift(a)
    wanted = sum_dtype(x.dtype) if dtype is None else checked_dtype(dtype)
    x = x.home.wrap(cast(x.node, wanted))
    if axis is None or (x.ndim == 0 and axis in (0, -1)):
        x, axis = lift(np.reshape(x, -1)), 0
    return along(op, x, axis)


@traces(np.cumsum)
def cumsum(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    return _summed("add", a, axis, dtype)


@traces(np.cumprod)
def cumprod(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    return _summed("mul", a, axis, dtype)


def _cumulative(op: str, x: Any, axis: int | None, dtype: Any, include_initial: bool) -> Any:
    array = lift(x)
    if axis is None and array.ndim != 1:
        raise ValueError(f"axis must be given for an array of {array.ndim} dimensions")
    d = axis_of(array.ndim, axis or 0)
    out = _summed(op, array, d, dtype)
    if not include_initial:
        return out
    low = [int(i == d) for i in range(out.ndim)]
    return out.home.wrap(ops.pad(out.node, SCANS[op](out.node), low, [0] * out.ndim))


@traces(np.cumulative_sum)
def cumulative_sum(
    x: Any, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Any:
    return _cumulative("add", x, axis, dtype, include_initial)


@traces(np.cumulative_prod)
def cumulative_prod(
    x: Any, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Any:
    return _cumulative("mul", x, axis, dtype, include_initial)


ACCUMULATE: dict[np.ufunc, str] = {
    np.add: "add",
    np.multiply: "mul",
    np.maximum: "maximum",
    np.minimum: "minimum",
}


def accumulate(ufunc: np.ufunc, array: Any, axis: int = 0, dtype: Any = None) -> Any:
    """ufunc.accumulate."""
    x = lift(array)
    if ufunc in (np.add, np.multiply):
        return _summed(ACCUMULATE[ufunc], x, axis, dtype)
    return along(ACCUMULATE[ufunc], x, axis)
