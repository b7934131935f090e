"""Linear algebra that LAPACK does, through numpy.linalg. Leading dimensions are stacks of matrices.

Derivatives after Giles 2008, "Collected matrix derivative results for forward and reverse mode
algorithmic differentiation".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tracejit.ir import ops
from tracejit.ir.graph import Array, Attr, Node
from tracejit.ir.host.table import Types, host_function
from tracejit.ir.lanes import Lanes
from tracejit.ir.types import F32, F64, DTypeError, ShapeError, TensorType, dtype_name

Nodes = Sequence[Node]


def check_matrices(op: str, types: Types) -> None:
    """Stacks of matrices of f32 or f64, all of one dtype."""
    for type in types:
        if type.dtype not in (F32, F64):
            raise DTypeError(f"{op}: takes f32 or f64, not {dtype_name(type.dtype)}; cast it first")
        if type.dtype != types[0].dtype:
            raise DTypeError(f"{op}: {types[0]} and {type}: dtypes differ; cast one of them")
        if type.ndim < 2:
            raise ShapeError(f"{op}: {type} is no matrix, nor a stack of them")


def check_square(op: str, type: TensorType) -> None:
    check_matrices(op, (type,))
    if type.shape[-1] != type.shape[-2]:
        raise ShapeError(f"{op}: {type}: the matrix is not square")


def one(function: Callable[..., object]) -> Callable[..., tuple[Array, ...]]:
    """The eval rule of a function of NumPy's with one result."""

    def evaluate(*arrays: Array, **attrs: Attr) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            return (np.asarray(function(*arrays, **attrs)),)

    return evaluate


def batch(lanes: Lanes, callee: str, **attrs: Attr) -> tuple[Node, ...]:
    """NumPy takes stacks: the lanes are one more leading dimension."""
    return ops.host_call(callee, *lanes.every, **attrs)


def product(a: Node, b: Node) -> Node:
    """The matrix product of two equal stacks."""
    stack = range(a.ndim - 2)
    return ops.dot_general(a, b, ((a.ndim - 1,), (b.ndim - 2,)), (tuple(stack), tuple(stack)))


def turned(a: Node) -> Node:
    """The matrices transposed."""
    return ops.transpose(a, (*range(a.ndim - 2), a.ndim - 1, a.ndim - 2))


# Solving


def _solve_infer(*types: TensorType) -> Types:
    check_matrices("linalg.solve", types)
    a, b = types
    check_square("linalg.solve", a)
    if a.shape[:-1] != b.shape[:-1]:
        raise ShapeError(f"linalg.solve: {a} and {b}: the rows or the stacks differ")
    return (b,)


def _solve_vjp(g: Nodes, y: Nodes, a: Node, b: Node) -> tuple[Node, Node]:
    (cotangent,), (x,) = g, y
    of_b = ops.host_call("linalg.solve", turned(a), cotangent)[0]
    return -product(of_b, turned(x)), of_b


def _solve_batch(lanes: Lanes) -> tuple[Node, ...]:
    return batch(lanes, "linalg.solve")


host_function("linalg.solve", _solve_infer, one(np.linalg.solve), _solve_vjp, _solve_batch)
