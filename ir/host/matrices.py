"""What the rules of matrix functions share: checks, and matrix notation in the graph.

Leading dimensions are stacks of matrices, everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tracejit.ir import ops
from tracejit.ir.graph import Array, Attr, Builder, Node
from tracejit.ir.host.table import Types
from tracejit.ir.lanes import Lanes
from tracejit.ir.types import (
    F32,
    F64,
    I64,
    DTypeError,
    ShapeError,
    TensorType,
    dtype_name,
)

Nodes = Sequence[Node]
Results = tuple[Node, ...]


def check_matrices(op: str, types: Types) -> None:
    """Stacks of matrices of f32 or f64, all of one dtype."""
    for type in types:
        if type.dtype not in (F32, F64):
            raise DTypeError(f"{op}: takes f32 or f64, not {dtype_name(type.dtype)}; cast it first")
        if type.dtype != types[0].dtype:
            raise DTypeError(f"{op}: {types[0]} and {type}: dtypes differ; cast one of them")
        if type.ndim < 2:
            raise ShapeError(f"{op}: {type} is no matrix, nor a stack of them")


def square(op: str) -> Callable[..., Types]:
    """The type rule of a function from square matrices to such."""

    def infer(*types: TensorType) -> Types:
        (matrix,) = types
        check_square(op, matrix)
        return (matrix,)

    return infer


def check_square(op: str, type: TensorType) -> None:
    check_matrices(op, (type,))
    if type.shape[-1] != type.shape[-2]:
        raise ShapeError(f"{op}: {type}: the matrix is not square")


def stacked(callee: str) -> Callable[..., Results]:
    """The batch rule of a function of stacks: the lanes are one more leading dimension."""

    def batch(lanes: Lanes, **attrs: Attr) -> Results:
        return ops.host_call(callee, *lanes.every, **attrs)

    return batch


def evaluated(function: Callable[..., object]) -> Callable[..., tuple[Array, ...]]:
    """The eval rule of a function of NumPy's, with one result or a tuple of them."""

    def evaluate(*arrays: Array, **attrs: Attr) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            found = function(*arrays, **attrs)
        return tuple(map(np.asarray, found)) if isinstance(found, tuple) else (np.asarray(found),)

    return evaluate


# Matrix notation


def product(a: Node, *others: Node) -> Node:
    """The matrix product of equal stacks, from left to right."""
    for b in others:
        stack = tuple(range(a.ndim - 2))
        a = ops.dot_general(a, b, ((a.ndim - 1,), (b.ndim - 2,)), (stack, stack))
    return a


def turned(a: Node) -> Node:
    """The matrices transposed."""
    return ops.transpose(a, (*range(a.ndim - 2), a.ndim - 1, a.ndim - 2))


def symmetric(a: Node) -> Node:
    """The symmetric part."""
    return (a + turned(a)) * 0.5


def columns(a: Node, v: Node) -> Node:
    """a diag(v): each column of the matrices times its element."""
    return a * ops.broadcast(v, a.shape, (*range(a.ndim - 2), a.ndim - 1))


def rows(v: Node, a: Node) -> Node:
    """diag(v) a."""
    return a * ops.broadcast(v, a.shape, range(a.ndim - 1))


def scaled(factor: Node, a: Node) -> Node:
    """One factor for each matrix of a stack."""
    return a * ops.broadcast(factor, a.shape, range(a.ndim - 2))


def apart(v: Node) -> Node:
    """[i, j]: v[j] - v[i]."""
    n = v.shape[-1]
    shape, lead = (*v.shape, n), range(v.ndim - 1)
    return ops.broadcast(v, shape, (*lead, v.ndim)) - ops.broadcast(v, shape, (*lead, v.ndim - 1))


def mixed(a: Node, v: Node) -> Node:
    """a[i, j] / (v[j] - v[i]) beside the diagonal, on which it is 0."""
    diagonal = compared(a.builder, a.shape, "eq")
    distance = ops.select(diagonal, ops.ones_like(a), apart(v))
    return ops.select(diagonal, ops.zeros_like(a), a / distance)


def is_zero(cotangent: Node) -> bool:
    """Whether nothing depends on a result. Never asks for a value: rules are linear."""
    return cotangent.scalar() == 0


def compared(builder: Builder, shape: tuple[int, ...], op: str) -> Node:
    """A mask of the matrices: where row and column number compare like this."""
    row, column = (ops.iota(builder, shape, len(shape) - k, I64) for k in (2, 1))
    return {"eq": ops.eq, "ge": ops.ge, "gt": ops.gt}[op](row, column)


def lower(a: Node, strict: bool = False) -> Node:
    """The lower triangle, without its diagonal if strict."""
    mask = compared(a.builder, a.shape, "gt" if strict else "ge")
    return ops.select(mask, a, ops.zeros_like(a))


def identity(a: Node, size: int) -> Node:
    """Identity matrices [..., size, size] in the stack of a."""
    type = TensorType((*a.shape[:-2], size, size), a.dtype)
    ones, zeros = a.builder.full(1, type), a.builder.full(0, type)
    return ops.select(compared(a.builder, type.shape, "eq"), ones, zeros)


def total(a: Node) -> Node:
    """The sum of each matrix."""
    return ops.reduce_sum(a, (a.ndim - 2, a.ndim - 1))
