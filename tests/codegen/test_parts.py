"""Concatenations whose parts are stored in their places: when, and that all of it is there."""

from __future__ import annotations

import numpy as np
import pytest

from tests.codegen.plan_checks import check as check_plan
from tests.codegen.running import USUAL, Runner, fault_in
from tests.codegen.test_fusion import Draft, check, dot
from tests.fuzz.inputs import random_inputs
from tracejit.codegen.stages import Stages
from tracejit.ir import ops
from tracejit.ir.convolution import conv_input_grad
from tracejit.ir.fusion import fuse
from tracejit.ir.graph import Graph
from tracejit.ir.text import equal, parse


def kinds(graph: Graph) -> str:
    fused = fuse(graph)
    check(fused)
    assert equal(parse(str(fused)), graph)
    return " ".join(group.kind for group in fused.groups)


def runs_right(graph: Graph) -> None:
    """On one thread and on three, which the plan lets store their parts at once."""
    plan = Stages(graph, USUAL).plan
    check_plan(plan)
    arrays = random_inputs(graph, 0)
    runner = Runner([plan])
    for threads in (1, 3):
        assert fault_in(graph, arrays, runner.run(plan, arrays, threads, threads)) is None


def two_products(d: Draft) -> tuple:
    a, b, c = d("f32[20,30]", "f32[30,24]", "f32[30,40]")
    return dot(a, b), ops.exp(dot(a, c))


def test_products_are_stored_side_by_side() -> None:
    d = Draft()
    first, second = two_products(d)
    graph = d.graph(ops.tanh(ops.concatenate([first, second], 1)))
    assert kinds(graph) == "contraction contraction map"
    runs_right(graph)
    plan = Stages(graph, USUAL).plan
    assert [launch.wave for launch in plan.launches if launch.kernel.kind == "contraction"] == [
        0,
        0,
    ]


def test_a_concatenation_that_is_returned_and_whose_parts_are_too() -> None:
    d = Draft()
    first, second = two_products(d)
    graph = d.graph(ops.concatenate([second, first], 1), first)
    assert kinds(graph) == "contraction contraction"
    runs_right(graph)


def test_interleaved_along_one_axis_and_then_another() -> None:
    d = Draft()
    dy, w = d("f32[2,5,6,1,4]", "f32[4,4,1,8,4]")
    graph = d.graph(ops.tanh(conv_input_grad(dy, w, (10, 12), (2, 2), (1, 1), (1, 1))))
    assert kinds(graph) == "contraction contraction contraction contraction map"
    runs_right(graph)


def test_a_row_and_a_map_store_parts() -> None:
    d = Draft()
    x, y = d("f32[6,9]", "f32[6,4]")
    centred = x - ops.broadcast(ops.reduce_max(x, (1,)), (6, 9), (0,))
    graph = d.graph(ops.concatenate([ops.exp(y), centred], 1))
    assert kinds(graph) == "map row"
    runs_right(graph)


CASES = {
    "an input": ("map assemble", lambda x, w, y: [y, w]),
    "one value twice": ("map", lambda x, w, y: [y, y]),
    "one kernel": ("map", lambda x, w, y: [y, y + x, x * y]),
    "one after another": ("map contraction", lambda x, w, y: [y, dot(y, w)]),
    "one product": ("contraction", lambda x, w, y: [(z := dot(x, w)), ops.tanh(z)]),
    "two of a row": (
        "row assemble",
        lambda x, w, y: [
            (
                t := ops.reduce_sum(
                    x,
                    (1,),
                )
            ),
            t * t,
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_parts_of_few_kernels(case: str) -> None:
    d = Draft()
    x, w = d("f32[8,8]", "f32[8,8]")
    expected, parts = CASES[case]
    graph = d.graph(ops.concatenate(parts(x, w, ops.exp(x)), 0))
    assert kinds(graph) == expected
    runs_right(graph)


def test_a_part_that_a_later_part_is_made_of() -> None:
    """The first stores its part and the value that the second reads."""
    d = Draft()
    x, w = d("f32[8,8]", "f32[8,8]")
    first = dot(x, w)
    whole = ops.concatenate([dot(ops.transpose(first, (1, 0)), w), first], 0)
    graph = d.graph(whole, ops.reduce_sum(whole, (0,)))
    assert "assemble" not in kinds(graph)
    runs_right(graph)


def test_an_empty_part() -> None:
    d = Draft()
    x, y = d("f32[0,3]", "f32[4,3]")
    graph = d.graph(ops.concatenate([ops.exp(x), ops.exp(y)], 0))
    runs_right(graph)
    assert np.prod(graph.outputs[0].shape) == 12


def test_gaps_are_filled_before_what_stands_between_them() -> None:
    d = Draft()
    (x,) = d("f32[60,70]")
    graph = d.graph(ops.pad(ops.exp(x), 0.0, (1, 2), (0, 3), (1, 1)))
    assert kinds(graph) == "border map"
    runs_right(graph)
