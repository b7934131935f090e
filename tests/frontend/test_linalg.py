"""numpy.linalg in traced code: NumPy's results, derivatives against differences, vmap as a loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracejit as tj
import tracejit.numpy as tnp
from tests.frontend.checks import alike, check_derivatives, check_results
from tracejit.errors import UnsupportedError
from tracejit.functions import FUNCTIONS

L = np.linalg

# (source, shapes): s is the matrix x + x^T + 6 1, x and y have the shapes given.
PROGRAMS = [
    ("L.solve(s, y)", (3, 3), (3,)),
    ("L.solve(s, y)", (3, 3), (2, 3, 4)),
    ("L.solve(s, y)", (2, 3, 3), (3, 1)),
    ("L.inv(s)", (2, 3, 3)),
    ("L.det(x)", (3, 3)),
    ("L.det(np.outer(x, x))", (3,)),
    ("L.slogdet(s)", (2, 3, 3)),
    ("L.cholesky(s)", (3, 3)),
    ("L.cholesky(s, upper=True)", (3, 3)),
    ("L.eigh(s).eigenvalues", (3, 3)),
    ("(lambda w, v: (v * np.sqrt(w)) @ v.T)(*L.eigh(s, UPLO='U'))", (3, 3)),
    ("L.eigvalsh(s)", (2, 4, 4)),
    ("L.qr(x)", (4, 3)),
    ("L.qr(x)", (2, 3, 4)),
    ("L.qr(x, mode='r')", (3, 3)),
    ("L.qr(s, mode='complete')", (3, 3)),
    ("L.svd(x, full_matrices=False).S", (4, 3)),
    ("(lambda u, d, v: (u * d**2) @ v)(*L.svd(x, full_matrices=False))", (3, 4)),
    ("L.svd(x, compute_uv=False)", (2, 2, 3)),
    ("L.svdvals(x)", (3, 5)),
    ("L.pinv(x)", (2, 4, 3)),
    ("L.pinv(x, rtol=0.01)", (3, 3)),
    ("L.lstsq(x, y)[0]", (5, 3), (5,)),
    ("L.lstsq(x, y)[:2]", (5, 3), (5, 2)),
    ("L.lstsq(x, y)", (3, 5), (3, 2)),
    ("L.norm(x), L.norm(x, 'nuc'), L.norm(x, 2), L.norm(x, -2)", (3, 4)),
    ("L.norm(x, 1), L.norm(x, -1), L.norm(x, np.inf), L.norm(x, -np.inf)", (3, 4)),
    ("L.norm(x, 2, (2, 0)), L.norm(x, 'nuc', (0, 2), True), L.norm(x, axis=(0, 1))", (3, 2, 4)),
    ("L.norm(x, 3), L.norm(x, 0.5), L.norm(x, -np.inf), L.norm(x, 0), L.norm(x, 1)", (4,)),
    ("L.norm(x, 3, axis=0, keepdims=True), L.norm(x)", (2, 3, 4)),
    ("L.matrix_norm(x), L.matrix_norm(x, ord=2), L.matrix_norm(x, keepdims=True)", (2, 3, 4)),
    ("L.vector_norm(x), L.vector_norm(x, axis=(0, 2), ord=3), L.vector_norm(x, ord=-2)", (2, 3, 4)),
    ("L.cond(x), L.cond(x, -2), L.cond(x, 1), L.cond(x, 'fro')", (3, 3)),
    ("L.matrix_rank(x), L.matrix_rank(np.outer(x[0], x[0])), L.matrix_rank(x, tol=1.0)", (3, 3)),
    ("L.matrix_rank(x)", (2, 4, 3)),
    ("L.matrix_power(s, -3), L.matrix_power(x, 5), L.matrix_power(x, 0)", (3, 3)),
    ("L.multi_dot([x, y, x])", (2, 3), (3, 2)),
    ("L.tensorsolve(x, y)", (2, 3, 6), (2, 3)),
    ("L.tensorsolve(x, y, axes=(0,))", (6, 2, 3), (2, 3)),
    ("L.tensorinv(x)", (2, 3, 6)),
    ("L.tensorinv(x, ind=1)", (6, 2, 3)),
    ("L.cross(x, x[::-1]), L.outer(x[0], x[1]), L.vecdot(x, x)", (2, 3)),
    ("L.matmul(x, x), L.trace(x), L.diagonal(x), L.matrix_transpose(x)", (2, 3, 3)),
]  # fmt: skip
# A step; and a singular matrix, whose determinant has a first derivative only.
ROUGH = ("L.matrix_rank", "L.det(np.outer")
IDS = [f"{row[0]} {row[1:]}".replace("[", "(").replace("]", ")") for row in PROGRAMS]


def function(source: str) -> Any:
    def f(x: Any, y: Any = None) -> Any:
        names = {"np": np, "L": np.linalg, "x": x, "y": y}
        if x.ndim > 1 and x.shape[-1] == x.shape[-2]:
            names["s"] = x + np.matrix_transpose(x) + 6 * np.eye(x.shape[-1], dtype=x.dtype)
        return eval(source, names)

    return f


def operands(source: str, shapes: tuple[Any, ...], dtype: Any = np.float64) -> list[Any]:
    rng = np.random.default_rng(len(source))
    return [rng.uniform(-1, 1, shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("row", PROGRAMS, ids=IDS)
def test_results_are_numpys(row: Any) -> None:
    source, *shapes = row
    for dtype, tolerance in ((np.float64, 1e-9), (np.float32, 2e-3)):
        check_results(function(source), operands(source, tuple(shapes), dtype), tolerance)


@pytest.mark.parametrize("row", PROGRAMS, ids=IDS)
def test_derivatives(row: Any) -> None:
    source, *shapes = row
    if not source.startswith(ROUGH):
        check_derivatives(function(source), operands(source, tuple(shapes)))


def test_every_name_is_there_and_has_a_traced_form() -> None:
    names = set(np.linalg.__all__) - {"LinAlgError"}
    assert all(getattr(tnp.linalg, n) is getattr(np.linalg, n) for n in names)
    missing = {n for n in names if getattr(np.linalg, n) not in FUNCTIONS}
    assert missing == set()


def test_integers_become_f64() -> None:
    a = np.array([[2, 1], [1, 3]])
    alike(tj.jit(np.linalg.inv)(a), np.linalg.inv(a), 1e-12)


def test_errors() -> None:
    x = np.ones((2, 3), np.float16)
    with pytest.raises(UnsupportedError, match=r"np\.linalg\.inv: f16\[2,3\]: LAPACK takes f32"):
        tj.jit(np.linalg.inv)(x)
    with pytest.raises(
        tj.errors.ShapeError, match=r"linalg\.inv: f64\[2,3\]: the matrix is not sq"
    ):
        tj.jit(np.linalg.inv)(np.ones((2, 3)))
    with pytest.raises(UnsupportedError, match=r"the result is complex.*use np.linalg.eigh"):
        tj.jit(np.linalg.eig)(np.eye(3))
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        tj.jit(np.linalg.inv)(np.ones((3, 3)))
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        tj.grad(lambda a: np.linalg.cholesky(a).sum())(-np.eye(3))
    with pytest.raises(
        tj.errors.DTypeError, match="full matrices have no derivative; use full_mat"
    ):
        tj.jit(tj.grad(lambda a: np.linalg.svd(a)[0].sum()))(np.ones((2, 3)))


def test_gradients_where_values_are_equal() -> None:
    """Of what does not depend on the choice of vectors; else they are infinite, not wrong."""
    eye = np.eye(3)
    alike(tj.grad(lambda a: np.linalg.eigh(a)[0].sum())(eye), eye, 1e-12)
    alike(tj.grad(lambda a: np.linalg.svd(a)[1].sum())(eye), eye, 1e-12)
    alike(
        tj.grad(lambda a: np.linalg.det(a))(np.diag([2.0, 0.0, 3.0])), np.diag([0.0, 6, 0]), 1e-12
    )
    mixed = tj.grad(lambda a: (np.linalg.eigh(a)[1] * np.arange(9.0).reshape(3, 3)).sum())(eye)
    assert not np.isfinite(mixed).all()
