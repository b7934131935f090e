"""Tiles: how an extent is cut for work that goes on together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tracejit.codegen.nest import Fold, Loop, Stmt, Tile

# An add depends on the one before it for 3 to 4 cycles, and two can start in each.
CHAINS = 4


def cut(extent: int, width: int) -> tuple[Tile, ...]:
    """Full tiles, then one for what is left."""
    full, rest = divmod(extent, width)
    tiles = [Tile(full, width)] if full else []
    return tuple([*tiles, Tile(1, rest)] if rest else tiles)


def even(extent: int, most: int) -> tuple[Tile, ...]:
    """Tiles of one width up to `most` and of one less: no small tile is left over."""
    count = -(-extent // most)
    width = -(-extent // max(count, 1))
    short = count * width - extent
    tiles = (Tile(count - short, width), Tile(short, width - 1))
    return tuple(tile for tile in tiles if tile.count)


def overlapped(loop: Loop) -> Loop:
    """Tiles of one width, the last one moved back over its neighbour: half the code to compile."""
    if loop.lanes > 1 or len(loop.tiles) < 2:
        return loop
    return replace(loop, tiles=(Tile(loop.steps(), loop.tiles[0].width),))


def chain_folds(body: Sequence[Stmt], points: int) -> tuple[Stmt, ...]:
    """Sums that run beside few others get several chains of their own."""
    chains = max(CHAINS // points, 1)
    done: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, Fold) and stmt.loops and chains > 1 and not stmt.loops[-1].within:
            last = stmt.loops[-1]
            loops = (*stmt.loops[:-1], replace(last, tiles=cut(last.extent, chains)))
            done.append(replace(stmt, loops=loops))
        else:
            done.append(stmt)
    return tuple(done)
