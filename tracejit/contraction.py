"""matmul, dot, tensordot, einsum: all of them `dot_general`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.functions import axis_of, lift, traces
from tracejit.ir import ops
from tracejit.ir.graph import Node
from tracejit.ir.types import BOOL, I32, ShapeError
from tracejit.lowering import broadcast_to, cast, emit
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
        return a.trace.wrap(ops.dot_general(a.node, b.node, inner, batch))
    count = ops.dot_general(cast(a.node, I32), cast(b.node, I32), inner, batch)
    return a.trace.wrap(cast(count, BOOL))


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
    a = a.trace.wrap(broadcast_to(a.node, lead + a.shape[-2:]))
    b = b.trace.wrap(broadcast_to(b.node, lead + b.shape[-2:]))
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
    return np.sum(lift(x1) * lift(x2), axis=axis)


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


@traces(np.einsum)
def einsum(subscripts: Any, *operands: Any) -> Any:
    """Operands are contracted from left to right.

    subscripts: NumPy's notation, "..." included; the form with lists of axes is not taken.
    """
    if not isinstance(subscripts, str):
        raise ShapeError(f"einsum: give the subscripts as a string{here()}")
    values = promoted(operands)
    terms, result = _parse(subscripts.replace(" ", ""), values)
    for position, (term, value) in enumerate(zip(terms, values, strict=True)):
        terms[position], values[position] = _diagonal(term, value)
    term, value = terms[0], values[0]
    for position in range(1, len(values)):
        later = set(result).union(*terms[position + 1 :])
        term, value = _pair(term, value, terms[position], values[position], later)
    term, value = _summed(term, value, set(result))
    return np.transpose(value, [term.index(label) for label in result])


def _parse(subscripts: str, values: list[Tracer]) -> tuple[list[str], str]:
    """The labels of each operand and of the result; an ellipsis becomes capital letters unused."""
    left, arrow, result = subscripts.partition("->")
    terms = left.split(",")
    if len(terms) != len(values):
        raise ShapeError(
            f"einsum: {subscripts!r} names {len(terms)} operands, given {len(values)}{here()}"
        )
    spare = [chr(c) for c in range(0x100, 0x140)]
    most = 0
    for position, (term, value) in enumerate(zip(terms, values, strict=True)):
        count = value.ndim - len(term.replace("...", ""))
        if count < 0 or (count and "..." not in term):
            raise ShapeError(f"einsum: {term!r} does not fit {value.node.type}{here()}")
        most = max(most, count)
        terms[position] = term.replace("...", "".join(spare[32 - count : 32]))
    dots = "".join(spare[32 - most : 32])
    if not arrow:
        labels = "".join(terms)
        result = dots + "".join(
            sorted(c for c in set(labels) if labels.count(c) == 1 and c not in dots)
        )
    result = result.replace("...", dots)
    sizes: dict[str, int] = {}
    for term, value in zip(terms, values, strict=True):
        for label, size in zip(term, value.shape, strict=True):
            if size not in (1, sizes.setdefault(label, size)):
                if sizes[label] != 1:
                    raise ShapeError(
                        f"einsum: {subscripts!r}: sizes {sizes[label]} and {size} of"
                        f" {label!r} differ{here()}"
                    )
                sizes[label] = size
    for position, (term, value) in enumerate(zip(terms, values, strict=True)):
        shape = tuple(sizes[label] for label in term)
        values[position] = value.trace.wrap(broadcast_to(value.node, shape))
    return terms, result


def _diagonal(term: str, value: Tracer) -> tuple[str, Tracer]:
    """Labels that one operand repeats: the diagonal of their axes."""
    for label in set(term):
        while term.count(label) > 1:
            i = term.index(label)
            j = term.index(label, i + 1)
            value = lift(np.diagonal(value, axis1=i, axis2=j))
            term = term[:i] + term[i + 1 : j] + term[j + 1 :] + label
    return term, value


def _summed(term: str, value: Tracer, needed: set[str]) -> tuple[str, Tracer]:
    """Sums out what nobody needs any more."""
    gone = [d for d, label in enumerate(term) if label not in needed]
    if gone:
        node: Node = value.node
        op = "reduce_max" if value.dtype == BOOL else "reduce_sum"
        value = value.trace.wrap(emit(op, node, axes=tuple(gone)))
    return "".join(label for label in term if label in needed), value


def _pair(first: str, a: Tracer, second: str, b: Tracer, later: set[str]) -> tuple[str, Tracer]:
    first, a = _summed(first, a, later.union(second))
    second, b = _summed(second, b, later.union(first))
    shared = [label for label in first if label in second]
    batch = [label for label in shared if label in later]
    inner = [label for label in shared if label not in later]
    rest = [c for c in first if c not in shared] + [c for c in second if c not in shared]
    pairs = [first.index(c) for c in inner], [second.index(c) for c in inner]
    batches = [first.index(c) for c in batch], [second.index(c) for c in batch]
    return "".join(batch + rest), contract(a, b, pairs, batches)
