"""What lowering builds with: the loops of one group in the making, and what comes of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tracejit.codegen.nest import (
    Arg,
    Buffer,
    Const,
    For,
    IndexValue,
    Kernel,
    Let,
    Load,
    Loop,
    Offset,
    Stmt,
    Store,
)
from tracejit.ir.affine import (
    MOVEMENT,
    ZERO,
    Affine,
    Index,
    axis_index,
    in_order,
    linear,
    operand_index,
    strides,
)
from tracejit.ir.draft import VIRTUAL
from tracejit.ir.graph import Node
from tracejit.ir.group import Group
from tracejit.ir.types import BOOL, I32, I64, U32, U64, DType, is_integer


@dataclass(frozen=True, slots=True, eq=False)
class Lowered:
    """A kernel and, for each buffer that is not scratch, the node whose value it holds.

    plain: the loops before anything was done for the sake of a machine; its buffers come first.
    members: the nodes that the kernel computes.
    """

    kernel: Kernel
    nodes: tuple[Node, ...]
    plain: Kernel
    members: tuple[Node, ...]


class Nest:
    """What the lowering of one group has so far: buffers, names, and the block being filled."""

    def __init__(self, group: Group, stored: Collection[Node]) -> None:
        self.group = group
        self.stored = stored
        free = [a for a, _ in group.axes if a not in group.reduced]
        rename = {a: axis_index(f"i{n}") for n, a in enumerate(free)}
        rename |= {a: axis_index(f"r{n}") for n, a in enumerate(group.reduced)}
        self.extents = {rename[a].axes()[0]: n for a, n in group.axes}
        self.free = [rename[a].axes()[0] for a in free]
        self.reduced = [rename[a].axes()[0] for a in group.reduced]
        self.at: dict[Node, Index] = {
            n: tuple(i.substitute(rename) for i in index) for n, index in group.at.items()
        }
        self.operand_at: dict[Node, Index] = {
            n: tuple(i.substitute(rename) for i in index) for n, index in group.operand_at.items()
        }
        self.parts = {n: [p.substitute(rename) for p in ps] for n, ps in group.parts.items()}
        self.values: dict[Node, Arg] = {}
        self.body: list[Stmt] = []
        self._buffers: dict[Node, Buffer] = {}
        self._scratch: list[Buffer] = []
        self._count = 0
        self._loads: dict[object, str] = {}
        self._computed: dict[tuple[Node, Index], str] = {}
        self.loc: str | None = None

    # Names and buffers

    def name(self) -> str:
        self._count += 1
        return f"v{self._count - 1}"

    def buffer(self, node: Node, role: str = "in") -> str:
        known = self._buffers.get(node)
        if known is None:
            known = Buffer(f"b{len(self._buffers)}", node.dtype, node.type.size, role)
        elif role != known.role:
            known = Buffer(known.name, known.dtype, known.size, "inout")
        self._buffers[node] = known
        return known.name

    def whole(self, node: Node) -> str:
        """The buffer that holds the elements of `node` in its order."""
        return self.buffer(in_order(node, self.stored.__contains__))

    def scratch(self, dtype: DType, size: int) -> str:
        self._scratch.append(Buffer(f"s{len(self._scratch)}", dtype, size, "scratch"))
        return self._scratch[-1].name

    def finished(self, name: str, body: list[Stmt]) -> Lowered:
        buffers = (*self._buffers.values(), *self._scratch)
        kernel = Kernel(name, self.group.kind, buffers, tuple(body))
        return Lowered(kernel, tuple(self._buffers), kernel, tuple(self.at))

    def block(self) -> list[Stmt]:
        """Starts a new block and returns it; loads of other blocks are not seen in it."""
        self.body = []
        self._loads, self._computed = {}, {}
        return self.body

    # Values

    def let(self, dtype: DType, op: str, *args: Arg) -> str:
        name = self.name()
        self.body.append(Let(name, dtype, op, args, self.loc))
        return name

    def load(self, buffer: str, dtype: DType, index: Offset) -> str:
        key = (buffer, index)
        if key not in self._loads:
            name = self._loads[key] = self.name()
            self.body.append(Load(name, dtype, buffer, index, self.loc))
        return self._loads[key]

    def store(self, node: Node, value: Arg) -> None:
        index = Offset(linear(self.at[node], node.shape))
        role = "part" if node.op == "pad" else "out"
        if node in self.parts:
            self._store_parts(node)
        else:
            self.body.append(Store(self.buffer(node, role), index, value, loc_of(node)))

    def _store_parts(self, node: Node) -> None:
        name = self.buffer(node, "part")
        for part in self.parts[node]:
            index = Offset(linear(part.index, node.shape))
            self.body.append(Store(name, index, self.read(part.value, part.at), loc_of(node)))

    def read(self, node: Node, index: Index) -> Arg:
        """The value of `node` at `index`: of a member, from a buffer, or by an index map."""
        while True:
            if node.op == "full":
                value = node.scalar()
                assert value is not None
                return Const(value, node.dtype)
            if node in self.at and node in self.values and self.at[node] == index:
                return self.values[node]
            if node in self.at and node.op in VIRTUAL and self.at[node] == index:
                pass
            elif node in self.stored:
                return self._load_at(node, linear(index, node.shape))
            if node.op == "iota":
                return self._iota(node, index)
            if node.prim.elementwise:
                return self._again(node, index)
            assert node.op in MOVEMENT, f"{node.op} is neither a member nor stored"
            operand = node.inputs[0]
            if node.op == "reshape" and operand in self.stored and operand not in self.values:
                return self._load_at(operand, linear(index, node.shape))
            if operand.op == "full":
                node = operand
                continue
            moved = operand_index(node, index, self.extents)
            assert moved is not None, "fusion folds only affine movement"
            node, index = operand, moved

    def _load_at(self, node: Node, offset: Affine) -> Arg:
        return self.load(self.buffer(node), node.dtype, Offset(offset))

    def _again(self, node: Node, index: Index) -> Arg:
        """A value that its own group does not store, computed from what is."""
        known = self._computed.get((node, index))
        if known is None:
            loc, self.loc = self.loc, loc_of(node)
            args = [self.read(operand, index) for operand in node.inputs]
            known = self._computed[node, index] = self.let(node.dtype, node.op, *args)
            self.loc = loc
        return known

    def _iota(self, node: Node, index: Index) -> Arg:
        axis = node.attrs["axis"]
        assert isinstance(axis, int)
        name = self.name()
        wide = node.dtype.itemsize == 8
        dtype = node.dtype if is_integer(node.dtype) else (I64 if wide else I32)
        self.body.append(IndexValue(name, dtype, index[axis], self.loc))
        return name if dtype == node.dtype else self.let(node.dtype, "cast", name)

    def compute(self, node: Node) -> Arg:
        """Emits one member; its operands are read at its own index."""
        self.loc = loc_of(node)
        index = self.at[node]
        if node.op == "gather_rows":
            return self._gather(node, index)
        if node.op == "random_bits":
            return self._random(node, index)
        if node.op in VIRTUAL:
            return self.read(node, index)
        if node.op == "contiguous":
            return self.read(node.inputs[0], index)
        if node.op == "pad":
            return self.read(node.inputs[0], self.operand_at[node])
        if node in self.parts:
            last = self.parts[node][-1]  # of which `at` is the index
            return self.read(last.value, last.at)
        args = [self.read(operand, index) for operand in node.inputs]
        return self.let(node.dtype, node.op, *args)

    def row_number(self, rows: Arg, dtype: DType, count: int) -> str:
        """A row index as an i64 inside [0, count): negative ones count from the end."""
        if dtype == U64:
            rows = self.let(U64, "minimum", rows, Const(count - 1, U64))
        row = self.let(I64, "cast", rows) if dtype != I64 else rows
        below = self.let(BOOL, "lt", row, Const(0, I64))
        wrapped = self.let(I64, "add", row, Const(count, I64))
        row = self.let(I64, "select", below, wrapped, row)
        row = self.let(I64, "maximum", row, Const(0, I64))
        return self.let(I64, "minimum", row, Const(count - 1, I64))

    def _gather(self, node: Node, index: Index) -> Arg:
        table, rows = node.inputs
        cut = rows.ndim
        row = self.row_number(self.read(rows, index[:cut]), rows.dtype, table.shape[0])
        within = linear(index[cut:], table.shape[1:])
        stride = strides((*table.shape, 1))[0]
        return self.load(self.whole(table), table.dtype, Offset(within, ((row, stride),)))

    def _random(self, node: Node, index: Index) -> Arg:
        """Element n of the stream is word n % 4 of Philox block n // 4."""
        key = node.inputs[0]
        first, second = (self.read(key, (Affine((), word),)) for word in (0, 1))
        flat = self.name()
        self.body.append(IndexValue(flat, U64, linear(index, node.shape), self.loc))
        block = self.let(U64, "shift_right", flat, Const(2, U64))
        low = self.let(U32, "cast", block)
        high = self.let(U32, "cast", self.let(U64, "shift_right", block, Const(32, U64)))
        word = self.let(U32, "cast", self.let(U64, "and", flat, Const(3, U64)))
        return self.let(U32, "random_word", first, second, low, high, word)

    # Loops

    def loop(self, axis: str, parallel: bool = False) -> Loop:
        return Loop(axis, self.extents[axis], parallel)

    def parallel(self, body: list[Stmt]) -> list[Stmt]:
        """`body` inside the free axes."""
        for axis in reversed(self.free):
            body = [For(self.loop(axis, parallel=True), tuple(body))]
        return body


def loc_of(node: Node) -> str | None:
    return node.loc.short if node.loc is not None else None


def side_nest(nest: Nest, shape: tuple[int, ...], prefix: str) -> tuple[list[Loop], Index]:
    """Fresh parallel loops over `shape` and the index they form."""
    names = [f"{prefix}{d}" for d in range(len(shape))]
    nest.extents.update(zip(names, shape, strict=True))
    loops = [Loop(n, s, parallel=True) for n, s in zip(names, shape, strict=True) if s != 1]
    index = tuple(ZERO if s == 1 else axis_index(n) for n, s in zip(names, shape, strict=True))
    return loops, index


def wrap(loops: list[Loop], body: list[Stmt]) -> list[Stmt]:
    for loop in reversed(loops):
        body = [For(loop, tuple(body))]
    return body


def free_of(index: Index, axes: Collection[str]) -> bool:
    """Whether no axis of `axes` occurs in `index`."""
    return not any(axis in axes for i in index for axis in i.axes())
