"""What fuses with what, on small graphs; and what must hold of the groups of any graph."""

from __future__ import annotations

import pytest

from tests.fuzz.generate import random_graph
from tracejit.ir import ops
from tracejit.ir.affine import MOVEMENT
from tracejit.ir.autodiff import gradients
from tracejit.ir.draft import MAX_MEMBERS, VIRTUAL
from tracejit.ir.fusion import Fused, fuse
from tracejit.ir.graph import Builder, Graph, Node
from tracejit.ir.passes import optimize
from tracejit.ir.primitives.costly import SLOW
from tracejit.ir.text import parse
from tracejit.ir.types import F64, parse_type


class Draft:
    """A graph in the making: draft("f32[3,4]", ...) makes inputs x0, x1, ..."""

    def __init__(self) -> None:
        self.builder = Builder()
        self.inputs: list[Node] = []

    def __call__(self, *types: str) -> list[Node]:
        for text in types:
            name = f"x{len(self.inputs)}"
            self.inputs.append(self.builder.input(name, parse_type(text)))
        return self.inputs[len(self.inputs) - len(types) :]

    def graph(self, *outputs: Node, donated: tuple[int | None, ...] = ()) -> Graph:
        return Graph("f", tuple(self.inputs), outputs, donated)

    def fused(self, *outputs: Node) -> list[str]:
        return shown(fuse(self.graph(*outputs)))


def shown(fused: Fused) -> list[str]:
    """Each group as `kind: its members => what it stores`, by the names of the primitives."""
    return [
        f"{g.kind}: {' '.join(n.op for n in g.at)} => {' '.join(n.op for n in g.outputs)}"
        for g in fused.groups
    ]


def softmax(x: Node) -> Node:
    """Over the last axis, stable."""
    axes = (x.ndim - 1,)
    e = ops.exp(x - ops.unreduce(ops.reduce_max(x, axes), x.shape, axes))
    return e / ops.unreduce(ops.reduce_sum(e, axes), x.shape, axes)


def bias(x: Node, b: Node) -> Node:
    return x + ops.broadcast(b, x.shape, (1,))


def dot(a: Node, b: Node) -> Node:
    return ops.dot_general(a, b, ((1,), (0,)))


# Maps


def test_elementwise_work_is_one_kernel_that_stores_only_what_is_asked_for() -> None:
    d = Draft()
    x, y = d("f32[7,5]", "f32[7,5]")
    assert d.fused(ops.exp(x * y) + x) == ["map: mul exp add => add"]


def test_movement_is_read_through() -> None:
    d = Draft()
    x, b = d("f32[7,5]", "f32[7]")
    y = ops.transpose(x, (1, 0)) + ops.broadcast(b, (5, 7), (1,))
    z = ops.reverse(ops.slice(y, (1, 0), (5, 7), (2, 1)), (1,))
    assert d.fused(ops.exp(y), ops.neg(z)) == [
        "map: add exp => add exp",
        "map: neg => neg",
    ]


def test_a_value_read_at_two_places_is_stored_between() -> None:
    d = Draft()
    (x,) = d("f32[5,5]")
    e = ops.exp(x)
    assert d.fused(e + ops.transpose(e, (1, 0))) == ["map: exp => exp", "map: add => add"]


def test_outputs_of_one_space_are_one_kernel() -> None:
    d = Draft()
    (x,) = d("f32[6]")
    e = ops.exp(x)
    assert d.fused(e, ops.neg(e), e * x) == ["map: exp neg mul => exp neg mul"]


def test_work_on_a_reshaped_value_joins_where_the_index_is_affine() -> None:
    d = Draft()
    (x,) = d("f32[4,6]")
    e = ops.exp(x)
    assert d.fused(ops.neg(ops.reshape(e, (4, 1, 6)))) == ["map: exp neg => neg"]
    d = Draft()
    (x,) = d("f32[4,6]")
    e = ops.exp(ops.transpose(x, (1, 0)))
    assert d.fused(ops.neg(ops.reshape(e, (24,)))) == ["map: exp neg => neg"]
    d = Draft()
    (x,) = d("f32[4,6]")
    e = ops.transpose(ops.exp(x), (1, 0))
    assert d.fused(ops.neg(ops.reshape(e, (8, 3)))) == [
        "map: exp transpose => transpose",
        "map: neg => neg",
    ]


def test_an_output_that_is_an_index_map_is_stored_by_whoever_computes_it() -> None:
    d = Draft()
    x, y = d("f32[4,6]", "f32[6,8]")
    product = ops.dot_general(x, y, ((1,), (0,)))
    assert d.fused(ops.reshape(product, (32,))) == ["contraction: dot_general reshape => reshape"]


def test_an_index_map_that_is_stored_late_stands_before_what_reads_it() -> None:
    """A host call wants the transposed value in memory, after `eq` was placed as its reader."""
    d = Draft()
    (x,) = d("i32[3,5]")
    wide = ops.cast(x, F64)
    flat = ops.transpose(wide, (1, 0))
    same = ops.eq(flat, flat)
    (ordered,) = ops.host_call("sort", flat, axis=0, stable=False)
    total = ops.reduce_sum(wide, (1,))
    assert d.fused(same, ordered, total) == [
        "row: cast transpose eq reduce_sum => transpose eq reduce_sum",
        "host: host_call => host_call",
    ]


def test_a_map_joins_the_group_that_reads_it_at_its_own_index() -> None:
    d = Draft()
    x, y = d("f32[6]", "f32[6]")
    assert d.fused(ops.exp(x) * ops.log(y)) == ["map: exp log mul => mul"]


def test_no_cycle_through_another_group() -> None:
    """exp and its user add stand in one space, but between them is a transpose of a full sum."""
    d = Draft()
    (x,) = d("f32[5,5]")
    e = ops.exp(x)
    total = ops.reduce_sum(ops.transpose(e, (1, 0)) * e, (0, 1))
    y = e * ops.broadcast(total, (5, 5), ())
    groups = d.fused(y)
    assert groups[0] == "map: exp => exp"
    assert groups[-1].endswith("=> mul")
    assert sum("exp" in g.split("=>")[0] for g in groups) == 1


def test_no_cycle_when_two_maps_meet_around_a_matrix_product() -> None:
    """neg(a) may not join exp(a): the product between them needs exp(a) as a whole."""
    d = Draft()
    (a,) = d("f32[5,5]")
    e = ops.exp(a)
    p = ops.tanh(dot(e, e))
    assert d.fused(ops.neg(e) * p) == [
        "map: exp neg => exp neg",
        "contraction: dot_general tanh mul => mul",
    ]


# Rows


def test_softmax_is_one_kernel() -> None:
    d = Draft()
    (x,) = d("f32[6,33]")
    assert d.fused(softmax(x)) == ["row: reduce_max sub exp reduce_sum div => div"]


def test_softmax_and_its_gradient_are_one_kernel() -> None:
    d = Draft()
    x, g = d("f32[6,33]", "f32[6,33]")
    y = softmax(x)
    (dx,) = gradients([y], [g], [x])
    (group,) = fuse(optimize(d.graph(y, dx))).groups
    assert group.kind == "row"
    assert len(group.outputs) == 2


def test_layer_norm_is_one_kernel() -> None:
    d = Draft()
    (x,) = d("f32[6,33]")
    c = x - ops.unreduce(ops.reduce_sum(x, (1,)) / 33, x.shape, (1,))
    v = ops.reduce_sum(c * c, (1,)) / 33
    y = c * ops.unreduce(ops.rsqrt(v + 1e-5), x.shape, (1,))
    (group,) = d.fused(y)
    assert group.startswith("row: ") and group.endswith("=> mul")


def test_siblings_over_the_same_rows_are_one_kernel() -> None:
    d = Draft()
    (x,) = d("f32[6,33]")
    outputs = ops.reduce_max(x, (1,)), ops.reduce_min(x, (1,)), ops.reduce_sum(x, (1,))
    (group,) = d.fused(*outputs)
    assert group.startswith("row: ")
    assert group.endswith("=> reduce_max reduce_min reduce_sum")


def test_reductions_over_different_axes_are_two_kernels() -> None:
    d = Draft()
    (x,) = d("f32[6,33]")
    assert d.fused(ops.reduce_sum(x, (0,)), ops.reduce_sum(x, (1,))) == [
        "row: reduce_sum => reduce_sum",
        "row: reduce_sum => reduce_sum",
    ]


def test_a_column_sum_is_not_expanded_again_in_its_own_kernel() -> None:
    """Going over columns twice reads all memory twice, and strided at that: unless it is near."""
    d = Draft()
    x, small = d("f32[640,33]", "f32[64,33]")
    for y, kernels in (
        (x, ["row: reduce_sum div => div", "map: sub => sub"]),
        (small, ["row: reduce_sum div sub => sub"]),
    ):
        mean = ops.reduce_sum(y, (0,)) / y.shape[0]
        assert d.fused(y - ops.unreduce(mean, y.shape, (0,))) == kernels


def test_few_long_rows_are_expanded_by_a_second_kernel() -> None:
    d = Draft()
    (x,) = d("f32[2,40000]")
    top = ops.reduce_max(x, (1,))
    assert d.fused(x - ops.unreduce(top, x.shape, (1,))) == [
        "row: reduce_max => reduce_max",
        "map: sub => sub",
    ]


# Contractions


def test_bias_and_activation_are_done_on_the_product_in_registers() -> None:
    d = Draft()
    x, w, b = d("f32[8,6]", "f32[6,5]", "f32[5]")
    y = bias(dot(x, w), b)
    zero = ops.zeros_like(y)
    assert d.fused(ops.maximum(y, zero), ops.gt(y, zero)) == [
        "contraction: dot_general add maximum gt => maximum gt"
    ]


def test_adam_is_done_on_the_gradient_in_registers() -> None:
    d = Draft()
    x, g, w, m, v = d("f32[8,6]", "f32[8,5]", "f32[6,5]", "f32[6,5]", "f32[6,5]")
    dw = ops.dot_general(x, g, ((0,), (0,)))
    m2 = m * 0.9 + dw * 0.1
    v2 = v * 0.999 + dw * dw * 0.001
    w2 = w - m2 * 0.01 / (ops.sqrt(v2) + 1e-8)
    (group,) = d.fused(w2, m2, v2)
    assert group.startswith("contraction: ")
    assert group.endswith("=> add add sub")


def test_the_operand_of_a_product_is_not_computed_inside_it() -> None:
    """There it would be computed once for each column."""
    d = Draft()
    x, w = d("f32[8,6]", "f32[6,5]")
    assert d.fused(dot(ops.exp(x), w)) == [
        "map: exp => exp",
        "contraction: dot_general => dot_general",
    ]


def test_a_transposed_operand_is_read_through() -> None:
    d = Draft()
    x, w = d("f32[8,6]", "f32[5,6]")
    assert d.fused(dot(x, ops.transpose(w, (1, 0)))) == ["contraction: dot_general => dot_general"]


def test_two_products_are_two_kernels_and_their_sum_joins_the_last() -> None:
    d = Draft()
    x, w, u = d("f32[8,6]", "f32[6,5]", "f32[6,5]")
    assert d.fused(dot(x, w) + dot(x, u)) == [
        "contraction: dot_general => dot_general",
        "contraction: dot_general add => add",
    ]


# Outputs


def test_an_output_that_is_an_input_is_copied_unless_donated_to_itself() -> None:
    text = "func f(%x: f32[3]):\n  return %x{}\n"
    assert shown(fuse(parse(text.format("")))) == ["map: reshape => reshape"]
    assert shown(fuse(parse(text.format(" -> %x")))) == []


def test_an_output_that_stands_twice_is_stored_twice() -> None:
    d = Draft()
    (x,) = d("f32[3]")
    e = ops.exp(x)
    fused = fuse(d.graph(e, e))
    assert len(set(fused.graph.outputs)) == 2
    stored = [n for g in fused.groups for n in g.outputs]
    assert sorted(n.op for n in stored) == ["exp", "reshape"]


@pytest.mark.parametrize("op", ["transpose", "broadcast", "full", "iota"])
def test_an_output_that_computes_nothing_is_stored_before_it_is_read(op: str) -> None:
    d = Draft()
    x, y = d("f32[3,4]", "f32[4,3]")
    moved = {
        "transpose": ops.transpose(x, (1, 0)),
        "broadcast": ops.broadcast(ops.reduce_sum(x, (1,)), (4, 3), (1,)),
        "full": ops.full_like(y, 2.0),
        "iota": ops.iota(d.builder, (4, 3), 1, y.dtype),
    }[op]
    fused = fuse(d.graph(moved * y, moved))
    stored = [n for g in fused.groups for n in g.outputs]
    assert set(fused.graph.outputs) <= set(stored)
    check(fused)


# Of any graph


def check(fused: Fused) -> None:
    """Each node in one group, each value stored once, operands available, groups in order."""
    graph = fused.graph
    # The border of a padded value is filled apart from what computes its inside.
    whole = [g for g in fused.groups if g.kind != "border"]
    # Parts of a concatenation are stored by several groups, of which the last stands for it.
    last = {n: g for g in whole for n in g.parts}
    members = [n for g in whole for n in g.at if last.get(n, g) is g]
    stored = [n for g in whole for n in g.outputs if last.get(n, g) is g]
    assert len(set(members)) == len(members), "a node is computed in two groups"
    assert len(set(stored)) == len(stored), "a node is stored twice"
    own = [
        node
        for i, node in enumerate(graph.outputs)
        if graph.donated[i] is None or graph.inputs[graph.donated[i] or 0] is not node
    ]
    assert set(own) <= set(stored), "an output is not stored"
    for node in graph.nodes():
        needed = node.op not in VIRTUAL and node.op != "input"
        assert not needed or node in members or cheap(node), f"{node} is in no group"
    known = set(graph.inputs)
    for group in whole:
        assert len(group.at) <= MAX_MEMBERS
        assert set(group.outputs) <= set(group.at)
        inside: set[Node] = set()
        for node in group.at:
            for operand in group.operands(node):
                found = available(operand, known | inside, set(stored))
                assert found, f"{node} reads {operand} too early"
            inside.add(node)
        known |= {n for n in group.outputs if last.get(n, group) is group}


def cheap(node: Node) -> bool:
    """Whether its readers may compute it again."""
    return node.prim.elementwise and node.op not in SLOW


def available(node: Node, known: set[Node], stored: set[Node]) -> bool:
    if node in known or node.op in ("full", "iota"):
        return True
    through = node.op in MOVEMENT or (cheap(node) and node not in stored)
    return through and all(available(operand, known, stored) for operand in node.inputs)


@pytest.mark.parametrize("start", range(0, 400, 50))
def test_groups_of_random_graphs(start: int) -> None:
    for seed in range(start, start + 50):
        check(fuse(optimize(random_graph(seed))))


def test_the_fused_text_parses_as_the_graph() -> None:
    d = Draft()
    x, w, b = d("f32[8,6]", "f32[6,5]", "f32[5]")
    fused = fuse(d.graph(softmax(bias(dot(x, w), b))))
    again = parse(str(fused))
    assert sorted(n.op for n in again.nodes()) == sorted(n.op for n in fused.graph.nodes())
    (kernel,) = [line for line in str(fused).splitlines() if "# kernel 1:" in line]
    assert kernel == "  # kernel 1: row over [a3=8 a4=5] reducing a4, stores %9"
