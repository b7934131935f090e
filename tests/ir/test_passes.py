"""simplify and fold: results kept, a fixpoint reached, and what single expressions become."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.random_graphs import random_graph, random_inputs
from tests.samples import tolerance
from tracejit.ir import config, ops, passes
from tracejit.ir.graph import Builder, Graph, Node
from tracejit.ir.interpreter import evaluate
from tracejit.ir.passes import optimize
from tracejit.ir.passes.simplify import simplify
from tracejit.ir.text import equal, parse
from tracejit.ir.types import F32, I32, TensorType
from tracejit.ir.verify import VerifyError

SEEDS = range(150)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_graphs_keep_their_results(seed: int) -> None:
    graph = random_graph(seed)
    better = optimize(graph)
    arrays = random_inputs(graph, seed)
    for old, new in zip(evaluate(graph, arrays), evaluate(better, arrays), strict=True):
        # Exact but for sums: NumPy's order of addition depends on the strides of its operand.
        np.testing.assert_allclose(new, old, rtol=4 * tolerance(old.dtype), atol=0)
    assert len(better.nodes()) <= len(graph.nodes())
    assert equal(simplify(better), better)


SIMPLER = (
    ("exp(x * 1 + -0.0)", lambda x: ops.exp(x * 1.0 + -0.0), "exp %x"),
    ("2 + 3 folds", lambda x: x + (ops.full_like(x, 2) + ops.full_like(x, 3)), "full value=5.0"),
    ("x ** 2", lambda x: ops.pow(x, ops.full_like(x, 2)), "mul %x, %x"),
    ("x / 4", lambda x: x / 4.0, "full value=0.25"),
    ("2 * x", lambda x: 2.0 * x, "mul %x, %0"),
    ("-(-x) + x", lambda x: ops.neg(-x) + x, "add %x, %x"),
    ("x.T.T", lambda x: ops.exp(ops.transpose(ops.transpose(x, (1, 0)), (1, 0))), "exp %x"),
    (
        "keepdims, then broadcast",
        lambda x: ops.broadcast_to(ops.max(x, (1,), keepdims=True), x.shape),
        "broadcast %0 shape=(4,3) axes=(0,)",
    ),
    (
        "x[1:][::2]",
        lambda x: ops.slice(ops.slice(x, (1, 0), (4, 3)), (0, 0), (3, 3), (2, 1)),
        "slice %x start=(1,0) stop=(4,3) step=(2,1)",
    ),
    (
        "broadcast of a constant",
        lambda x: x * ops.broadcast_to(x.builder.full(3.0, TensorType((1, 1), F32)), x.shape),
        "full value=3.0 shape=(4,3)",
    ),
    ("marks vanish", lambda x: ops.exp(x.builder.mark(ops.stop_gradient(x))), "exp %x"),
    (
        "select on a constant",
        lambda x: ops.exp(ops.select(ops.eq(ops.ones_like(x), ops.zeros_like(x)), -x, x)),
        "exp %x",
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("fn", "expected"), [row[1:] for row in SIMPLER], ids=[r[0] for r in SIMPLER]
)
def test_expressions_become_simpler(fn: Callable[[Node], Node], expected: str) -> None:
    builder = Builder()
    x = builder.input("x", TensorType((4, 3), F32))
    before = Graph("f", (x,), (fn(x),))
    after = optimize(before)
    assert expected in str(after)
    assert len(after.nodes()) < len(before.nodes()) or "mul %x, %0" in str(after)


def test_values_that_must_stay() -> None:
    text = """func f(%x: f32[3], %n: i32[3]):
  %0: f32[3] = full value=0.0 shape=(3,) dtype=f32
  %1: f32[3] = add %x, %0
  %2: f32[3] = mul %x, %0
  %3: f32[3] = sub %x, %x
  %4: f32[3] = full value=3.0 shape=(3,) dtype=f32
  %5: f32[3] = div %x, %4
  return %1, %2, %3, %5
"""
    assert str(optimize(parse(text))) == text


def test_large_constants_are_not_evaluated_in_full() -> None:
    builder = Builder()
    ones = builder.full(1.0, TensorType((1000, 1000), F32))
    graph = Graph("f", (), (ops.sum(ones), ops.exp(ones)))
    text = str(optimize(graph))
    assert "reduce_sum" in text
    assert "exp" not in text


def test_small_constants_fold_where_uniform() -> None:
    builder = Builder()
    ones = builder.full(1, TensorType((4,), I32))
    graph = Graph("f", (), (ops.sum(ones), ops.pad(ones, 0, (1,), (0,))))
    text = str(optimize(graph))
    assert "full value=4" in text
    assert "pad" in text


def test_donations_and_names_survive() -> None:
    text = """func step(%w: f32[3], %g: f32[3]):
  # train.py:3
  %0: f32[3] = full value=1.0 shape=(3,) dtype=f32
  %1: f32[3] = mul %g, %0
  # grad of train.py:4
  %2: f32[3] = sub %w, %1
  return %2 -> %w, %g
"""
    assert (
        str(optimize(parse(text)))
        == """func step(%w: f32[3], %g: f32[3]):
  # grad of train.py:4
  %0: f32[3] = sub %w, %g
  return %0 -> %w, %g
"""
    )


def test_the_verifier_runs_between_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(graph: Graph) -> Graph:
        return Graph(graph.name, graph.inputs[:1], graph.outputs)

    monkeypatch.setattr(passes, "PIPELINE", (broken,))
    graph = parse("func f(%x: f32[3], %y: f32[3]):\n  %0: f32[3] = add %x, %y\n  return %0")
    with config.override("verify", False):
        optimize(graph)
    with config.override("verify", True), pytest.raises(VerifyError, match="not listed"):
        optimize(graph)
