"""Which rows and columns of a product are computed at once in registers.

Every combination that fits the registers is counted out for the extents at hand: tiles that reach
over the edge compute rows or lanes that nobody needs, and small tiles wait for their operands. So
an extent that nobody thought of gets the tile that suits it: 7 rows of pixels are not padded to 12.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import gcd

from tracejit.codegen.machine import Machine

# A product of few columns leaves registers free; more rows than this only lengthen the code.
MAX_ROWS = 14
# What going on to the next step of a sum costs beside its multiply-adds.
STEP = 0.5
# Rows whose lines fall into one set of L1 evict each other. A way of L1 is a page on every CPU
# whose cache is indexed before addresses are translated; there are 8 or more of them, and the
# columns need one.
WAY_BYTES = 4096
ROWS_IN_A_SET = 7


@dataclass(frozen=True, slots=True)
class RegisterTile:
    """rows: of the side that is broadcast. vectors: side by side along the columns."""

    rows: int
    vectors: int

    def __post_init__(self) -> None:
        assert self.rows > 0 and self.vectors > 0, str(self)


def step(rows: int, vectors: float, machine: Machine) -> float:
    """Cycles, more or less, in which one step of the sum is added to a whole tile."""
    return max(rows * vectors, rows + vectors, machine.in_flight) + STEP


def fitting(machine: Machine, most_rows: int = MAX_ROWS) -> Iterator[RegisterTile]:
    """Every tile that leaves registers for one row of vectors and one broadcast; wide ones first.

    Wide tiles read the longest stretches of memory, so they are to be preferred to equals.
    """
    for vectors in range(machine.column_vectors, 0, -1):
        for rows in range(min((machine.registers - 1 - vectors) // vectors, most_rows), 0, -1):
            yield RegisterTile(rows, vectors)


def efficiency(tile: RegisterTile, rows: int, columns: int, lanes: int, machine: Machine) -> float:
    """The part of its time that a `rows` x `columns` product spends on results, in such tiles.

    A last vector that is half empty is half as wide, and takes half the time of some CPUs.
    """
    if not rows or not columns:
        return 1.0
    down = -(-rows // tile.rows)
    whole, rest = divmod(-(-2 * columns // lanes), 2 * tile.vectors)
    time = whole * step(tile.rows, tile.vectors, machine)
    if rest:
        time += step(tile.rows, rest / 2, machine)
    return rows * columns / (lanes * down * time)


@cache
def best_tile(
    rows: int, columns: int, lanes: int, machine: Machine, most_rows: int = MAX_ROWS
) -> RegisterTile:
    """The tile for a product of this size. lanes: columns of one vector."""
    tiles = fitting(machine, min(most_rows, max(rows, 1)))
    return max(tiles, key=lambda tile: round(efficiency(tile, rows, columns, lanes, machine), 3))


def rows_kept_apart(stride: int) -> int:
    """How many rows `stride` bytes apart stay in L1 side by side."""
    return ROWS_IN_A_SET * (WAY_BYTES // gcd(stride, WAY_BYTES)) if stride else MAX_ROWS
