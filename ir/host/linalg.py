"""Linear systems and determinants, by LAPACK through numpy.linalg.

Derivatives after Giles 2008, "Collected matrix derivative results for forward and reverse mode
algorithmic differentiation".
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tracejit.ir import ops
from tracejit.ir.graph import Array, Node
from tracejit.ir.host.matrices import (
    Nodes,
    check_matrices,
    check_square,
    evaluated,
    product,
    scaled,
    square,
    stacked,
    total,
    turned,
)
from tracejit.ir.host.table import Types, host_function
from tracejit.ir.lanes import Lanes, folded, unfolded
from tracejit.ir.types import ShapeError, TensorType


def solve(a: Node, b: Node) -> Node:
    return ops.host_call("linalg.solve", a, b)[0]


def inv(a: Node) -> Node:
    return ops.host_call("linalg.inv", a)[0]


# Systems


def _solve_infer(*types: TensorType) -> Types:
    check_matrices("linalg.solve", types)
    a, b = types
    check_square("linalg.solve", a)
    if a.shape[:-1] != b.shape[:-1]:
        raise ShapeError(f"linalg.solve: {a} and {b}: the rows or the stacks differ")
    return (b,)


def _solve_vjp(g: Nodes, y: Nodes, a: Node, b: Node) -> tuple[Node, Node]:
    of_b = solve(turned(a), g[0])
    return -product(of_b, turned(y[0])), of_b


def _solve_batch(lanes: Lanes) -> tuple[Node, ...]:
    """One matrix for all lanes is factored once: their right sides are columns of one."""
    a, b = lanes.nodes
    if lanes.batched == (False, True):
        axis = b.ndim - 2
        return (unfolded(solve(a, folded(b, axis)), axis, lanes.size),)
    return stacked("linalg.solve")(lanes)


def _inv_vjp(g: Nodes, y: Nodes, a: Node) -> tuple[Node]:
    of_y = turned(y[0])
    return (-product(of_y, g[0], of_y),)


host_function("linalg.solve", _solve_infer, evaluated(np.linalg.solve), _solve_vjp, _solve_batch)
host_function(
    "linalg.inv", square("linalg.inv"), evaluated(np.linalg.inv), _inv_vjp, stacked("linalg.inv")
)


# Determinants


def _scalars(matrix: TensorType) -> TensorType:
    return matrix.with_shape(matrix.shape[:-2])


def _det_infer(*types: TensorType) -> Types:
    check_square("linalg.det", types[0])
    return (_scalars(types[0]),)


def _slogdet_infer(*types: TensorType) -> Types:
    check_square("linalg.slogdet", types[0])
    return _scalars(types[0]), _scalars(types[0])


def _cofactor_eval(a: Array) -> tuple[Array, ...]:
    """det(U) det(V) U diag(products of the other singular values) V: also of singular matrices."""
    svd: Callable[..., tuple[Array, Array, Array]] = np.linalg.svd
    (u, s, v), n = svd(a), a.shape[-1]
    others = np.where(np.eye(n, dtype=bool), np.ones((), a.dtype), s[..., None, :]).prod(-1)
    sign: Array = np.linalg.det(u) * np.linalg.det(v)  # type: ignore[arg-type]
    return (((u * (sign[..., None] * others)[..., None, :]) @ v).astype(a.dtype, copy=False),)


def _det_vjp(g: Nodes, y: Nodes, a: Node) -> tuple[Node]:
    return (scaled(g[0], ops.host_call("linalg.cofactor", a)[0]),)


def _cofactor_vjp(g: Nodes, y: Nodes, a: Node) -> tuple[Node]:
    """Of det(a) w with w the inverse's transpose; so of regular matrices only."""
    w, (det,) = turned(inv(a)), ops.host_call("linalg.det", a)
    return (scaled(det, scaled(total(g[0] * w), w) - product(w, turned(g[0]), w)),)


def _slogdet_vjp(g: Nodes, y: Nodes, a: Node) -> tuple[Node]:
    return (scaled(g[1], turned(inv(a))),)


host_function("linalg.det", _det_infer, evaluated(np.linalg.det), _det_vjp, stacked("linalg.det"))
host_function(
    "linalg.cofactor",
    square("linalg.cofactor"),
    _cofactor_eval,
    _cofactor_vjp,
    stacked("linalg.cofactor"),
)
host_function(
    "linalg.slogdet",
    _slogdet_infer,
    evaluated(np.linalg.slogdet),
    _slogdet_vjp,
    stacked("linalg.slogdet"),
)
