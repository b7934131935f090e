"""Norms of vectors and matrices, as numpy.linalg has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.functions import axes_of, axis_of, lift, traces
from tracejit.ir.types import is_float
from tracejit.linalg import eps, inv, svdvals
from tracejit.lowering import cast
from tracejit.movement import moveaxis
from tracejit.promotion import float_dtype
from tracejit.source import here
from tracejit.tracer import Tracer


def _floats(x: Any) -> Tracer:
    array = lift(x)
    if is_float(array.dtype):
        return array
    return array.home.wrap(cast(array.node, float_dtype(array.dtype)))


@traces(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Of vectors along one axis, of matrices along two; without ord and axis of all elements."""
    array = _floats(x)
    if axis is None and ord is None:
        return np.sqrt(np.sum(array * array, keepdims=keepdims))
    axes = tuple(axis) if isinstance(axis, list | tuple) else axis
    if axis is None:
        axes = tuple(range(array.ndim))
    elif isinstance(axes, int):
        axes = (axes,)
    if len(axes) == 1:
        return _of_vectors(array, 2 if ord is None else ord, axes, keepdims)
    if len(axes) != 2:
        raise ValueError(f"np.linalg.norm: {array.node.type} is no vector and no matrix{here()}")
    return _of_matrices(array, "fro" if ord is None else ord, axes, keepdims)


def _of_vectors(x: Tracer, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if isinstance(ord, str):
        raise ValueError(f"np.linalg.norm: ord={ord!r} is for matrices{here()}")
    if ord == 2:
        return np.sqrt(np.sum(x * x, axes, keepdims=keepdims))
    size = np.abs(x)
    if abs(ord) == np.inf:
        return (np.max if ord > 0 else np.min)(size, axes, keepdims=keepdims)
    if ord == 0:
        return np.sum((x != 0).astype(x.dtype), axes, keepdims=keepdims)
    if ord == 1:
        return np.sum(size, axes, keepdims=keepdims)
    return np.sum(size**ord, axes, keepdims=keepdims) ** (1 / ord)


def _of_matrices(x: Tracer, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    row, column = (axis_of(x.ndim, d) for d in axes)
    if row == column:
        raise ValueError(f"np.linalg.norm: axes {axes} are one and the same{here()}")
    if ord == "fro":
        return np.sqrt(np.sum(x * x, (row, column), keepdims=keepdims))
    if ord in (1, -1, np.inf, -np.inf):
        down, across = (row, column) if abs(ord) == 1 else (column, row)
        sums = np.sum(np.abs(x), down, keepdims=True)
        found = (np.max if ord > 0 else np.min)(sums, across, keepdims=True)
        return found if keepdims else np.squeeze(found, (row, column))
    if ord not in ("nuc", 2, -2):
        raise ValueError(f"np.linalg.norm: ord={ord!r} is no norm of matrices{here()}")
    values = svdvals(moveaxis(x, (row, column), (-2, -1)))
    fold = np.sum if ord == "nuc" else np.max if ord == 2 else np.min
    found = fold(values, -1)
    return np.expand_dims(found, tuple(sorted((row, column)))) if keepdims else found


@traces(np.linalg.matrix_norm)
def matrix_norm(x: Any, keepdims: bool = False, ord: Any = "fro") -> Any:
    return _of_matrices(_floats(x), "fro" if ord is None else ord, (-2, -1), keepdims)


@traces(np.linalg.vector_norm)
def vector_norm(x: Any, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    array = _floats(x)
    return _of_vectors(array, ord, axes_of(array, axis), keepdims)


@traces(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    """The norm of the matrix times that of its inverse; p: of which norm, 2 by default."""
    array = _floats(x)
    if p not in (None, 2, -2):
        return norm(array, p, (-2, -1)) * norm(inv(array), p, (-2, -1))
    values = svdvals(array)
    largest, smallest = values[..., 0], values[..., -1]
    return smallest / largest if p == -2 else largest / smallest


@traces(np.linalg.matrix_rank)
def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, rtol: Any = None) -> Any:
    """How many singular values are greater than tol, or rtol times the largest; int64."""
    if tol is not None and rtol is not None:
        raise UnsupportedError(f"np.linalg.matrix_rank: tol or rtol, not both{here()}")
    array = _floats(A)
    if array.ndim < 2:
        return np.any(array != 0).astype(np.int64)
    values = svdvals(array)
    if tol is None:
        if rtol is None:
            rtol = max(array.shape[-2:]) * eps(array)
        tol = np.max(values, -1, keepdims=True) * np.expand_dims(rtol, -1)
    else:
        tol = np.expand_dims(tol, -1)
    return np.count_nonzero(values > tol, axis=-1)
