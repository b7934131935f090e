"""Values that are left to their readers: which, and that their readers still get them right."""

from __future__ import annotations

import pytest

from tests.codegen.running import fault_in
from tests.codegen.test_fusion import Draft, dot, shown
from tests.codegen.test_lower import STAGES, run, small_graphs
from tests.fuzz.inputs import random_inputs
from tracejit.codegen.nest import Let, walk
from tracejit.codegen.plan import lower_all
from tracejit.ir import ops, recompute
from tracejit.ir.fusion import fuse
from tracejit.ir.graph import PRIMITIVES, Graph, Node
from tracejit.ir.passes import optimize
from tracejit.ir.primitives.costly import SLOW


def square(x: Node) -> Node:
    return x * x


def test_what_follows_from_stored_values_is_not_stored() -> None:
    d = Draft()
    x, w, v, g = d("f32[64,96]", "f32[96,128]", "f32[128,80]", "f32[80,128]")
    z = dot(x, w)
    t = ops.tanh(z)
    y = dot(t * z, v)
    back = dot(y, g) * (ops.full_like(t, 1.0) - square(t)) * square(z) * t
    assert d.fused(y, back) == [
        # square(z), square(t) and 1 - square(t) are read by the last one, but not stored for it.
        "contraction: dot_general tanh mul => dot_general tanh mul",
        "contraction: dot_general => dot_general",
        "contraction: dot_general mul mul mul => mul",
    ]


def test_a_kernel_whose_results_are_all_recomputed_is_gone() -> None:
    d = Draft()
    (x,) = d("f32[64,128]")
    shifted = x * ops.full_like(x, 0.5) + x
    forms = [ops.transpose(shifted, (1, 0)), shifted]
    sums = [ops.reduce_sum(forms[0], (1,)), ops.reduce_sum(ops.exp(forms[1]), (1,))]
    kinds = [group.split(":")[0] for group in d.fused(*sums)]
    assert kinds == ["row", "row"]


@pytest.mark.parametrize("op", sorted(SLOW - {"random_bits", "remainder", "floor_divide", "pow"}))
def test_slow_operations_are_not_done_twice(op: str) -> None:
    d = Draft()
    x, w = d("f32[128,128]", "f32[128,128]")
    slow = x.builder.emit(PRIMITIVES[op], x)
    kernels = lower_all(fuse(d.graph(dot(slow + x, w), dot(x, w) * slow, dot(w, w) * slow)))
    lets = [s for low in kernels for s in walk(low.kernel.body) if isinstance(s, Let)]
    assert [s.op for s in lets].count(op) == 1


def test_small_values_are_stored() -> None:
    d = Draft()
    x, w = d("f32[8,8]", "f32[8,8]")
    z = dot(x, w)
    fused = d.fused(dot(square(square(z)), w) * square(z) * (z + z))
    assert fused[0] == "contraction: dot_general mul mul add => mul mul add"


@pytest.mark.parametrize(
    ("op", "readers", "kernels"),
    [("neg", 1, 1), ("neg", 4, 4), ("neg", 5, 6), ("exp", 1, 2), ("rsqrt", 1, 2)],
)
def test_a_kernel_of_small_values_is_gone_if_they_are_cheap_and_few_read_them(
    op: str, readers: int, kernels: int
) -> None:
    d = Draft()
    (g,) = d("f32[64]")
    small = g.builder.emit(PRIMITIVES[op], g)
    wide = d(*(f"f32[64,{n + 2}]" for n in range(readers)))
    assert len(d.fused(*(x * ops.unreduce(small, x.shape, (1,)) for x in wide))) == kernels


def test_a_value_that_is_read_through_no_index_map_is_stored() -> None:
    d = Draft()
    (x,) = d("f32[64,96]")
    turned = ops.reshape(square(x), (96, 64))
    fused = fuse(d.graph(turned))
    assert shown(fused) == ["map: mul => mul", "map: reshape => reshape"]
    assert len(lower_all(fused)) == 2


def test_a_value_is_stored_where_computing_it_would_read_more() -> None:
    d = Draft()
    names = ["f32[64,128]"] * 4
    a, b, c, e = d(*names)
    (w,) = d("f32[128,128]")
    mixed = a * b + c * e
    first, second = dot(mixed, w), ops.reduce_max(mixed + dot(mixed, w), (1,))
    assert d.fused(first, second)[0] == "map: mul mul add => add"


def test_a_donated_input_is_not_read_later_than_it_would_be() -> None:
    d = Draft()
    p, w = d("f32[64,128]", "f32[128,128]")
    double = p + p
    later = dot(double, w) * double
    updated = p - later
    fused = fuse(d.graph(updated, donated=(0,)))
    assert shown(fused)[0] == "map: add => add"


@pytest.mark.parametrize("stage", ["loops", "hoisted"])
def test_random_graphs_in_which_everything_cheap_is_recomputed(
    stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recompute, "MIN_BYTES", 0)
    monkeypatch.setattr(recompute, "BYTES_PER_OP", 0)
    monkeypatch.setattr(recompute, "STORED", 1000)
    found = small_graphs(5000 + 1000 * len(stage), 300)
    found = [(seed, graph) for seed, graph in found if recomputed(graph)]
    assert len(found) > 10
    for seed, graph in found:
        arrays = random_inputs(graph, seed)
        got = run(graph, arrays, STAGES[stage], seed)
        assert not fault_in(graph, arrays, got), f"seed {seed}:\n{graph}"


def recomputed(graph: Graph) -> int:
    """Values that are read by other groups than their own, and not stored."""
    groups = fuse(optimize(graph)).groups
    stored = {node for group in groups for node in group.outputs}
    home = {node: group for group in groups for node in group.at}
    outside = {
        operand
        for group in groups
        for node in group.at
        for operand in node.inputs
        if operand in home and home[operand] is not group
    }
    return len(outside - stored)
