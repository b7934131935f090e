"""dot_general: the one contraction, closed under differentiation."""

from __future__ import annotations

from math import prod

import numpy as np

from tracejit.ir import ops
from tracejit.ir.graph import Array, Node, primitive
from tracejit.ir.lanes import Lanes
from tracejit.ir.primitives.checks import NUMBERS, arity, widen, without
from tracejit.ir.types import DTypeError, ShapeError, TensorType

Ints = tuple[int, ...]
Pair = tuple[Ints, Ints]


def _free(ndim: int, contract: Ints, batch: Ints) -> Ints:
    return without(range(ndim), (*contract, *batch))


def _infer(*types: TensorType, contract: Pair, batch: Pair) -> TensorType:
    """batch + a's free axes + b's free axes, each in order."""
    arity("dot_general", 2, types)
    a, b = types
    NUMBERS.check("dot_general", a.dtype)
    if a.dtype != b.dtype:
        raise DTypeError(f"dot_general: {a} @ {b}: dtypes differ; cast one of them")
    for t, own in ((a, (*contract[0], *batch[0])), (b, (*contract[1], *batch[1]))):
        if len(set(own)) != len(own) or any(not 0 <= i < t.ndim for i in own):
            raise ShapeError(f"dot_general: {t}: axes {own} are out of range or repeated")
    for kind, (of_a, of_b) in (("inner", contract), ("batch", batch)):
        if len(of_a) != len(of_b):
            raise ShapeError(f"dot_general: {a} @ {b}: {kind} axes {of_a} and {of_b} do not pair")
        for i, j in zip(of_a, of_b, strict=True):
            if a.shape[i] != b.shape[j]:
                raise ShapeError(
                    f"dot_general: {a} @ {b}: {kind} sizes {a.shape[i]} and {b.shape[j]} differ"
                )
    rows, columns = _free(a.ndim, contract[0], batch[0]), _free(b.ndim, contract[1], batch[1])
    shape = [*(a.shape[i] for i in (*batch[0], *rows)), *(b.shape[j] for j in columns)]
    return a.with_shape(tuple(shape))


def _eval(a: Array, b: Array, contract: Pair, batch: Pair) -> Array:
    """As one batched matrix product; f16 and bf16 accumulate in f32."""
    rows, columns = _free(a.ndim, contract[0], batch[0]), _free(b.ndim, contract[1], batch[1])
    batches = tuple(a.shape[i] for i in batch[0])
    m, n = tuple(a.shape[i] for i in rows), tuple(b.shape[j] for j in columns)
    inner = prod(a.shape[i] for i in contract[0])
    left = widen(a).transpose((*batch[0], *rows, *contract[0]))
    right = widen(b).transpose((*batch[1], *contract[1], *columns))
    with np.errstate(all="ignore"):
        product = np.matmul(
            left.reshape((*batches, prod(m), inner)), right.reshape((*batches, inner, prod(n)))
        )
        return np.asarray(product.reshape((*batches, *m, *n)).astype(a.dtype, copy=False))


def _vjp(g: Node, y: Node, a: Node, b: Node, contract: Pair, batch: Pair) -> tuple[Node, Node]:
    """Contract g with the other operand over the other's free axes; then restore the axis order.

    With g: [batch, m, n]: da = g b over n, db = a g over m, so that of a plain matrix product
    neither needs a transpose.
    """
    m, n = _free(a.ndim, contract[0], batch[0]), _free(b.ndim, contract[1], batch[1])
    nb = len(batch[0])
    g_batch = tuple(range(nb))
    g_m, g_n = tuple(range(nb, nb + len(m))), tuple(range(nb + len(m), g.ndim))
    # What the other operand contributes comes out in the order of *its* contracted axes.
    pairs = list(zip(*contract, strict=True))
    a_inner = tuple(i for i, j in sorted(pairs, key=lambda pair: pair[1]))
    b_inner = tuple(j for i, j in sorted(pairs))
    da = ops.dot_general(g, b, (g_n, n), (g_batch, batch[1]))
    db = ops.dot_general(a, g, (m, g_m), (batch[0], g_batch))
    return (
        ops.transpose(da, ops.inverse((*batch[0], *m, *a_inner))),
        ops.transpose(db, ops.inverse((*batch[1], *b_inner, *n))),
    )


def _batch(lanes: Lanes, contract: Pair, batch: Pair) -> Node:
    """Lanes of both operands are one more batch axis; of one, its first free axis."""
    a, b = lanes.nodes
    of_a, of_b = lanes.batched

    def later(pair: Pair) -> Pair:
        return tuple(i + of_a for i in pair[0]), tuple(j + of_b for j in pair[1])

    contract, batch = later(contract), later(batch)
    if of_a and of_b:
        return ops.dot_general(a, b, contract, ((0, *batch[0]), (0, *batch[1])))
    product = ops.dot_general(a, b, contract, batch)
    at = len(batch[0]) if of_a else len(batch[0]) + len(_free(a.ndim, contract[0], batch[0]))
    return ops.transpose(product, (at, *without(range(product.ndim), (at,))))


primitive("dot_general", _infer, _eval, _vjp, batch=_batch)
