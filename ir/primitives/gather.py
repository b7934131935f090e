"""Rows of a table by index, and the sum of rows into a table: each the other's transpose.

A negative index counts from the end, once; after that it is clamped into the table. So a wild
index reads or writes a wrong row, and never anything else's memory.
"""

from __future__ import annotations

import numpy as np

from tracejit.ir import ops
from tracejit.ir.graph import Array, Node, primitive
from tracejit.ir.lanes import Lanes
from tracejit.ir.primitives.checks import INTS, NUMBERS, arity, check_shape, widen
from tracejit.ir.types import I64, U64, DType, ShapeError, TensorType


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


def _row_of_lane(index: Node, rows: int) -> Node:
    """index[lanes, ...] into a table of `rows` per lane, as the row in all lanes' tables."""
    last = max(rows - 1, 0)
    if index.dtype.kind == "u":
        index = ops.cast(ops.minimum(ops.cast(index, U64), _like(index, U64, last)), I64)
    else:
        index = ops.cast(index, I64)
        index = ops.select(ops.lt(index, ops.zeros_like(index)), index + rows, index)
        index = ops.minimum(ops.maximum(index, ops.zeros_like(index)), ops.full_like(index, last))
    return index + ops.iota(index.builder, index.shape, 0, I64) * rows


def _like(index: Node, dtype: DType, value: int) -> Node:
    return index.builder.full(value, index.type.with_dtype(dtype))


def _moved(x: Node, source: int, target: int) -> Node:
    """x with one axis elsewhere."""
    perm = [d for d in range(x.ndim) if d != source]
    perm.insert(target, source)
    return ops.transpose(x, perm)


def _gather_batch(lanes: Lanes) -> Node:
    table, index = lanes.nodes
    of_table, of_index = lanes.batched
    if not of_table:
        return ops.gather_rows(table, index)
    if not of_index:
        return _moved(ops.gather_rows(_moved(table, 0, 1), index), index.ndim, 0)
    rows = table.shape[1]
    flat = ops.reshape(table, (lanes.size * rows, *table.shape[2:]))
    return ops.gather_rows(flat, _row_of_lane(index, rows))


def _scatter_batch(lanes: Lanes, rows: int) -> Node:
    index, updates = lanes.nodes
    of_index, _ = lanes.batched
    if not of_index:
        moved = _moved(updates, 0, index.ndim)
        return _moved(ops.scatter_add_rows(index, moved, rows), 1, 0)
    index, updates = lanes.every
    total = ops.scatter_add_rows(_row_of_lane(index, rows), updates, lanes.size * rows)
    return ops.reshape(total, (lanes.size, rows, *total.shape[1:]))


primitive("gather_rows", _gather_infer, _gather_eval, _gather_vjp, batch=_gather_batch)
primitive("scatter_add_rows", _scatter_infer, _scatter_eval, _scatter_vjp, batch=_scatter_batch)
