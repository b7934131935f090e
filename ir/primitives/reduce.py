"""Reductions: `axes` (sorted, each once) are removed, the dtype is kept.

Sums and products of f16 and bf16 accumulate in f32. On bool, max is `or` and min is `and`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from tracejit.ir import ops
from tracejit.ir.graph import PRIMITIVES, Array, Node, primitive
from tracejit.ir.lanes import Lanes
from tracejit.ir.primitives.checks import ANY, NUMBERS, Domain, arity, check_axes, widen, without
from tracejit.ir.types import ShapeError, TensorType

Axes = tuple[int, ...]
Vjp = Callable[..., tuple[Node | None, ...]]


def _infer(op: str, takes: Domain, has_identity: bool) -> Callable[..., TensorType]:
    def infer(*types: TensorType, axes: Axes) -> TensorType:
        arity(op, 1, types)
        (x,) = types
        takes.check(op, x.dtype)
        check_axes(op, x, axes)
        kept = without(range(x.ndim), axes)
        if not has_identity and prod(x.shape[a] for a in axes) == 0:
            raise ShapeError(f"{op}: {x}: axes {axes} are empty, and {op} has no identity")
        return x.with_shape(tuple(x.shape[a] for a in kept))

    return infer


def _eval(fn: np.ufunc) -> Callable[..., Array]:
    def evaluate(x: Array, axes: Axes) -> Array:
        wide = widen(x)
        with np.errstate(all="ignore"):
            # Without dtype, NumPy would widen small integers.
            reduced = fn.reduce(wide, axis=axes, dtype=wide.dtype)
            return np.asarray(reduced).astype(x.dtype, copy=False)

    return evaluate


def _extreme_vjp(g: Node, y: Node, x: Node, axes: Axes) -> tuple[Node]:
    """The elements that equal the extreme share its cotangent equally."""
    hit = ops.eq(x, ops.unreduce(y, x.shape, axes))
    hits = ops.reduce_sum(ops.cast(hit, x.dtype), axes)
    return (ops.select(hit, ops.unreduce(g / hits, x.shape, axes), ops.zeros_like(x)),)


def _products_before(x: Node) -> Node:
    """The product of all earlier elements along the last axis, in log2(n) steps.

    Hillis & Steele 1986; built of `pad`, `slice` and `mul`, so differentiable any number of times,
    zeros or not (y / x is not).
    """
    n = x.shape[-1]
    still = (0,) * (x.ndim - 1)

    def later(p: Node, distance: int) -> Node:
        padded = ops.pad(p, 1, (*still, distance), (*still, 0))
        return ops.slice(padded, (0,) * p.ndim, x.shape)

    product, distance = later(x, 1), 1
    while distance < n:
        product = product * later(product, distance)
        distance *= 2
    return product


def _prod_vjp(g: Node, y: Node, x: Node, axes: Axes) -> tuple[Node]:
    """g times the product of all the other elements: those before times those after."""
    kept = without(range(x.ndim), axes)
    order = (*kept, *axes)
    moved = ops.transpose(x, order)
    rows = ops.reshape(moved, (*y.shape, prod(x.shape[a] for a in axes)))
    last = (rows.ndim - 1,)
    after = ops.reverse(_products_before(ops.reverse(rows, last)), last)
    others = ops.reshape(_products_before(rows) * after, moved.shape)
    return (ops.unreduce(g, x.shape, axes) * ops.transpose(others, ops.inverse(order)),)


def _sum_vjp(g: Node, y: Node, x: Node, axes: Axes) -> tuple[Node]:
    return (ops.unreduce(g, x.shape, axes),)


def _batch(op: str) -> Callable[..., Node]:
    def batch(lanes: Lanes, axes: Axes) -> Node:
        (x,) = lanes.nodes
        return x.builder.emit(PRIMITIVES[op], x, axes=tuple(a + 1 for a in axes))

    return batch


def _row(op: str, takes: Domain, has_identity: bool, fn: np.ufunc, vjp: Vjp) -> None:
    primitive(op, _infer(op, takes, has_identity), _eval(fn), vjp, batch=_batch(op))


_row("reduce_sum", NUMBERS, True, np.add, _sum_vjp)
_row("reduce_prod", NUMBERS, True, np.multiply, _prod_vjp)
_row("reduce_max", ANY, False, np.maximum, _extreme_vjp)
_row("reduce_min", ANY, False, np.minimum, _extreme_vjp)
