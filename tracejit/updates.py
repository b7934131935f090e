"""x.at[index].set(v) and its kin: a new array with some elements changed, as in JAX."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from tracejit.indexing import basic_spans, expanded, is_array, is_int
from tracejit.ir import ops
from tracejit.ir.graph import Node
from tracejit.ir.types import BOOL, I64
from tracejit.lowering import broadcast_to, cast, emit
from tracejit.movement import moveaxis, reshape
from tracejit.selection import integer_index, wrapped
from tracejit.source import user_loc
from tracejit.trace import current_trace, escaped
from tracejit.tracer import Tracer

Update = Callable[[Any, Any], Any]
Scatter = Callable[[Node, Node, Node], Node]


class At:
    """`x.at`: takes an index."""

    __slots__ = ("array",)

    def __init__(self, array: Tracer) -> None:
        self.array = array

    def __getitem__(self, index: Any) -> Place:
        return Place(self.array, index)


class Place:
    """`x.at[index]`: each method gives a copy of x that differs there. x itself never changes.

    index: ints, slices, None and Ellipsis, or integer arrays, also beside slices. An index array
    may name an element twice: add adds both, of `set` the last counts. Elements beyond the end are
    left out. multiply, min and max with arrays of several indices compare each row with each index:
    their work is rows times indices.
    """

    __slots__ = ("array", "index")

    def __init__(self, array: Tracer, index: Any) -> None:
        self.array = array
        self.index = index

    def get(self) -> Any:
        return self.array[self.index]

    def set(self, values: Any) -> Any:
        return self._update(lambda old, new: new, values, "set")

    def add(self, values: Any) -> Any:
        return self._update(np.add, values, "add")

    def subtract(self, values: Any) -> Any:
        return self._update(np.add, -self._values(values), "add")

    def multiply(self, values: Any) -> Any:
        return self._update(np.multiply, values, "prod")

    def divide(self, values: Any) -> Any:
        return self._update(np.multiply, 1 / self._values(values), "prod")

    mul = multiply

    def min(self, values: Any) -> Any:
        return self._update(np.minimum, values, "min")

    def max(self, values: Any) -> Any:
        return self._update(np.maximum, values, "max")

    def apply(self, function: Callable[[Any], Any]) -> Any:
        """function of the elements there."""
        return self.set(function(self.get()))

    def _values(self, values: Any) -> Tracer:
        trace = current_trace()
        if trace is None:
            raise escaped(self.array)
        return trace.wrap(cast(trace.lift(values).node, self.array.dtype))

    def _update(self, combine: Update, values: Any, fold: str) -> Any:
        new = self._values(values)
        x = new.home.array(self.array)
        x.home.builder.loc = user_loc()
        items = expanded(x, self.index if isinstance(self.index, tuple) else (self.index,))
        if any(is_array(i) for i in items):
            return _scattered(x, items, combine, new, fold)
        target, inside = _placed(x.node, items, new.node)
        changed = combine(x, x.home.wrap(target))
        return x.home.wrap(emit("select", inside, changed.node, x.node))


def _placed(x: Node, items: list[Any], values: Node) -> tuple[Node, Node]:
    """The values where the index puts them, 0 elsewhere; and where that is."""
    spans = basic_spans(x, items)
    values = broadcast_to(values, spans.shape)
    region = ops.reshape(values, spans.region)
    region = ops.reverse(region, spans.flipped)
    interior = [by - 1 for by in spans.step]
    reach = [n and (n - 1) * by + 1 for n, by in zip(spans.region, spans.step, strict=True)]
    high = [n - a - r for n, a, r in zip(x.shape, spans.start, reach, strict=True)]
    inside = x.builder.full(True, region.type.with_dtype(BOOL))
    return (
        ops.pad(region, 0, spans.start, high, interior),
        ops.pad(inside, False, spans.start, high, interior),
    )


def _scattered(x: Tracer, items: list[Any], combine: Update, values: Tracer, fold: str) -> Any:
    """An update through index arrays; other axes must be whole, or are cut out and put back."""
    views = [i if isinstance(i, slice) else slice(None) for i in items]
    if any(v != slice(None) for v in views):
        cut = x[tuple(views)]
        inner = [slice(None) if isinstance(i, slice) else i for i in items]
        return Place(x, tuple(views)).set(_scattered(cut, inner, combine, values, fold))
    where = [p for p, i in enumerate(items) if is_array(i) or is_int(i)]
    rows = moveaxis(x, where, range(len(where)))
    sizes = rows.shape[: len(where)]
    index, valid = _linear([items[p] for p in where], sizes)
    rest = rows.shape[len(where) :]
    target = (*index.shape, *rest)
    if where != list(range(where[0], where[0] + len(where))):
        given = broadcast_to(values.node, target)
    else:
        lead = x.shape[: where[0]]
        shown = (*lead, *index.shape, *x.shape[where[-1] + 1 :])
        wide = x.home.wrap(broadcast_to(values.node, shown))
        order = range(len(lead), len(lead) + index.ndim)
        given = moveaxis(wide, list(order), list(range(index.ndim))).node
    count = prod(sizes)
    table: Any = reshape(rows, (count, *rest))
    flat: Any = reshape(x.home.wrap(given), (index.size, *rest))
    vector = reshape(index, (index.size,)), reshape(valid, (index.size,))
    changed = _changed(table, *vector, flat, combine, fold)
    return moveaxis(np.reshape(changed, rows.shape), range(len(where)), where)


def _linear(items: list[Any], sizes: tuple[int, ...]) -> tuple[Tracer, Tracer]:
    """The indices as one row number, and whether each is within its axis."""
    indices: Any = np.broadcast_arrays(
        *(integer_index(np.asarray(i) if is_int(i) else i) for i in items)
    )
    linear: Any = 0
    valid: Any = True
    for index, size in zip(indices, sizes, strict=True):
        wide = index.home.wrap(cast(index.node, I64))
        valid = np.logical_and(valid, (wide >= -size) & (wide < size))
        linear = linear * size + wrapped(wide, size)
    return linear, valid


def _spread(mask: Any, like: Any) -> Any:
    return np.reshape(mask, (-1, *(1,) * (like.ndim - 1)))


def _changed(table: Any, index: Any, valid: Any, values: Any, combine: Update, fold: str) -> Any:
    """Rows combined with the values that go to them: in place, where the table is not needed."""
    if 0 in (table.shape[0], index.size):
        return table
    if fold == "add":
        return _rows(
            ops.scatter_add_rows, table, index, np.where(_spread(valid, values), values, 0)
        )
    if index.size == 1:
        old = np.take(table, index, axis=0)
        new = np.where(_spread(valid, values), combine(old, values), old)
        return _rows(ops.scatter_rows, table, index, new)
    if fold == "set":
        # What is beyond goes to a row of its own, which is cut off.
        count = table.shape[0]
        padded = np.concatenate([table, np.zeros_like(table[:1])])
        return _rows(ops.scatter_rows, padded, np.where(valid, index, count), values)[:count]
    return _folded(table, index, valid, values, combine, fold)


def _rows(scatter: Scatter, table: Any, index: Any, values: Any) -> Any:
    node = scatter(table.node, index.node, cast(values.node, table.dtype))
    return table.home.wrap(node)


def _folded(table: Any, index: Any, valid: Any, values: Any, combine: Update, fold: str) -> Any:
    """Each row combined with all values that go to it: [rows, indices, ...], folded at once."""
    count, size = table.shape[0], index.shape[0]
    hit = (np.arange(count)[:, None] == index) & valid
    each = np.reshape(hit, (count, size, *(1,) * (values.ndim - 1)))
    if fold == "prod":
        found = np.prod(np.where(each, values, np.ones_like(values)), axis=1, dtype=table.dtype)
        return combine(table, found)
    # Where nothing goes to a row its own value stands for it, which changes no extremum.
    own = np.reshape(table, (count, 1, *table.shape[1:]))
    return getattr(np, fold)(np.concatenate([np.where(each, values, own), own], axis=1), axis=1)
