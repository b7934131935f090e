"""What the compiler makes of whole training steps: counted, so the same on every machine.

A change that moves one of these figures changes the table, and says why in its commit.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest

from tests.codegen.plan_checks import check as check_plan
from tests.codegen.running import USUAL, Runner, fault_in
from tests.codegen.steps import AVX2, AVX512, LARGE, STEPS, clipped, staged
from tests.codegen.test_fusion import check as check_groups
from tests.codegen.test_plan import without_donation
from tracejit.codegen.artifact import artifact_of
from tracejit.codegen.cost import Cost
from tracejit.codegen.launches import Launch, Slot
from tracejit.codegen.machine import Machine
from tracejit.codegen.runtime.team import num_threads, set_num_threads
from tracejit.codegen.stages import Stages


@dataclass(frozen=True)
class Row:
    """bytes: read and written by all kernels, once each. codes: kernels that differ."""

    kinds: str
    codes: int
    barriers: int
    arena_bytes: int
    bytes: int
    flops: int


# The letters are the kinds of the kernels in the order in which they run: map, row, contraction.
TABLE = {
    "digits": Row("mmmmmcccrrrccccrcr", 18, 7, 431_168, 2_946_112, 17_985_029),
    "predict": Row("mmccc", 5, 3, 262_144, 812_072, 6_505_088),
    "mlp_small": Row("mmmccrrrcccr", 12, 5, 62_528, 482_228, 1_438_272),
    "mlp": Row("mmmmmcccrccrrccrcr", 17, 7, 4_116_544, 31_798_076, 419_616_640),
}


# Of the larger steps, how many kernels there are of each kind.
LARGE_TABLE = {
    "lenet": Row(
        "1 border 12 contraction 8 map 12 row", 33, 15, 23_824_512, 146_647_916, 3_706_360_833
    ),
    "resnet": Row(
        "8 border 37 contraction 26 map 48 row", 95, 71, 69_554_304, 422_701_460, 8_827_788_233
    ),
    "lstm": Row("8 contraction 15 map 4 row", 24, 264, 12_702_912, 114_500_532, 1_086_660_425),
    "gpt": Row(
        "75 contraction 60 map 38 row 1 scatter", 50, 86, 71_434_368, 446_058_220, 5_972_892_681
    ),
    "dcgan": Row(
        "5 border 74 contraction 39 map 61 row", 92, 89, 34_105_856, 294_636_820, 5_401_344_525
    ),
}


# With all gradients divided by their norm: weights, kernels that update them, the codes of these,
# barriers, and how many small kernels are dealt out.
CLIPPED_TABLE = {
    "lenet": (8, 8, 4, 17, 8),
    "resnet": (22, 22, 3, 73, 17),
    "gpt": (36, 36, 2, 89, 18),
}


def row_of(stages: Stages) -> Row:
    cost = cost_of(stages)
    kinds = "".join(launch.kernel.kind[0] for launch in stages.plan.launches)
    return Row(kinds, len(stages.kernels), cost.barriers, cost.arena_bytes, cost.bytes, cost.flops)


def cost_of(stages: Stages) -> Cost:
    return artifact_of(stages.plan, stages.symbols, stages.program).cost


@pytest.mark.parametrize("name", STEPS)
def test_structure(name: str) -> None:
    assert row_of(staged(name)) == TABLE[name]


@pytest.mark.parametrize("name", LARGE)
def test_structure_of_large_steps(name: str) -> None:
    stages = staged(name)
    kinds = Counter(launch.kernel.kind for launch in stages.plan.flat())
    counted = " ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    assert replace(row_of(stages), kinds=counted) == LARGE_TABLE[name]


@pytest.mark.parametrize("name", LARGE)
def test_what_large_steps_do_without(name: str) -> None:
    """No state is copied back, and no values are put side by side by a kernel of their own."""
    for launch in staged(name).plan.flat():
        assert not launch.kernel.name.endswith("copy")
        assert launch.kernel.kind != "assemble"


@pytest.mark.parametrize("name", CLIPPED_TABLE)
def test_structure_of_updates_that_wait_for_all_gradients(name: str) -> None:
    stages = clipped(name)
    plan = stages.plan
    donated = {Slot("input", d) for d in plan.graph.donated if d is not None}
    updates = [u for u in plan.launches if not donated.isdisjoint(_stored(u))]
    assert all(u.kernel.kind == "map" for u in updates)
    codes = {stages.symbols[u] for u in updates}
    turned = sum(u.turn is not None for u in plan.launches)
    found = (len(donated) // 3, len(updates), len(codes), plan.barriers, turned)
    assert found == CLIPPED_TABLE[name]


def _stored(launch: Launch) -> set[Slot]:
    sides = zip(launch.kernel.buffers, launch.slots, strict=False)
    return {slot for buffer, slot in sides if buffer.role != "in"}


@pytest.mark.parametrize("machine", [AVX2, AVX512], ids=["avx2", "avx512"])
@pytest.mark.parametrize("name", STEPS)
def test_groups_and_plans_hold_together(name: str, machine: Machine) -> None:
    stages = staged(name, machine)
    check_groups(stages.fused)
    check_plan(stages.plan)


@pytest.mark.parametrize("name", STEPS)
def test_all_state_is_updated_in_place(name: str) -> None:
    """No donated output is computed elsewhere and copied back."""
    copies = [u.kernel.name for u in staged(name).plan.launches if u.kernel.name.endswith("copy")]
    assert not copies


@pytest.mark.parametrize("name", STEPS)
def test_every_product_is_a_contraction_of_its_own_and_updates_are_done_in_it(name: str) -> None:
    stages = staged(name)
    products = [n for n in stages.optimized.nodes() if n.op == "dot_general"]
    contractions = [g for g in stages.fused.groups if g.kind == "contraction"]
    assert len(contractions) == len(products)
    graph = stages.fused.graph
    for node, donor in zip(graph.outputs, graph.donated, strict=True):
        if donor is not None and node.ndim == 2:
            (home,) = [g for g in stages.fused.groups if node in g.outputs]
            assert home.kind == "contraction", f"{node} is updated in a kernel of its own"


def test_the_number_of_threads_changes_nothing_that_is_compiled() -> None:
    before = num_threads()
    texts = set()
    try:
        for count in (1, 2, 7):
            set_num_threads(count)
            texts.add(Stages(staged("mlp_small").graph, AVX2).dump("program"))
    finally:
        set_num_threads(before)
    assert len(texts) == 1


@pytest.mark.parametrize("name", ["digits", "mlp_small"])
def test_steps_mean_what_the_graph_means(name: str) -> None:
    """For any number of threads, and with every weight updated where it lies."""
    graph = staged(name).graph
    plan = Stages(graph, USUAL).plan
    runner = Runner([plan])
    rng = np.random.default_rng(0)
    arrays = []
    for node in graph.inputs:
        if node.dtype.kind == "i":
            arrays.append(rng.integers(0, 10, node.shape).astype(node.dtype))
        elif node.ndim == 0:
            arrays.append(np.asarray(3, node.dtype))
        else:
            arrays.append(np.asarray(np.abs(rng.normal(size=node.shape)) * 0.1).astype(node.dtype))
    for threads in (1, 3):
        got = runner.run(plan, arrays, threads, threads)
        assert fault_in(without_donation(graph), arrays, got) is None
