"""numpy.linalg on traced arrays: host calls into LAPACK, with gradients in the graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit import movement
from tracejit.errors import UnsupportedError
from tracejit.functions import lift, traces
from tracejit.ir import ops
from tracejit.ir.graph import Attr
from tracejit.ir.types import F32, F64, ShapeError
from tracejit.lowering import broadcast_to, cast
from tracejit.movement import promoted
from tracejit.source import here
from tracejit.tracer import Tracer

# NumPy's named tuples; it does not say where they are to be imported from.
_one = np.eye(1)
_type: Any = type
EIGH, QR, SVD, SLOGDET = (
    _type(function(_one))
    for function in (np.linalg.eigh, np.linalg.qr, np.linalg.svd, np.linalg.slogdet)
)


def matrices(name: str, *values: Any) -> list[Tracer]:
    """The operands in the float dtype that numpy.linalg computes in: f64 for integers."""
    tracers = promoted(list(values))
    if tracers[0].dtype.itemsize == 2 and tracers[0].dtype.kind not in "iu":
        raise UnsupportedError(
            f"np.linalg.{name}: {tracers[0].node.type}: LAPACK takes f32 and f64{here()};"
            " cast with .astype(np.float32)"
        )
    wide = F32 if tracers[0].dtype == F32 else F64
    return [x.home.wrap(cast(x.node, wide)) for x in tracers]


def eps(x: Tracer) -> float:
    """The distance of 1 from the next float."""
    kind: Any = x.dtype
    return float(np.finfo(kind).eps)


def _call(name: str, *operands: Tracer, **attrs: Attr) -> tuple[Tracer, ...]:
    nodes = ops.host_call(f"linalg.{name}", *(x.node for x in operands), **attrs)
    return tuple(operands[0].home.wrap(node) for node in nodes)


@traces(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """A vector b [n], or matrices b [..., n, k]; stacks broadcast."""
    x, y = matrices("solve", a, b)
    right = y.node if y.ndim != 1 else ops.reshape(y.node, (*y.shape, 1))
    lead = np.broadcast_shapes(x.shape[:-2], right.shape[:-2])
    left = x.home.wrap(broadcast_to(x.node, (*lead, *x.shape[-2:])))
    right = broadcast_to(right, (*lead, *right.shape[-2:]))
    (out,) = _call("solve", left, x.home.wrap(right))
    return out if y.ndim != 1 else np.squeeze(out, -1)


@traces(np.linalg.inv)
def inv(a: Any) -> Any:
    return _call("inv", *matrices("inv", a))[0]


@traces(np.linalg.det)
def det(a: Any) -> Any:
    return _call("det", *matrices("det", a))[0]


@traces(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    return SLOGDET(*_call("slogdet", *matrices("slogdet", a)))


@traces(np.linalg.cholesky)
def cholesky(a: Any, upper: bool = False) -> Any:
    """Reads one triangle, as NumPy does; the gradient is that of a symmetric argument."""
    (x,) = matrices("cholesky", a)
    (out,) = _call("cholesky", lift(np.matrix_transpose(x)) if upper else x)
    return np.matrix_transpose(out) if upper else out


def _triangle(a: Any, uplo: str, name: str) -> Tracer:
    """The matrices, turned so that the triangle to be read is the lower one."""
    if uplo.upper() not in ("L", "U"):
        raise ValueError(f"np.linalg.{name}: UPLO is 'L' or 'U', not {uplo!r}{here()}")
    (x,) = matrices(name, a)
    return lift(np.matrix_transpose(x)) if uplo.upper() == "U" else x


@traces(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> Any:
    """Of symmetric matrices, of which one triangle is read."""
    return EIGH(*_call("eigh", _triangle(a, UPLO, "eigh")))


@traces(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    return _call("eigvalsh", _triangle(a, UPLO, "eigvalsh"))[0]


@traces(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    """mode: 'reduced', 'complete' or 'r'."""
    if mode not in ("reduced", "complete", "r"):
        raise UnsupportedError(f"np.linalg.qr: mode={mode!r} has no traced form{here()}")
    q, r = _call("qr", *matrices("qr", a), complete=mode == "complete")
    return r if mode == "r" else QR(q, r)


@traces(np.linalg.svd)
def svd(
    a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    """Gradients of matrices that are not square need full_matrices=False."""
    if hermitian:
        raise UnsupportedError(f"np.linalg.svd: hermitian=True has no traced form{here()}")
    if not compute_uv:
        return svdvals(a)
    return SVD(*_call("svd", *matrices("svd", a), full_matrices=bool(full_matrices)))


@traces(np.linalg.svdvals)
def svdvals(x: Any) -> Any:
    return _call("svdvals", *matrices("svdvals", x))[0]


@traces(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, rtol: Any = None) -> Any:
    """rcond or rtol: singular values below it, relative to the largest, count as 0; a number."""
    (x,) = matrices("pinv", a)
    limit = rtol if rcond is None else rcond
    limit = 1e-15 if limit is None else limit
    return _call("pinv", x, rcond=_number("pinv", "rcond", limit))[0]


def _number(name: str, argument: str, value: Any) -> float:
    if isinstance(value, Tracer) or np.ndim(value):
        raise UnsupportedError(
            f"np.linalg.{name}: {argument} is a Python number in traced code{here()}"
        )
    return float(value)


@traces(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """(x, residuals, rank, singular values).

    residuals: the squared distances, of every b where a has more rows than columns, else none; in
    traced code the shape cannot depend on the rank.
    """
    x, y = matrices("lstsq", a, b)
    if x.ndim != 2 or y.ndim not in (1, 2):
        raise ShapeError(f"np.linalg.lstsq: {x.node.type} and {y.node.type}: one matrix{here()}")
    limit = max(x.shape) * eps(x) if rcond is None else rcond
    right = y if y.ndim == 2 else lift(np.reshape(y, (-1, 1)))
    found, rank, s = _call("lstsq", x, right, rcond=_number("lstsq", "rcond", limit))
    left = np.sum((right - x @ found) ** 2, axis=0)
    residuals = left if x.shape[0] > x.shape[1] else left[:0]
    return (found if y.ndim == 2 else np.squeeze(found, -1)), residuals, rank, s


@traces(np.linalg.matrix_power)
def matrix_power(a: Any, n: int) -> Any:
    """By squaring; of the inverse where n < 0."""
    square: Any = lift(a) if n >= 0 else inv(a)
    result: Any = np.broadcast_to(np.eye(square.shape[-1], dtype=square.dtype), square.shape)
    n = abs(n)
    while n:
        if n % 2:
            result = result @ square
        n //= 2
        square = square @ square if n else square
    return lift(result)


@traces(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    """x with tensordot(a, x, x.ndim) = b."""
    x, y = matrices("tensorsolve", a, b)
    if axes is not None:
        kept = [d for d in range(x.ndim) if d not in axes]
        x = lift(np.transpose(x, (*kept, *axes)))
    shape = x.shape[y.ndim :]
    flat = np.reshape(x, (y.size, int(np.prod(shape))))
    return np.reshape(solve(flat, np.ravel(y)), shape)


@traces(np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Any:
    (x,) = matrices("tensorinv", a)
    shape = (*x.shape[ind:], *x.shape[:ind])
    return np.reshape(inv(np.reshape(x, (int(np.prod(x.shape[:ind])), -1))), shape)


traces(np.linalg.matrix_transpose)(movement.matrix_transpose)


def _complex(name: str) -> Any:
    def form(a: Any) -> Any:
        raise UnsupportedError(
            f"np.linalg.{name}: {lift(a).node.type}: the result is complex{here()}, which traced"
            f" code has not; for symmetric matrices use np.linalg.{name}h"
        )

    form.__name__ = name
    return form


traces(np.linalg.eig)(_complex("eig"))
traces(np.linalg.eigvals)(_complex("eigvals"))
