"""Column sums: what is summed over all rows of a product is summed in its registers, tile by tile.

The gradient of a bias, or the mean of a batch norm, adds up the rows of an array that a product or
a convolution of 1x1 has just had in registers. Then each of its tiles adds its own rows to the sums
of a part of them, and the kernel that went over the array adds up those instead. The order of
additions depends on the tiles alone, so the result is the same for any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from math import prod

from tracejit.codegen.blocking import block_sums
from tracejit.codegen.coalesce import coalesce
from tracejit.codegen.machine import Machine
from tracejit.codegen.nest import (
    Buffer,
    Fold,
    For,
    Kernel,
    Let,
    Load,
    Loop,
    Offset,
    parallel_loops,
)
from tracejit.codegen.nest_builder import Lowered
from tracejit.codegen.packing import pack_columns
from tracejit.codegen.schedule_contraction import tile_contraction
from tracejit.codegen.summing_product import Product, RowSum, SummingProduct, Where, nodes_of
from tracejit.codegen.twins import counterparts, like
from tracejit.ir.affine import axis_index, linear, split
from tracejit.ir.graph import Graph, Node

# Sums over tiles of fewer rows are not much less than the array itself.
MIN_HEIGHT = 4
# A part of the rows is one thread's: tiles of so many rows in all, as long as there are so many
# tiles of parts that any number of threads gets equal shares.
MAX_ROWS, MIN_SHARES = 64, 64


def column_sums(lowered: Sequence[Lowered], graph: Graph, machine: Machine) -> list[Lowered]:
    """The kernels, those products that others sum over their rows with the sums of each tile."""
    return _ColumnSums(lowered, graph, machine).done()


class _ColumnSums:
    def __init__(self, lowered: Sequence[Lowered], graph: Graph, machine: Machine) -> None:
        self.lowered = list(lowered)
        self.outputs = frozenset(graph.outputs)
        self.machine = machine
        self._twins: dict[Hashable, tuple[list[Lowered], list[Lowered]]] = {}
        self.readers: dict[Node, list[int]] = {}
        self.writers: dict[Node, list[int]] = {}
        for k, low in enumerate(lowered):
            for node, buffer in zip(low.nodes, low.kernel.buffers, strict=False):
                if buffer.role != "out":
                    self.readers.setdefault(node, []).append(k)
                if buffer.role != "in":
                    self.writers.setdefault(node, []).append(k)

    def done(self) -> list[Lowered]:
        for k, low in enumerate(self.lowered):
            if low.kernel.kind == "contraction":
                self._try(k)
        return self.lowered

    def _try(self, k: int) -> None:
        stored = [n for n, b in _sides(self.lowered[k]) if b.role == "out"]
        readers = sorted({r for node in stored for r in self.readers.get(node, ())})
        rows = [r for r in readers if self.lowered[r].kernel.kind == "row"]
        if not rows or (product := _product(self.lowered[k], self.machine)) is None:
            return
        sums = {r: _summed(product, self.lowered[r]) for r in rows}
        found = {r: s for r, s in sums.items() if s is not None and self._free(s, product, k)}
        if not found:
            return
        for node in stored:
            self.readers[node] = [r for r in self.readers.get(node, ()) if r not in found]
        unread = {node for node in stored if not self.readers[node]} - self.outputs
        made = self._made(product, list(found.values()), unread)
        for n, low in zip((k, *found), made, strict=True):
            self.lowered[n] = low

    def _made(
        self, product: Product, found: Sequence[RowSum], unread: Collection[Node]
    ) -> list[Lowered]:
        """The product and the rest of the sums: made once for all that differ in values only."""
        lows = [product.lowered, *(row_sum.lowered for row_sum in found)]
        number: dict[Node, int] = {}
        for node in (node for low in lows for node in low.nodes):
            number.setdefault(node, len(number))
        values = tuple(number[node] for low in lows for node in low.nodes)
        key = tuple(id(low.kernel.body) for low in lows), values, frozenset(map(number.get, unread))
        known = self._twins.get(key)
        if known is None:
            made = SummingProduct(product, found, unread).kernels()
            self._twins[key] = lows, made
            return made
        theirs, parts = known
        nodes = counterparts(theirs, lows, parts)
        return [
            like(p, nodes, _always(low.kernel.name)) for p, low in zip(parts, lows, strict=True)
        ]

    def _free(self, found: RowSum, product: Product, k: int) -> bool:
        """Whether all else that is read for a sum is there before the product runs, and is read by
        its epilogue already, or is the same in all rows: another array to read costs a tile more
        than the sums are worth."""
        nodes = nodes_of(found.lowered, found.kernel)
        own = nodes_of(product.lowered, product.kernel)
        stored = {node for node, _ in product.stores()}
        rows = {a for loop in found.fold.loops for a in found.where[loop.axis].axes()}
        read = {(own[s.buffer], s.index) for s in product.body if isinstance(s, Load)}
        for load in found.leading():
            if not isinstance(load, Load) or nodes[load.buffer] in stored:
                continue
            index = Offset(load.index.affine.substitute(found.where))
            still = rows.isdisjoint(index.affine.axes())
            if not still and (nodes[load.buffer], index) not in read:
                return False
            if any(w >= k for w in self.writers.get(nodes[load.buffer], ())):
                return False
        return True


def _always(name: str) -> Callable[[str], str]:
    return lambda _: name


def _sides(lowered: Lowered) -> list[tuple[Node, Buffer]]:
    return list(zip(lowered.nodes, lowered.kernel.buffers, strict=False))


# The product


def _product(lowered: Lowered, machine: Machine) -> Product | None:
    """None where no number of rows divides the loop and fills a tile, or more is done for it."""
    if len(pack_columns(lowered, machine)) > 1 or block_sums(lowered, machine) is not lowered:
        return None
    kernel = coalesce(lowered.kernel)
    loops, body = parallel_loops(kernel.body)
    fold = next((s for s in body if isinstance(s, Fold)), None)
    if fold is None or _over_window(fold) or any(loop.extent == 0 for loop in loops):
        return None
    tiled, same = tile_contraction(loops, body, machine, True)
    wide = [loop for loop in tiled if loop.lanes > 1]
    high = [loop for loop in tiled if loop.tiles and loop.lanes == 1]
    if same != body or len(wide) != 1 or len(high) != 1:
        return None
    most = max(tile.width for tile in high[0].tiles)
    height = _divisor(high[0].extent, most // 2 + 1, most)
    if height < MIN_HEIGHT or not _innermost(high[0], tiled, fold):
        return None
    count = high[0].extent // height
    shares = count * prod(loop.steps() for loop in tiled if loop is not high[0])
    most = min(MAX_ROWS // height, shares // MIN_SHARES)
    tiles = _divisor(count, 1, max(most, 1))
    row = Loop(high[0].axis, count // tiles, parallel=True)
    order = tuple(row if loop is high[0] else loop for loop in tiled)
    vectors = max(-(-tile.width // wide[0].lanes) for tile in wide[0].tiles)
    extents = {loop.axis: loop.extent for loop in loops}
    return Product(lowered, kernel, body, extents, order, row.axis, height, tiles, vectors)


def _over_window(fold: Fold) -> bool:
    """Whether a sum goes over more than channels: it takes too long to gain from this."""
    return sum(loop.extent > 1 for loop in fold.loops) > 1 or any(x.within for x in fold.loops)


def _innermost(row: Loop, loops: Sequence[Loop], fold: Fold) -> bool:
    """Whether tiles of rows follow one another, with no other loop between that goes along their
    side. In parts they do; where images are the rows, each pixel would be walked for all of them.
    """
    inside = [loop.axis for loop in loops[list(loops).index(row) + 1 :]]
    sides = [s.index.affine for s in fold.body if isinstance(s, Load)]
    side = [at for at in sides if at.coefficient(row.axis)]
    return not any(at.coefficient(axis) for at in side for axis in inside)


def _divisor(extent: int, least: int, most: int) -> int:
    """The largest of a range that divides an extent, or 0."""
    return next((n for n in range(most, least - 1, -1) if extent % n == 0), 0)


# The sum


def _summed(product: Product, lowered: Lowered) -> RowSum | None:
    """The row kernel, if it folds nothing but rows of the product."""
    kernel = coalesce(lowered.kernel)
    loops, body = parallel_loops(kernel.body)
    folds = [s for s in body if isinstance(s, Fold)]
    if len(folds) != 1 or not loops or any(isinstance(s, For) for s in body):
        return None
    (fold,) = folds
    where = _places(product, lowered, kernel, loops, fold)
    if where is None:
        return None
    found = RowSum(lowered, kernel, tuple(loops), body, fold, where)
    fine = all(isinstance(s, Let | Load) for s in found.leading())
    adds = all(acc.op == "add" for acc in fold.accs)
    return found if fine and adds and _apart(product, found) else None


def _places(
    product: Product, lowered: Lowered, kernel: Kernel, loops: Sequence[Loop], fold: Fold
) -> Where | None:
    """Each axis of a sum in those of the product, whose result it reads element by element."""
    nodes = nodes_of(lowered, kernel)
    stores = dict(product.stores())
    axes = {loop.axis: loop.extent for loop in (*loops, *fold.loops)}
    for load in fold.body:
        if isinstance(load, Load) and nodes[load.buffer] in stores and not load.index.dynamic:
            offset = load.index.affine
            order = sorted(axes, key=offset.coefficient, reverse=True)
            shape = [axes[a] for a in order]
            if linear(tuple(axis_index(a) for a in order), shape) != offset:
                return None
            index = split(stores[nodes[load.buffer]].index.affine, shape, product.extents)
            return None if index is None else dict(zip(order, index, strict=True))
    return None


def _apart(product: Product, found: RowSum) -> bool:
    """Whether rows and columns are loops of their own, and what is read of the product's results
    is what it stores there."""
    sides = [
        {a for loop in side for a in found.where[loop.axis].axes()}
        for side in (found.loops, found.fold.loops)
    ]
    vector = next(loop.axis for loop in product.loops if loop.lanes > 1)
    if not sides[0].isdisjoint(sides[1]) or sides[0] | sides[1] != set(product.extents):
        return False
    if product.row not in sides[1] or vector not in sides[0]:
        return False
    stores, nodes = dict(product.stores()), nodes_of(found.lowered, found.kernel)
    return all(
        not s.index.dynamic and s.index.affine.substitute(found.where) == there.index.affine
        for s in found.leading()
        if isinstance(s, Load) and (there := stores.get(nodes[s.buffer])) is not None
    )
