"""One table of example operands and attributes per host function, as tests/samples.py has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tests.samples import ALL, CORE, Example, Rng, Shape, draw
from tracejit.ir.graph import Array, Attr
from tracejit.ir.types import F32, F64, I32, DType


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


ROWS: tuple[Factored, ...] = (
    ((7,), {"axis": 0}),
    ((1,), {"axis": 0}),
    ((0,), {"axis": 0}),
    ((3, 5), {"axis": 0}),
    ((2, 3, 5), {"axis": 1}),
    ((0, 3), {"axis": 1}),
)


def _of_rows(*more: dict[str, Attr]) -> Examples:
    """Rows along an axis; those of floats are far apart, those of integers have equals."""

    def examples(rng: Rng, dtype: DType) -> Iterator[Example]:
        for shape, attrs in ROWS:
            for extra in more or ({},):
                kth = extra.get("kth", ())
                assert isinstance(kth, tuple)
                axis = attrs["axis"]
                assert isinstance(axis, int)
                if all(isinstance(k, int) and k < shape[axis] for k in kth):
                    yield (draw(rng, dtype, shape),), {**attrs, **extra}

    return examples


def _lexsort(rng: Rng, dtype: DType) -> Iterator[Example]:
    for shape, attrs in ROWS:
        yield (draw(rng, dtype, shape), draw(rng, I32, shape)), attrs


def _top_k(rng: Rng, dtype: DType) -> Iterator[Example]:
    for shape, k in (
        ((7,), 3),
        ((3, 5), 5),
        ((2, 3, 4), 1),
        ((5,), 0),
        ((0, 4), 2),
        ((2, 3000), 4),
    ):
        yield (draw(rng, dtype, shape),), {"k": k}


def _unique(rng: Rng, dtype: DType) -> Iterator[Example]:
    for n, size in ((7, 4), (20, 30), (1, 1), (5, 0), (0, 2)):
        yield (draw(rng, dtype, (n,)),), {"size": size, "equal_nan": True}


def _fourier(rng: Rng, dtype: DType) -> Iterator[Example]:
    for shape, axis in (((7,), 0), ((1,), 0), ((3, 5), 0), ((2, 3, 4), 2), ((0, 3), 1)):
        for inverse in (False, True):
            pair = draw(rng, dtype, shape), draw(rng, dtype, shape)
            yield pair, {"axis": axis, "inverse": inverse}


HOST_EXAMPLES: dict[str, tuple[tuple[DType, ...], Callable[[Rng, DType], Iterator[Example]]]] = {
    "fft": ((F32, F64), _fourier),
    "sort": (ALL, _of_rows({"stable": False}, {"stable": True})),
    "argsort": (ALL, _of_rows()),
    "lexsort": (CORE, _lexsort),
    "partition": (CORE, _of_rows({"kth": (1,)}, {"kth": (0, 2)})),
    "argpartition": (CORE, _of_rows({"kth": (1,)})),
    "top_k": (CORE, _top_k),
    "unique": (CORE, _unique),
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
WITHOUT_DERIVATIVE = frozenset({"argsort", "lexsort", "argpartition", "unique"})
