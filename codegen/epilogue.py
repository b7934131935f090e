"""Epilogues: what is done with the tile of a product once its sum is complete.

A short one is done from the registers, at all points of the tile at once. A long one would be that
often in the code, and would need more registers than there are: the sums go through the stack then,
and the rest is a loop over the rows of the tile. That loop also leaves out the rows of a tile that
was moved back over its neighbour, so that tiles have one width even where a row must not be done
twice, and the product is compiled once.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from tracejit.codegen.nest import Each, Fold, Loop, Stmt
from tracejit.codegen.tiles import overlapped

# Statements, counted once for each vector of the tile.
MAX_UNROLLED = 100


def with_epilogue(
    loops: Sequence[Loop], body: tuple[Stmt, ...], in_place: bool
) -> tuple[list[Loop], tuple[Stmt, ...]]:
    """The tiled loops of a product and their body, the part behind its fold as it is to be done.

    in_place: an iteration must not be done twice.
    """
    rows = [loop for loop in loops if loop.lanes == 1 and _width(loop) > 1]
    start = max((n + 1 for n, stmt in enumerate(body) if isinstance(stmt, Fold)), default=0)
    rest = body[start:]
    points = prod(-(-_width(loop) // loop.lanes) for loop in loops)
    repeated = in_place and any(len(loop.tiles) > 1 for loop in rows)
    if rows and (repeated or len(rest) * points > MAX_UNROLLED):
        for loop in reversed(rows):
            rest = (Each(loop.axis, rest),)
    elif in_place:
        return list(loops), body
    return [overlapped(loop) for loop in loops], (*body[:start], *rest)


def _width(loop: Loop) -> int:
    return max((tile.width for tile in loop.tiles), default=1)
