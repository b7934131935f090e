"""Scheduling: tiles, vector lanes and loop order, chosen from the machine model.

The result computes the same values from the same loads; only sums are taken in several chains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from tracejit.codegen.coalesce import coalesce
from tracejit.codegen.hoist import hoist
from tracejit.codegen.machine import Machine
from tracejit.codegen.nest import (
    Buffer,
    Fold,
    For,
    Kernel,
    Let,
    Load,
    Loop,
    Stmt,
    Store,
    Tile,
    parallel_loops,
    walk,
)
from tracejit.ir.types import DType

# Values of a loop body that are in flight together must fit the registers: a body of up to this
# many statements is unrolled this often. Longer bodies hide their latency by themselves.
UNROLL = ((6, 4), (20, 2))
# An add depends on the one before it for 3 to 4 cycles, and two can start in each.
CHAINS = 4
# What is done with a sum in more statements than this needs the registers of more rows itself.
LONG_EPILOGUE = 12
SHORT_SUM = 256
SHORT_ROWS = 4
# A map with more statements than this, as often as a vector has lanes, would be too long.
MAX_TURNED = 8
# A product of few columns leaves registers free; more rows than this only lengthen the code.
MAX_ROWS = 12


def schedule(kernel: Kernel, machine: Machine, in_place: bool = True) -> Kernel:
    """The kernel as it is to be emitted for `machine`.

    in_place: it may store where it reads, so nothing may be computed twice.
    """
    if kernel.kind == "contraction" and sum(isinstance(s, For) for s in kernel.body) > 1:
        return _blocked(hoist(kernel), machine)
    kernel = hoist(coalesce(kernel))
    body = tuple(
        _nest(s, kernel, machine, in_place) if isinstance(s, For) else s for s in kernel.body
    )
    if not any(isinstance(s, For) and s.loop.parallel for s in kernel.body):
        body = _inside([], body, kernel, machine)[1]
    return replace(kernel, body=body)


def _blocked(kernel: Kernel, machine: Machine) -> Kernel:
    """A sum in blocks: all its nests get the tiles of the one that multiplies."""
    loops: list[Loop] = []
    for stmt in walk(kernel.body):
        if isinstance(stmt, For) and stmt.loop.parallel:
            around, body = parallel_loops((stmt,))
            if any(isinstance(s, Fold) for s in body):
                loops, _ = _contraction(around, tuple(body), machine, True)
                break

    def tiled(stmt: Stmt) -> Stmt:
        if not isinstance(stmt, For):
            return stmt
        if not stmt.loop.parallel:
            return replace(stmt, body=tuple(map(tiled, stmt.body)))
        body = tuple(parallel_loops((stmt,))[1])
        for loop in reversed(loops):
            body = (For(loop, body),)
        return body[0]

    return replace(kernel, body=tuple(map(tiled, kernel.body)))


def _nest(nest: For, kernel: Kernel, machine: Machine, in_place: bool) -> Stmt:
    loops, body = parallel_loops((nest,))
    if kernel.kind == "contraction":
        loops, body = _contraction(loops, body, machine, in_place)
        if not in_place:
            loops = [_overlapped(loop) for loop in loops]
    else:
        loops, body = _inside(loops, body, kernel, machine)
    for loop in reversed(loops):
        body = (For(loop, body),)
    return body[0]


# Map, row, assemble and scatter kernels


def _inside(
    loops: list[Loop], body: tuple[Stmt, ...], kernel: Kernel, machine: Machine
) -> tuple[list[Loop], tuple[Stmt, ...]]:
    """Chooses the one axis that becomes vectors, among the parallel ones and those of the row."""
    lanes = machine.lanes([b.dtype for b in kernel.buffers] + _let_dtypes(body))
    rows = _row_axes(body) if kernel.kind == "row" else {}
    candidates = {loop.axis: loop.extent for loop in loops} | rows
    if any(b.role == "scratch" for b in kernel.buffers) and rows:
        candidates = rows
    if not candidates or lanes == 1:
        return loops, body
    best = max(
        reversed(candidates), key=lambda a: _score(a, candidates[a], lanes, body, kernel.buffers)
    )
    if best in rows:
        return loops, _tile_rows(body, best, lanes)
    vector = next(loop for loop in loops if loop.axis == best)
    points = _points(body, vector.extent, lanes)
    loops = [loop for loop in loops if loop is not vector]
    across = _turned_axis(loops, body, best)
    if across is not None:
        points = 1
        tiles = _cut(across.extent, lanes)
        loops = [replace(loop, tiles=tiles) if loop is across else loop for loop in loops]
    tiled = replace(vector, tiles=_cut(vector.extent, points * lanes), lanes=lanes)
    return [*loops, tiled], _chain_folds(body, points)


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


def _let_dtypes(body: Sequence[Stmt]) -> list[DType]:
    return [s.dtype for s in walk(body) if isinstance(s, Let)]


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


def _score(
    axis: str, extent: int, lanes: int, body: Sequence[Stmt], buffers: Sequence[Buffer]
) -> float:
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
    size = sum(not isinstance(s, For | Fold) for s in walk(body))
    most = next((points for limit, points in UNROLL if size <= limit), 1)
    if any(isinstance(s, Fold) for s in body):
        most = max(most, 2)
    return max(min(most, -(-extent // lanes)), 1)


def _cut(extent: int, width: int) -> tuple[Tile, ...]:
    """Full tiles, then one for what is left."""
    full, rest = divmod(extent, width)
    tiles = [Tile(full, width)] if full else []
    return tuple([*tiles, Tile(1, rest)] if rest else tiles)


def _even(extent: int, most: int) -> tuple[Tile, ...]:
    """Tiles of one width up to `most` and of one less: no small tile is left over."""
    count = -(-extent // most)
    width = -(-extent // max(count, 1))
    short = count * width - extent
    tiles = (Tile(count - short, width), Tile(short, width - 1))
    return tuple(tile for tile in tiles if tile.count)


def _overlapped(loop: Loop) -> Loop:
    """Tiles of one width, the last one moved back over its neighbour: half the code to compile."""
    if loop.lanes > 1 or len(loop.tiles) < 2:
        return loop
    return replace(loop, tiles=(Tile(loop.steps(), loop.tiles[0].width),))


def _chain_folds(body: Sequence[Stmt], points: int) -> tuple[Stmt, ...]:
    """Sums that run beside few others get several chains of their own."""
    chains = max(CHAINS // points, 1)
    done: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, Fold) and stmt.loops and chains > 1:
            last = stmt.loops[-1]
            loops = (*stmt.loops[:-1], replace(last, tiles=_cut(last.extent, chains)))
            done.append(replace(stmt, loops=loops))
        else:
            done.append(stmt)
    return tuple(done)


def _tile_rows(body: Sequence[Stmt], axis: str, lanes: int) -> tuple[Stmt, ...]:
    """Vectors along the row in every pass over it."""
    done: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, Fold) and stmt.loops and stmt.loops[-1].axis == axis:
            last = stmt.loops[-1]
            points = max(_points(stmt.body, last.extent, lanes), 1)
            tiled = replace(last, tiles=_cut(last.extent, points * lanes), lanes=lanes)
            done.append(replace(stmt, loops=(*stmt.loops[:-1], tiled)))
        elif isinstance(stmt, For) and stmt.loop.axis == axis:
            points = _points(stmt.body, stmt.loop.extent, lanes)
            tiles = _cut(stmt.loop.extent, points * lanes)
            done.append(For(replace(stmt.loop, tiles=tiles, lanes=lanes), stmt.body))
        elif isinstance(stmt, For):
            done.append(replace(stmt, body=_tile_rows(stmt.body, axis, lanes)))
        else:
            done.append(stmt)
    return tuple(done)


# Contractions


@dataclass(frozen=True, slots=True)
class _Sides:
    """How the two operands of a product move along an axis."""

    lhs: int
    rhs: int
    store: int


def _contraction(
    loops: list[Loop], body: tuple[Stmt, ...], machine: Machine, in_place: bool
) -> tuple[list[Loop], tuple[Stmt, ...]]:
    """Register tiles: rows x columns accumulators, one side broadcast, the other in vectors."""
    fold = next(s for s in body if isinstance(s, Fold))
    loads = [s for s in fold.body if isinstance(s, Load)]
    lanes = machine.lanes([acc.dtype for acc in fold.accs])
    if len(loads) != 2 or lanes == 1:
        return _plain_contraction(loops, body, fold, machine)
    sides = {loop.axis: _sides(loop.axis, loads, body) for loop in loops}
    columns = [a for a, s in sides.items() if 1 in (s.lhs, s.rhs) and 0 in (s.lhs, s.rhs)]
    if columns:
        column = max(columns, key=lambda a: (sides[a].store == 1, loops_by(loops)[a].extent))
        return _outer_tile(loops, body, column, sides, lanes, machine, in_place)
    inner = fold.loops[-1] if fold.loops else None
    if inner is not None and _dots(inner, loads) and inner.extent >= 2 * lanes:
        return _dot_tile(loops, body, fold, sides, lanes, machine)
    return _plain_contraction(loops, body, fold, machine)


def loops_by(loops: Sequence[Loop]) -> dict[str, Loop]:
    return {loop.axis: loop for loop in loops}


def _sides(axis: str, loads: Sequence[Load], body: Sequence[Stmt]) -> _Sides:
    lhs, rhs = (load.index.affine.coefficient(axis) for load in loads)
    stores = [s.index.affine.coefficient(axis) for s in body if isinstance(s, Store)]
    return _Sides(lhs, rhs, stores[0] if stores else 0)


def _dots(inner: Loop, loads: Sequence[Load]) -> bool:
    return all(load.index.affine.coefficient(inner.axis) == 1 for load in loads)


def _row_axis(
    loops: Sequence[Loop], column: str, sides: dict[str, _Sides], most: int
) -> str | None:
    """Of the axes along which only the side moves that `column` leaves alone: the one whose tiles
    are fullest, and of equals the innermost."""
    moves_lhs = sides[column].lhs != 0
    rows = [
        loop
        for loop in loops
        if loop.axis != column
        and (sides[loop.axis].lhs == 0) == moves_lhs
        and (sides[loop.axis].rhs == 0) != moves_lhs
    ]
    filled = {loop.axis: loop.extent / max(-(-loop.extent // most), 1) for loop in rows}
    return max(reversed(rows), key=lambda loop: filled[loop.axis]).axis if rows else None


def _rows(extent: int, most: int, body: Sequence[Stmt]) -> int:
    """Rows of a tile. After a short sum a long epilogue counts more: fewer rows leave it more
    registers, and if they divide the extent, it is not compiled twice."""
    fold = next(s for s in body if isinstance(s, Fold))
    short = prod(loop.extent for loop in fold.loops) <= SHORT_SUM
    if short and len(body) > LONG_EPILOGUE and extent % SHORT_ROWS == 0:
        return min(most, SHORT_ROWS)
    return most


def _outer_tile(
    loops: list[Loop],
    body: tuple[Stmt, ...],
    column: str,
    sides: dict[str, _Sides],
    lanes: int,
    machine: Machine,
    in_place: bool,
) -> tuple[list[Loop], tuple[Stmt, ...]]:
    """Vectors along `column`, whose panel stays in cache while the rows go by."""
    by = loops_by(loops)
    vectors = min(machine.column_vectors, -(-by[column].extent // lanes))
    # Beside the accumulators: one vector of each column and one broadcast.
    rows = min((machine.registers - 1 - vectors) // vectors, MAX_ROWS)
    if machine.registers == 32:
        rows = min(rows, 6 if vectors == 4 else MAX_ROWS)
    row = _row_axis(loops, column, sides, rows)
    tiled = {
        column: replace(by[column], tiles=_cut(by[column].extent, vectors * lanes), lanes=lanes)
    }
    if row is not None:
        rows = _rows(by[row].extent, rows, body) if in_place else rows
        width = min(rows, max(by[row].extent, 1))
        tiled[row] = replace(by[row], tiles=_even(by[row].extent, width))
    else:
        body = _chain_folds(body, vectors)
    order = [loop for loop in loops if loop.axis not in tiled]
    if row is None:
        return [*order, tiled[column]], body
    batch = [loop for loop in order if sides[loop.axis].lhs and sides[loop.axis].rhs]
    rest = [loop for loop in order if loop not in batch]
    with_row = [loop for loop in rest if (sides[loop.axis].lhs != 0) == (sides[row].lhs != 0)]
    others = [loop for loop in rest if loop not in with_row]
    # A side that stays in L2 is read again for each block of rows, so that what goes with the
    # result is walked row by row; else each panel of it stays in L1 while all rows go by.
    if _side_bytes(loops, body, column) <= machine.l2 // 2:
        return [*batch, *with_row, tiled[row], *others, tiled[column]], body
    return [*batch, *others, tiled[column], *with_row, tiled[row]], body


def _side_bytes(loops: Sequence[Loop], body: Sequence[Stmt], column: str) -> int:
    """Size of the operand that moves along `column`."""
    fold = next(s for s in body if isinstance(s, Fold))
    loads = [s for s in fold.body if isinstance(s, Load)]
    side = next(load for load in loads if load.index.affine.coefficient(column))
    size = side.dtype.itemsize
    for loop in (*loops, *fold.loops):
        if side.index.affine.coefficient(loop.axis):
            size *= loop.extent
    return size


def _dot_tile(
    loops: list[Loop],
    body: tuple[Stmt, ...],
    fold: Fold,
    sides: dict[str, _Sides],
    lanes: int,
    machine: Machine,
) -> tuple[list[Loop], tuple[Stmt, ...]]:
    """Vectors along the contracted axis, for operands that are contiguous along it only."""
    inner = fold.loops[-1]
    tiled_fold = replace(
        fold,
        loops=(*fold.loops[:-1], replace(inner, tiles=_cut(inner.extent, lanes), lanes=lanes)),
    )
    body = tuple(tiled_fold if s is fold else s for s in body)
    high, wide = (4, 6) if machine.registers == 32 else (3, 4)
    left = [loop for loop in loops if sides[loop.axis].lhs and not sides[loop.axis].rhs]
    right = [loop for loop in loops if sides[loop.axis].rhs and not sides[loop.axis].lhs]
    tiled: dict[str, Loop] = {}
    for group, width in ((right, wide), (left, high)):
        if group:
            axis = max(reversed(group), key=lambda loop: min(loop.extent, width))
            tiles = _even(axis.extent, min(width, max(axis.extent, 1)))
            tiled[axis.axis] = replace(axis, tiles=tiles)
    order = [loop for loop in loops if loop.axis not in tiled]
    return [*order, *tiled.values()], body


def _plain_contraction(
    loops: list[Loop], body: tuple[Stmt, ...], fold: Fold, machine: Machine
) -> tuple[list[Loop], tuple[Stmt, ...]]:
    """Whatever else: vectors along the axis of the stores, lanes loaded one by one if need be."""
    lanes = machine.lanes([acc.dtype for acc in fold.accs])
    if not loops or lanes == 1:
        return loops, body
    stores = [s for s in body if isinstance(s, Store)]
    last = max(
        loops,
        key=lambda loop: (
            all(s.index.affine.coefficient(loop.axis) == 1 for s in stores),
            loop.extent,
        ),
    )
    points = min(2, -(-max(last.extent, 1) // lanes))
    tiled = replace(last, tiles=_cut(last.extent, points * lanes), lanes=lanes)
    return [*(loop for loop in loops if loop is not last), tiled], _chain_folds(body, points)
