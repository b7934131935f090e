"""Least squares and the pseudoinverse, by LAPACK through numpy.linalg.

Derivatives hold where the rank is constant. Source: Golub & Pereyra 1973, "The differentiation of
pseudo-inverses and nonlinear least squares problems", equation 4.12.
"""

from __future__ import annotations

import numpy as np

from tracejit.ir import ops
from tracejit.ir.graph import Array, Node
from tracejit.ir.host.matrices import (
    Nodes,
    check_matrices,
    columns,
    evaluated,
    identity,
    product,
    stacked,
    turned,
)
from tracejit.ir.host.table import Types, host_function
from tracejit.ir.types import I32, ShapeError, TensorType


def _pinv_infer(*types: TensorType, rcond: float) -> Types:
    check_matrices("linalg.pinv", types)
    *lead, m, n = types[0].shape
    return (types[0].with_shape((*lead, n, m)),)


def _pinv_vjp(g: Nodes, y: Nodes, a: Node, rcond: float) -> tuple[Node]:
    (p,), of_p = y, turned(g[0])
    m, n = a.shape[-2:]
    pt = turned(p)
    beside = identity(a, m) - product(a, p)
    below = identity(a, n) - product(p, a)
    return (
        product(beside, of_p, p, pt) + product(pt, p, of_p, below) - product(pt, turned(of_p), pt),
    )


host_function(
    "linalg.pinv", _pinv_infer, evaluated(np.linalg.pinv), _pinv_vjp, stacked("linalg.pinv")
)


def _lstsq_infer(*types: TensorType, rcond: float) -> Types:
    check_matrices("linalg.lstsq", types)
    a, b = types
    if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[0]:
        raise ShapeError(f"linalg.lstsq: {a} and {b}: two matrices with equal numbers of rows")
    (m, n), k = a.shape, b.shape[1]
    return a.with_shape((n, k)), TensorType((), I32), a.with_shape((min(m, n),))


def _lstsq_eval(a: Array, b: Array, rcond: float) -> tuple[Array, ...]:
    x, _, rank, s = np.linalg.lstsq(a, b, rcond)  # type: ignore[arg-type]
    return x, np.asarray(rank, I32), s


def _lstsq_vjp(g: Nodes, y: Nodes, a: Node, b: Node, rcond: float) -> tuple[Node, Node]:
    (of_x, _, of_s), x = g, y[0]
    (p,) = ops.host_call("linalg.pinv", a, rcond=rcond)
    pt, left = turned(p), b - product(a, x)
    of_b = product(pt, of_x)
    below = of_x - product(turned(a), of_b)  # what of x lies in the null space of a
    of_a = (
        product(left, turned(product(p, of_b)))
        + product(pt, x, turned(below))
        - product(of_b, turned(x))
    )
    u, _, vt = ops.host_call("linalg.svd", a, full_matrices=False)
    return of_a + product(columns(u, of_s), vt), of_b


host_function("linalg.lstsq", _lstsq_infer, _lstsq_eval, _lstsq_vjp)
