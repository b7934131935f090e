"""Panels of a matrix that they do not divide: which products get them, and updates in place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.codegen.kernels import Draft
from tests.codegen.plan_checks import check
from tests.codegen.running import MACHINES, Runner, fault_in, planned
from tests.codegen.test_contractions import SMALL, product
from tests.codegen.test_plan import without_donation
from tracejit.codegen.nest import For, loops_of
from tracejit.codegen.numba_program import run_program
from tracejit.ir import ops
from tracejit.ir.graph import Graph
from tracejit.ir.types import F16, F32

AVX512 = replace(MACHINES["512x32"], l2=1 << 20)


def kernels(graph: Graph) -> str:
    """The kinds of the kernels, and behind a contraction the number of its nests."""
    names = []
    for launch in planned(graph, AVX512).launches:
        nests = sum(isinstance(s, For) for s in launch.kernel.body)
        names.append(launch.kernel.kind + (f" {nests}" if nests > 1 else ""))
    return ", ".join(names)


@pytest.mark.parametrize(
    ("graph", "made"),
    [
        (product(200, 1000, 867), "map 2, contraction 2"),
        (product(100, 1000, 867), "contraction"),  # too few rows for the copy
        (product(200, 500, 867), "contraction"),  # few enough pages
        (product(200, 1000, 832), "map, contraction"),  # panels that layout.py packs
        (product(200, 4100, 131), "map 2, contraction 2"),
        (product(200, 9000, 65), "contraction"),  # hardly more than a panel
        (product(1063, 2816, 867, "TN"), "map, map 2, contraction 2"),
        (product(1063, 2816, 127, "TN"), "contraction"),  # too few columns to turn it
        (product(1063, 1500, 639, "TN"), "map 2, contraction 2"),  # fewer pages on the left
        (product(1063, 1500, 640, "TN"), "map, map, contraction"),  # but many columns
        (product(64, 1500, 640, "TN"), "map, contraction"),  # which find it in L2
        (product(1063, 500, 640, "TN"), "map, contraction"),  # or lines of it in L1
        (product(16, 2048, 2048, "TT"), "map, contraction"),  # the smaller side is turned
        (product(128, 300, 192, dtype=F16), "map, map, contraction"),
        (product(127, 300, 192, dtype=F16), "contraction"),  # converted in the loop
    ],
)
def test_which_operands_are_copied(graph: Graph, made: str) -> None:
    assert kernels(graph) == made


def update() -> Graph:
    """A weight of odd width, moved against its gradient."""
    d = Draft()
    x, dy, w = d(F32, 130, 70), d(F32, 70, 270), d(F32, 130, 270)
    gradient = ops.dot_general(x, dy, ((1,), (0,)), ((), ()))
    new = w - gradient * 0.125
    return Graph("update", d.graph().inputs, (new,), (2,))


@pytest.mark.parametrize("name", SMALL)
def test_an_update_in_two_nests_is_in_place(name: str) -> None:
    graph = update()
    plan = planned(graph, SMALL[name])
    check(plan)
    assert [u.kernel.kind for u in plan.launches] == ["map", "contraction"]
    assert sum(isinstance(s, For) for s in plan.launches[-1].kernel.body) == 2
    assert plan.launches[-1].kernel.name == "k0" and plan.launches[0].kernel.name == "k0p"
    runner, rng = Runner([plan], SMALL[name]), np.random.default_rng(0)
    arrays = [rng.standard_normal(n.shape).astype("f4") for n in graph.inputs]
    for threads in (1, 3):
        got = runner.run(plan, arrays, threads)
        assert fault_in(without_donation(graph), arrays, got) is None


def test_the_printed_program_packs_too() -> None:
    """As plain Python: every element of the panels is stored before it is read."""
    graph = product(130, 16, 135)
    plan = planned(graph, replace(SMALL["256x16"], l2=4096))
    assert [u.plain.name for u in plan.launches] == ["k0p", "k0"]
    arrays = [np.ones(n.shape, "f4") * np.arange(n.shape[-1], dtype="f4") for n in graph.inputs]
    (got,) = run_program(plan, arrays, use_numba=False)
    np.testing.assert_array_equal(got, arrays[0] @ arrays[1])


def test_each_column_is_in_one_nest() -> None:
    (copy, multiply) = planned(product(200, 1000, 867), AVX512).launches
    for launch in (copy, multiply):
        wide = [loop.extent for loop in loops_of(launch.kernel.body) if loop.lanes > 1]
        panels = [loop.extent for loop in loops_of(launch.kernel.body) if loop.axis.endswith("p")]
        assert wide == [64, 35] and panels == [13]
