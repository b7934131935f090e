"""The text form: what it looks like, that it reads back, and what its errors say."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tests.random_graphs import random_graph, random_inputs
from tests.samples import OPS, samples, specials
from tracejit.ir import ops
from tracejit.ir.fusion import fuse
from tracejit.ir.graph import PRIMITIVES, Builder, Graph, Loc
from tracejit.ir.interpreter import evaluate
from tracejit.ir.passes import optimize
from tracejit.ir.text import ParseError, equal, parse
from tracejit.ir.types import F32, F64, TensorType, type_of

STEP = """func train_step(%w: f32[4,3], %b: f32[3], %x: f32[2,4]):
  # mlp.py:14
  %0: f32[2,3] = dot_general %x, %w contract=((1,),(0,)) batch=((),())
  %1: f32[2,3] = broadcast %b shape=(2,3) axes=(1,)
  %2: f32[2,3] = add %0, %1
  # grad of mlp.py:14
  %3: f32[3] = reduce_sum %2 axes=(0,)
  # no source
  %4: bool[3] = gt %3, %b
  return %3 -> %b, %4, %x
"""


def test_the_form() -> None:
    builder = Builder()
    w, b, x = (
        builder.input(name, TensorType(shape, F32))
        for name, shape in (("w", (4, 3)), ("b", (3,)), ("x", (2, 4)))
    )
    with builder.at(Loc("/home/user/mlp.py", 14)):
        h = ops.dot_general(x, w, ((1,), (0,))) + ops.broadcast_to(b, (2, 3))
    with builder.at(Loc("/home/user/mlp.py", 14, grad=True)):
        g = ops.reduce_sum(h, (0,))
    graph = Graph("train_step", (w, b, x), (g, ops.gt(g, b), x), (1, None, None))
    assert str(graph) == STEP
    assert equal(parse(STEP), graph)


def test_parsing_restores_everything() -> None:
    graph = parse(STEP)
    assert str(graph) == STEP
    assert [graph.input_name(n) for n in graph.inputs] == ["w", "b", "x"]
    assert graph.donated == (1, None, None)
    locs = [n.loc for n in graph.nodes()[3:]]
    assert locs[0] == Loc("mlp.py", 14)
    assert locs[3] == Loc("mlp.py", 14, grad=True)
    assert locs[4] is None


@pytest.mark.parametrize("seed", range(200))
def test_random_graphs_round_trip(seed: int) -> None:
    graph = random_graph(seed)
    again = parse(str(graph))
    assert str(again) == str(graph)
    assert equal(again, graph)


@pytest.mark.parametrize("op", OPS)
def test_every_primitive_round_trips(op: str) -> None:
    for sample in samples(op):
        builder = Builder()
        inputs = [builder.input(f"x{i}", type_of(a)) for i, a in enumerate(sample.arrays)]
        node = builder.emit(PRIMITIVES[op], *inputs, **sample.attrs)
        graph = Graph("f", tuple(inputs), (node,))
        assert equal(parse(str(graph)), graph), str(sample)


def test_constants_keep_their_bits() -> None:
    builder = Builder()
    outputs = [builder.full(v.item(), TensorType((), F64)) for v in specials(np.dtype(F64))]
    outputs.append(builder.full(-np.float64("nan"), TensorType((), F64)))
    outputs.append(builder.full(0.1, TensorType((), F32)))
    graph = Graph("f", (), tuple(outputs))
    assert equal(parse(str(graph)), graph)


def test_input_names_become_valid_and_unique() -> None:
    builder = Builder()
    given = ["params['w'][0]", "params.w.0", "3", "", "x", "x", "é"]
    inputs = tuple(builder.input(name, TensorType((), F32)) for name in given)
    text = str(Graph("f", inputs, inputs[:1]))
    header = text.splitlines()[0]
    expected = ["params_w_0", "params_w_0_1", "arg3", "arg", "x", "x_1", "arg_1"]
    assert header == f"func f({', '.join(f'%{name}: f32[]' for name in expected)}):"
    assert str(parse(text)) == text


def test_empty_graphs() -> None:
    assert str(parse("func f():\n  return")) == "func f():\n  return\n"


def test_comments_and_spacing_are_free() -> None:
    loose = (
        "\n# made by hand\nfunc f( %x : f32[2] ):\n\n   # a note\n %0:f32[2] = exp  %x\n return %0"
    )
    with pytest.raises(ParseError, match="line 2"):
        parse(loose)
    graph = parse(loose.replace("# made by hand\n", ""))
    assert str(graph) == "func f(%x: f32[2]):\n  %0: f32[2] = exp %x\n  return %0\n"


def _body(*lines: str) -> str:
    return "\n".join(["func f(%x: f32[2], %y: f32[3]):", *lines])


BAD = (
    ("", "line 0: expected 'func name"),
    ("func f(%x f32[2]):", "line 1: expected an input like '%x: f32"),
    ("func f(%x: f32[2] %y: f32[2]):", "line 1: expected ',' between inputs"),
    ("func f(%x: f99[2]):", "line 1: not a tensor type: 'f99"),
    ("func f(%x: f32[2], %x: f32[2]):", "line 1: %x is defined twice"),
    (_body("  return %z"), "line 2: %z is not defined"),
    (_body("  %0: f32[2] = exq %x"), "line 2: there is no op 'exq'"),
    (_body("  %0: f32[2] = input name=x"), "line 2: there is no op 'input'"),
    (_body("", "  %0: f32[2] = exp %q"), "line 3: %q is not defined"),
    (_body("  %0: f64[2] = exp %x"), r"line 2: exp: the result is f32\[2\], but %0 says f64\[2\]"),
    (_body("  %0: f32[2] = add %x, %y"), r"line 2: add: f32\[2\] and f32\[3\]: shapes differ"),
    (_body("  %0: f32[2] = exp %x, %x"), r"line 2: exp: takes 1 operand\(s\), got 2"),
    (_body("  %0: f32[] = reduce_sum %x"), "line 2: .*axes"),
    (_body("  %0: f32[] = reduce_sum %x axes=(0"), "line 2: a tuple is not closed"),
    (_body("  %0: f32[] = reduce_sum %x axes=zero"), "line 2: cannot read the attribute value"),
    (_body("  %0: f32[] = reduce_sum %x axes=(0,))"), "line 2: cannot read the attribute"),
    (_body("  %0: f32[] = reduce_sum %x axes=0"), "line 2: reduce_sum"),
    (_body("  exp %x"), "line 2: expected '%0: f32"),
    (_body("  %x: f32[2] = exp %x"), "line 2: %x is defined twice"),
    (_body("  %0: f32[2] = exp %x"), "line 2: the graph has no return"),
    (_body("  return %x", "  return %x"), "line 3: nothing may follow the return"),
    (_body("  %0: f32[2] = exp %x", "  return %0 -> %0"), "line 3: %0 -> %0: only an input's"),
)


@pytest.mark.parametrize(("text", "message"), BAD)
def test_errors_name_the_line(text: str, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        parse(text)


def test_equal_sees_every_difference() -> None:
    base = parse(STEP)
    assert equal(base, parse(STEP.replace("%x", "%data").replace("mlp.py", "other.py")))
    for old, new in (
        ("-> %b", ""),
        ("gt %3, %b", "gt %b, %3"),
        ("gt %3", "ge %3"),
        ("%4, %x", "%x, %4"),
        ("%x: f32[2,4]):", "%x: f32[2,4], %z: f32[]):"),
    ):
        assert old in STEP
        assert not equal(base, parse(STEP.replace(old, new))), (old, new)
    zero, minus = (
        parse(f"func f():\n  %0: f32[] = full value={v} shape=() dtype=f32\n  return %0")
        for v in ("0.0", "-0.0")
    )
    assert not equal(zero, minus)


@pytest.mark.parametrize("seed", range(40))
def test_the_fused_form_parses_as_the_graph(seed: int) -> None:
    fused = fuse(optimize(random_graph(seed)))
    text = str(fused)
    assert text.count("# kernel ") == len(fused.groups)
    again = parse(text)
    assert Counter(n.op for n in again.nodes()) == Counter(n.op for n in fused.graph.nodes())
    arrays = random_inputs(again, seed)
    for a, b in zip(evaluate(fused.graph, arrays), evaluate(again, arrays), strict=True):
        np.testing.assert_array_equal(a, b)
