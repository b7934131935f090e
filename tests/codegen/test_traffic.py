"""Schedules of contractions of any size: little work on the edges of tiles, few bytes moved.

Both are counted from the scheduled loops (traffic.py), on models of two machines, for sizes drawn
at random: what nobody tuned for is as good as what somebody did.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.codegen.running import MACHINES, planned
from tests.codegen.test_contractions import convolution, product
from tests.codegen.traffic import (
    Nest,
    contractions,
    edge,
    least,
    moved,
    multiply_adds,
    pages,
    waste,
)
from tracejit.codegen.machine import Machine
from tracejit.ir.graph import Graph

REAL = {
    "256x16": replace(MACHINES["256x16"], l2=512 << 10),
    "512x32": replace(MACHINES["512x32"], l2=1 << 20),
}
MACHINE = st.sampled_from(sorted(REAL)).map(REAL.__getitem__)
# Rows that no tile divides are filled up: a few by up to a half (5 x 7 dot products as 6 x 9), many
# by little.
WASTE, WASTE_OF_MANY, MANY = 1.6, 1.1, 48
# Of everything once, and what a cache of this size calls for besides (Hong & Kung 1981, "I/O
# complexity"). Rows are not taken in blocks: each panel of columns reads them all again.
MOVED = 7.0


def nests(graph: Graph, machine: Machine) -> list[Nest]:
    kernels = [launch.kernel for launch in planned(graph, machine).launches]
    return [nest for k in kernels if k.kind == "contraction" for nest in contractions(k)]


def check(graph: Graph, machine: Machine, many: bool) -> None:
    for nest in nests(graph, machine):
        text = "\n".join(map(str, (*nest.loops, *nest.summed)))
        most = WASTE_OF_MANY if many else WASTE
        assert waste(nest) <= most * edge(nest), f"{waste(nest)} times the products:\n{text}"
        bound = least(nest) + 8 * multiply_adds(nest) / (machine.l2 / 4) ** 0.5
        ratio = moved(nest, machine.l2) / bound
        assert ratio <= MOVED, f"{ratio} times the bytes:\n{text}"


@settings(max_examples=120)
@given(MACHINE, st.sampled_from(["NN", "NT", "TN", "TT"]), st.tuples(*[st.integers(1, 700)] * 3))
def test_products(machine: Machine, layout: str, sizes: tuple[int, int, int]) -> None:
    m, _, n = sizes
    check(product(*sizes, layout), machine, min(m, n) >= MANY)


# Addresses of so many pages are at hand on every CPU that this is meant for.
PAGES = 1536
LARGE = st.integers(128, 4000) | st.integers(1, 16).map(lambda n: 256 * n)


@settings(max_examples=40)
@given(MACHINE, st.sampled_from(["NN", "NT", "TN", "TT"]), st.tuples(LARGE, LARGE, LARGE))
def test_large_products(machine: Machine, layout: str, sizes: tuple[int, int, int]) -> None:
    """What each tile walks along once more lies on few pages, whatever the strides."""
    for nest in nests(product(*sizes, layout), machine):
        text = "\n".join(map(str, (*nest.loops, *nest.summed)))
        assert waste(nest) <= WASTE_OF_MANY * edge(nest), f"{waste(nest)} times:\n{text}"
        assert pages(nest) <= PAGES, f"{pages(nest)} pages:\n{text}"


@settings(max_examples=80)
@given(
    MACHINE,
    st.sampled_from(["forward", "input", "weight"]),
    st.sampled_from([1, 3, 5]),
    st.sampled_from([1, 2]),
    st.tuples(st.integers(5, 31), st.integers(1, 128), st.integers(4, 128)),
)
def test_convolutions(
    machine: Machine, direction: str, window: int, stride: int, sizes: tuple[int, int, int]
) -> None:
    check(convolution(direction, *sizes, window, stride), machine, False)


@pytest.mark.parametrize("name", REAL)
def test_the_measures_see_bad_schedules(name: str) -> None:
    """Rows in tiles that hardly fit, and an operand of 3 MB read again for every row."""
    (good,) = nests(product(17, 1500, 500), REAL[name])
    far = replace(good, summed=tuple(replace(x, extent=4 * PAGES) for x in good.summed))
    assert pages(good) < PAGES < pages(far)
    loops = sorted(good.loops, key=lambda loop: loop.lanes > 1)
    bad = replace(good, loops=tuple(replace(x, tiles=()) if x.lanes == 1 else x for x in loops))
    assert moved(bad, REAL[name].l2) > 3 * moved(good, REAL[name].l2)
    wide = tuple(
        replace(x, tiles=(replace(x.tiles[0], count=2, width=16),)) if x.lanes == 1 else x
        for x in good.loops
    )
    assert waste(replace(good, loops=wide)) > 1.8 * edge(good)
