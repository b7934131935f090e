"""The interpreter and the define-by-run builder."""

from __future__ import annotations

import numpy as np
import pytest

from tests.random_graphs import random_graph, random_inputs
from tracejit.ir import ops
from tracejit.ir.graph import Array, Builder, Graph, Node
from tracejit.ir.interpreter import EagerBuilder, evaluate
from tracejit.ir.text import parse
from tracejit.ir.types import F32, DTypeError, ShapeError, TensorType

PAIR = parse("""func f(%x: f32[2,3], %y: f32[2,3]):
  %0: f32[2,3] = add %x, %y
  %1: f32[3,2] = transpose %x perm=(1,0)
  return %0 -> %x, %1, %x
""")


def test_outputs_are_fresh_and_contiguous() -> None:
    x, y = np.ones((2, 3), F32), np.arange(6, dtype=F32).reshape(2, 3)
    total, flipped, same = evaluate(PAIR, [x, y])
    np.testing.assert_array_equal(total, x + y)
    np.testing.assert_array_equal(flipped, x.T)
    for out in (total, flipped, same):
        assert out.flags.c_contiguous
        assert out.flags.owndata
        assert not np.shares_memory(out, x)
    assert (x == 1).all(), "donation is a matter of the compiled program"


def test_arguments_are_checked() -> None:
    good = np.ones((2, 3), F32)
    with pytest.raises(ShapeError, match="f: takes 2 arrays, got 1"):
        evaluate(PAIR, [good])
    with pytest.raises(ShapeError, match=r"input y: expected f32\[2,3\], got f32\[3,2\]"):
        evaluate(PAIR, [good, good.T])
    with pytest.raises(DTypeError, match=r"input x: expected f32\[2,3\], got f64\[2,3\]"):
        evaluate(PAIR, [good.astype(np.float64), good])


@pytest.mark.parametrize("seed", range(30))
def test_define_by_run_is_evaluation(seed: int) -> None:
    """Emitting a graph node by node into an eager builder gives what `evaluate` gives."""
    graph = random_graph(seed)
    arrays = random_inputs(graph, seed)
    builder = EagerBuilder()
    new: dict[Node, Node] = {}
    for node, array in zip(graph.inputs, arrays, strict=True):
        new[node] = builder.input(graph.input_name(node), node.type, array)
    for node in graph.nodes():
        if node not in new:
            new[node] = builder.emit(node.prim, *(new[i] for i in node.inputs), **node.attrs)
    for node, expected in zip(graph.outputs, evaluate(graph, arrays), strict=True):
        np.testing.assert_array_equal(builder.values[new[node]], expected)


def test_each_value_is_seen_once_and_at_once() -> None:
    seen: list[tuple[str, bool]] = []

    def watch(node: Node, value: Array) -> None:
        assert value.shape == node.shape
        seen.append((node.op, bool(np.isnan(value).any())))

    builder = EagerBuilder(watch)
    x = builder.input("x", TensorType((2,), F32), np.array([-1.0, 1.0], F32))
    y = ops.log(x)
    assert ops.log(x) is y
    assert seen == [("input", False), ("log", True)]

    seen.clear()
    plain = Builder()
    z = plain.input("z", TensorType((2,), F32))
    evaluate(Graph("f", (z,), (ops.exp(ops.log(z)),)), [np.array([-1.0, 1.0], F32)], watch)
    assert seen == [("input", False), ("log", True), ("exp", True)]


def test_define_by_run_needs_values() -> None:
    builder = EagerBuilder()
    with pytest.raises(ValueError, match="input x: define by run needs a value"):
        builder.input("x", TensorType((2,), F32))
    with pytest.raises(ShapeError, match="input x: expected"):
        builder.input("x", TensorType((2,), F32), np.zeros(3, F32))
