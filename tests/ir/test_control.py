"""Control flow in the graph: meanings, types, derivatives, lanes, the text form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.samples import CONTROL
from tracejit.ir import ops
from tracejit.ir.autodiff import gradients, pushed
from tracejit.ir.batching import batched, in_lanes
from tracejit.ir.graph import PRIMITIVES, Array, Graph
from tracejit.ir.interpreter import evaluate
from tracejit.ir.text import ParseError, equal, parse
from tracejit.ir.types import ShapeError, UnboundedError, is_float
from tracejit.ir.verify import verify

SCAN = """
func f(%w: f64[3], %h: f64[3], %n: i32[], %xs: f64[4,3]):
  %0: (f64[3], i32[], f64[4,3], i32[4]) = scan %w, %h, %n, %xs \
body=@turn consts=1 carries=2 length=4 reverse=REVERSE
  %1: f64[3] = item %0 index=0
  %2: i32[] = item %0 index=1
  %3: f64[4,3] = item %0 index=2
  %4: i32[4] = item %0 index=3
  return %1, %2, %3, %4

func turn(%w: f64[3], %h: f64[3], %n: i32[], %x: f64[3]):
  %0: f64[3] = mul %w, %h
  %1: f64[3] = add %0, %x
  %2: f64[3] = sin %1
  %3: i32[] = full value=1 shape=() dtype=i32
  %4: i32[] = add %n, %3
  %5: f64[3] = mul %1, %w
  return %2, %4, %5, %n
"""
NESTED = """
func f(%w: f64[2], %h: f64[2]):
  %0: (f64[2]) = scan %w, %h body=@outer consts=1 carries=1 length=3 reverse=false
  %1: f64[2] = item %0 index=0
  return %1

func outer(%w: f64[2], %h: f64[2]):
  %0: (f64[2], f64[2,2]) = scan %w, %h body=@inner consts=1 carries=1 length=2 reverse=false
  %1: f64[2] = item %0 index=0
  %2: f64[2,2] = item %0 index=1
  %3: f64[2] = reduce_sum %2 axes=(0,)
  %4: f64[2] = add %1, %3
  return %4

func inner(%w: f64[2], %h: f64[2]):
  %0: f64[2] = mul %w, %h
  %1: f64[2] = tanh %0
  return %1, %0
"""
WHILE = """
func f(%w: f64[], %v: f64[]):
  %0: i32[] = full value=0 shape=() dtype=i32
  %1: (i32[], f64[]) = while_loop %w, %0, %v test=@small body=@turn consts=1
  %2: i32[] = item %1 index=0
  %3: f64[] = item %1 index=1
  return %2, %3

func small(%w: f64[], %n: i32[], %v: f64[]):
  %0: f64[] = full value=20.0 shape=() dtype=f64
  %1: bool[] = lt %v, %0
  return %1

func turn(%w: f64[], %n: i32[], %v: f64[]):
  %0: i32[] = full value=1 shape=() dtype=i32
  %1: i32[] = add %n, %0
  %2: f64[] = mul %v, %w
  return %1, %2
"""
COND = """
func f(%i: i32[], %x: f64[3], %y: f64[3]):
  %0: (f64[3], f64[]) = cond %i, %x, %y branches=(@first,@second,@third)
  %1: f64[3] = item %0 index=0
  %2: f64[] = item %0 index=1
  return %1, %2

func first(%x: f64[3], %y: f64[3]):
  %0: f64[3] = mul %x, %y
  %1: f64[] = reduce_sum %x axes=(0,)
  return %0, %1

func second(%x: f64[3], %y: f64[3]):
  %0: f64[3] = sin %x
  %1: f64[] = full value=2.0 shape=() dtype=f64
  return %0, %1

func third(%x: f64[3], %y: f64[3]):
  %0: f64[3] = exp %y
  %1: f64[] = reduce_max %y axes=(0,)
  return %0, %1
"""

RNG = np.random.default_rng(0)
W, H, XS = RNG.normal(size=3), RNG.normal(size=3), RNG.normal(size=(4, 3))
CASES: dict[str, tuple[str, list[Array]]] = {
    "scan": (SCAN.replace("REVERSE", "false"), [W, H, np.int32(5), XS]),
    "reversed": (SCAN.replace("REVERSE", "true"), [W, H, np.int32(5), XS]),
    "nested": (NESTED, [W[:2], H[:2]]),
    "while": (WHILE, [np.float64(1.7), np.float64(0.9)]),
    "first": (COND, [np.int32(-1), W, H]),
    "second": (COND, [np.int32(1), W, H]),
    "third": (COND, [np.int32(7), W, H]),
}
BACKWARD = [name for name in CASES if name != "while"]


def case(name: str) -> tuple[Graph, list[Array]]:
    text, arrays = CASES[name]
    return verify(parse(text)), [np.asarray(a) for a in arrays]


def loss_of(graph: Graph) -> Graph:
    """A scalar that every float output has a part in, and its gradient at every float input."""
    terms = [
        ops.sum(ops.sin(n * (k + 1.0))) for k, n in enumerate(graph.outputs) if is_float(n.dtype)
    ]
    loss = terms[0]
    for term in terms[1:]:
        loss = loss + term
    wrt = [n for n in graph.inputs if is_float(n.dtype)]
    found = gradients([loss], [ops.ones_like(loss)], wrt)
    return verify(Graph("loss", graph.inputs, (loss, *found)))


def differences(graph: Graph, arrays: Sequence[Array], output: int) -> list[Array]:
    """The gradient of one output by central differences."""
    found = []
    for k, array in enumerate(arrays):
        if not is_float(array.dtype):
            continue
        slope = np.zeros_like(array)
        for at in np.ndindex(array.shape):
            ends = []
            for step in (1e-6, -1e-6):
                moved = [a.copy() for a in arrays]
                moved[k][at] += step
                ends.append(evaluate(graph, moved)[output].sum())
            slope[at] = (ends[0] - ends[1]) / 2e-6
        found.append(slope)
    return found


def test_the_table_is_complete() -> None:
    assert set(PRIMITIVES) >= CONTROL
    made = {n.op for text, _ in CASES.values() for n in parse(text).nodes()}
    # Host calls have a table of their own.
    assert made | {"pack", "while_pull", "host_call"} >= CONTROL


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_is_a_loop(reverse: bool) -> None:
    graph, (w, h, n, xs) = case("reversed" if reverse else "scan")
    last, count, ys, ns = evaluate(graph, [w, h, n, xs])
    want, order = np.empty_like(ys), range(4)[::-1] if reverse else range(4)
    for t in order:
        y = w * h + xs[t]
        h, want[t] = np.sin(y), y * w
    np.testing.assert_allclose(last, h)
    np.testing.assert_allclose(ys, want)
    assert count == 9
    assert ns.tolist() == ([8, 7, 6, 5] if reverse else [5, 6, 7, 8])


def test_while_runs_until_its_condition_fails() -> None:
    graph, arrays = case("while")
    turns, value = evaluate(graph, arrays)
    assert turns == 6
    np.testing.assert_allclose(value, 0.9 * 1.7**6)
    assert evaluate(graph, [arrays[0], np.asarray(30.0)]) == [0, 30.0]


def test_cond_runs_one_branch_and_clamps_its_index() -> None:
    for name, want in (("first", W * H), ("second", np.sin(W)), ("third", np.exp(H))):
        np.testing.assert_array_equal(evaluate(*case(name))[0], want)


@pytest.mark.parametrize("name", CASES)
def test_the_text_is_read_back(name: str) -> None:
    graph, _ = case(name)
    assert equal(parse(str(graph)), graph)
    assert str(parse(str(graph))) == str(graph)
    if name in BACKWARD:
        graph = loss_of(graph)
        assert equal(parse(str(graph)), graph)


@pytest.mark.parametrize("name", BACKWARD)
def test_gradients_to_second_order(name: str) -> None:
    graph, arrays = case(name)
    first = loss_of(graph)
    found = evaluate(first, arrays)[1:]
    for got, want in zip(found, differences(first, arrays, 0), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)
    wrt = [n for n in first.inputs if is_float(n.dtype)]
    total = ops.sum(ops.sin(first.outputs[1]))
    twice = gradients([total], [ops.ones_like(total)], wrt)
    second = verify(Graph("second", first.inputs, (total, *twice)))
    got_twice = evaluate(second, arrays)[1:]
    for got, want in zip(got_twice, differences(second, arrays, 0), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_forward_mode(name: str) -> None:
    graph, arrays = case(name)
    outputs = [n for n in graph.outputs if is_float(n.dtype)]
    wrt = [n for n in graph.inputs if is_float(n.dtype)]
    along = [ops.full_like(n, 0.3 + k) for k, n in enumerate(wrt)]
    moved = verify(Graph("moved", graph.inputs, tuple(pushed(outputs, wrt, along))))
    ends = []
    for step in (1e-6, -1e-6):
        rates = iter(0.3 + k for k in range(len(wrt)))
        shifted = [a + step * next(rates) if is_float(a.dtype) else a for a in arrays]
        ends.append([v for v in evaluate(graph, shifted) if is_float(v.dtype)])
    for got, up, down in zip(evaluate(moved, arrays), *ends, strict=True):
        np.testing.assert_allclose(got, (up - down) / 2e-6, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", CASES)
def test_lanes_are_a_loop(name: str) -> None:
    """Every choice of which operands differ from lane to lane."""
    graph, arrays = case(name)
    for choice in range(1, 2 ** len(arrays)):
        check_lanes(graph, arrays, [bool(choice >> k & 1) for k in range(len(arrays))])


def check_lanes(graph: Graph, arrays: Sequence[Array], flags: Sequence[bool]) -> None:
    size, builder = 3, graph.inputs[0].builder
    lanes, inputs, given = {}, [], []
    for node, array, has in zip(graph.inputs, arrays, flags, strict=True):
        if not has:
            inputs.append(node)
            given.append(array)
            continue
        every = builder.input("lanes", node.type.with_shape((size, *node.shape)))
        lanes[node] = every
        inputs.append(every)
        shifts = np.arange(size).reshape(size, *[1] * array.ndim)
        given.append((array + shifts * (0.25 if is_float(array.dtype) else 1)).astype(array.dtype))
    known = batched(graph.outputs, lanes, size)
    outputs = tuple(in_lanes(n, known, size) for n in graph.outputs)
    got = evaluate(Graph("lanes", tuple(inputs), outputs), given)
    for lane in range(size):
        one = [g[lane] if has else g for g, has in zip(given, flags, strict=True)]
        for value, want in zip(got, evaluate(graph, list(map(np.asarray, one))), strict=True):
            np.testing.assert_allclose(value[lane], want, rtol=1e-12)


def test_a_while_loop_has_no_gradient() -> None:
    graph, arrays = case("while")
    with pytest.raises(UnboundedError, match=r"how often it runs is not known.*max_steps"):
        evaluate(loss_of(graph), arrays)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("%xs: f64[4,3]", "%xs: f64[5,3]", r"f64\[5,3\] has not the 4 elements"),
        ("%xs: f64[4,3]", "%xs: f64[4,2]", r"turn takes \(f64\[3\].*given .*f64\[2\]\)"),
        ("return %2, %4, %5, %n", "return %4, %2, %5, %n", "a carry keeps its type"),
    ],
)
def test_scan_checks_its_body(old: str, new: str, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        parse(CASES["scan"][0].replace(old, new))


def test_while_and_cond_check_their_bodies() -> None:
    with pytest.raises(ParseError, match=r"small gives \(f64\[\]\); the condition is one bool"):
        parse(WHILE.replace("  return %1\n", "  return %0\n"))
    with pytest.raises(ParseError, match="branches give the same types"):
        parse(COND.replace("%1: f64[] = full value=2.0 shape=() dtype=f64", "%1: f64[3] = cos %y"))
    with pytest.raises(ParseError, match=r"the index is f64\[3\], not i32\[\]"):
        parse(COND.replace("cond %i,", "cond %x,"))


def test_items_name_a_result_that_is_there() -> None:
    graph, _ = case("scan")
    scan = graph.outputs[0].inputs[0]
    with pytest.raises(ShapeError, match="has no result 4"):
        ops.item(scan, 4)
    with pytest.raises(ParseError, match="there is no body '@turn'"):
        parse(CASES["scan"][0].replace("func turn(", "func other("))
