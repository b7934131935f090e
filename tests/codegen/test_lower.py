"""Lowering: the loops, interpreted one element at a time, mean what the graph means.

So do the loops after coalescing, after hoisting, and as scheduled for every machine model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from tests.codegen.nest_interpreter import interpret
from tests.codegen.running import MACHINES, fault_in
from tests.fuzz.generate import random_graph
from tests.fuzz.inputs import random_inputs
from tracejit.codegen.coalesce import coalesce
from tracejit.codegen.hoist import hoist
from tracejit.codegen.layout import choose_layouts
from tracejit.codegen.nest import Fold, For, Kernel, Let, Load, loops_of, walk
from tracejit.codegen.plan import lower_all
from tracejit.codegen.schedule import schedule
from tracejit.ir.fusion import fuse
from tracejit.ir.graph import Array, Graph, Node
from tracejit.ir.passes import optimize
from tracejit.ir.text import parse

Rewrite = Callable[[Kernel], Kernel]

STAGES: dict[str, Rewrite] = {
    "loops": lambda kernel: kernel,
    "coalesced": coalesce,
    "hoisted": lambda kernel: hoist(coalesce(kernel)),
    **{
        f"scheduled {name}": lambda kernel, machine=machine: schedule(kernel, machine)  # type: ignore[misc]
        for name, machine in MACHINES.items()
    },
}


def run(graph: Graph, arrays: Sequence[Array], rewrite: Rewrite, seed: int = 0) -> list[Array]:
    """The outputs by interpreted loops; every value in memory has an array of its own."""
    fused = fuse(choose_layouts(optimize(graph), MACHINES["256x16"]))
    memory: dict[Node, Array] = {
        node: np.ascontiguousarray(array).reshape(-1).copy()
        for node, array in zip(fused.graph.inputs, arrays, strict=True)
    }
    parts: dict[Node, Array] = {}
    for lowered in lower_all(fused):
        buffers = []
        for node, buffer in zip(lowered.nodes, lowered.kernel.buffers, strict=False):
            if node not in memory:
                memory[node] = np.empty(node.type.size, node.dtype)
            buffers.append(memory[node])
            if buffer.role == "in" and node in parts:
                assert parts[node].all(), f"{node} is read before all parts of it are written"
        written = interpret(rewrite(lowered.kernel), buffers, seed)
        for node, buffer in zip(lowered.nodes, lowered.kernel.buffers, strict=False):
            if buffer.role == "part":
                parts[node] = parts.get(node, False) | written[buffer.name]
    assert all(whole.all() for whole in parts.values()), "a part is missing"
    return [memory[node].reshape(node.shape) for node in fused.graph.outputs]


def kernels(text: str) -> list[Kernel]:
    return [low.kernel for low in lower_all(fuse(parse(text)))]


def small(graph: Graph) -> bool:
    """Few enough elements for an interpreter of scalars."""
    work = sum(
        node.type.size * (node.inputs[1].type.size if node.op == "dot_general" else 1)
        + sum(operand.type.size for operand in node.inputs)
        for node in graph.nodes()
    )
    return work <= 2500


def small_graphs(start: int, count: int) -> list[tuple[int, Graph]]:
    found = []
    seed = start
    while len(found) < count:
        graph = random_graph(seed)
        if small(graph):
            found.append((seed, graph))
        seed += 1
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_random_graphs(stage: str) -> None:
    start = list(STAGES).index(stage) * 200
    for seed, graph in small_graphs(start, 20):
        arrays = random_inputs(graph, seed)
        got = run(graph, arrays, STAGES[stage], seed)
        assert not fault_in(graph, arrays, got), f"seed {seed}:\n{graph}"


GRAPHS = {
    "a value that is kept between passes": """
        func f(%x: f32[3,7]):
          %0: f32[3] = reduce_max %x axes=(1,)
          %1: f32[3,7] = broadcast %0 shape=(3,7) axes=(0,)
          %2: f32[3,7] = sub %x, %1
          %3: f32[3,7] = exp %2
          %4: f32[3] = reduce_sum %3 axes=(1,)
          %5: f32[3,7] = broadcast %4 shape=(3,7) axes=(0,)
          %6: f32[3,7] = div %3, %5
          return %6
    """,
    "a row that an output keeps": """
        func f(%x: f32[3,7]):
          %0: f32[3,7] = exp %x
          %1: f32[3] = reduce_sum %0 axes=(1,)
          %2: f32[3,7] = broadcast %1 shape=(3,7) axes=(0,)
          %3: f32[3,7] = div %0, %2
          return %3, %0
    """,
    "two reduced axes around a free one": """
        func f(%x: f32[3,4,5]):
          %0: f32[3,4,5] = exp %x
          %1: f32[4] = reduce_sum %0 axes=(0,2)
          return %1
    """,
    "padding with gaps": """
        func f(%x: i32[2,3]):
          %0: i32[6,10] = pad %x value=7 low=(1,0) high=(2,3) interior=(1,2)
          return %0
    """,
    "rows taken and added": """
        func f(%x: f32[4,3], %n: i32[5]):
          %0: f32[5,3] = gather_rows %x, %n
          %1: f32[6,3] = full value=0.0 shape=(6,3) dtype=f32
          %2: f32[6,3] = scatter_add_rows %1, %n, %0
          return %2, %0
    """,
    "rows changed in a table": """
        func f(%x: f32[4,3], %y: f32[2,6], %n: i32[5], %u: f32[5,3]):
          %0: f32[4,3] = reshape %y shape=(4,3)
          %1: f32[4,3] = scatter_add_rows %x, %n, %u
          %2: f32[4,3] = scatter_rows %0, %n, %u
          %3: f32[3,4] = transpose %2 perm=(1,0)
          %4: f32[4,3] = reshape %3 shape=(4,3)
          %5: f32[4,3] = scatter_rows %4, %n, %u
          return %1, %2, %5
    """,
    "a reshape that is no index map": """
        func f(%x: f32[4,6]):
          %0: f32[6,4] = transpose %x perm=(1,0)
          %1: f32[8,3] = reshape %0 shape=(8,3)
          %2: f32[8,3] = neg %1
          return %2
    """,
    "words of random blocks": """
        func f(%k: u32[2]):
          %0: u32[3,5] = random_bits %k shape=(3,5)
          %1: u32[5,3] = transpose %0 perm=(1,0)
          %2: u32[5,3] = add %1, %1
          return %2
    """,
    "operands of a product that are index maps": """
        func f(%x: f32[3,4], %y: f32[5]):
          %0: f32[4,3] = transpose %x perm=(1,0)
          %1: f32[4,3] = reverse %0 axes=(0,)
          %2: f32[3,5] = broadcast %y shape=(3,5) axes=(1,)
          %3: f32[4,5] = dot_general %1, %2 contract=((1,),(0,)) batch=((),())
          return %3
    """,
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("name", GRAPHS)
def test_special_graphs(name: str, stage: str) -> None:
    graph = parse(GRAPHS[name])
    arrays = random_inputs(graph, 5)
    assert not fault_in(graph, arrays, run(graph, arrays, STAGES[stage]))


# The text of lowered loops


def only(text: str) -> str:
    (kernel,) = kernels(text)
    return str(kernel)


def test_index_maps_become_offsets() -> None:
    assert only("""
        func f(%x: f32[4,6], %b: f32[4]):
          %0: f32[6,4] = transpose %x perm=(1,0)
          %1: f32[3,4] = slice %0 start=(1,0) stop=(6,4) step=(2,1)
          %2: f32[3,4] = reverse %1 axes=(1,)
          %3: f32[3,4] = broadcast %b shape=(3,4) axes=(1,)
          %4: f32[3,4] = add %2, %3
          return %4
    """).splitlines() == [
        "kernel k0 map(b0: f32[24] in, b1: f32[4] in, b2: f32[12] out):",
        "  for parallel i0 in 3:",
        "    for parallel i1 in 4:",
        "      v0: f32 = load b0[2*i0 - 6*i1 + 19]",
        "      v1: f32 = load b1[i1]",
        "      v2: f32 = add v0, v1",
        "      store b2[4*i0 + i1] = v2",
    ]


def test_an_expensive_value_is_kept_a_cheap_one_computed_again() -> None:
    text = """
        func f(%x: f32[3,7]):
          %0: f32[3,7] = OP %x
          %1: f32[3] = reduce_max %0 axes=(1,)
          %2: f32[3,7] = broadcast %1 shape=(3,7) axes=(0,)
          %3: f32[3,7] = sub %0, %2
          return %3
    """
    (kept,) = kernels(text.replace("OP", "exp"))
    assert [b.role for b in kept.buffers] == ["in", "out", "scratch"]
    assert [s.op for s in walk(kept.body) if isinstance(s, Let)] == ["exp", "sub"]
    (again,) = kernels(text.replace("OP", "neg"))
    assert [b.role for b in again.buffers] == ["in", "out"]
    assert [s.op for s in walk(again.body) if isinstance(s, Let)] == ["neg", "neg", "sub"]


def test_a_row_that_does_not_fit_the_cache_is_not_kept() -> None:
    (kernel,) = kernels("""
        func f(%x: f32[4,5000]):
          %0: f32[4,5000] = exp %x
          %1: f32[4] = reduce_max %0 axes=(1,)
          %2: f32[4,5000] = broadcast %1 shape=(4,5000) axes=(0,)
          %3: f32[4,5000] = sub %0, %2
          return %3
    """)
    assert [b.role for b in kernel.buffers] == ["in", "out"]


def test_halves_are_summed_in_single_precision() -> None:
    (kernel,) = kernels("""
        func f(%x: f16[3,7]):
          %0: f16[3] = reduce_sum %x axes=(1,)
          return %0
    """)
    (fold,) = [s for s in walk(kernel.body) if isinstance(s, Fold)]
    assert [str(acc.dtype) for acc in fold.accs] == ["float32"]


def test_one_load_serves_all_readers_of_an_element() -> None:
    (kernel,) = kernels("""
        func f(%x: f32[9]):
          %0: f32[9] = exp %x
          %1: f32[9] = mul %0, %x
          %2: f32[9] = add %1, %x
          return %2
    """)
    assert sum(isinstance(s, Load) for s in walk(kernel.body)) == 1


# coalesce and hoist


def test_contiguous_axes_become_one() -> None:
    (kernel,) = kernels("""
        func f(%x: f32[3,4,5], %y: f32[3,4,5]):
          %0: f32[3,4,5] = add %x, %y
          return %0
    """)
    assert [str(loop) for loop in loops_of(coalesce(kernel).body)] == ["parallel i2 in 60"]


def test_an_axis_that_one_operand_skips_stays() -> None:
    (kernel,) = kernels("""
        func f(%x: f32[3,4,5], %b: f32[4,5]):
          %0: f32[3,4,5] = broadcast %b shape=(3,4,5) axes=(1,2)
          %1: f32[3,4,5] = add %x, %0
          return %1
    """)
    loops = [str(loop) for loop in loops_of(coalesce(kernel).body)]
    assert loops == ["parallel i0 in 3", "parallel i2 in 20"]


def test_reduced_axes_that_lie_together_become_one() -> None:
    (kernel,) = kernels("""
        func f(%x: f32[3,4,5]):
          %0: f32[3] = reduce_sum %x axes=(1,2)
          return %0
    """)
    loops = [str(loop) for loop in loops_of(coalesce(kernel).body)]
    assert loops == ["parallel i0 in 3", "r1 in 20"]


def test_what_does_not_vary_is_computed_before_the_loops() -> None:
    (kernel,) = kernels("""
        func f(%x: f32[3,4], %s: f32[]):
          %0: f32[] = exp %s
          %1: f32[3,4] = broadcast %0 shape=(3,4) axes=()
          %2: f32[3,4] = broadcast %s shape=(3,4) axes=()
          %3: f32[3,4] = sqrt %2
          %4: f32[3,4] = add %x, %3
          return %4
    """)
    before = [s for s in hoist(kernel).body if not isinstance(s, For)]
    assert [s.op for s in before if isinstance(s, Let)] == ["sqrt"]
    inside = [s for s in hoist(kernel).body if isinstance(s, For)]
    assert [s.op for s in walk(inside) if isinstance(s, Let)] == ["add"]


def test_what_a_kernel_writes_is_not_loaded_early() -> None:
    """A scratch row is loaded after the pass that fills it, though its index varies no more."""
    (kernel,) = kernels("""
        func f(%x: f32[3,1], %y: f32[3,1]):
          %0: f32[3,1] = exp %x
          %1: f32[3] = reduce_sum %0 axes=(1,)
          %2: f32[3,1] = broadcast %1 shape=(3,1) axes=(0,)
          %3: f32[3,1] = div %0, %2
          return %3, %0
    """)
    assert "store" not in str(hoist(kernel)).split("for", 1)[0]
    graph = parse(GRAPHS["a row that an output keeps"].replace("7", "1"))
    arrays = random_inputs(graph, 1)
    assert not fault_in(graph, arrays, run(graph, arrays, STAGES["hoisted"]))


# The test of the tests


@pytest.mark.parametrize(("wrong", "caught"), [(1, "of 9"), (-1, "of 9")])
def test_a_planted_wrong_offset_is_caught(wrong: int, caught: str) -> None:
    from dataclasses import replace

    def shifted(kernel: Kernel) -> Kernel:
        (nest,) = kernel.body
        assert isinstance(nest, For)
        body = tuple(
            replace(s, index=replace(s.index, affine=s.index.affine + wrong))
            if isinstance(s, Load)
            else s
            for s in nest.body
        )
        return replace(kernel, body=(replace(nest, body=body),))

    graph = parse("func f(%x: f32[9]):\n  %0: f32[9] = exp %x\n  return %0\n")
    with pytest.raises(AssertionError, match=caught):
        run(graph, random_inputs(graph, 0), shifted)
