"""Padding of convs: which terms are left out, by bounds of loops, and where zeros are stored."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.codegen.kernels import Draft
from tests.codegen.running import MACHINES, planned
from tests.codegen.test_lower import STAGES, run
from tests.samples import Pairs
from tracejit.codegen.coalesce import coalesce
from tracejit.codegen.cost import flops, terms
from tracejit.codegen.nest import Fold, Loop, Within, loops_of, walk
from tracejit.codegen.padding import stored_zeros
from tracejit.codegen.plan import lower_all
from tracejit.ir import ops
from tracejit.ir.affine import Affine, affine
from tracejit.ir.convolution import conv_input_grad
from tracejit.ir.fusion import fuse
from tracejit.ir.graph import Graph, Node
from tracejit.ir.interpreter import evaluate
from tracejit.ir.types import F32, I64, Shape

SAME: Pairs = ((1, 1), (1, 1))


def forward(x: Shape, w: Shape, around: Pairs = SAME, stride: int = 1, dilation: int = 1) -> Node:
    d = Draft()
    steps, gaps = (stride,) * len(around), (dilation,) * len(around)
    return ops.conv(d(F32, *x), d(F32, *w), steps, gaps, around)


def weight(x: Shape, dy: Shape, window: Shape, around: Pairs = SAME, dilation: int = 1) -> Node:
    d, once = Draft(), (1,) * len(window)
    gaps = (dilation,) * len(window)
    return ops.conv_weight_grad(d(F32, *x), d(F32, *dy), once, gaps, window, around)


def integers(*shapes: Shape) -> list[np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    rng = np.random.default_rng(0)
    return [rng.integers(-9, 9, shape) for shape in shapes]


def small(direction: str) -> Graph:
    """Every case of bounds: strides, gaps, more padding than window, none on one side."""
    d = Draft()
    x, w = d(I64, 2, 3, 4, 1, 2), d(I64, 3, 2, 1, 2, 3)
    steps, gaps, around = (2, 1), (1, 2), ((4, 1), (0, 3))
    y = ops.conv(x, w, steps, gaps, around)
    if direction == "forward":
        return d.graph(y)
    dy = d(I64, *y.shape)
    if direction == "weight":
        return d.graph(ops.conv_weight_grad(x, dy, steps, gaps, (3, 2), around))
    return d.graph(conv_input_grad(dy, w, (3, 4), steps, gaps, (4, 0)))


@pytest.mark.parametrize("direction", ["forward", "input", "weight"])
def test_loops_leave_out_what_lies_on_the_padding(direction: str) -> None:
    graph = small(direction)
    arrays = integers(*(node.shape for node in graph.inputs))
    (expected,) = evaluate(graph, arrays)
    for stage, rewrite in STAGES.items():
        (got,) = run(graph, arrays, rewrite)
        np.testing.assert_array_equal(got, expected, err_msg=stage)


def sums(node: Node) -> str:
    """The loops of its sum, coalesced."""
    (lowered,) = lower_all(fuse(Graph("f", node.inputs, (node,))))
    (fold,) = (s for s in walk(coalesce(lowered.kernel).body) if isinstance(s, Fold))
    return ", ".join(map(str, fold.loops))


def test_bounds_of_the_window_and_of_the_channels_in_it() -> None:
    node = forward((2, 5, 4, 1, 8), (3, 3, 1, 8, 16))
    assert sums(node) == (
        "r0 in 3 where 0 <= i1 + r0 - 1 < 5, r2 in 24 where 0 <= 8*i2 + r2 - 8 < 32"
    )
    node = forward((2, 9, 9, 1, 8), (3, 3, 1, 8, 16), ((2, 2), (0, 0)), 2, 2)
    assert sums(node) == "r0 in 3 where 0 <= 2*i1 + 2*r0 - 2 < 9, r1 in 3, r2 in 8"


def test_bounds_of_the_pixels_of_a_weight_gradient() -> None:
    node = weight((2, 5, 4, 1, 8), (2, 5, 4, 1, 16), (3, 3))
    assert sums(node) == (
        "r0 in 2, r1 in 5 where 0 <= i0 + r1 - 1 < 5, r2 in 4 where 0 <= i1 + r2 - 1 < 4"
    )


def test_terms_that_are_left_out_cost_nothing() -> None:
    graph = Graph("f", (node := forward((2, 5, 4, 1, 8), (3, 3, 1, 8, 16))).inputs, (node,))
    (lowered,) = lower_all(fuse(graph))
    # 13 of 15 rows of taps and 10 of 12 columns of taps lie on the image.
    assert flops(lowered.kernel) == 2 * 2 * 13 * 10 * 8 * 16
    loop = Loop("r", 4, within=Within(affine({"r": 3, "i": 2, "j": -1}, -4), 7))
    at = [3 * r + 2 * i - j - 4 for i in range(5) for j in range(3) for r in range(4)]
    fold = Fold((loop,), (), ())
    assert terms(fold, {"i": 5, "j": 3}) * 15 == sum(0 <= n < 7 for n in at)
    assert terms(Fold((Loop("r", 0, within=Within(Affine((("r", 1),)), 3)),), (), ()), {}) == 0


ZEROS: dict[str, tuple[Callable[[], Node], str, Pairs]] = {
    "rows of a tile are images": (
        lambda: forward((32, 8, 8, 1, 64), (3, 3, 1, 64, 64)), "512x32", ((0, 0), (0, 0))),
    "one image: they are pixels of one row": (
        lambda: forward((1, 30, 30, 1, 64), (3, 3, 1, 64, 64)), "512x32", ((0, 0), (1, 1))),
    "in one dimension too": (
        lambda: forward((1, 90, 1, 64), (3, 1, 64, 64), ((2, 0),)), "256x16", ((2, 0),)),
    "the last axis has none": (
        lambda: forward((1, 30, 30, 1, 64), (3, 1, 1, 64, 64), ((1, 1), (0, 0))), "512x32",
        ((0, 0), (0, 0))),
    "depthwise: vectors along the groups": (
        lambda: forward((1, 30, 30, 64, 1), (3, 3, 64, 1, 1)), "256x16", ((0, 0), (0, 0))),
    "one channel each: vectors along the pixels": (
        lambda: forward((9, 30, 30, 1, 1), (3, 3, 1, 1, 1)), "256x16", ((0, 0), (1, 1))),
    "few columns: vectors along the channels, whose loop is cut": (
        lambda: forward((9, 30, 30, 1, 64), (3, 3, 1, 64, 1)), "256x16", ((1, 1), (1, 1))),
    "rows of a tile are channels": (
        lambda: weight((1, 30, 30, 1, 24), (1, 30, 30, 1, 64), (3, 3)), "512x32",
        ((0, 0), (0, 0))),
    "one channel: they are one with the last axis of the window": (
        lambda: weight((8, 28, 28, 1, 1), (8, 28, 28, 1, 32), (5, 5), ((2, 2), (2, 2))), "512x32",
        ((0, 0), (2, 2))),
    "which gaps prevent": (
        lambda: weight((8, 28, 28, 1, 1), (8, 28, 28, 1, 32), (3, 3), ((2, 2), (2, 2)), 2),
        "512x32", ((0, 0), (0, 0))),
    "nothing to leave out": (
        lambda: forward((1, 9, 9, 1, 8), (3, 3, 1, 8, 8), ((0, 0), (0, 0))), "256x16",
        ((0, 0), (0, 0))),
}  # fmt: skip


@pytest.mark.parametrize("case", ZEROS)
def test_where_zeros_are_stored(case: str) -> None:
    draft, machine, expected = ZEROS[case]
    assert tuple(stored_zeros(draft(), MACHINES[machine])) == expected


def test_one_copy_with_zeros_serves_all_phases() -> None:
    d = Draft()
    dy, w = d(F32, 1, 15, 15, 1, 32), d(F32, 4, 4, 1, 64, 32)
    graph = d.graph(conv_input_grad(dy, w, (30, 30), (2, 2), (1, 1), (1, 1)))
    plan = planned(graph)
    kinds = [launch.kernel.kind for launch in plan.launches]
    assert kinds.count("border") == 1
    assert kinds.count("contraction") == 4
    bounds = {str(loop.within) for u in plan.launches for loop in loops_of(u.kernel.body)}
    assert bounds == {"None", "0 <= i0 + r0 < 15", "0 <= i0 + r0 - 1 < 15"}


def test_a_padded_conv_reads_its_operand_as_it_is() -> None:
    """No border, no copy: the images lie where their producer stores them."""
    d = Draft()
    x, w = d(F32, 32, 8, 8, 1, 16), d(F32, 3, 3, 1, 16, 32)
    graph = d.graph(ops.conv(ops.tanh(x), w, (1, 1), (1, 1), SAME))
    plan = planned(graph, MACHINES["512x32"])
    assert [launch.kernel.kind for launch in plan.launches] == ["map", "contraction"]
