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
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from tracejit.codegen.llvm.access import Access
from tracejit.codegen.llvm.builder import Builder
from tracejit.codegen.llvm.control import Control
from tracejit.codegen.llvm.folds import Folds
from tracejit.codegen.llvm.points import Points
from tracejit.codegen.llvm.rows import Rows
from tracejit.codegen.llvm.values import Vec
from tracejit.codegen.machine import Machine
from tracejit.codegen.nest import (
    ANY,
    Call,
    Each,
    Flow,
    Fold,
    For,
    Kernel,
    Load,
    Loop,
    Stmt,
    Store,
    Tile,
    loops_of,
    parallel_loops,
)
from tracejit.ir.types import BOOL, I32, I64


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
        self.points = Points(self.b, self.access, halves=kernel.kind == "contraction")
        self.control = Control(self.b, self.access)
        self.folds = Folds(self.points, self.control, self._tile, self._block)
        self.rows = Rows(self.points, self.control)

    def function(self, symbol: str) -> str:
        pointers = [f"ptr %{b.name}" for b in self.kernel.buffers if b.role != "scratch"]
        body = self.kernel.body
        with self.access.scope():
            if any(loop.parallel for loop in loops_of(body)):
                self._outer(body)
            else:
                first = self.b.inst("icmp eq i64 %tid, 0", BOOL, 1)
                self.control.branch(first.ref, lambda: self._block(body))
        sized = any(loop.extent == ANY for loop in loops_of(body))
        parameters = [*pointers, "i64 %tid", "i64 %nt", *(["i64 %n"] if sized else [])]
        lines = self.access.flattened(self.b.lines)
        width = self.machine.vector_bytes * 8
        legal = max(width, self.b.passed_bits)
        attributes = f'nounwind "prefer-vector-width"="{width}" "min-legal-vector-width"="{legal}"'
        head = f"define void @{symbol}({', '.join(parameters)}) {attributes}"
        return "\n".join([f"{head} {{", "entry:", *lines, "  ret void", "}", ""])

    def _outer(self, body: Sequence[Stmt]) -> None:
        """What every thread runs: its share of each nest, in loops that all threads go through."""
        for stmt in body:
            if isinstance(stmt, For) and stmt.loop.parallel:
                self._nest(stmt)
            elif isinstance(stmt, For):
                self._around(stmt)
            else:
                self._statement(stmt)

    def _around(self, stmt: For) -> None:
        def inside(number: str, none: list[Vec]) -> list[Vec]:
            with self._tile(stmt.loop, Tile(stmt.loop.extent, 1), 0, number):
                self._outer(stmt.body)
            return none

        self.control.loop(stmt.loop.axis, "0", str(stmt.loop.extent), inside, [], True)

    def _nest(self, nest: For) -> None:
        """One nest of parallel loops; its tiles are dealt out among the threads."""
        loops, body = parallel_loops((nest,))
        if any(loop.extent == 0 for loop in loops):
            return
        if loops[0].extent == ANY:
            self._any_size(loops[0], body)
            return
        total = 1
        for loop in loops:
            total *= loop.steps()
        low, high = self.control.share(total)
        self.control.loop("p", low, high, lambda p, _: self._tiles(loops, p, body), [])

    def _any_size(self, loop: Loop, body: Sequence[Stmt]) -> None:
        """A loop over %n iterations: whole tiles, then by the thread that has the last tile what
        is left, vector by vector and each under a mask."""
        width = loop.tiles[0].width
        full = self.control.i64(f"udiv i64 %n, {width}")
        more = self.control.i64(f"add i64 %n, {width - 1}")
        low, high = self.control.share(self.control.i64(f"udiv i64 {more}, {width}"))
        whole = self.control.at_most(high, full)

        def tile(number: str, none: list[Vec]) -> list[Vec]:
            with self._tile(replace(loop, extent=width), Tile(1, width), 0, number):
                self._block(body)
            return none

        def vector(number: str, none: list[Vec]) -> list[Vec]:
            one = replace(loop, extent=loop.lanes)
            with self._tile(one, Tile(1, loop.lanes), 0, number), self._up_to_n(number, loop.lanes):
                self._block(body)
            return none

        def rest() -> None:
            first = self.control.i64(f"mul i64 {full}, {width // loop.lanes}")
            over = self.control.i64(f"add i64 %n, {loop.lanes - 1}")
            self.control.loop(
                "q", first, self.control.i64(f"udiv i64 {over}, {loop.lanes}"), vector, []
            )

        self.control.loop("p", low, whole, tile, [])
        self.control.branch(self.control.i64(f"icmp ugt i64 {high}, {full}"), rest)

    def _up_to_n(self, number: str, lanes: int) -> AbstractContextManager[None]:
        """Inside, the vector of that number is in use as far as the iterations go."""
        start = self.control.i64(f"mul i64 {number}, {lanes}")
        left = self.control.at_most(self.control.i64(f"sub i64 %n, {start}"), lanes)
        active = self.b.convert(Vec(left, I64, 1), I32)
        order = ", ".join(f"i32 {lane}" for lane in range(lanes))
        mask = self.b.icmp("ult", Vec(f"<{order}>", I32, lanes), self.b.splat(active, lanes))
        return self.access.masked(mask)

    def _tiles(self, loops: Sequence[Loop], p: str, body: Sequence[Stmt]) -> list[Vec]:
        """Splits the flat tile number p into one for each loop, then enters the tile."""
        numbers: dict[str, str] = {}
        rest = p
        for loop in reversed(loops[1:]):
            if loop.steps() > 1:
                numbers[loop.axis] = self.control.i64(f"urem i64 {rest}, {loop.steps()}")
                rest = self.control.i64(f"udiv i64 {rest}, {loop.steps()}")
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
        is_main = self.control.i64(f"icmp ult i64 {number}, {main.count}")

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

        self.control.branch(is_main, full, partial)

    @contextmanager
    def _tile(self, loop: Loop, run: Tile, start: int, number: str | None) -> Iterator[None]:
        """Inside: loop.axis stands at start + number * run.width, jammed over the tile's width."""
        base = number
        if base is not None:
            if run.width > 1:
                base = self.control.i64(f"mul i64 {base}, {run.width}")
            if start:
                base = self.control.i64(f"add i64 {base}, {start}")
            if start + run.count * run.width > loop.extent:
                base = self.rows.moved_back(loop, base, run.width)
        with self.access.scope():
            if base is None:
                self.access.fix(loop.axis, start)
            else:
                self.access.bind(loop.axis, base)
            known = set(self.points.held)
            self.points.jam(loop, run)
            yield
            self.points.unjam(loop)
            self.rows.leave(loop)
            for name in set(self.points.held) - known:
                del self.points.held[name]

    # Statements

    def _block(self, body: Sequence[Stmt], lazy: bool = False) -> None:
        for n, stmt in enumerate(body):
            if isinstance(stmt, Fold) and self.kernel.kind == "contraction":
                self._prefetch(body[n + 1 :])
            self._statement(stmt, lazy)

    def _prefetch(self, epilogue: Sequence[Stmt]) -> None:
        """Asks for what is read after a product, so that it arrives while that is computed.

        A tile of a wide matrix lies on a line of its own in each row: no hardware foresees that.
        """
        if len(epilogue) == 1 and isinstance(epilogue[0], Each):
            axis, body = epilogue[0].axis, epilogue[0].body
            self.rows.each(axis, (), lambda: self._prefetch(body))
            return
        stored = {s.buffer for s in epilogue if isinstance(s, Store)}
        for load in epilogue:
            if isinstance(load, Load) and not load.index.dynamic:
                axes = self.points.in_order(self.points.index_axes(load))
                for key in self.points.keys(axes):
                    point = dict(zip(axes, key, strict=True))
                    self.access.prefetch(load, point, self.points.vector, load.buffer in stored)

    def _statement(self, stmt: Stmt, lazy: bool = False) -> None:
        match stmt:
            case For():
                self._serial(stmt)
            case Fold():
                self.folds.emit(stmt)
            case Each(axis, body):
                self.rows.each(axis, body, lambda: self._block(body))
            case Store():
                self._store(stmt)
            case Call() | Flow():
                raise AssertionError(f"{stmt}: the program calls it, no kernel does")
            case _:
                self.points.define(stmt, lazy)

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
                self.control.loop(loop.axis, "0", str(run.count), inside, [], True)
            start += run.count * run.width

    def _store(self, stmt: Store) -> None:
        value = self.points.held[stmt.value].axes if isinstance(stmt.value, str) else ()
        axes = set(value) | set(self.points.index_axes(stmt))
        for key in self.points.keys(ordered := self.points.in_order(axes)):
            point = dict(zip(ordered, key, strict=True))
            lanes, active = self.points.lanes(point)
            vec = self.points.get(stmt.value, point, lanes)
            dynamic = [(self.points.get(v, point, 0), s) for v, s in stmt.index.dynamic]
            self.access.store(stmt, point, self.points.vector, active, vec, dynamic)
