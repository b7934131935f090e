"""Reductions: accumulators in registers, in as many chains as the fold's tile has points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from tracejit.codegen.llvm.control import Control
from tracejit.codegen.llvm.elementwise import identity
from tracejit.codegen.llvm.points import Held, Jam, Key, Point, Points
from tracejit.codegen.llvm.values import Vec
from tracejit.codegen.nest import (
    Acc,
    Fold,
    IndexValue,
    Let,
    Load,
    Loop,
    Stmt,
    Store,
    Tile,
    Within,
)
from tracejit.ir.affine import ZERO

Enter = Callable[[Loop, Tile, int, str | None], AbstractContextManager[None]]
Block = Callable[[Sequence[Stmt], bool], None]


@dataclass(slots=True)
class _Partial:
    """An accumulator in the making: the axes around the fold it varies along, and its points."""

    acc: Acc
    axes: tuple[str, ...]
    keys: list[Key] = field(default_factory=list)


class Folds:
    """Emits folds. enter: stands on a tile of a loop; block: emits statements there."""

    def __init__(self, points: Points, control: Control, enter: Enter, block: Block) -> None:
        self.b = points.b
        self.points = points
        self.access = points.access
        self.control = control
        self.enter = enter
        self.block = block

    def emit(self, fold: Fold) -> None:
        """Accumulators for every point around and in the fold; afterwards one value a point around.

        Inside, sums run in as many chains as the fold's own tile has points; they are added up at
        the end, always in the same order.
        """
        around = tuple(self.points.jams)
        inner = fold.loops[-1] if fold.loops else None
        widest = max((t.width for t in inner.runs()), default=1) if inner else 1
        chains = Jam(widest, inner.lanes) if inner else Jam(1, 1)
        partial = [_Partial(acc, self._around(fold, acc, around)) for acc in fold.accs]
        start: list[Vec] = []
        for p in partial:
            p.keys = [
                (*key, offset) for key in self.points.keys(p.axes) for offset in chains.offsets()
            ]
            zero = identity("add" if p.acc.op == "fma" else p.acc.op, p.acc.dtype)
            for key in p.keys:
                lanes, _ = self.points.lanes(dict(zip(p.axes, key[:-1], strict=True)))
                start.append(self.b.const(zero, p.acc.dtype, max(lanes, chains.lanes)))
        if any(loop.extent == 0 for loop in fold.loops):
            values = start
        else:
            values = self._fold_loops(fold, fold.loops, partial, start)
        self._finish(partial, values, chains)

    def _around(self, fold: Fold, acc: Acc, around: tuple[str, ...]) -> tuple[str, ...]:
        """The jammed axes around a fold that an accumulator varies along."""
        axes: dict[str, set[str]] = {}
        self._note_axes(fold.body, axes)
        found = set().union(*(self._axes_of(a, axes) for a in acc.args if isinstance(a, str)))
        # The vector axis goes last: its vectors are loaded once and stay, while each broadcast of
        # the other side is used up before the next one is loaded.
        return tuple(
            sorted((a for a in around if a in found), key=lambda a: a == self.points.vector)
        )

    def _note_axes(self, body: Sequence[Stmt], axes: dict[str, set[str]]) -> None:
        """The axes that values of a block vary along, by name."""
        for stmt in body:
            if isinstance(stmt, Let):
                names = [a for a in stmt.args if isinstance(a, str)]
                axes[stmt.name] = set().union(*(self._axes_of(n, axes) for n in names))
            elif isinstance(stmt, Load):
                axes[stmt.name] = set(stmt.index.affine.axes()).union(
                    *(self._axes_of(v, axes) for v, _ in stmt.index.dynamic)
                )
            elif isinstance(stmt, IndexValue):
                axes[stmt.name] = set(stmt.index.axes())
            elif isinstance(stmt, Fold):
                self._note_axes(stmt.body, axes)
                for acc in stmt.accs:
                    names = [a for a in acc.args if isinstance(a, str)]
                    axes[acc.name] = set().union(*(self._axes_of(n, axes) for n in names))

    def _axes_of(self, name: str, local: dict[str, set[str]]) -> set[str]:
        return local[name] if name in local else set(self.points.held[name].axes)

    def _fold_loops(
        self, fold: Fold, loops: Sequence[Loop], partial: list[_Partial], values: list[Vec]
    ) -> list[Vec]:
        if not loops:
            return self._fold_body(fold, None, partial, values)
        loop, rest = loops[0], loops[1:]
        start = 0
        for run in loop.runs():

            def inside(
                number: str | None, now: list[Vec], run: Tile = run, start: int = start
            ) -> list[Vec]:
                with self.enter(loop, run, start, number):
                    if rest:
                        return self._fold_loops(fold, rest, partial, now)
                    return self._fold_body(fold, loop, partial, now)

            if loop.within is not None:
                low, high = self._bounds(loop, loop.within)
                values = self.control.loop(loop.axis, low, high, inside, values)
            elif run.count == 1:
                values = inside(None, values)
            elif run.count:
                values = self.control.loop(loop.axis, "0", str(run.count), inside, values, True)
            start += run.count * run.width
        return values

    def _bounds(self, loop: Loop, within: Within) -> tuple[str, str]:
        """The first iteration inside, and the first one behind: -rest / step and so on, rounded up.

        The expression is `rest` plus step for each iteration; of whole numbers up to its extent.
        """
        assert not loop.tiles and self.points.jams.keys().isdisjoint(within.at.axes()), str(loop)
        step = within.at.coefficient(loop.axis)
        rest = self.access.value_of(within.at.substitute({loop.axis: ZERO}), {})
        found = []
        for end in (0, within.size):
            far = self.control.i64(f"sub i64 {end}, {rest.ref}")
            far = self.control.clamped(far, loop.extent * step)
            if step > 1:
                far = self.control.i64(f"add i64 {far}, {step - 1}")
                far = self.control.i64(f"udiv i64 {far}, {step}")
            found.append(far)
        return found[0], found[1]

    def _fold_body(
        self, fold: Fold, inner: Loop | None, partial: list[_Partial], values: list[Vec]
    ) -> list[Vec]:
        stores = any(isinstance(s, Store) for s in fold.body)
        self.block(fold.body, not stores)
        after = list(values)
        jam = self.points.jams.get(inner.axis) if inner is not None else None
        at = 0
        for p in partial:
            for n, key in enumerate(p.keys):
                offset = key[-1]
                if offset and (jam is None or offset >= jam.width):
                    continue
                point = dict(zip(p.axes, key[:-1], strict=True))
                if inner is not None and jam is not None:
                    point[inner.axis] = offset
                own = jam is not None and jam.lanes > 1
                after[at + n] = self._update(p.acc, values[at + n], point, own)
            at += len(p.keys)
        return after

    def _update(self, acc: Acc, value: Vec, point: Point, own: bool) -> Vec:
        """One step; `own`: the lanes are iterations of the fold, so a tail must leave some out."""
        args = [self.points.get(a, point, value.lanes) for a in acc.args]
        if acc.op == "fma":
            new = self._multiply_add(args[0], args[1], value)
        else:
            new = self.b.combine(acc.op, value, args[0])
        lanes, active = self.points.lanes(point)
        if active == lanes or not own:
            return new
        return self.b.select(self.access.mask(lanes, active), new, value)

    def _multiply_add(self, x: Vec, y: Vec, z: Vec) -> Vec:
        if x.dtype.kind == "f":
            return self.b.fma(x, y, z)
        return self.b.combine("add", self.b.combine("mul", x, y), z)

    def _finish(self, partial: list[_Partial], values: list[Vec], chains: Jam) -> None:
        at = 0
        for p in partial:
            op = "add" if p.acc.op == "fma" else p.acc.op
            held = self.points.held[p.acc.name] = Held(p.axes, None)
            width = len(chains.offsets())
            for key in self.points.keys(p.axes):
                parts = values[at : at + width]
                at += width
                while len(parts) > 1:
                    pairs = [
                        self.b.combine(op, *parts[i : i + 2]) for i in range(0, len(parts) - 1, 2)
                    ]
                    parts = pairs + parts[len(parts) & ~1 :]
                whole = parts[0]
                held.at[key] = self.b.horizontal(op, whole) if chains.lanes > 1 else whole
