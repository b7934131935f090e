"""Factorizations, by LAPACK through numpy.linalg.

Where factors are not unique, derivatives are those of the factors that LAPACK chose. With equal
singular values or eigenvalues the vectors have no derivative: they give infinities and nan.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tracejit.ir import ops
from tracejit.ir.graph import Array, Node
from tracejit.ir.host.linalg import solve
from tracejit.ir.host.matrices import (
    Nodes,
    check_matrices,
    check_square,
    columns,
    evaluated,
    is_zero,
    lower,
    mixed,
    product,
    rows,
    square,
    stacked,
    symmetric,
    turned,
)
from tracejit.ir.host.table import Types, host_function
from tracejit.ir.types import DTypeError, TensorType

# Symmetric matrices


def _cholesky_vjp(g: Nodes, y: Nodes, a: Node) -> tuple[Node]:
    """The argument counts as symmetric. Source: Murray 2016, arXiv:1602.07527, equation 10."""
    upper = turned(y[0])
    inner = lower(product(upper, lower(g[0])))
    half = inner - _diagonal(inner) * 0.5
    return (symmetric(turned(solve(upper, turned(solve(upper, half))))),)


def _diagonal(a: Node) -> Node:
    return lower(a) - lower(a, strict=True)


def _eigh_infer(*types: TensorType) -> Types:
    check_square("linalg.eigh", types[0])
    return types[0].with_shape(types[0].shape[:-1]), types[0]


def _eigvalsh_infer(*types: TensorType) -> Types:
    check_square("linalg.eigvalsh", types[0])
    return (types[0].with_shape(types[0].shape[:-1]),)


def _eigh_vjp(g: Nodes, y: Nodes, a: Node) -> tuple[Node]:
    """The argument counts as symmetric. Source: Giles 2008, section 3.1."""
    w, v = y
    total = columns(v, g[0])
    if not is_zero(g[1]):
        total = total + product(v, mixed(product(turned(v), g[1]), w))
    return (symmetric(product(total, turned(v))),)


def _eigvalsh_vjp(g: Nodes, y: Nodes, a: Node) -> tuple[Node]:
    _, v = ops.host_call("linalg.eigh", a)
    return (product(columns(v, g[0]), turned(v)),)


host_function(
    "linalg.cholesky",
    square("linalg.cholesky"),
    evaluated(np.linalg.cholesky),
    _cholesky_vjp,
    stacked("linalg.cholesky"),
)
host_function(
    "linalg.eigh", _eigh_infer, evaluated(np.linalg.eigh), _eigh_vjp, stacked("linalg.eigh")
)
host_function(
    "linalg.eigvalsh",
    _eigvalsh_infer,
    evaluated(np.linalg.eigvalsh),
    _eigvalsh_vjp,
    stacked("linalg.eigvalsh"),
)


# QR


def _qr_infer(*types: TensorType, complete: bool) -> Types:
    check_matrices("linalg.qr", types)
    (a,) = types
    *lead, m, n = a.shape
    inner = m if complete else min(m, n)
    return a.with_shape((*lead, m, inner)), a.with_shape((*lead, inner, n))


def _qr_vjp(g: Nodes, y: Nodes, a: Node, complete: bool) -> tuple[Node]:
    """Source: Roberts & Roberts 2020, arXiv:2009.10071, where matrices are wide."""
    (q, r), (of_q, of_r) = y, g
    m, n = a.shape[-2:]
    if complete and m > n:
        raise DTypeError(f"linalg.qr: {a.type}: mode 'complete' has no derivative; use 'reduced'")
    if m >= n:
        return (_tall_qr(q, r, of_q, of_r),)
    right = _cut(a, m, n)
    of_right = product(q, _cut(of_r, m, n))
    of_q = of_q + product(right, turned(_cut(of_r, m, n)))
    of_left = _tall_qr(q, _cut(r, 0, m), of_q, _cut(of_r, 0, m))
    return (ops.concatenate([of_left, of_right], a.ndim - 1),)


def _tall_qr(q: Node, r: Node, of_q: Node, of_r: Node) -> Node:
    """Source: Seeger et al. 2017, arXiv:1710.08717, section 4."""
    of_r = turned(lower(turned(of_r)))
    m = product(r, turned(of_r)) - product(turned(of_q), q)
    both = lower(m) + turned(lower(m, strict=True))
    return turned(solve(r, turned(of_q + product(q, both))))


def _cut(a: Node, start: int, stop: int) -> Node:
    """Columns start to stop."""
    zeros = (0,) * (a.ndim - 1)
    return ops.slice(a, (*zeros, start), (*a.shape[:-1], stop))


def _qr_eval(a: Array, complete: bool) -> object:
    qr: Callable[..., object] = np.linalg.qr
    return qr(a, "complete" if complete else "reduced")


host_function("linalg.qr", _qr_infer, evaluated(_qr_eval), _qr_vjp, stacked("linalg.qr"))


# Singular values


def _svd_infer(*types: TensorType, full_matrices: bool) -> Types:
    check_matrices("linalg.svd", types)
    (a,) = types
    *lead, m, n = a.shape
    k = min(m, n)
    left, right = (m, n) if full_matrices else (k, k)
    shapes = (*lead, m, left), (*lead, k), (*lead, right, n)
    return tuple(map(a.with_shape, shapes))


def _svdvals_infer(*types: TensorType) -> Types:
    check_matrices("linalg.svdvals", types)
    *lead, m, n = types[0].shape
    return (types[0].with_shape((*lead, min(m, n))),)


def _svd_vjp(g: Nodes, y: Nodes, a: Node, full_matrices: bool) -> tuple[Node]:
    """Source: Townsend 2016, "Differentiating the singular value decomposition"."""
    (u, s, vt), (of_u, of_s, of_vt) = y, g
    m, n = a.shape[-2:]
    if full_matrices and m != n:
        raise DTypeError(
            f"linalg.svd: {a.type}: full matrices have no derivative; use full_matrices=False"
        )
    v, of_v, squares, inverse = turned(vt), turned(of_vt), s * s, ops.ones_like(s) / s
    total = columns(u, of_s)
    if not is_zero(of_u):
        inside = product(turned(u), of_u)
        total = total + product(u, columns(mixed(inside - turned(inside), squares), s))
        if m > n:
            total = total + columns(of_u - product(u, inside), inverse)
    total = product(total, vt)
    if not is_zero(of_vt):
        inside = product(turned(v), of_v)
        total = total + product(u, rows(s, mixed(inside - turned(inside), squares)), vt)
        if n > m:
            total = total + product(columns(u, inverse), turned(of_v - product(v, inside)))
    return (total,)


def _svdvals_vjp(g: Nodes, y: Nodes, a: Node) -> tuple[Node]:
    u, _, vt = ops.host_call("linalg.svd", a, full_matrices=False)
    return (product(columns(u, g[0]), vt),)


host_function("linalg.svd", _svd_infer, evaluated(np.linalg.svd), _svd_vjp, stacked("linalg.svd"))
host_function(
    "linalg.svdvals",
    _svdvals_infer,
    evaluated(np.linalg.svdvals),
    _svdvals_vjp,
    stacked("linalg.svdvals"),
)
