"""Rows of a table by index; and a table with rows added to it or put into it, in index order.

A negative index counts from the end, once; after that it is clamped into the table. So a wild
index reads or writes a wrong row, and never anything else's memory.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tracejit.ir import ops
from tracejit.ir.graph import Array, Node, primitive
from tracejit.ir.lanes import Lanes
from tracejit.ir.primitives.checks import INTS, NUMBERS, arity, widen
from tracejit.ir.types import I32, I64, U64, DType, ShapeError, TensorType

Scatter = Callable[[Node, Node, Node], Node]


def _gather_infer(*types: TensorType) -> TensorType:
    arity("gather_rows", 2, types)
    table, index = types
    INTS.check("gather_rows", index.dtype)
    if table.ndim == 0 or (table.shape[0] == 0 and index.size > 0):
        raise ShapeError(f"gather_rows: {table} has no rows to take")
    return table.with_shape(index.shape + table.shape[1:])


def _scatter_infer(name: str, *types: TensorType) -> TensorType:
    arity(name, 3, types)
    table, index, updates = types
    INTS.check(name, index.dtype)
    expected = table.with_shape(index.shape + table.shape[1:])
    if table.ndim == 0 or updates != expected:
        raise ShapeError(f"{name}: {index} and {updates} into {table}: {expected} expected")
    if table.shape[0] == 0 and index.size > 0:
        raise ShapeError(f"{name}: {index} into a table without rows")
    return table


def _add_infer(*types: TensorType) -> TensorType:
    found = _scatter_infer("scatter_add_rows", *types)
    NUMBERS.check("scatter_add_rows", found.dtype)
    return found


def _set_infer(*types: TensorType) -> TensorType:
    return _scatter_infer("scatter_rows", *types)


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


def _add_eval(table: Array, index: Array, updates: Array) -> Array:
    """In index order, so that float sums are the same in every backend."""
    out = np.array(widen(table))
    with np.errstate(all="ignore"):
        flat = widen(updates).reshape((index.size, *table.shape[1:]))
        np.add.at(out, _wrapped(index, len(table)).reshape(-1), flat)
        return out.astype(table.dtype, copy=False)


def _set_eval(table: Array, index: Array, updates: Array) -> Array:
    out = np.array(table)
    flat = updates.reshape((index.size, *table.shape[1:]))
    for row, update in zip(_wrapped(index, len(table)).reshape(-1), flat, strict=True):
        out[row] = update
    return out


def _gather_vjp(g: Node, y: Node, table: Node, index: Node) -> tuple[Node, None]:
    return ops.scatter_add_rows(ops.zeros_like(table), index, g), None


def _add_vjp(g: Node, y: Node, table: Node, index: Node, updates: Node) -> tuple[Node, None, Node]:
    return g, None, ops.gather_rows(g, index)


def _set_vjp(g: Node, y: Node, table: Node, index: Node, updates: Node) -> tuple[Node, None, Node]:
    zeros = ops.zeros_like(updates)
    left, of_updates = ops.scatter_rows(g, index, zeros), ops.gather_rows(g, index)
    if index.type.size > 1:
        of_updates = ops.select(_stays(index, updates, table.shape[0]), of_updates, zeros)
    return left, None, of_updates


def _stays(index: Node, updates: Node, rows: int) -> Node:
    """Which updates are the last ones for their rows: the others have no part in the result."""
    number = ops.reshape(ops.iota(index.builder, (index.type.size,), 0, I32), index.shape)
    last = ops.scatter_rows(index.builder.full(0, number.type.with_shape((rows,))), index, number)
    stays = ops.eq(ops.gather_rows(last, index), number)
    return ops.broadcast(stays, updates.shape, tuple(range(index.ndim)))


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


def _in_lanes(scatter: Scatter, lanes: Lanes) -> Node:
    """One table of all lanes' rows, or, where all have the same index, of rows of all lanes."""
    table, index, updates = lanes.nodes
    if not lanes.batched[1]:
        table, _, updates = lanes.every
        out = scatter(_moved(table, 0, 1), index, _moved(updates, 0, index.ndim))
        return _moved(out, 1, 0)
    table, index, updates = lanes.every
    rows = table.shape[1]
    flat = ops.reshape(table, (lanes.size * rows, *table.shape[2:]))
    out = scatter(flat, _row_of_lane(index, rows), updates)
    return ops.reshape(out, table.shape)


def _add_batch(lanes: Lanes) -> Node:
    return _in_lanes(ops.scatter_add_rows, lanes)


def _set_batch(lanes: Lanes) -> Node:
    return _in_lanes(ops.scatter_rows, lanes)


primitive("gather_rows", _gather_infer, _gather_eval, _gather_vjp, batch=_gather_batch)
primitive("scatter_add_rows", _add_infer, _add_eval, _add_vjp, batch=_add_batch)
primitive("scatter_rows", _set_infer, _set_eval, _set_vjp, batch=_set_batch)
