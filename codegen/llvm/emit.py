"""The LLVM emitter: a scheduled loop nest becomes one function of explicit vector IR.

Tiled loops are unrolled and jammed: a statement is emitted once for each *point*, a combination of
offsets within the tiles of the loops around it, and only for the axes that it varies along. So a
matrix product whose loops over i and j are tiled keeps one accumulator per point in a register,
loads each element of either side once for all points that share it, and nothing here knows what a
matrix is. No LLVM pass runs afterwards that would move code: what is invariant is placed where it
belongs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product

from tracejit.codegen.llvm.access import Access
from tracejit.codegen.llvm.builder import Builder
from tracejit.codegen.llvm.elementwise import emit as emit_elementwise
from tracejit.codegen.llvm.elementwise import identity
from tracejit.codegen.llvm.philox import philox
from tracejit.codegen.llvm.values import Vec
from tracejit.codegen.machine import Machine
from tracejit.codegen.nest import (
    Acc,
    Arg,
    Const,
    Fold,
    For,
    IndexValue,
    Kernel,
    Let,
    Load,
    Loop,
    Stmt,
    Store,
    Tile,
)
from tracejit.ir.types import BOOL, DType

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
    """A tile being executed at once: `width` iterations, `lanes` of them in one vector."""

    width: int
    lanes: int

    def offsets(self) -> range:
        return range(0, self.width, self.lanes)

    def active(self, offset: int) -> int:
        """How many lanes of the vector at `offset` are iterations of the loop."""
        return min(self.lanes, self.width - offset)


def emit_kernel(kernel: Kernel, machine: Machine, symbol: str) -> tuple[str, dict[str, str]]:
    """The function `void symbol(ptr buffers..., i64 tid, i64 nthreads)` and what it declares."""
    emitter = _Emitter(kernel, machine)
    return emitter.function(symbol), emitter.b.declares


class _Emitter:
    def __init__(self, kernel: Kernel, machine: Machine) -> None:
        self.kernel = kernel
        self.machine = machine
        self.b = Builder(has_fma=machine.fma)
        self.access = Access(self.b, kernel)
        self.jams: dict[str, Jam] = {}
        self.vector: str | None = None
        self.held: dict[str, Held] = {}

    # The function

    def function(self, symbol: str) -> str:
        pointers = [f"ptr %{b.name}" for b in self.kernel.buffers if b.role != "scratch"]
        body = self.kernel.body
        with self.access.scope():
            if any(isinstance(s, For) and s.loop.parallel for s in body):
                for stmt in body:
                    if isinstance(stmt, For):
                        self._nest(stmt)
                    else:
                        self._statement(stmt)
            else:
                first = self.b.inst("icmp eq i64 %tid, 0", BOOL, 1)
                self._branch(first.ref, lambda: self._block(body))
        lines = self.access.flattened(self.b.lines)
        width = self.machine.vector_bytes * 8
        attributes = f'nounwind "prefer-vector-width"="{width}" "min-legal-vector-width"="{width}"'
        head = (
            f"define void @{symbol}({', '.join([*pointers, 'i64 %tid', 'i64 %nt'])}) {attributes}"
        )
        return "\n".join([f"{head} {{", "entry:", *lines, "  ret void", "}", ""])

    def _nest(self, nest: For) -> None:
        """One nest of parallel loops; its tiles are dealt out among the threads."""
        loops: list[Loop] = []
        body: tuple[Stmt, ...] = (nest,)
        while len(body) == 1 and isinstance(body[0], For) and body[0].loop.parallel:
            loops.append(body[0].loop)
            body = body[0].body
        if any(loop.extent == 0 for loop in loops):
            return
        total = 1
        for loop in loops:
            total *= loop.steps()
        low, high = self._share(total)
        self._loop("p", low, high, lambda p, _: self._tiles(loops, p, body), [])

    def _share(self, total: int) -> tuple[str, str]:
        """The range of tiles that thread tid of nt takes."""
        low = self._i64(f"mul i64 %tid, {total}")
        high = self._i64(f"add i64 {low}, {total}")
        return self._i64(f"udiv i64 {low}, %nt"), self._i64(f"udiv i64 {high}, %nt")

    def _i64(self, text: str) -> str:
        name = self.b.fresh("n")
        self.b.lines.append(f"  {name} = {text}")
        return name

    def _tiles(self, loops: Sequence[Loop], p: str, body: Sequence[Stmt]) -> list[Vec]:
        """Splits the flat tile number p into one for each loop, then enters the tile."""
        numbers: dict[str, str] = {}
        rest = p
        for loop in reversed(loops[1:]):
            if loop.steps() > 1:
                numbers[loop.axis] = self._i64(f"urem i64 {rest}, {loop.steps()}")
                rest = self._i64(f"udiv i64 {rest}, {loop.steps()}")
        if loops[0].steps() > 1:
            numbers[loops[0].axis] = rest
        self._enter(loops, numbers, lambda: self._block(body))
        return []

    def _enter(
        self, loops: Sequence[Loop], numbers: dict[str, str], inside: Callable[[], None]
    ) -> None:
        """Runs `inside` with the axes of `loops` at their tiles, choosing among kinds of tiles."""
        if not loops:
            inside()
            return
        loop, rest = loops[0], loops[1:]
        runs = loop.runs()
        number = numbers.get(loop.axis)
        if len(runs) == 1:
            with self._tile(loop, runs[0], 0, number):
                self._enter(rest, numbers, inside)
            return
        main, tail = runs
        assert number is not None
        is_main = self._i64(f"icmp ult i64 {number}, {main.count}")

        def full() -> None:
            with self._tile(loop, main, 0, number):
                self._enter(rest, numbers, inside)

        def partial() -> None:
            start = main.count * (main.width - tail.width)
            one = tail.count == 1
            known = None if one else number
            at = main.count * main.width if one else start
            with self._tile(loop, tail, at, known):
                self._enter(rest, numbers, inside)

        self._branch(is_main, full, partial)

    @contextmanager
    def _tile(self, loop: Loop, run: Tile, start: int, number: str | None) -> Iterator[None]:
        """Inside: loop.axis stands at start + number * run.width, jammed over the tile's width."""
        base = number
        if base is not None:
            if run.width > 1:
                base = self._i64(f"mul i64 {base}, {run.width}")
            if start:
                base = self._i64(f"add i64 {base}, {start}")
        with self.access.scope():
            if base is None:
                self.access.fix(loop.axis, start)
            else:
                self.access.bind(loop.axis, base)
            known = set(self.held)
            self._jam(loop, run)
            yield
            self._unjam(loop)
            for name in set(self.held) - known:
                del self.held[name]

    def _jam(self, loop: Loop, run: Tile) -> None:
        if run.width > 1 or loop.lanes > 1:
            self.jams[loop.axis] = Jam(run.width, loop.lanes)
            if loop.lanes > 1:
                assert self.vector is None, "one vector axis at a time"
                self.vector = loop.axis

    def _unjam(self, loop: Loop) -> None:
        self.jams.pop(loop.axis, None)
        if self.vector == loop.axis:
            self.vector = None

    # Control flow

    def _branch(
        self, condition: str, then: Callable[[], None], other: Callable[[], None] | None = None
    ) -> None:
        yes, no, done = (self.b.fresh(h)[1:] for h in ("then", "else", "done"))
        lines = self.b.lines
        lines.append(f"  br i1 {condition}, label %{yes}, label %{no if other else done}")
        lines.append(f"{yes}:")
        with self.access.scope():
            then()
        lines.append(f"  br label %{done}")
        if other is not None:
            lines.append(f"{no}:")
            with self.access.scope():
                other()
            lines.append(f"  br label %{done}")
        lines.append(f"{done}:")

    def _loop(
        self,
        hint: str,
        low: str,
        high: str,
        inside: Callable[[str, list[Vec]], list[Vec]],
        carried: list[Vec],
        at_least_once: bool = False,
    ) -> list[Vec]:
        """A counted loop; `inside(counter, values)` gives the values of the next iteration."""
        lines = self.b.lines
        before, head, latch, done = (self.b.fresh(h)[1:] for h in ("pre", "head", "latch", "done"))
        counter, following = self.b.fresh(hint), self.b.fresh(hint)
        lines += [f"  br label %{before}", f"{before}:"]
        if at_least_once:
            lines.append(f"  br label %{head}")
        else:
            some = self._i64(f"icmp ult i64 {low}, {high}")
            lines.append(f"  br i1 {some}, label %{head}, label %{done}")
        lines.append(f"{head}:")
        lines.append(f"  {counter} = phi i64 [ {low}, %{before} ], [ {following}, %{latch} ]")
        phis = [Vec(self.b.fresh("c"), v.dtype, v.lanes) for v in carried]
        where = len(lines)
        with self.access.scope():
            after = inside(counter, phis)
        lines[where:where] = [
            f"  {phi.ref} = phi {phi.type} [ {first.ref}, %{before} ], [ {last.ref}, %{latch} ]"
            for phi, first, last in zip(phis, carried, after, strict=True)
        ]
        more = self.b.fresh("n")
        lines += [
            f"  br label %{latch}",
            f"{latch}:",
            f"  {following} = add nuw nsw i64 {counter}, 1",
            f"  {more} = icmp ult i64 {following}, {high}",
            f"  br i1 {more}, label %{head}, label %{done}",
            f"{done}:",
        ]
        assert at_least_once or not carried, "a loop that carries values runs at least once"
        return after

    # Statements

    def _block(self, body: Sequence[Stmt], lazy: bool = False) -> None:
        for stmt in body:
            self._statement(stmt, lazy)

    def _statement(self, stmt: Stmt, lazy: bool = False) -> None:
        match stmt:
            case For():
                self._serial(stmt)
            case Fold():
                self._fold(stmt)
            case Store():
                self._store(stmt)
            case _:
                held = self.held[stmt.name] = Held(self._varies(stmt), stmt)
                if not lazy:
                    for key in self._keys(held.axes):
                        self._force(held, key)

    def _serial(self, stmt: For) -> None:
        """An inner loop: full tiles, then what is left."""
        loop = stmt.loop
        start = 0
        for run in loop.runs():

            def inside(
                number: str | None, none: list[Vec], run: Tile = run, start: int = start
            ) -> list[Vec]:
                with self._tile(loop, run, start, number):
                    self._block(stmt.body)
                return none

            if run.count == 1:
                inside(None, [])
            elif run.count:
                self._loop(loop.axis, "0", str(run.count), inside, [], True)
            start += run.count * run.width

    def _store(self, stmt: Store) -> None:
        value = self.held[stmt.value].axes if isinstance(stmt.value, str) else ()
        axes = set(value) | set(self._index_axes(stmt))
        for key in self._keys(ordered := self._in_order(axes)):
            point = dict(zip(ordered, key, strict=True))
            lanes, active = self._lanes(point)
            vec = self._get(stmt.value, point, lanes)
            dynamic = [(self._get(v, point, 0), s) for v, s in stmt.index.dynamic]
            self.access.store(stmt, point, self.vector, active, vec, dynamic)

    # Values

    def _varies(self, stmt: Let | Load | IndexValue) -> tuple[str, ...]:
        """The jammed axes that a statement's value depends on."""
        if isinstance(stmt, Let):
            axes = {a for arg in stmt.args if isinstance(arg, str) for a in self.held[arg].axes}
        else:
            axes = set(self._index_axes(stmt))
        return self._in_order(axes)

    def _index_axes(self, stmt: Load | Store | IndexValue) -> set[str]:
        if isinstance(stmt, IndexValue):
            return set(stmt.index.axes()) & set(self.jams)
        axes = set(stmt.index.affine.axes()) & set(self.jams)
        for value, _ in stmt.index.dynamic:
            axes |= set(self.held[value].axes)
        return axes

    def _in_order(self, axes: set[str]) -> tuple[str, ...]:
        return tuple(a for a in self.jams if a in axes)

    def _keys(self, axes: Sequence[str]) -> Iterator[Key]:
        return product(*(self.jams[a].offsets() for a in axes))

    def _lanes(self, point: Point) -> tuple[int, int]:
        """Lanes of a value at `point`, and how many of them are iterations of the loop."""
        if self.vector is None or self.vector not in point:
            return 1, 1
        jam = self.jams[self.vector]
        return jam.lanes, jam.active(point[self.vector])

    def _force(self, held: Held, key: Key) -> Vec:
        """The value at one point, emitted now unless it was before."""
        if key not in held.at:
            stmt = held.stmt
            assert stmt is not None
            point = dict(zip(held.axes, key, strict=True))
            lanes, active = self._lanes(point)
            match stmt:
                case Load():
                    dynamic = [(self._get(v, point, 0), s) for v, s in stmt.index.dynamic]
                    held.at[key] = self.access.load(
                        stmt, point, self.vector, lanes, active, dynamic
                    )
                case IndexValue():
                    held.at[key] = self.access.index_value(stmt, point, self.vector, lanes)
                case Let():
                    args = [self._get(a, point, lanes) for a in stmt.args]
                    held.at[key] = self._compute(stmt.op, stmt.dtype, args)
        return held.at[key]

    def _compute(self, op: str, dtype: DType, args: list[Vec]) -> Vec:
        if op == "random_word":
            words = philox(self.b, *args[:4])
            chosen = words[3]
            for n in (2, 1, 0):
                is_n = self.b.icmp("eq", args[4], self.b.like(args[4], n))
                chosen = self.b.select(is_n, words[n], chosen)
            return chosen
        return emit_elementwise(self.b, op, dtype, args)

    def _get(self, arg: Arg, point: Point, lanes: int) -> Vec:
        """An operand at `point`, in every lane where `lanes` asks for more (0: as it is)."""
        if isinstance(arg, Const):
            return self.b.const(arg.value, arg.dtype, max(lanes, 1))
        held = self.held[arg]
        vec = self._force(held, tuple(point[a] for a in held.axes))
        return self.access.splat(vec, lanes) if lanes > vec.lanes else vec

    # Reductions

    def _fold(self, fold: Fold) -> None:
        """Accumulators for every point around and in the fold; afterwards one value a point around.

        Inside, sums run in as many chains as the fold's own tile has points; they are added up at
        the end, always in the same order.
        """
        around = tuple(self.jams)
        inner = fold.loops[-1] if fold.loops else None
        widest = max((t.width for t in inner.runs()), default=1) if inner else 1
        chains = Jam(widest, inner.lanes) if inner else Jam(1, 1)
        partial = [_Partial(acc, self._around(fold, acc, around)) for acc in fold.accs]
        start: list[Vec] = []
        for p in partial:
            vectored = chains.lanes > 1 or (self.vector is not None and self.vector in p.axes)
            lanes = self.jams[self.vector].lanes if self.vector is not None else chains.lanes
            p.keys = [(*key, offset) for key in self._keys(p.axes) for offset in chains.offsets()]
            zero = self.b.const(
                identity("add" if p.acc.op == "fma" else p.acc.op, p.acc.dtype),
                p.acc.dtype,
                lanes if vectored else 1,
            )
            start += [zero] * len(p.keys)
        if any(loop.extent == 0 for loop in fold.loops):
            values = start
        else:
            values = self._fold_loops(fold, fold.loops, partial, start)
        self._finish(partial, values, chains)

    def _around(self, fold: Fold, acc: Acc, around: tuple[str, ...]) -> tuple[str, ...]:
        """The jammed axes around a fold that an accumulator varies along."""
        axes: dict[str, set[str]] = {}
        for stmt in fold.body:
            if isinstance(stmt, Let):
                names = [a for a in stmt.args if isinstance(a, str)]
                axes[stmt.name] = set().union(*(self._axes_of(n, axes) for n in names))
            elif isinstance(stmt, Load):
                axes[stmt.name] = set(stmt.index.affine.axes()).union(
                    *(self._axes_of(v, axes) for v, _ in stmt.index.dynamic)
                )
            elif isinstance(stmt, IndexValue):
                axes[stmt.name] = set(stmt.index.axes())
        found = set().union(*(self._axes_of(a, axes) for a in acc.args if isinstance(a, str)))
        # The vector axis goes last: its vectors are loaded once and stay, while each broadcast of
        # the other side is used up before the next one is loaded.
        return tuple(sorted((a for a in around if a in found), key=lambda a: a == self.vector))

    def _axes_of(self, name: str, local: dict[str, set[str]]) -> set[str]:
        return local[name] if name in local else set(self.held[name].axes)

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
                with self._tile(loop, run, start, number):
                    if rest:
                        return self._fold_loops(fold, rest, partial, now)
                    return self._fold_body(fold, loop, partial, now)

            if run.count == 1:
                values = inside(None, values)
            elif run.count:
                values = self._loop(loop.axis, "0", str(run.count), inside, values, True)
            start += run.count * run.width
        return values

    def _fold_body(
        self, fold: Fold, inner: Loop | None, partial: list[_Partial], values: list[Vec]
    ) -> list[Vec]:
        stores = any(isinstance(s, Store) for s in fold.body)
        self._block(fold.body, lazy=not stores)
        after = list(values)
        jam = self.jams.get(inner.axis) if inner is not None else None
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
        args = [self._get(a, point, value.lanes) for a in acc.args]
        if acc.op == "fma":
            new = self._multiply_add(args[0], args[1], value)
        else:
            new = self.b.combine(acc.op, value, args[0])
        lanes, active = self._lanes(point)
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
            held = self.held[p.acc.name] = Held(p.axes, None)
            width = len(chains.offsets())
            for key in self._keys(p.axes):
                parts = values[at : at + width]
                at += width
                while len(parts) > 1:
                    pairs = [
                        self.b.combine(op, *parts[i : i + 2]) for i in range(0, len(parts) - 1, 2)
                    ]
                    parts = pairs + parts[len(parts) & ~1 :]
                whole = parts[0]
                held.at[key] = self.b.horizontal(op, whole) if chains.lanes > 1 else whole


@dataclass(slots=True)
class _Partial:
    """An accumulator in the making: the axes around the fold it varies along, and its points."""

    acc: Acc
    axes: tuple[str, ...]
    keys: list[Key] = field(default_factory=list)
