"""A product that also sums its rows: each of its tiles adds its own rows to the sums of a part."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from tracejit.codegen.epilogue import MAX_UNROLLED
from tracejit.codegen.nest import (
    Acc,
    Arg,
    Buffer,
    Const,
    Each,
    Fold,
    For,
    Kernel,
    Let,
    Load,
    Loop,
    Offset,
    Stmt,
    Store,
    Tile,
    substituted,
)
from tracejit.codegen.nest_builder import Lowered
from tracejit.codegen.splitting import folded_parts, fresh_buffer
from tracejit.ir.affine import Affine, Index, affine, axis_index, linear
from tracejit.ir.graph import Node
from tracejit.ir.types import TensorType

Where = Mapping[str, Affine]


@dataclass(frozen=True, slots=True)
class Product:
    """A contraction, what is inside its loops, and how its rows are cut.

    row: the axis of a tile's rows, of which there are `height`; a part is `tiles` tiles, one after
    the other. loops: as they are scheduled, where `row` counts parts. vectors: a tile's columns.
    """

    lowered: Lowered
    kernel: Kernel
    body: tuple[Stmt, ...]
    extents: dict[str, int]
    loops: tuple[Loop, ...]
    row: str
    height: int
    tiles: int
    vectors: int

    def stores(self) -> Iterator[tuple[Node, Store]]:
        """Those of whole results."""
        nodes = nodes_of(self.lowered, self.kernel)
        whole = {b.name for b in self.kernel.buffers if b.role == "out"}
        stores = (s for s in self.body if isinstance(s, Store) and s.buffer in whole)
        return ((nodes[s.buffer], s) for s in stores)


@dataclass(frozen=True, slots=True)
class RowSum:
    """A row kernel that folds rows of a product.

    loops: over columns. where: each of its axes in those of the product.
    """

    lowered: Lowered
    kernel: Kernel
    loops: tuple[Loop, ...]
    body: tuple[Stmt, ...]
    fold: Fold
    where: Where

    def leading(self) -> tuple[Stmt, ...]:
        """What leads to a sum, in each row."""
        return (*self.body[: self.body.index(self.fold)], *self.fold.body)

    def rest(self, nodes: Sequence[Node]) -> Lowered:
        """The kernel that adds up the sums of the parts, and goes on as before."""
        return folded_parts(self.lowered, self.kernel, self.loops, self.body, self.fold, nodes)


@dataclass(frozen=True, slots=True)
class _Sum:
    """One sum: where its parts are stored, and the value of a row."""

    buffer: Buffer
    node: Node
    place: Offset
    value: Arg


def nodes_of(lowered: Lowered, kernel: Kernel) -> dict[str, Node]:
    return dict(zip((b.name for b in kernel.buffers), lowered.nodes, strict=False))


class SummingProduct:
    """The kernels that a product, and those that sum its rows, become.

    unread: results of which nobody needs more than the sums.
    """

    def __init__(self, product: Product, found: Sequence[RowSum], unread: Collection[Node]) -> None:
        self.p = product
        self._unread = {s.buffer for node, s in product.stores() if node in unread}
        self._operands: dict[Node, Buffer] = {}
        self._leading: list[Stmt] = []
        self._fresh = fresh_buffer(product.kernel)
        self._sums: list[_Sum] = []
        self._rests: list[Lowered] = []
        for n, row_sum in enumerate(found):
            sums = self._sums_of(row_sum, f"s{n}")
            self._sums += sums
            self._rests.append(row_sum.rest([s.node for s in sums]))

    def kernels(self) -> list[Lowered]:
        """The product with its sums, then what is left of each row kernel."""
        return [self._product(), *self._rests]

    def _product(self) -> Lowered:
        p = self.p
        # The tile and the row in it; of the axis itself is left which part it is.
        row = {p.row: p.tiles * p.height, f"{p.row}t": p.height, f"{p.row}r": 1}
        moved = {p.row: affine(row)}
        wanted = [s for s in p.body if not isinstance(s, Store) or s.buffer not in self._unread]
        body = [_substituted(s, moved) for s in (*wanted, *self._leading)]
        at = next(n for n, s in enumerate(body) if isinstance(s, Fold)) + 1
        short = (len(body) - at) * p.height * p.vectors <= MAX_UNROLLED
        inside = self._at_once(body) if short else self._row_by_row(body, at)
        plain = [replace(loop, tiles=(), lanes=1) for loop in p.loops]
        own = [
            (b, node)
            for b, node in zip(p.kernel.buffers, p.lowered.nodes, strict=True)
            if b.name not in self._unread
        ]
        more = [*((b, node) for node, b in self._operands.items())]
        more += [(s.buffer, s.node) for s in self._sums]
        buffers = tuple(b for b, _ in (*own, *more))
        kernels = [
            replace(p.kernel, buffers=buffers, body=_nested(loops, block))
            for loops, block in ((p.loops, inside), (plain, self._in_turn(body)))
        ]
        nodes = tuple(node for _, node in (*own, *more))
        return Lowered(kernels[0], nodes, kernels[1], p.lowered.members)

    # What leads to the sums

    def _sums_of(self, found: RowSum, prefix: str) -> list[_Sum]:
        values = self._lead(found, prefix)
        rows = {a for loop in found.fold.loops for a in found.where[loop.axis].axes()}
        counts = {loop.axis: loop.extent for loop in self.p.loops if loop.axis in rows}
        part = linear(tuple(map(axis_index, counts)), list(counts.values()))
        shape = (prod(counts.values()), *(loop.extent for loop in found.loops))
        index: Index = (part, *(found.where[loop.axis] for loop in found.loops))
        place = Offset(linear(index, shape))
        builder = found.lowered.nodes[0].builder
        sums = []
        for acc, value in zip(found.fold.accs, values, strict=True):
            node = builder.input("parts", TensorType(shape, acc.dtype))
            buffer = self._buffer(node, "out")
            sums.append(_Sum(buffer, node, place, value))
        return sums

    def _buffer(self, node: Node, role: str) -> Buffer:
        self._fresh += 1
        return Buffer(f"b{self._fresh - 1}", node.dtype, node.type.size, role)

    def _lead(self, found: RowSum, prefix: str) -> list[Arg]:
        """Appends what leads to sums, in the product's axes; gives the value of each."""
        nodes = nodes_of(found.lowered, found.kernel)
        stored = {node: store.value for node, store in self.p.stores()}
        known: dict[str, Arg] = {}
        for stmt in found.leading():
            assert isinstance(stmt, Let | Load)
            if isinstance(stmt, Load) and nodes[stmt.buffer] in stored:
                known[stmt.name] = stored[nodes[stmt.buffer]]
                continue
            known[stmt.name] = name = f"{prefix}{stmt.name}"
            if isinstance(stmt, Let):
                args = tuple(_renamed(arg, known) for arg in stmt.args)
                self._leading.append(replace(stmt, name=name, args=args))
            else:
                index = Offset(stmt.index.affine.substitute(found.where))
                buffer = self._operand(nodes[stmt.buffer])
                self._leading.append(replace(stmt, name=name, buffer=buffer, index=index))
        return [_renamed(acc.args[0], known) for acc in found.fold.accs]

    def _operand(self, node: Node) -> str:
        """The name under which the product reads another array."""
        for name, own in nodes_of(self.p.lowered, self.p.kernel).items():
            if own is node:
                return name
        if node not in self._operands:
            self._operands[node] = self._buffer(node, "in")
        return self._operands[node].name

    # The order of work

    def _at_once(self, body: Sequence[Stmt]) -> list[Stmt]:
        """All of a tile from the registers."""
        accs = [
            Acc(f"tile{n}", s.buffer.dtype, "add", (s.value,)) for n, s in enumerate(self._sums)
        ]
        fold = Fold((self._rows(tiled=True),), tuple(body), tuple(accs))
        return self._tiles([fold, *self._added([acc.name for acc in accs])])

    def _row_by_row(self, body: Sequence[Stmt], at: int) -> list[Stmt]:
        """What is behind the products of a tile, for one row after another."""
        rest = Each(f"{self.p.row}r", (*body[at:], *self._added()))
        return self._tiles([For(self._rows(tiled=True), (*body[:at], rest))])

    def _in_turn(self, body: Sequence[Stmt]) -> list[Stmt]:
        """One row after another, products and all."""
        return self._tiles([For(self._rows(tiled=False), (*body, *self._added()))])

    def _rows(self, *, tiled: bool) -> Loop:
        tiles = (Tile(1, self.p.height),) if tiled else ()
        return Loop(f"{self.p.row}r", self.p.height, tiles=tiles)

    def _tiles(self, block: Sequence[Stmt]) -> list[Stmt]:
        clear = [Store(s.buffer.name, s.place, Const(0, s.buffer.dtype)) for s in self._sums]
        return [*clear, For(Loop(f"{self.p.row}t", self.p.tiles), tuple(block))]

    def _added(self, values: Sequence[Arg] | None = None) -> list[Stmt]:
        """Adds a value to each sum: of a row, or what is given."""
        done: list[Stmt] = []
        for n, s in enumerate(self._sums):
            before, after = f"before{n}", f"after{n}"
            value = s.value if values is None else values[n]
            done += [
                Load(before, s.buffer.dtype, s.buffer.name, s.place),
                Let(after, s.buffer.dtype, "add", (before, value)),
                Store(s.buffer.name, s.place, after),
            ]
        return done


def _renamed(arg: Arg, known: Mapping[str, Arg]) -> Arg:
    return known.get(arg, arg) if isinstance(arg, str) else arg


def _substituted(stmt: Stmt, axes: Where) -> Stmt:
    if isinstance(stmt, Fold):
        bounds = (loop.within.at for loop in stmt.loops if loop.within)
        assert all(axes.keys().isdisjoint(at.axes()) for at in bounds), "rows of a tile differ"
        return replace(stmt, body=tuple(substituted(s, axes) for s in stmt.body))
    return substituted(stmt, axes)


def _nested(loops: Iterable[Loop], body: Sequence[Stmt]) -> tuple[Stmt, ...]:
    done = tuple(body)
    for loop in reversed(tuple(loops)):
        done = (For(loop, done),)
    return done
