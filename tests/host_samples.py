"""One table of example operands and attributes per host function, as tests/samples.py has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tests.samples import Example, Rng, Shape, draw
from tracejit.ir.graph import Array, Attr
from tracejit.ir.types import F32, F64, DType


def _well(rng: Rng, dtype: DType, shape: Shape) -> Array:
    """Matrices far from singular."""
    matrices = draw(rng, dtype, shape)
    return np.asarray(matrices + 3 * np.eye(shape[-2], shape[-1], dtype=dtype))


def _solve(rng: Rng, dtype: DType) -> Iterator[Example]:
    for a, b in (
        ((1, 1), (1, 1)),
        ((3, 3), (3, 2)),
        ((2, 5, 5), (2, 5, 1)),
        ((0, 2, 2), (0, 2, 2)),
        ((0, 0), (0, 3)),
    ):
        yield (_well(rng, dtype, a), draw(rng, dtype, b)), {}


Examples = Callable[[Rng, DType], Iterator[Example]]
Factored = tuple[Shape, dict[str, Attr]]
SQUARE: tuple[Shape, ...] = ((1, 1), (3, 3), (2, 1, 3, 3), (0, 2, 2), (0, 0))
SHAPES_2D: tuple[Shape, ...] = ((1, 1), (3, 3), (2, 5, 3), (2, 3, 5), (0, 3, 2), (3, 0))


def _of_matrices(shapes: tuple[Shape, ...], *attrs: dict[str, Attr]) -> Examples:
    def examples(rng: Rng, dtype: DType) -> Iterator[Example]:
        for shape in shapes:
            for more in attrs or ({},):
                yield (_well(rng, dtype, shape),), more

    return examples


def _of_symmetric(rng: Rng, dtype: DType) -> Iterator[Example]:
    """Positive definite ones, with eigenvalues apart."""
    for shape in SQUARE:
        matrices = _well(rng, dtype, shape)
        spread = matrices + np.diag(2 * np.arange(shape[-1], dtype=dtype))
        yield (np.asarray(spread + np.swapaxes(spread, -1, -2)),), {}


def _of_qr(rng: Rng, dtype: DType) -> Iterator[Example]:
    for complete in (False, True):
        for shape in SHAPES_2D:
            if 0 not in shape and not (complete and shape[-2] > shape[-1]):
                yield (_well(rng, dtype, shape),), {"complete": complete}


def _lstsq(rng: Rng, dtype: DType) -> Iterator[Example]:
    for a, b in (((1, 1), (1, 1)), ((3, 3), (3, 2)), ((5, 3), (5, 1)), ((3, 5), (3, 2))):
        yield (_well(rng, dtype, a), draw(rng, dtype, b)), {"rcond": 1e-6}


HOST_EXAMPLES: dict[str, tuple[tuple[DType, ...], Callable[[Rng, DType], Iterator[Example]]]] = {
    "linalg.solve": ((F32, F64), _solve),
    **{
        f"linalg.{name}": ((F32, F64), _of_matrices(SQUARE))
        for name in ("inv", "det", "slogdet", "cofactor")
    },
    **{f"linalg.{name}": ((F32, F64), _of_symmetric) for name in ("cholesky", "eigh", "eigvalsh")},
    "linalg.lstsq": ((F32, F64), _lstsq),
    "linalg.qr": ((F32, F64), _of_qr),
    "linalg.svd": ((F32, F64), _of_matrices(SHAPES_2D, {"full_matrices": False})),
    "linalg.svdvals": ((F32, F64), _of_matrices(SHAPES_2D)),
    "linalg.pinv": ((F32, F64), _of_matrices(SHAPES_2D, {"rcond": 1e-6})),
}

# The gradient with respect to a matrix of which only a triangle is read is symmetric.
SYMMETRIC = frozenset({"linalg.cholesky", "linalg.eigh", "linalg.eigvalsh"})
WITHOUT_DERIVATIVE: frozenset[str] = frozenset()
