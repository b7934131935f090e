"""Schedules of contractions: register tiles, and the order in which they go through memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from tracejit.codegen.machine import Machine
from tracejit.codegen.nest import Fold, Load, Loop, Stmt, Store
from tracejit.codegen.register_tile import (
    MAX_ROWS,
    RegisterTile,
    best_tile,
    efficiency,
    rows_kept_apart,
)
from tracejit.codegen.tiles import CHAINS, chain_folds, cut, even

# What is done with a sum in more statements than this needs the registers of more rows itself.
LONG_EPILOGUE = 12
# Rows that share a vector, where every product needs one of its own besides; and all sums then.
SHARING_ROWS, MAX_CHAINED = 4, 8
SHORT_SUM = 256
SHORT_ROWS = 4
# A loop further out becomes the rows of a tile only if the innermost is worth less than this part
# of it: neighbours in memory share lines and pages.
CLEARLY = 0.97


@dataclass(frozen=True, slots=True)
class _Sides:
    """How the two operands of a product move along an axis."""

    lhs: int
    rhs: int
    store: int


def tile_contraction(
    loops: list[Loop], body: tuple[Stmt, ...], machine: Machine, in_place: bool
) -> tuple[list[Loop], tuple[Stmt, ...]]:
    """Register tiles: rows x columns accumulators, one side broadcast, the other in vectors."""
    fold = next(s for s in body if isinstance(s, Fold))
    loads = [s for s in fold.body if isinstance(s, Load)]
    lanes = machine.lanes([acc.dtype for acc in fold.accs])
    if len(loads) != 2 or lanes == 1:
        return _plain_contraction(loops, body, fold, machine)
    sides = {loop.axis: _sides(loop.axis, loads, body) for loop in loops}
    bounding = _bounding(fold)
    columns = [a for a, s in sides.items() if 1 in (s.lhs, s.rhs) and 0 in (s.lhs, s.rhs)]
    columns = [a for a in columns if a not in bounding]
    if columns:
        column = max(columns, key=lambda a: (sides[a].store == 1, loops_by(loops)[a].extent))
        return _outer_tile(loops, body, column, sides, lanes, machine, in_place)
    inner = fold.loops[-1] if fold.loops else None
    dots = inner is not None and not inner.within and _dots(inner, loads)
    if inner is not None and dots and inner.extent >= 2 * lanes:
        return _dot_tile(loops, body, fold, sides, lanes, machine)
    return _plain_contraction(loops, body, fold, machine)


def loops_by(loops: Sequence[Loop]) -> dict[str, Loop]:
    return {loop.axis: loop for loop in loops}


def _bounding(fold: Fold) -> set[str]:
    """The axes that say which terms a sum has: a tile would have to have the same everywhere."""
    bounds = (loop.within for loop in fold.loops if loop.within)
    return {axis for within in bounds for axis in within.at.axes()}


def _sides(axis: str, loads: Sequence[Load], body: Sequence[Stmt]) -> _Sides:
    lhs, rhs = (load.index.affine.coefficient(axis) for load in loads)
    stores = [s.index.affine.coefficient(axis) for s in body if isinstance(s, Store)]
    return _Sides(lhs, rhs, stores[0] if stores else 0)


def _dots(inner: Loop, loads: Sequence[Load]) -> bool:
    return all(load.index.affine.coefficient(inner.axis) == 1 for load in loads)


def _row_loops(loops: Sequence[Loop], column: str, sides: dict[str, _Sides]) -> list[Loop]:
    """The loops along which only the side moves that `column` leaves alone."""
    moves_lhs = sides[column].lhs != 0
    return [
        loop
        for loop in loops
        if loop.axis != column
        and (sides[loop.axis].lhs == 0) == moves_lhs
        and (sides[loop.axis].rhs == 0) != moves_lhs
    ]


def _row_tile(
    rows: Sequence[Loop],
    columns: int,
    lanes: int,
    machine: Machine,
    most: int,
    strides: dict[str, int],
) -> tuple[Loop, RegisterTile] | None:
    """The loop whose iterations are the rows of a tile, and the tile: the innermost loop, unless
    the tiles of another are clearly fuller. strides: bytes from row to row, by axis."""
    found = []
    for loop in reversed(rows):
        apart = rows_kept_apart(strides[loop.axis])
        tile = best_tile(loop.extent, columns, lanes, machine, min(most, apart))
        found.append((efficiency(tile, loop.extent, columns, lanes, machine), loop, tile))
    best = max((score for score, _, _ in found), default=0.0)
    return next(((r, t) for score, r, t in found if score >= CLEARLY * best), None)


def _most_rows(rows: Sequence[Loop], body: Sequence[Stmt]) -> int:
    """After a short sum a long epilogue counts more: fewer rows leave it more registers, and if
    they divide the extent, it is not compiled twice."""
    fold = next(s for s in body if isinstance(s, Fold))
    short = prod(loop.extent for loop in fold.loops) <= SHORT_SUM
    if short and len(body) > LONG_EPILOGUE and all(r.extent % SHORT_ROWS == 0 for r in rows):
        return SHORT_ROWS
    return MAX_ROWS


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
    wide = loops_by(loops)[column]
    rows = _row_loops(loops, column, sides)
    bounding = _bounding(next(s for s in body if isinstance(s, Fold)))
    most = _most_rows(rows, body) if in_place else MAX_ROWS
    size = next(s for s in body if isinstance(s, Fold)).accs[0].dtype.itemsize
    strides = {a: abs(s.lhs + s.rhs) * size for a, s in sides.items()}
    tileable = [loop for loop in rows if loop.axis not in bounding]
    chosen = _row_tile(tileable, wide.extent, lanes, machine, most, strides)
    if chosen is None:
        # One row leaves the registers to its columns, and long stretches are what memory likes.
        vectors = max(min(machine.registers // 2, -(-wide.extent // lanes)), 1)
        columns = replace(wide, tiles=cut(wide.extent, vectors * lanes), lanes=lanes)
        return [*(x for x in loops if x is not wide), columns], chain_folds(body, vectors)
    row, tile = chosen
    columns = replace(wide, tiles=cut(wide.extent, tile.vectors * lanes), lanes=lanes)
    tiled = replace(row, tiles=even(row.extent, min(tile.rows, max(row.extent, 1))))
    rest = [loop for loop in loops if loop is not wide and loop is not row]
    batch = [loop for loop in rest if sides[loop.axis].lhs and sides[loop.axis].rhs]
    high = [tiled if loop is row else loop for loop in rows]
    others = [loop for loop in rest if loop not in batch and loop not in rows]
    # A side that stays in L2 is read again for each block of rows, so that what goes with the
    # result is walked row by row; else, and where blocks of rows are few, each panel of it stays in
    # cache while all rows go by.
    blocks = prod(loop.steps() for loop in high)
    panels = prod(loop.steps() for loop in (*others, columns))
    whole = _side_bytes(loops, body, column)
    if whole <= machine.l2 // 2 and blocks >= panels:
        return [*batch, *high, *others, columns], body
    # A packed panel of several tiles is gone through for each block of rows, if it stays in L2.
    if others and whole // prod(loop.extent for loop in others) <= machine.l2 // 2:
        return [*batch, *others, *high, columns], body
    return [*batch, *others, columns, *high], body


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
        loops=(*fold.loops[:-1], replace(inner, tiles=cut(inner.extent, lanes), lanes=lanes)),
    )
    body = tuple(tiled_fold if s is fold else s for s in body)
    high, wide = (4, 6) if machine.registers == 32 else (3, 4)
    free = [loop for loop in loops if loop.axis not in _bounding(fold)]
    left = [loop for loop in free if sides[loop.axis].lhs and not sides[loop.axis].rhs]
    right = [loop for loop in free if sides[loop.axis].rhs and not sides[loop.axis].lhs]
    tiled: dict[str, Loop] = {}
    for group, width in ((right, wide), (left, high)):
        if group:
            axis = max(reversed(group), key=lambda loop: min(loop.extent, width))
            tiles = even(axis.extent, min(width, max(axis.extent, 1)))
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
    bounding = _bounding(fold)
    last = max(
        (loop for loop in loops if loop.axis not in bounding),
        default=None,
        key=lambda loop: (
            all(s.index.affine.coefficient(loop.axis) == 1 for s in stores),
            loop.extent,
        ),
    )
    if last is None:
        return loops, body
    vectors = -(-max(last.extent, 1) // lanes)
    rest = [loop for loop in loops if loop is not last]
    row = _sharing_row(rest, last, fold)
    if row is not None:
        points = min(MAX_CHAINED // SHARING_ROWS, vectors)
        tiles = even(row.extent, min(SHARING_ROWS, row.extent))
        rest = [replace(loop, tiles=tiles) if loop is row else loop for loop in rest]
    else:
        bounded = bool(fold.loops) and fold.loops[-1].within is not None
        points = min(CHAINS if bounded else 2, vectors)
        body = chain_folds(body, points)
    tiled = replace(last, tiles=cut(last.extent, points * lanes), lanes=lanes)
    # All sums of one stretch of channels are taken before the next: their operands are in L1.
    first = [loop for loop in rest if loop.axis not in bounding] if row is None else rest
    return [*first, tiled, *(loop for loop in rest if loop not in first)], body


def _sharing_row(loops: Sequence[Loop], vector: Loop, fold: Fold) -> Loop | None:
    """A loop whose iterations share a vector of one of two operands: the weights of a depthwise
    conv, for neighbours in a row or, where those have different terms, in the batch."""
    loads = [s for s in fold.body if isinstance(s, Load)]
    if len(loads) != 2 or any(s.index.affine.coefficient(vector.axis) != 1 for s in loads):
        return None
    bounding = _bounding(fold)
    for loop in reversed(loops):
        moves = [bool(load.index.affine.coefficient(loop.axis)) for load in loads]
        if moves[0] != moves[1] and loop.axis not in bounding and loop.extent >= SHARING_ROWS:
            return loop
    return None
