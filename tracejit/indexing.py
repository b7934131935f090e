"""x[index]: ints, slices, None and Ellipsis as views; integer arrays as gathers."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir import ops
from tracejit.ir.graph import Node
from tracejit.ir.types import BOOL, Shape, ShapeError
from tracejit.source import here, user_loc
from tracejit.trace import current_trace, escaped
from tracejit.tracer import Tracer
from tracejit.variable import Variable


def getitem(x: Tracer, index: Any) -> Any:
    """NumPy's indexing, but for masks, whose result's shape depends on values."""
    trace = current_trace()
    if trace is None:
        raise escaped(x)
    x = trace.array(x)
    trace.builder.loc = user_loc()
    items = expanded(x, index if isinstance(index, tuple) else (index,))
    if any(is_array(i) for i in items):
        return _advanced(x, items)
    view = x.home.wrap(_basic(x.node, items))
    if not all(map(is_int, items)):  # of ints alone it is an element, and no view
        x.shares(view)
    return view


def is_array(item: Any) -> bool:
    return isinstance(item, Tracer | Variable | np.ndarray | list)


def is_int(item: Any) -> bool:
    return isinstance(item, int | np.integer) and not isinstance(item, bool)


def expanded(x: Tracer, index: tuple[Any, ...]) -> list[Any]:
    """One item per axis (and per None): the ellipsis and the missing slices written out."""
    taken = 0
    index = tuple(part for item in index for part in _known_mask(x, item))
    for item in index:
        if isinstance(item, bool | np.bool_) or getattr(item, "dtype", None) == BOOL:
            raise UnsupportedError(
                f"index: a mask gives a result whose shape depends on values{here()};"
                " use np.where(mask, x, other)"
            )
        is_view = item is None or item is Ellipsis or isinstance(item, slice)
        if not (is_view or is_int(item) or is_array(item)):
            raise UnsupportedError(
                f"index: {type(item).__name__} is no index{here()}; use ints, slices, None,"
                " Ellipsis or integer arrays"
            )
        taken += item is not None and item is not Ellipsis
    if taken > x.ndim:
        raise IndexError(f"index: {taken} indices for {x.node.type}{here()}")
    at = next((i for i, item in enumerate(index) if item is Ellipsis), len(index))
    fill = [slice(None)] * (x.ndim - taken)
    return [*index[:at], *fill, *index[at + 1 :]]


@dataclass(frozen=True, slots=True)
class Spans:
    """A basic index: which elements of each axis, and the shape that they are given.

    region: the elements' shape with one dimension per axis of the array. shape: as the user sees
    it, without those of ints and with those of None. flipped: axes that run backwards.
    """

    start: list[int]
    stop: list[int]
    step: list[int]
    flipped: list[int]
    region: list[int]
    shape: Shape


def basic_spans(node: Node, items: list[Any]) -> Spans:
    start, stop, step, flipped, region, shape = [], [], [], [], [], []
    axis = 0
    for item in items:
        if item is None:
            shape.append(1)
            continue
        size = node.shape[axis]
        if isinstance(item, slice):
            low, high, by, count, backwards = _slice_bounds(item, size)
            shape.append(count)
            if backwards:
                flipped.append(axis)
        else:
            low = _int_bound(node, int(item), axis)
            high, by, count = low + 1, 1, 1
        start.append(low)
        stop.append(high)
        step.append(by)
        region.append(count)
        axis += 1
    return Spans(start, stop, step, flipped, region, tuple(shape))


def _basic(node: Node, items: list[Any]) -> Node:
    """slice, then reverse, then reshape; each only where it changes something."""
    spans = basic_spans(node, items)
    out = ops.slice(node, spans.start, spans.stop, spans.step)
    return ops.reshape(ops.reverse(out, spans.flipped), spans.shape)


def _known_mask(x: Tracer, item: Any) -> tuple[Any, ...]:
    """A mask whose values are known, as the indices of its True elements; else the item itself."""
    if isinstance(item, Tracer) and item.dtype == BOOL and item.has_value:
        item = np.asarray(item)
    if isinstance(item, list) and np.asarray(item).dtype == BOOL:
        item = np.asarray(item)
    if isinstance(item, np.ndarray) and item.dtype == BOOL and item.ndim:
        return np.nonzero(item)
    return (item,)


def _slice_bounds(item: slice, size: int) -> tuple[int, int, int, int, bool]:
    """start, stop, step >= 1 of the same elements in rising order; how many; whether reversed."""
    for bound in (item.start, item.stop, item.step):
        if isinstance(bound, Tracer):
            bound.__index__()
    positions = range(*item.indices(size))
    count = len(positions)
    if count == 0:
        return 0, 0, 1, 0, False
    low, high = min(positions[0], positions[-1]), max(positions[0], positions[-1])
    return low, high + 1, abs(positions.step), count, positions.step < 0 and count > 1


def _int_bound(node: Node, item: int, axis: int) -> int:
    size = node.shape[axis]
    if not -size <= item < size:
        raise IndexError(f"index {item} is out of bounds for axis {axis} of {node.type}{here()}")
    return item % size


def _advanced(x: Tracer, items: list[Any]) -> Any:
    """Slices first, on the axes without arrays; then one gather over the axes with arrays.

    As in NumPy an int beside an array is an array too, and the result's index axes stand where the
    arrays stood if those are adjacent, else first.
    """
    from tracejit.movement import moveaxis
    from tracejit.selection import integer_index, take

    views = [slice(None) if is_array(i) or is_int(i) else i for i in items]
    x = x.home.wrap(_basic(x.node, views))
    where = [p for p, i in enumerate(items) if is_array(i) or is_int(i)]
    arrays = []
    for position in where:
        item = items[position]
        if is_int(item):
            item = np.asarray(_int_bound(x.node, int(item), position))
        elif isinstance(item, np.ndarray):
            check_bounds(x, item, position)
        arrays.append(item)
    rows = moveaxis(x, where, range(len(where)))
    adjacent = where == list(range(where[0], where[0] + len(where)))
    if len(where) == 2 and _is_range(arrays[0], x.shape[where[0]]):
        picked = _labels(rows, integer_index(arrays[1]))
        if picked is not None:
            return moveaxis(picked, 0, where[0] if adjacent else 0)
    indices = [integer_index(a) for a in arrays]
    flat, width = _linear(rows, indices)
    found = take(flat, width, axis=0)
    if not adjacent:
        return found
    return moveaxis(found, range(width.ndim), range(where[0], where[0] + width.ndim))


def check_bounds(x: Tracer, item: Any, axis: int) -> None:
    size = x.shape[axis]
    if item.size and (item.min() < -size or item.max() >= size):
        raise IndexError(
            f"index {item.max() if item.max() >= size else item.min()} is out of bounds for axis"
            f" {axis} of {x.node.type}{here()}"
        )


def _is_range(item: Any, size: int) -> bool:
    """Whether the index is 0, 1, ..., size - 1."""
    if isinstance(item, Tracer):
        return item.node.op == "iota" and item.shape == (size,)
    return bool(np.array_equal(item, np.arange(size)))


def _labels(rows: Any, index: Tracer) -> Tracer | None:
    """x[arange(n), y]: one element of each row. None where y is no vector of n."""
    from tracejit.movement import broadcast, reshape
    from tracejit.selection import one_of

    if index.shape != rows.shape[:1] or rows.dtype == BOOL:
        return None
    shape = (rows.shape[0], 1, *rows.shape[2:])
    spread = broadcast(reshape(index, (-1, *(1,) * (rows.ndim - 1))), shape)
    return one_of(rows, spread, 1, keepdims=False)


def _linear(rows: Any, indices: list[Tracer]) -> tuple[Any, Tracer]:
    """The indexed axes as one, and the index into it."""
    from tracejit.selection import wrapped

    count = len(indices)
    if count == 1:
        return rows, indices[0]
    try:
        np.broadcast_shapes(*(i.shape for i in indices))
    except ValueError:
        types = " and ".join(str(i.node.type) for i in indices)
        raise ShapeError(f"index: {types} do not broadcast{here()}") from None
    sizes = rows.shape[:count]
    linear: Any = wrapped(indices[0], sizes[0])
    for index, size in zip(indices[1:], sizes[1:], strict=True):
        linear = linear * size + wrapped(index, size)
    return np.reshape(rows, (prod(sizes), *rows.shape[count:])), linear
