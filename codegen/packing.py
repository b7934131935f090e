"""Packing: a right-hand side of any width in panels, one after another in memory.

A product that walks down a few columns of a large matrix is on another page at each step; as many
pages as it has rows are more than a CPU keeps the addresses of. `layout.py` stores such a matrix in
panels where panels divide it. Where they do not, one kernel becomes two here: the first copies the
matrix, whole panels and a narrower one, the second is the product as two nests side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from tracejit.codegen.coalesce import coalesce
from tracejit.codegen.machine import Machine
from tracejit.codegen.nest import (
    Acc,
    Arg,
    Buffer,
    Fold,
    For,
    Kernel,
    Let,
    Load,
    Loop,
    Offset,
    Stmt,
    Store,
    parallel_loops,
    substituted,
)
from tracejit.codegen.nest_builder import Lowered
from tracejit.codegen.splitting import kernel_of
from tracejit.ir.affine import Affine, affine
from tracejit.ir.types import TensorType

PAGE = 4096
# Pages of the matrix, in all, beyond this many times L2: so many that their addresses are forgotten
# between two walks down its columns.
BEYOND_L2 = 2
# Rows of the other side that read each panel: fewer do not pay for the copy.
MIN_ROWS = 128
# Up to this many panels wide, `layout.py` has packed it, or there is little to pack.
FEW_PANELS = 2


@dataclass(frozen=True, slots=True)
class _Matrix:
    """A product and the side of it that is to be packed, `load`, along `column` of its loops."""

    loops: list[Loop]
    body: tuple[Stmt, ...]
    fold: Fold
    load: Load
    column: Loop
    panel: int

    @property
    def row(self) -> Loop:
        return self.fold.loops[0]

    @property
    def whole(self) -> int:
        """Columns of all whole panels."""
        return self.column.extent // self.panel * self.panel


def pack_columns(lowered: Lowered, machine: Machine) -> list[Lowered]:
    """The kernel itself, or the copy and the product that it becomes."""
    large = (b.size * b.dtype.itemsize > BEYOND_L2 * machine.l2 for b in lowered.kernel.buffers)
    if all(node.op != "dot_general" for node in lowered.members) or not any(large):
        return [lowered]
    kernel = coalesce(lowered.kernel)
    found = _matrix(kernel, machine)
    if found is None:
        return [lowered]
    size, dtype = found.column.extent * found.row.extent, found.load.dtype
    node = lowered.nodes[0].builder.input("packed", TensorType((size,), dtype))
    packed = Buffer(f"b{len(kernel.buffers)}", dtype, size, "out")
    copy, product = [], []
    for part in _parts(found):
        copy.append(part.copied(packed.name))
        product.append(part.multiplied(packed.name))
    given = replace(packed, role="in")
    return [
        kernel_of(lowered, replace(kernel, kind="map"), "p", copy, [packed], (node,)),
        kernel_of(lowered, kernel, "", product, [given], (node,)),
    ]


def _matrix(kernel: Kernel, machine: Machine) -> _Matrix | None:
    """The product, if it is one of many rows and a wide matrix on more pages than are at hand."""
    loops, body = parallel_loops(kernel.body)
    fold = next((s for s in body if isinstance(s, Fold)), None)
    if fold is None or len(fold.loops) != 1 or any(b.role == "scratch" for b in kernel.buffers):
        return None
    loads = [s for s in fold.body if isinstance(s, Load)]
    row, given = fold.loops[0], {b.name for b in kernel.buffers if b.role == "in"}
    for matrix, other in (loads, reversed(loads)) if len(loads) == 2 else ():
        steps = dict(matrix.index.affine.terms)
        step = steps.pop(row.axis, 0) * matrix.dtype.itemsize
        columns = [x for x in loops if steps == {x.axis: 1} and _stored_along(x.axis, body)]
        if not columns or other.index.affine.coefficient(columns[0].axis):
            continue
        panel = machine.column_vectors * machine.lanes([acc.dtype for acc in fold.accs])
        rows = prod(x.extent for x in loops if x is not columns[0])
        wide = columns[0].extent > FEW_PANELS * panel and columns[0].extent % panel
        far = row.extent * min(abs(step), PAGE) > BEYOND_L2 * machine.l2
        if wide and far and rows >= MIN_ROWS and matrix.buffer in given:
            return _Matrix(loops, body, fold, matrix, columns[0], panel)
    return None


def _stored_along(axis: str, body: Sequence[Stmt]) -> bool:
    """Whether results lie side by side along the axis, so that it becomes that of the vectors."""
    return all(s.index.affine.coefficient(axis) == 1 for s in body if isinstance(s, Store))


@dataclass(frozen=True, slots=True)
class _Part:
    """Columns from `first` on in panels of `width`. mark: of its names, to tell parts apart."""

    matrix: _Matrix
    first: int
    count: int
    width: int
    mark: str

    def copied(self, packed: str) -> Stmt:
        """Copies these columns of the matrix."""
        load, row = self.matrix.load, self.matrix.row
        inner = substituted(load, {self.matrix.column.axis: self._column})
        body: tuple[Stmt, ...] = (inner, Store(packed, self._place, load.name))
        *panels, inside = self._columns()
        loops = [*panels, replace(row, parallel=True), inside]
        return _wrapped(loops, _named(body, self.mark))

    def multiplied(self, packed: str) -> Stmt:
        """The product of these columns."""
        matrix = self.matrix
        there = {matrix.column.axis: self._column}
        read = replace(matrix.load, buffer=packed, index=self._place)
        inner = (read if s is matrix.load else substituted(s, there) for s in matrix.fold.body)
        fold = replace(matrix.fold, body=tuple(inner))
        body = [fold if s is matrix.fold else substituted(s, there) for s in matrix.body]
        at = matrix.loops.index(matrix.column)
        loops = [*matrix.loops[:at], *self._columns(), *matrix.loops[at + 1 :]]
        return _wrapped(loops, _named(body, self.mark))

    def _columns(self) -> list[Loop]:
        column = self.matrix.column
        inside = Loop(f"{column.axis}{self.mark}", self.width, True)
        return [*([Loop(f"{column.axis}p", self.count, True)] if self.count > 1 else []), inside]

    @property
    def _column(self) -> Affine:
        return affine(self._steps(self.width), self.first)

    @property
    def _place(self) -> Offset:
        """Where an element lies among the panels."""
        row = self.matrix.row
        steps = self._steps(self.width * row.extent) | {row.axis: self.width}
        return Offset(affine(steps, self.first * row.extent))

    def _steps(self, panel: int) -> dict[str, int]:
        *panels, inside = self._columns()
        return {x.axis: panel for x in panels} | {inside.axis: 1}


def _parts(matrix: _Matrix) -> list[_Part]:
    whole, width = matrix.whole, matrix.panel
    rest = matrix.column.extent - whole
    return [_Part(matrix, 0, whole // width, width, "w"), _Part(matrix, whole, 1, rest, "r")]


def _wrapped(loops: Sequence[Loop], body: tuple[Stmt, ...]) -> Stmt:
    for loop in reversed(loops):
        body = (For(loop, body),)
    return body[0]


def _named(body: Sequence[Stmt], mark: str) -> tuple[Stmt, ...]:
    """The statements with the mark behind each name."""

    def arg(value: Arg) -> Arg:
        return f"{value}{mark}" if isinstance(value, str) else value

    def acc(a: Acc) -> Acc:
        return replace(a, name=f"{a.name}{mark}", args=tuple(map(arg, a.args)))

    def offset(index: Offset) -> Offset:
        return Offset(index.affine, tuple((f"{v}{mark}", s) for v, s in index.dynamic))

    def named(stmt: Stmt) -> Stmt:
        match stmt:
            case Fold():
                return replace(
                    stmt, body=tuple(map(named, stmt.body)), accs=tuple(map(acc, stmt.accs))
                )
            case Load():
                return replace(stmt, name=f"{stmt.name}{mark}", index=offset(stmt.index))
            case Store():
                return replace(stmt, value=arg(stmt.value), index=offset(stmt.index))
            case Let():
                return replace(stmt, name=f"{stmt.name}{mark}", args=tuple(map(arg, stmt.args)))
            case _:
                raise AssertionError(f"{stmt}: no part of a product")

    return tuple(map(named, body))
