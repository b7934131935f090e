"""Passes over scans: what is left in the loop, what stands before and behind it, and the values."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tests.ir.test_control import BACKWARD, CASES, case, loss_of
from tracejit.ir import ops
from tracejit.ir.autodiff import gradients
from tracejit.ir.graph import Graph, Node
from tracejit.ir.interpreter import evaluate
from tracejit.ir.loops import Scan
from tracejit.ir.passes import optimize
from tracejit.ir.passes.hoist import hoist
from tracejit.ir.passes.merge import merge
from tracejit.ir.passes.sink import sink
from tracejit.ir.passes.trim import trim
from tracejit.ir.text import parse
from tracejit.ir.verify import verify

RNN = """
func f(%w: f32[16,16], %u: f32[8,16], %b: f32[16], %h: f32[4,16], %xs: f32[5,4,8]):
  %0: (f32[4,16], f32[5,4,16]) = scan %w, %u, %b, %h, %xs body=@turn consts=3 carries=1 length=5 \
reverse=false
  %1: f32[4,16] = item %0 index=0
  %2: f32[5,4,16] = item %0 index=1
  return %1, %2

func turn(%w: f32[16,16], %u: f32[8,16], %b: f32[16], %h: f32[4,16], %x: f32[4,8]):
  %0: f32[4,16] = dot_general %x, %u contract=((1,),(0,)) batch=((),())
  %1: f32[4,16] = dot_general %h, %w contract=((1,),(0,)) batch=((),())
  %2: f32[4,16] = add %0, %1
  %3: f32[16] = exp %b
  %4: f32[4,16] = broadcast %3 shape=(4,16) axes=(1,)
  %5: f32[4,16] = add %2, %4
  %6: f32[4,16] = tanh %5
  return %6, %6
"""


def scans(graph: Graph) -> list[Scan]:
    return [Scan.of(node) for node in graph.nodes() if node.op == "scan"]


def counted(graph: Graph) -> Counter[str]:
    return Counter(node.op for node in graph.nodes())


def rnn_gradient() -> Graph:
    """The loss of the last state and its gradients at the weights."""
    graph = parse(RNN)
    loss = ops.sum(graph.outputs[0])
    found = gradients([loss], [ops.ones_like(loss)], list(graph.inputs[:2]))
    return verify(Graph("step", graph.inputs, (loss, *found)))


def values(graph: Graph) -> list[np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    rng = np.random.default_rng(1)
    arrays = [(rng.normal(size=n.shape) / 3).astype(n.dtype) for n in graph.inputs]
    return evaluate(graph, arrays)


@pytest.mark.parametrize("name", CASES)
def test_optimized_loops_compute_the_same(name: str) -> None:
    graph, arrays = case(name)
    for each in (graph, *([loss_of(graph)] if name in BACKWARD else [])):
        for got, want in zip(
            evaluate(verify(optimize(each)), arrays), evaluate(each, arrays), strict=True
        ):
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_what_a_turn_does_without_its_carry_stands_before_the_loop() -> None:
    graph = verify(hoist(parse(RNN)))
    (scan,) = scans(graph)
    assert counted(scan.body)["dot_general"] == 1
    assert "exp" not in counted(scan.body)
    projection = next(n for n in graph.nodes() if n.op == "dot_general")
    assert projection.shape == (5, 4, 16)
    for got, want in zip(values(graph), values(parse(RNN)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


MAPPED = """
func f(%w: f32[16,16], %xs: f32[5,ROWS,16]):
  %0: (f32[5,ROWS,ROWS]) = scan %w, %xs body=@turn consts=1 carries=0 length=5 reverse=false
  %1: f32[5,ROWS,ROWS] = item %0 index=0
  return %1

func turn(%w: f32[16,16], %x: f32[ROWS,16]):
  %0: f32[ROWS,16] = dot_general %x, %w contract=((1,),(0,)) batch=((),())
  %1: f32[ROWS,ROWS] = dot_general %0, %x contract=((1,),(1,)) batch=((),())
  return %1
"""


@pytest.mark.parametrize("rows, left", [(15, 1), (16, 2)])
def test_without_carries_only_products_of_few_rows_leave_the_loop(rows: int, left: int) -> None:
    """And none whose operands are both of the turn: all of those at once are no better product."""
    before = parse(MAPPED.replace("ROWS", str(rows)))
    after = verify(hoist(before))
    (scan,) = scans(after)
    assert counted(scan.body)["dot_general"] == left
    for got, want in zip(values(after), values(before), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_a_loop_within_a_turn_does_not_become_one_of_all_turns() -> None:
    """In lanes it would turn for all as often as for the one that needs it most."""
    graph = parse("""
func f(%w: f32[4,4], %ns: i32[6], %xs: f32[6,2,4]):
  %0: (f32[6,2,4]) = scan %w, %ns, %xs body=@turn consts=1 carries=0 length=6 reverse=false
  %1: f32[6,2,4] = item %0 index=0
  return %1

func turn(%w: f32[4,4], %n: i32[], %x: f32[2,4]):
  %0: i32[] = full value=0 shape=() dtype=i32
  %1: (i32[], f32[2,4]) = while_loop %n, %0, %x test=@more body=@once consts=1
  %2: f32[2,4] = item %1 index=1
  %3: f32[2,4] = dot_general %2, %w contract=((1,),(0,)) batch=((),())
  return %3

func more(%n: i32[], %i: i32[], %x: f32[2,4]):
  %0: bool[] = lt %i, %n
  return %0

func once(%n: i32[], %i: i32[], %x: f32[2,4]):
  %0: i32[] = full value=1 shape=() dtype=i32
  %1: i32[] = add %i, %0
  %2: f32[2,4] = tanh %x
  return %1, %2
""")
    after = verify(hoist(graph))
    assert counted(after)["while_loop"] == 0
    (scan,) = scans(after)
    assert counted(scan.body) == counted(scans(graph)[0].body)


def test_the_derivative_of_a_loop_is_two_loops_with_one_product_each() -> None:
    before = rnn_gradient()
    assert len(scans(before)) == 3
    after = verify(optimize(before))
    forward, back = scans(after)
    assert [counted(s.body)["dot_general"] for s in (forward, back)] == [1, 1]
    assert not forward.reverse and back.reverse
    # The gradients of u, w are one product each, and the projection of all xs is one.
    assert counted(after)["dot_general"] == 3
    # Weights are not carried: what goes back is the cotangent of h.
    assert [n.shape for n in back.inits] == [(4, 16)]
    for got, want in zip(values(after), values(before), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_scans_that_walk_together_are_one() -> None:
    text = CASES["scan"][0]
    graph = parse(text)
    (scan,) = scans(graph)
    other = parse(text.replace("mul %1, %w", "cos %1")).outputs[0].inputs[0]
    again = Scan(Scan.of(other).body, scan.consts, scan.inits, scan.xs, 4, False)
    node = again.emit(graph.inputs[0].builder)
    both = Graph("both", graph.inputs, (*graph.outputs, ops.item(node, 2), ops.item(node, 0)))
    merged = verify(merge(both))
    assert len(scans(merged)) == 1
    arrays = case("scan")[1]
    for got, want in zip(evaluate(merged, arrays), evaluate(both, arrays), strict=True):
        np.testing.assert_array_equal(got, want)


def test_scans_that_carry_differently_stay_apart() -> None:
    graph = parse(CASES["scan"][0])
    (scan,) = scans(graph)
    other = parse(CASES["scan"][0].replace("sin %1", "cos %1")).outputs[0].inputs[0]
    again = Scan(Scan.of(other).body, scan.consts, scan.inits, scan.xs, 4, False)
    node = again.emit(graph.inputs[0].builder)
    both = Graph("both", graph.inputs, (*graph.outputs, ops.item(node, 2)))
    assert len(scans(merge(both))) == 2


def only(graph: Graph, *outputs: int) -> Graph:
    return Graph(graph.name, graph.inputs, tuple(graph.outputs[n] for n in outputs))


def test_results_that_nobody_reads_are_not_computed() -> None:
    graph, _ = case("scan")
    (scan,) = scans(verify(trim(only(graph, 1))))
    # The count does not need h, w or xs.
    assert (len(scan.consts), len(scan.inits), len(scan.xs), len(scan.ys)) == (0, 1, 0, 0)
    (scan,) = scans(verify(trim(only(graph, 2))))
    assert (len(scan.consts), len(scan.inits), len(scan.xs), len(scan.ys)) == (1, 1, 1, 1)


def test_a_carry_that_stays_the_same_is_none() -> None:
    text = CASES["scan"][0].replace("return %2, %4, %5, %n", "return %2, %n, %5, %n")
    graph = trim(parse(text))
    (scan,) = scans(verify(graph))
    assert len(scan.inits) == 1 and len(scan.ys) == 1
    arrays = case("scan")[1]
    for got, want in zip(evaluate(graph, arrays), evaluate(parse(text), arrays), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("length", [0, 1])
def test_short_loops_are_no_loops(length: int) -> None:
    text = CASES["scan"][0].replace("[4", f"[{length}").replace("length=4", f"length={length}")
    graph = parse(text.replace("reverse=REVERSE", "reverse=false"))
    short = verify(trim(graph))
    assert not scans(short)
    arrays = [*case("scan")[1][:3], case("scan")[1][3][:length]]
    for got, want in zip(evaluate(short, arrays), evaluate(graph, arrays), strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_small_product_stays_a_carried_sum() -> None:
    """Where storing the operands of all turns would move more than the sum."""
    wide = RNN.replace("4,16]", "400,16]").replace("4,8]", "400,8]").replace("(4,16)", "(400,16)")
    parsed = parse(wide)
    loss = ops.sum(parsed.outputs[0])
    found = gradients([loss], [ops.ones_like(loss)], list(parsed.inputs[:2]))
    step = Graph("step", parsed.inputs, (loss, *found))
    back = scans(sink(trim(merge(step))))[-1]
    assert (16, 16) in [n.shape for n in back.inits]


POWER = """
func f(%a: f64[5,5], %v: f64[5], %n: i32[]):
  %0: (f64[5], i32[]) = while_loop %a, %v, %n test=@more body=@turn consts=1
  %1: f64[5] = item %0 index=0
  return %1

func more(%a: f64[5,5], %v: f64[5], %n: i32[]):
  %0: f64[] = reduce_max %a axes=(0,1)
  %1: f64[] = full value=0.0 shape=() dtype=f64
  %2: bool[] = gt %0, %1
  %3: i32[] = full value=6 shape=() dtype=i32
  %4: bool[] = lt %n, %3
  %5: bool[] = and %2, %4
  return %5

func turn(%a: f64[5,5], %v: f64[5], %n: i32[]):
  %0: f64[5,5] = exp %a
  %1: f64[5] = dot_general %0, %v contract=((1,),(0,)) batch=((),())
  %2: f64[5] = tanh %1
  %3: i32[] = full value=1 shape=() dtype=i32
  %4: i32[] = add %n, %3
  return %2, %4
"""


def test_a_while_loop_finds_ready_what_stays_the_same() -> None:
    graph = parse(POWER)
    after = verify(hoist(graph))
    (loop,) = (node for node in after.nodes() if node.op == "while_loop")
    test, body = loop.attrs["test"], loop.attrs["body"]
    assert isinstance(test, Graph) and isinstance(body, Graph)
    assert "exp" not in counted(body) and "reduce_max" not in counted(test)
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(5, 5)), rng.normal(size=5), np.asarray(np.int32(0))]
    for each in (after, optimize(graph)):
        np.testing.assert_array_equal(evaluate(each, arrays)[0], evaluate(graph, arrays)[0])


def test_only_scans_are_touched() -> None:
    graph, _ = case("second")

    def operations(nodes: list[Node]) -> list[str]:
        return [n.op for n in nodes]

    for each in (hoist, sink, trim, merge):
        assert operations(each(graph).nodes()) == operations(graph.nodes())
