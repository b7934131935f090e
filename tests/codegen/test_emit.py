"""Native code of every kind of kernel against the interpreter, for machines of all vector widths.

Shapes with 0, 1 and primes; lanes that are left over; threads in any number and order. Arrays lie
aligned to no more than their elements, between guard zones (see running.Runner).
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.codegen.kernels import FAMILIES, Draft, dot, softmax
from tests.codegen.running import MACHINES, Runner, arrays_of, fault_in, planned
from tests.emitters.accuracy import specials
from tests.fuzz.generate import random_graph
from tests.fuzz.inputs import random_inputs
from tracejit.ir import ops
from tracejit.ir.graph import PRIMITIVES, Graph
from tracejit.ir.types import BF16, F16, F32, I8, I16, I32, I64, U32, DType, is_float

THREADS = (1, 2, 3, 5)
NATIVE = ("256x16", "512x32", "128x16")


@pytest.mark.parametrize("machine", NATIVE)
@pytest.mark.parametrize("family", FAMILIES)
def test_kernels(family: str, machine: str) -> None:
    cases = list(FAMILIES[family]())
    plans = [planned(graph, MACHINES[machine], passes=False) for _, graph in cases]
    runner = Runner(plans, MACHINES[machine])
    wrong = []
    for n, ((name, graph), plan) in enumerate(zip(cases, plans, strict=True)):
        threads = THREADS[n % len(THREADS)]
        arrays = arrays_of(graph, n)
        got = runner.run(plan, arrays, threads, n)
        fault = fault_in(graph, arrays, got)
        if fault:
            wrong.append(f"{name}, {threads} threads: {fault}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("machine", ["256x16", "512x32"])
@pytest.mark.parametrize("op", ["reduce_max", "reduce_min", "maximum", "minimum", "softmax"])
def test_nan_and_infinities_spread_as_in_numpy(op: str, machine: str) -> None:
    """At every place of a row in turn, the masked tail included."""
    n = 21
    d = Draft()
    x = d(F32, n, n)
    if op == "softmax":
        graph = d.graph(softmax(x))
    elif op.startswith("reduce"):
        graph = d.graph(*(d.builder.emit(PRIMITIVES[op], x, axes=axes) for axes in ((0,), (1,))))
    else:
        y = ops.full_like(x, 0.5)
        graph = d.graph(d.builder.emit(PRIMITIVES[op], x, y), d.builder.emit(PRIMITIVES[op], y, x))
    plan = planned(graph, MACHINES[machine], passes=False)
    runner = Runner([plan], MACHINES[machine])
    for value in (np.nan, np.inf, -np.inf):
        array = np.random.default_rng(0).normal(size=(n, n)).astype("f4")
        np.fill_diagonal(array, value)
        assert not fault_in(graph, [array], runner.run(plan, [array], 2)), value


@pytest.mark.parametrize("dtype", [I32, U32, I8, I64, F32])
def test_special_values_in_every_lane(dtype: DType) -> None:
    """Division by zero, overflow and wide shifts trap nowhere, also in lanes that are left out."""
    d = Draft()
    x, y = d(dtype, 23), d(dtype, 23)
    names = ["remainder", "floor_divide", "maximum", "mul"]
    names += [] if is_float(dtype) else ["shift_left", "shift_right", "pow"]
    graph = d.graph(*(d.builder.emit(PRIMITIVES[op], x, y) for op in names))
    plan = planned(graph, passes=False)
    runner = Runner([plan])
    rng = np.random.default_rng(3)
    for seed in range(12):
        arrays = [rng.choice(specials(dtype), 23).astype(dtype) for _ in range(2)]
        assert not fault_in(graph, arrays, runner.run(plan, arrays, 1, seed))


@pytest.mark.parametrize("machine", NATIVE)
@pytest.mark.parametrize("contract", ["10", "11", "00"])
def test_tiles_that_overlap_update_each_row_in_place_once(contract: str, machine: str) -> None:
    """By a short and by a long epilogue; 13, 29: the last tile of rows is moved back."""
    i, j = map(int, contract)
    plans, graphs = [], []
    for rows, columns, depth in ((13, 37, 70), (29, 8, 64), (7, 70, 3), (2, 3, 66)):
        for long in (False, True):
            d = Draft()
            x = d(F32, *((rows, depth) if i else (depth, rows)))
            y = d(F32, *((columns, depth) if j else (depth, columns)))
            state = d(F32, rows, columns)
            new = state + dot(x, y, contract)
            for n in range(12 * long):
                new = ops.maximum(new * new, new + ops.full_like(new, 0.5 * n))
            donated = Graph("f", tuple(d.inputs), (new, ops.neg(new)), (2, None))
            graphs.append(donated)
            plans.append(planned(donated, MACHINES[machine]))
    runner = Runner(plans, MACHINES[machine])
    loops = [str(launch.kernel) for plan in plans for launch in plan.launches]
    assert any("    each i0:" in text for text in loops)
    for n, (graph, plan) in enumerate(zip(graphs, plans, strict=True)):
        arrays = [np.asarray(a / 8, F32) for a in arrays_of(graph, n)]
        for threads in THREADS:
            assert not fault_in(graph, arrays, runner.run(plan, arrays, threads, n)), plan


def test_threads_share_out_every_tile_once() -> None:
    """More threads than tiles, and any number between."""
    d = Draft()
    x, w = d(F32, 19, 8), d(F32, 8, 24)
    graph = d.graph(dot(x, w, "10"))
    plan = planned(graph)
    runner = Runner([plan])
    arrays = arrays_of(graph, 1)
    for threads in range(1, 12):
        assert not fault_in(graph, arrays, runner.run(plan, arrays, threads, threads)), threads


def test_sums_are_the_same_for_any_number_of_threads() -> None:
    d = Draft()
    x, w = d(F32, 9, 500), d(F32, 500, 7)
    sums = [ops.reduce_sum(x, axes) for axes in ((0,), (1,), (0, 1))]
    graph = d.graph(dot(x, w, "10"), softmax(x), *sums)
    plan = planned(graph)
    runner = Runner([plan])
    arrays = arrays_of(graph, 2)
    first = runner.run(plan, arrays, 1)
    for threads in (2, 3, 5):
        for a, b in zip(first, runner.run(plan, arrays, threads, threads), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("start", range(0, 120, 40))
def test_random_graphs(start: int) -> None:
    seeds = range(start, start + 40)
    graphs = [random_graph(seed) for seed in seeds]
    plans = [planned(graph) for graph in graphs]
    runner = Runner(plans)
    for seed, graph, plan in zip(seeds, graphs, plans, strict=True):
        arrays = random_inputs(graph, seed)
        got = runner.run(plan, arrays, THREADS[seed % 4], seed)
        assert not fault_in(graph, arrays, got), f"seed {seed}:\n{graph}"


NARROWER = {F32: (BF16, F16, I16, I8), I32: (BF16, I16, I8), I64: (I32, I16, I8)}


@pytest.mark.parametrize("machine", NATIVE)
def test_one_narrow_element_is_stored_alone(machine: str) -> None:
    """The last of a row, where all others fill vectors: nothing is written behind it."""
    graphs = []
    for wide, dtypes in NARROWER.items():
        d = Draft()
        x = d(wide, 2 * MACHINES[machine].lanes([wide]) + 1)
        graphs.append(d.graph(*(ops.cast(x, dtype) for dtype in dtypes)))
    plans = [planned(graph, MACHINES[machine]) for graph in graphs]
    runner = Runner(plans, MACHINES[machine])
    for graph, plan in zip(graphs, plans, strict=True):
        arrays = arrays_of(graph, 0)
        assert not fault_in(graph, arrays, runner.run(plan, arrays, 1)), plan


@pytest.mark.parametrize("machine", NATIVE)
def test_vectors_wider_than_the_registers_of_the_model_arrive_whole(machine: str) -> None:
    """Halves are computed in f32, in twice as many bits: an outlined function is given those."""
    graphs = []
    for dtype in (F16, BF16):
        d = Draft()
        graphs.append(d.graph(ops.pow(d(dtype, 70), d(dtype, 70))))
    plans = [planned(graph, MACHINES[machine]) for graph in graphs]
    runner = Runner(plans, MACHINES[machine])
    for graph, plan in zip(graphs, plans, strict=True):
        arrays = arrays_of(graph, 0)
        assert not fault_in(graph, arrays, runner.run(plan, arrays, 1)), plan
