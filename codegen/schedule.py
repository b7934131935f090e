"""Scheduling: tiles, vector lanes and loop order, chosen from the machine model.

The result computes the same values from the same loads; only sums are taken in several chains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tracejit.codegen.coalesce import coalesce
from tracejit.codegen.epilogue import with_epilogue
from tracejit.codegen.hoist import hoist
from tracejit.codegen.machine import Machine
from tracejit.codegen.nest import (
    Fold,
    For,
    Kernel,
    Let,
    Load,
    Loop,
    Stmt,
    Store,
    loops_of,
    parallel_loops,
    walk,
)
from tracejit.codegen.schedule_contraction import tile_contraction
from tracejit.codegen.tiles import chain_folds, cut
from tracejit.ir.types import DType

# Values of a loop body that are in flight together must fit the registers: a body of up to this
# many statements is unrolled this often. Longer bodies hide their latency by themselves.
UNROLL = ((6, 4), (20, 2))
# A map with more statements than this, as often as a vector has lanes, would be too long.
MAX_TURNED = 8
# Lanes of such a map: wider blocks need more shuffles for each element, and take LLVM four times
# as long.
TURNED_LANES = 8


def schedule(kernel: Kernel, machine: Machine, in_place: bool = True) -> Kernel:
    """The kernel as it is to be emitted for `machine`.

    in_place: it may store where it reads, so nothing may be computed twice.
    """
    if kernel.kind in ("host", "control"):
        return kernel
    if any(loop.tiles for loop in loops_of(kernel.body)):
        return hoist(kernel)  # its tiles are a part of what it computes
    blocked = any(isinstance(s, For) and not s.loop.parallel for s in kernel.body)
    if kernel.kind == "contraction" and blocked:
        return _blocked(hoist(kernel), machine)
    kernel = hoist(coalesce(kernel))
    whole = _Whole.of(kernel, machine)
    body = tuple(_nest(s, whole, in_place) if isinstance(s, For) else s for s in kernel.body)
    if not any(isinstance(s, For) and s.loop.parallel for s in kernel.body):
        body = _inside([], body, whole)[1]
    return replace(kernel, body=body)


@dataclass(frozen=True, slots=True)
class _Whole:
    """What the nests of a kernel share. keeps_rows: whether it has scratch buffers."""

    kind: str
    dtypes: frozenset[DType]
    keeps_rows: bool
    machine: Machine

    @classmethod
    def of(cls, kernel: Kernel, machine: Machine) -> _Whole:
        dtypes = frozenset(b.dtype for b in kernel.buffers)
        keeps_rows = any(b.role == "scratch" for b in kernel.buffers)
        return cls(kernel.kind, dtypes, keeps_rows, machine)


def _blocked(kernel: Kernel, machine: Machine) -> Kernel:
    """A sum in blocks: all its nests get the tiles of the one that multiplies."""
    loops: list[Loop] = []
    for stmt in walk(kernel.body):
        if isinstance(stmt, For) and stmt.loop.parallel:
            around, body = parallel_loops((stmt,))
            if any(isinstance(s, Fold) for s in body):
                loops, _ = tile_contraction(around, tuple(body), machine, True)
                break

    def tiled(stmt: Stmt) -> Stmt:
        if not isinstance(stmt, For):
            return stmt
        if not stmt.loop.parallel:
            return replace(stmt, body=tuple(map(tiled, stmt.body)))
        body = tuple(parallel_loops((stmt,))[1])
        around, body = with_epilogue(loops, body, True)
        for loop in reversed(around):
            body = (For(loop, body),)
        return body[0]

    return replace(kernel, body=tuple(map(tiled, kernel.body)))


def _nest(nest: For, whole: _Whole, in_place: bool) -> Stmt:
    loops, body = parallel_loops((nest,))
    if whole.kind == "contraction":
        loops, body = tile_contraction(loops, body, whole.machine, in_place)
        loops, body = with_epilogue(loops, body, in_place)
    else:
        loops, body = _inside(loops, body, whole)
    for loop in reversed(loops):
        body = (For(loop, body),)
    return body[0]


# Map, row, assemble and scatter kernels


def _inside(
    loops: list[Loop], body: tuple[Stmt, ...], whole: _Whole
) -> tuple[list[Loop], tuple[Stmt, ...]]:
    """Chooses the one axis that becomes vectors, among the parallel ones and those of the row."""
    lanes = whole.machine.lanes(whole.dtypes | _let_dtypes(body))
    rows = _row_axes(body) if whole.kind == "row" else {}
    candidates = {loop.axis: loop.extent for loop in loops} | rows
    if whole.keeps_rows and rows:
        candidates = rows
    if not candidates or lanes == 1:
        return loops, body
    best = max(reversed(candidates), key=lambda a: _score(a, candidates[a], lanes, body))
    if best in rows:
        return loops, _tile_rows(body, best, lanes)
    vector = next(loop for loop in loops if loop.axis == best)
    points = _points(body, vector.extent, lanes)
    loops = [loop for loop in loops if loop is not vector]
    across = _turned_axis(loops, body, best)
    if across is not None:
        points, lanes = 1, min(lanes, TURNED_LANES)
        tiles = cut(across.extent, lanes)
        loops = [replace(loop, tiles=tiles) if loop is across else loop for loop in loops]
    tiled = replace(vector, tiles=cut(vector.extent, points * lanes), lanes=lanes)
    return [*loops, tiled], chain_folds(body, points)


def _turned_axis(loops: Sequence[Loop], body: Sequence[Stmt], vector: str) -> Loop | None:
    """The axis along which a short map reads memory that its vectors go across.

    A tile of as many of its iterations as there are lanes is a square block: it is loaded as it
    lies and transposed in registers.
    """
    if len(body) > MAX_TURNED or any(isinstance(s, For | Fold) for s in body):
        return None
    for stmt in body:
        if not isinstance(stmt, Load) or stmt.index.dynamic:
            continue
        if stmt.index.affine.coefficient(vector) not in (-1, 0, 1):
            for loop in loops:
                if stmt.index.affine.coefficient(loop.axis) == 1:
                    return loop
    return None


def _let_dtypes(body: Sequence[Stmt]) -> set[DType]:
    return {s.dtype for s in walk(body) if isinstance(s, Let)}


def _row_axes(body: Sequence[Stmt]) -> dict[str, int]:
    """The innermost axis of the passes over a row; the passes of one group all share it."""
    found: dict[str, int] = {}
    for stmt in body:
        if isinstance(stmt, Fold) and stmt.loops:
            found[stmt.loops[-1].axis] = stmt.loops[-1].extent
        while isinstance(stmt, For):
            if not any(isinstance(s, For | Fold) for s in stmt.body):
                found[stmt.loop.axis] = stmt.loop.extent
            stmt = stmt.body[0]
    return found


def _score(axis: str, extent: int, lanes: int, body: Sequence[Stmt]) -> float:
    """How well the accesses inside the loop over `axis` suit vectors along it, per iteration."""
    total, count = 0.0, 0
    moving: set[str] = set()
    for stmt in walk(body):
        if isinstance(stmt, Let) and any(a in moving for a in stmt.args if isinstance(a, str)):
            moving.add(stmt.name)
        if not isinstance(stmt, Load | Store):
            continue
        step = stmt.index.affine.coefficient(axis)
        scattered = any(v in moving for v, _ in stmt.index.dynamic)
        if isinstance(stmt, Load) and (step or scattered):
            moving.add(stmt.name)
        if isinstance(stmt, Store) and not step and not scattered:
            continue
        count += 1
        if scattered:
            total -= 4.0
        else:
            total += {1: 4.0, -1: 3.0, 0: 2.0}.get(step, -4.0)
    vectors = -(-max(extent, 1) // lanes)
    filled = extent / (vectors * lanes)
    mean = total / max(count, 1)
    return mean * filled if mean > 0 else mean


def _points(body: Sequence[Stmt], extent: int, lanes: int) -> int:
    """How many vectors of a tile to work on at once."""
    most = unrolled(body)
    if any(isinstance(s, Fold) for s in body):
        most = max(most, 2)
    return max(min(most, -(-extent // lanes)), 1)


def unrolled(body: Sequence[Stmt]) -> int:
    """How many vectors of a loop without end to work on at once."""
    size = sum(not isinstance(s, For | Fold) for s in walk(body))
    return next((points for limit, points in UNROLL if size <= limit), 1)


def _tile_rows(body: Sequence[Stmt], axis: str, lanes: int) -> tuple[Stmt, ...]:
    """Vectors along the row in every pass over it."""
    done: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, Fold) and stmt.loops and stmt.loops[-1].axis == axis:
            last = stmt.loops[-1]
            points = max(_points(stmt.body, last.extent, lanes), 1)
            tiled = replace(last, tiles=cut(last.extent, points * lanes), lanes=lanes)
            done.append(replace(stmt, loops=(*stmt.loops[:-1], tiled)))
        elif isinstance(stmt, For) and stmt.loop.axis == axis:
            points = _points(stmt.body, stmt.loop.extent, lanes)
            tiles = cut(stmt.loop.extent, points * lanes)
            done.append(For(replace(stmt.loop, tiles=tiles, lanes=lanes), stmt.body))
        elif isinstance(stmt, For):
            done.append(replace(stmt, body=_tile_rows(stmt.body, axis, lanes)))
        else:
            done.append(stmt)
    return tuple(done)
