"""matmul, dot, tensordot: all of them `dot_general`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.functions import axis_of, lift, traces
from tracejit.ir import ops
from tracejit.ir.types import BOOL, I32, ShapeError
from tracejit.lowering import broadcast_to, cast
from tracejit.movement import moveaxis, promoted
from tracejit.source import here
from tracejit.tracer import Tracer

Ints = Sequence[int]


def contract(a: Tracer, b: Tracer, inner: tuple[Ints, Ints], batch: tuple[Ints, Ints]) -> Tracer:
    """dot_general of operands of any one dtype; bool is `or` of `and`."""
    for i, j in zip(*inner, strict=True):
        if a.shape[i] != b.shape[j]:
            raise ShapeError(
                f"dot: {a.node.type} @ {b.node.type}: inner sizes {a.shape[i]} and {b.shape[j]}"
                f" differ{here()}"
            )
    if a.dtype != BOOL:
        return a.home.wrap(ops.dot_general(a.node, b.node, inner, batch))
    count = ops.dot_general(cast(a.node, I32), cast(b.node, I32), inner, batch)
    return a.home.wrap(cast(count, BOOL))


def matmul(x1: Any, x2: Any) -> Any:
    """NumPy's `@`: the last two axes are matrices, those before broadcast."""
    a, b = promoted([x1, x2])
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(f"matmul: {a.node.type} @ {b.node.type}: scalars take *{here()}")
    if a.ndim == 1 or b.ndim <= 2:
        # No batch axes to pair: a vector or matrix on one side meets every matrix of the other.
        out = contract(a, b, ((a.ndim - 1,), (max(b.ndim - 2, 0),)), ((), ()))
        return out
    if a.ndim == 2 and b.ndim > 2:
        product = contract(a, b, ((1,), (b.ndim - 2,)), ((), ()))
        return moveaxis(product, 0, -2)
    try:
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ShapeError(
            f"matmul: {a.node.type} @ {b.node.type}: batch sizes {list(a.shape[:-2])} and"
            f" {list(b.shape[:-2])} do not broadcast{here()}"
        ) from None
    a = a.home.wrap(broadcast_to(a.node, lead + a.shape[-2:]))
    b = b.home.wrap(broadcast_to(b.node, lead + b.shape[-2:]))
    axes = tuple(range(len(lead)))
    return contract(a, b, ((a.ndim - 1,), (b.ndim - 2,)), (axes, axes))


traces(np.linalg.matmul)(matmul)


@traces(np.dot)
def dot(a: Any, b: Any) -> Any:
    x, y = promoted([a, b])
    if x.ndim == 0 or y.ndim == 0:
        return x * y
    return contract(x, y, ((x.ndim - 1,), (max(y.ndim - 2, 0),)), ((), ()))


@traces(np.inner)
def inner(a: Any, b: Any) -> Any:
    x, y = promoted([a, b])
    if x.ndim == 0 or y.ndim == 0:
        return x * y
    return contract(x, y, ((x.ndim - 1,), (y.ndim - 1,)), ((), ()))


@traces(np.vdot)
def vdot(a: Any, b: Any) -> Any:
    return dot(np.ravel(lift(a)), np.ravel(lift(b)))


@traces(np.linalg.vecdot)
def vecdot(x1: Any, x2: Any, axis: int = -1) -> Any:
    product: Any = lift(x1) * lift(x2)
    if product.dtype == BOOL:
        return np.any(product, axis=axis)
    return np.sum(product, axis=axis, dtype=product.dtype)


@traces(np.tensordot, np.linalg.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    x, y = promoted([a, b])
    if np.ndim(axes) == 0 and not isinstance(axes, list | tuple):
        left: Any = range(x.ndim - axes, x.ndim)
        right: Any = range(axes)
    else:
        left, right = (d if np.iterable(d) else (d,) for d in axes)
    pairs = [axis_of(x.ndim, i) for i in left], [axis_of(y.ndim, j) for j in right]
    return contract(x, y, pairs, ((), ()))


def matvec(x1: Any, x2: Any) -> Any:
    """Matrices times vectors: [..., m, n] and [..., n] give [..., m]."""
    return np.squeeze(matmul(x1, np.expand_dims(lift(x2), -1)), -1)


def vecmat(x1: Any, x2: Any) -> Any:
    """Vectors times matrices: [..., m] and [..., m, n] give [..., n]."""
    return np.squeeze(matmul(np.expand_dims(lift(x1), -2), x2), -2)


MATRIX_UFUNCS: dict[np.ufunc, Any] = {
    np.matmul: matmul,
    np.vecdot: vecdot,
    # Of NumPy 2.2 and later.
    **{getattr(np, f.__name__): f for f in (matvec, vecmat) if hasattr(np, f.__name__)},
}
