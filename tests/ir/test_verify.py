"""The verifier passes good graphs and names what is wrong with broken ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

import pytest

from tests.random_graphs import random_graph
from tracejit.ir import ops
from tracejit.ir.graph import PRIMITIVES, Builder, Graph, Loc, Node
from tracejit.ir.types import F32, F64, TensorType
from tracejit.ir.verify import VerifyError, verify

VECTOR = TensorType((3,), F32)


@pytest.mark.parametrize("seed", range(50))
def test_good_graphs_pass(seed: int) -> None:
    graph = random_graph(seed)
    assert verify(graph) is graph


def test_a_graph_without_nodes_passes() -> None:
    verify(Graph("empty", (), ()))


def _forged(builder: Builder, op: str, inputs: tuple[Node, ...], type: TensorType) -> Node:
    """A node that no builder would make."""
    return Node(builder, PRIMITIVES[op], inputs, MappingProxyType({}), type, Loc("net.py", 9))


def _wrong_type(b: Builder, x: Node) -> Graph:
    return Graph("f", (x,), (_forged(b, "exp", (x,), TensorType((3,), F64)),))


def _does_not_type(b: Builder, x: Node) -> Graph:
    return Graph("f", (x,), (_forged(b, "add", (x,), VECTOR),))


def _twice(b: Builder, x: Node) -> Graph:
    return Graph("f", (x,), (ops.exp(x), _forged(b, "exp", (x,), VECTOR)))


def _unlisted_input(b: Builder, x: Node) -> Graph:
    return Graph("f", (), (ops.exp(x),))


def _input_twice(b: Builder, x: Node) -> Graph:
    return Graph("f", (x, x), (ops.exp(x),))


def _not_an_input(b: Builder, x: Node) -> Graph:
    return Graph("f", (ops.exp(x),), (ops.exp(x),))


def _one_name(b: Builder, x: Node) -> Graph:
    return Graph("f", (x, b.input("x", VECTOR)), (x,))


def _foreign(b: Builder, x: Node) -> Graph:
    other = Builder()
    return Graph("f", (x,), (x, ops.exp(other.full(1.0, VECTOR))))


def _foreign_primitive(b: Builder, x: Node) -> Graph:
    node = Node(b, replace(PRIMITIVES["exp"]), (x,), MappingProxyType({}), VECTOR, None)
    return Graph("f", (x,), (node,))


def _donated_twice(b: Builder, x: Node) -> Graph:
    return Graph("f", (x,), (ops.exp(x), ops.sin(x)), (0, 0))


def _donated_unlike(b: Builder, x: Node) -> Graph:
    return Graph("f", (x,), (ops.sum(x),), (0,))


def _donated_nothing(b: Builder, x: Node) -> Graph:
    return Graph("f", (x,), (ops.exp(x),), (1,))


BROKEN = (
    (_wrong_type, r"exp: its type is f64\[3\], but inferred f32\[3\]"),
    (_does_not_type, r"add: does not type: add: takes 2 operand\(s\), got 1"),
    (_twice, "exp: appears twice; equal nodes must be one"),
    (_unlisted_input, "an input is used but not listed"),
    (_input_twice, "an input is listed twice"),
    (_not_an_input, "is listed as an input"),
    (_one_name, "two inputs are named 'x'"),
    (_foreign, "made by another builder"),
    (_foreign_primitive, "not the primitive of that name"),
    (_donated_twice, "input 'x' is donated twice"),
    (_donated_unlike, r"output f32\[\] cannot take over input 'x': f32\[3\]"),
    (_donated_nothing, "there is no input 1 to donate"),
)


@pytest.mark.parametrize(("make", "message"), BROKEN)
def test_broken_graphs_are_caught(make: Callable[[Builder, Node], Graph], message: str) -> None:
    builder = Builder()
    x = builder.input("x", VECTOR)
    with pytest.raises(VerifyError, match=message):
        verify(make(builder, x))


def test_the_error_shows_the_equations_and_the_users_line() -> None:
    builder = Builder()
    x = builder.input("x", VECTOR)
    bad = _forged(builder, "exp", (ops.sin(x),), TensorType((3,), F64))
    with pytest.raises(VerifyError) as caught:
        verify(Graph("f", (x,), (bad,)))
    assert str(caught.value).splitlines()[1:] == [
        "   %x: f32[3] (input)",
        "   %0: f32[3] = sin %x",
        "-> %1: f64[3] = exp %0",
        "at net.py:9",
    ]
