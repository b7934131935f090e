"""Sorting, by NumPy: its sorts use the vectors of the CPU, and no loop nest expresses one.

nan is last, as in NumPy. Where values are equal, gradients go to them in their order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tracejit.ir import ops
from tracejit.ir.graph import Array, Node
from tracejit.ir.host.table import Types, host_function
from tracejit.ir.lanes import Lanes
from tracejit.ir.types import BF16, F32, I64, ShapeError, TensorType

# Rows from this length on are not sorted as a whole for their largest elements.
LONG_ROW = 512
# From this size on NumPy's vectorized sort, which keeps no order, and then putting equals in theirs
# are faster than its stable sort.
MANY = 4096

Results = tuple[Node, ...]
Nodes = Sequence[Node]


def _check_axis(op: str, type: TensorType, axis: int) -> None:
    if not 0 <= axis < type.ndim:
        raise ShapeError(f"{op}: {type}: axis {axis} is out of range")


def _exact(x: Array) -> Array:
    """bf16 as f32, which NumPy knows how to compare."""
    return x.astype(F32) if x.dtype == BF16 else x


# Rows of a table along an axis


def _places(index: Node, axis: int, size: int) -> tuple[Node, tuple[int, ...]]:
    """index [.., k, ..] along an axis of `size`: flat places of rows, and the order that was."""
    perm = (*(d for d in range(index.ndim) if d != axis), axis)
    last = ops.transpose(index, perm)
    rows = last.type.size // max(last.shape[-1], 1)
    flat = ops.reshape(last, (rows, last.shape[-1]))
    return flat + ops.iota(index.builder, flat.shape, 0, I64) * size, perm


def _flat(x: Node, perm: tuple[int, ...]) -> Node:
    return ops.reshape(ops.transpose(x, perm), (x.type.size,))


def _gathered(x: Node, index: Node, axis: int) -> Node:
    """x[.., index, ..] along the axis."""
    places, perm = _places(index, axis, x.shape[axis])
    taken = ops.gather_rows(_flat(x, perm), places)
    shape = [index.shape[p] for p in perm]
    return ops.transpose(ops.reshape(taken, shape), ops.inverse(perm))


def _scattered(g: Node, index: Node, axis: int, size: int) -> Node:
    """The transpose of `_gathered`: zeros, and each of g added at its index."""
    places, perm = _places(index, axis, size)
    shape = [size if p == axis else g.shape[p] for p in perm]
    count = 1
    for n in shape:
        count *= n
    flat = ops.reshape(places, (places.type.size,))
    out = ops.sum_of_rows(flat, _flat(g, perm), count)
    return ops.transpose(ops.reshape(out, shape), ops.inverse(perm))


# Whole rows


def _sort_infer(*types: TensorType, axis: int, stable: bool) -> Types:
    _check_axis("sort", types[0], axis)
    return (types[0],)


def _sort_eval(x: Array, axis: int, stable: bool) -> tuple[Array, ...]:
    found = np.sort(_exact(x), axis, "stable" if stable else None)
    return (found.astype(x.dtype, copy=False),)


def _argsort(x: Node, axis: int) -> Node:
    return ops.host_call("argsort", x, axis=axis)[0]


def _sort_vjp(g: Nodes, y: Nodes, x: Node, axis: int, stable: bool) -> tuple[Node]:
    return (_scattered(g[0], _argsort(x, axis), axis, x.shape[axis]),)


def _sort_batch(lanes: Lanes, axis: int, stable: bool) -> Results:
    return ops.host_call("sort", lanes.nodes[0], axis=axis + 1, stable=stable)


def _argsort_infer(*types: TensorType, axis: int) -> Types:
    _check_axis("argsort", types[0], axis)
    return (types[0].with_dtype(I64),)


def _argsort_eval(x: Array, axis: int) -> tuple[Array, ...]:
    return (stable_order(_exact(x), axis),)


def stable_order(x: Array, axis: int) -> Array:
    """np.argsort(kind="stable"), of many elements by the faster sort that keeps no order."""
    if x.size < MANY or x.dtype.itemsize <= 2:
        return np.argsort(x, axis, "stable").astype(I64, copy=False)
    last = np.moveaxis(x, axis, -1)
    rows = last.reshape((-1, last.shape[-1]))
    order = _with_equals_in_order(rows, np.argsort(rows, -1))
    return np.moveaxis(order.reshape(last.shape), -1, axis)


def _with_equals_in_order(rows: Array, order: Array) -> Array:
    """The indices of each run of equals, or of nan, rising."""
    size = rows.shape[1]
    ordered = rows[np.arange(len(rows))[:, None], order]
    a, b = ordered[:, 1:], ordered[:, :-1]
    equal = (a == b) | ((a != a) & (b != b))
    if equal.any():
        starts, ends = np.ones(rows.shape, bool), np.ones(rows.shape, bool)
        starts[:, 1:] = ends[:, :-1] = ~equal
        tied = ~(starts & ends)
        run = np.cumsum(starts).reshape(rows.shape)
        order[tied] = np.sort(run[tied] * size + order[tied]) % size
    return order.astype(I64, copy=False)


def _argsort_batch(lanes: Lanes, axis: int) -> Results:
    return ops.host_call("argsort", lanes.nodes[0], axis=axis + 1)


def _lexsort_infer(*types: TensorType, axis: int) -> Types:
    for type in types:
        _check_axis("lexsort", type, axis)
        if type.shape != types[0].shape:
            raise ShapeError(f"lexsort: {types[0]} and {type}: shapes differ")
    return (types[0].with_dtype(I64),)


def _lexsort_eval(*keys: Array, axis: int) -> tuple[Array, ...]:
    return (np.lexsort([_exact(k) for k in keys], axis).astype(I64, copy=False),)


def _lexsort_batch(lanes: Lanes, axis: int) -> Results:
    return ops.host_call("lexsort", *lanes.every, axis=axis + 1)


host_function("sort", _sort_infer, _sort_eval, _sort_vjp, _sort_batch)
host_function("argsort", _argsort_infer, _argsort_eval, None, _argsort_batch)
host_function("lexsort", _lexsort_infer, _lexsort_eval, None, _lexsort_batch)


# Parts of rows


def _partition_infer(*types: TensorType, axis: int, kth: tuple[int, ...]) -> Types:
    _check_axis("partition", types[0], axis)
    size = types[0].shape[axis]
    if any(not 0 <= k < size for k in kth):
        raise ShapeError(f"partition: {types[0]}: kth {kth} is out of range")
    return (types[0],)


def _partition_eval(x: Array, axis: int, kth: tuple[int, ...]) -> tuple[Array, ...]:
    return (np.partition(_exact(x), kth, axis).astype(x.dtype, copy=False),)


def _partition_vjp(g: Nodes, y: Nodes, x: Node, axis: int, kth: tuple[int, ...]) -> tuple[Node]:
    """By way of the sorted row, of which both are an order."""
    in_order = _gathered(g[0], _argsort(y[0], axis), axis)
    return (_scattered(in_order, _argsort(x, axis), axis, x.shape[axis]),)


def _partition_batch(lanes: Lanes, axis: int, kth: tuple[int, ...]) -> Results:
    return ops.host_call("partition", lanes.nodes[0], axis=axis + 1, kth=kth)


def _argpartition_infer(*types: TensorType, axis: int, kth: tuple[int, ...]) -> Types:
    (type,) = _partition_infer(*types, axis=axis, kth=kth)
    return (type.with_dtype(I64),)


def _argpartition_eval(x: Array, axis: int, kth: tuple[int, ...]) -> tuple[Array, ...]:
    return (np.argpartition(_exact(x), kth, axis).astype(I64, copy=False),)


def _argpartition_batch(lanes: Lanes, axis: int, kth: tuple[int, ...]) -> Results:
    return ops.host_call("argpartition", lanes.nodes[0], axis=axis + 1, kth=kth)


def _top_k_infer(*types: TensorType, k: int) -> Types:
    (x,) = types
    if x.ndim == 0 or not 0 <= k <= x.shape[-1]:
        raise ShapeError(f"top_k: {x} has no {k} largest elements")
    out = x.with_shape((*x.shape[:-1], k))
    return out, out.with_dtype(I64)


def _top_k_eval(x: Array, k: int) -> tuple[Array, ...]:
    """Of equals the first; nan is the largest."""
    rows = x.reshape((-1, x.shape[-1])) if x.size else x.reshape((0, x.shape[-1]))
    if x.shape[-1] >= LONG_ROW and 0 < 8 * k < x.shape[-1]:
        index = np.stack([_largest(_exact(row), k) for row in rows]) if len(rows) else None
    else:
        index = _falling(_exact(rows))[:, :k]
    if index is None or not x.size:
        index = np.zeros((len(rows), k), I64)
    index = index.astype(I64, copy=False)
    shape = (*x.shape[:-1], k)
    lines = np.arange(len(rows))[:, None]
    return rows[lines, index].reshape(shape), index.reshape(shape)


def _falling(rows: Array) -> Array:
    """The order from the largest down; equals keep theirs."""
    last = rows.shape[-1] - 1
    return np.asarray(last - stable_order(rows[..., ::-1], -1)[..., ::-1])


def _largest(row: Array, k: int) -> Array:
    bound = np.partition(row, len(row) - k)[len(row) - k]
    found = np.flatnonzero(~(row < bound)) if bound == bound else np.flatnonzero(row != row)
    return np.asarray(found[_falling(row[found])[:k]])


def _top_k_vjp(g: Nodes, y: Nodes, x: Node, k: int) -> tuple[Node]:
    return (_scattered(g[0], y[1], x.ndim - 1, x.shape[-1]),)


def _top_k_batch(lanes: Lanes, k: int) -> Results:
    return ops.host_call("top_k", lanes.nodes[0], k=k)


host_function("partition", _partition_infer, _partition_eval, _partition_vjp, _partition_batch)
host_function("argpartition", _argpartition_infer, _argpartition_eval, None, _argpartition_batch)
host_function("top_k", _top_k_infer, _top_k_eval, _top_k_vjp, _top_k_batch)


# Each value once


def _unique_infer(*types: TensorType, size: int, equal_nan: bool) -> Types:
    (x,) = types
    if x.ndim != 1:
        raise ShapeError(f"unique: {x} is no row")
    places, one = TensorType((size,), I64), TensorType((), I64)
    return places, x.with_dtype(I64), places, one


def _unique_eval(x: Array, size: int, equal_nan: bool) -> tuple[Array, ...]:
    """Places of the first of each value, in rising order; places in that list; counts; how many.

    Beyond the number of values stand the place of the first, and 0.
    """
    _, first, inverse, counts = np.unique(_exact(x), True, True, True, equal_nan=equal_nan)
    places, times = np.full(size, first[0] if len(first) else 0, I64), np.zeros(size, I64)
    for target, found in ((places, first), (times, counts)):
        target[: len(found)] = found[:size]
    number = np.asarray(len(first), I64)
    return places, inverse.astype(I64, copy=False), times, number


host_function("unique", _unique_infer, _unique_eval, None)
