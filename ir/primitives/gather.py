"""Rows of a table by index, and the sum of rows into a table: each the other's transpose.

A negative index counts from the end, once; after that it is clamped into the table. So a wild
index reads or writes a wrong row, and never anything else's memory.
"""

from __future__ import annotations

import numpy as np

from tracejit.ir import ops
from tracejit.ir.graph import Array, Node, primitive
from tracejit.ir.primitives.checks import INTS, NUMBERS, arity, check_shape, widen
from tracejit.ir.types import ShapeError, TensorType


def _gather_infer(*types: TensorType) -> TensorType:
    arity("gather_rows", 2, types)
    table, index = types
    INTS.check("gather_rows", index.dtype)
    if table.ndim == 0 or (table.shape[0] == 0 and index.size > 0):
        raise ShapeError(f"gather_rows: {table} has no rows to take")
    return table.with_shape(index.shape + table.shape[1:])


def _scatter_infer(*types: TensorType, rows: int) -> TensorType:
    arity("scatter_add_rows", 2, types)
    index, updates = types
    INTS.check("scatter_add_rows", index.dtype)
    NUMBERS.check("scatter_add_rows", updates.dtype)
    check_shape("scatter_add_rows", (rows,))
    if updates.shape[: index.ndim] != index.shape:
        raise ShapeError(
            f"scatter_add_rows: {index} and {updates}: leading sizes differ, "
            f"one update per index expected"
        )
    if rows == 0 and index.size > 0:
        raise ShapeError(f"scatter_add_rows: {index} into a table without rows")
    return updates.with_shape((rows, *updates.shape[index.ndim :]))


def _wrapped(index: Array, rows: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    last = max(rows - 1, 0)
    if index.dtype.kind == "u":
        return np.minimum(index, np.uint64(last)).astype(np.int64)
    signed = index.astype(np.int64)
    return np.clip(np.where(signed < 0, signed + rows, signed), 0, last)


def _gather_eval(table: Array, index: Array) -> Array:
    if index.size == 0:
        return np.empty(index.shape + table.shape[1:], table.dtype)
    return np.asarray(table[_wrapped(index, table.shape[0])])


def _scatter_eval(index: Array, updates: Array, rows: int) -> Array:
    """In index order, so that float sums are the same in every backend."""
    wide = widen(updates)
    rest = wide.shape[index.ndim :]
    out = np.zeros((rows, *rest), wide.dtype)
    with np.errstate(all="ignore"):
        flat = wide.reshape((index.size, *rest))
        np.add.at(out, _wrapped(index, rows).reshape(-1), flat)
        return out.astype(updates.dtype, copy=False)


def _gather_vjp(g: Node, y: Node, table: Node, index: Node) -> tuple[Node, None]:
    return ops.scatter_add_rows(index, g, table.shape[0]), None


def _scatter_vjp(g: Node, y: Node, index: Node, updates: Node, rows: int) -> tuple[None, Node]:
    return None, ops.gather_rows(g, index)


primitive("gather_rows", _gather_infer, _gather_eval, _gather_vjp)
primitive("scatter_add_rows", _scatter_infer, _scatter_eval, _scatter_vjp)
