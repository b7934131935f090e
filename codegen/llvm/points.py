"""Values at points: what a named value of the loop IR is, in registers, for each place in a tile.

A *point* is a combination of offsets within the tiles being executed at once. A value is emitted
once for each point of the axes that it varies along, as a vector along at most one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

from tracejit.codegen.llvm.access import Access
from tracejit.codegen.llvm.builder import Builder
from tracejit.codegen.llvm.elementwise import emit as emit_elementwise
from tracejit.codegen.llvm.philox import philox
from tracejit.codegen.llvm.values import Vec
from tracejit.codegen.nest import Arg, Const, IndexValue, Let, Load, Loop, Store, Tile
from tracejit.ir.types import DType

Key = tuple[int, ...]
Point = dict[str, int]


@dataclass(slots=True)
class Held:
    """A named value: the jammed axes it varies along, and what is emitted of it so far."""

    axes: tuple[str, ...]
    stmt: Let | Load | IndexValue | None
    at: dict[Key, Vec] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Jam:
    """A tile being executed at once: `width` iterations, `lanes` of them in one vector.

    halves: a last vector that is half empty is half as wide, and needs no mask if it is then full.
    """

    width: int
    lanes: int
    halves: bool = False

    def offsets(self) -> range:
        return range(0, self.width, self.lanes)

    def active(self, offset: int) -> int:
        """How many lanes of the vector at `offset` are iterations of the loop."""
        return min(self.lanes, self.width - offset)

    def lanes_at(self, offset: int) -> int:
        """How many lanes the vector at `offset` has."""
        half = self.halves and 2 * self.active(offset) <= self.lanes
        return self.lanes // 2 if half else self.lanes


class Points:
    """The tiles being executed, and the values known at their points."""

    def __init__(self, b: Builder, access: Access, halves: bool = False) -> None:
        self.b = b
        self.access = access
        self.halves = halves
        self.jams: dict[str, Jam] = {}
        self.vector: str | None = None
        self.held: dict[str, Held] = {}

    def jam(self, loop: Loop, run: Tile) -> None:
        if run.width > 1 or loop.lanes > 1:
            # Sums along a fold's own vectors go on from its full tiles to its tail: of one width.
            self.jams[loop.axis] = Jam(run.width, loop.lanes, self.halves and loop.parallel)
            if loop.lanes > 1:
                assert self.vector is None, "one vector axis at a time"
                self.vector = loop.axis

    def unjam(self, loop: Loop) -> None:
        self.jams.pop(loop.axis, None)
        if self.vector == loop.axis:
            self.vector = None

    def define(self, stmt: Let | Load | IndexValue, lazy: bool) -> None:
        """Makes a value known; unless `lazy`, it is emitted now, at all its points."""
        held = self.held[stmt.name] = Held(self.varies(stmt), stmt)
        if not lazy:
            for key in self.keys(held.axes):
                self.force(held, key)

    def varies(self, stmt: Let | Load | IndexValue) -> tuple[str, ...]:
        """The jammed axes that a statement's value depends on."""
        if isinstance(stmt, Let):
            axes = {a for arg in stmt.args if isinstance(arg, str) for a in self.held[arg].axes}
        else:
            axes = set(self.index_axes(stmt))
        return self.in_order(axes)

    def index_axes(self, stmt: Load | Store | IndexValue) -> set[str]:
        if isinstance(stmt, IndexValue):
            return set(stmt.index.axes()) & set(self.jams)
        axes = set(stmt.index.affine.axes()) & set(self.jams)
        for value, _ in stmt.index.dynamic:
            axes |= set(self.held[value].axes)
        return axes

    def in_order(self, axes: set[str]) -> tuple[str, ...]:
        return tuple(a for a in self.jams if a in axes)

    def keys(self, axes: Sequence[str]) -> Iterator[Key]:
        return product(*(self.jams[a].offsets() for a in axes))

    def lanes(self, point: Point) -> tuple[int, int]:
        """Lanes of a value at `point`, and how many of them are iterations of the loop."""
        if self.vector is None or self.vector not in point:
            return 1, 1
        jam = self.jams[self.vector]
        offset = point[self.vector]
        return jam.lanes_at(offset), jam.active(offset)

    def force(self, held: Held, key: Key) -> Vec:
        """The value at one point, emitted now unless it was before."""
        if key not in held.at:
            stmt = held.stmt
            assert stmt is not None
            point = dict(zip(held.axes, key, strict=True))
            lanes, active = self.lanes(point)
            match stmt:
                case Load() if across := self._across(stmt, point):
                    self._load_block(held, stmt, point, across)
                case Load():
                    dynamic = [(self.get(v, point, 0), s) for v, s in stmt.index.dynamic]
                    held.at[key] = self.access.load(
                        stmt, point, self.vector, lanes, active, dynamic
                    )
                case IndexValue():
                    held.at[key] = self.access.index_value(stmt, point, self.vector, lanes)
                case Let():
                    args = [self.get(a, point, lanes) for a in stmt.args]
                    held.at[key] = self._compute(stmt.op, stmt.dtype, args)
        return held.at[key]

    def _across(self, stmt: Load, point: Point) -> str | None:
        """The jammed axis along which memory is contiguous, where vectors go along another.

        Only if a square block of vectors lies inside the tile at `point`.
        """
        vector = self.vector
        if vector is None or vector not in point or stmt.index.dynamic:
            return None
        if stmt.index.affine.coefficient(vector) in (-1, 0, 1):
            return None
        lanes, _ = self.lanes(point)
        for axis, jam in self.jams.items():
            whole = point.get(axis, 0) // lanes * lanes + lanes <= jam.width
            if jam.lanes == 1 and whole and stmt.index.affine.coefficient(axis) == 1:
                return axis
        return None

    def _load_block(self, held: Held, stmt: Load, point: Point, across: str) -> None:
        """Loads a block of lanes x lanes as it lies and transposes it in registers."""
        assert self.vector is not None
        lanes, active = self.lanes(point)
        corner = {**point, across: point[across] // lanes * lanes}
        rows = self.access.load_rows(stmt, corner, self.vector, lanes, active)
        for n, column in enumerate(self.b.transposed(rows)):
            there = {**corner, across: corner[across] + n}
            held.at[tuple(there[a] for a in held.axes)] = self.access.loaded(column, stmt.dtype)

    def _compute(self, op: str, dtype: DType, args: list[Vec]) -> Vec:
        if op == "random_word":
            words = philox(self.b, *args[:4])
            chosen = words[3]
            for n in (2, 1, 0):
                is_n = self.b.icmp("eq", args[4], self.b.like(args[4], n))
                chosen = self.b.select(is_n, words[n], chosen)
            return chosen
        return emit_elementwise(self.b, op, dtype, args)

    def get(self, arg: Arg, point: Point, lanes: int) -> Vec:
        """An operand at `point`, in every lane where `lanes` asks for more (0: as it is)."""
        if isinstance(arg, Const):
            return self.b.const(arg.value, arg.dtype, max(lanes, 1))
        held = self.held[arg]
        vec = self.force(held, tuple(point[a] for a in held.axes))
        return self.access.splat(vec, lanes) if lanes > vec.lanes else vec
