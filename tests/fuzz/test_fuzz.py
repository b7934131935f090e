"""A fixed number of random graphs through every backend, and proof that faults are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.fuzz import choices, inputs
from tests.fuzz.backends import BACKENDS, replay, takes
from tests.fuzz.check import compare, references, shrink
from tests.fuzz.differences import wrong_gradient
from tests.fuzz.generate import random_graph
from tests.fuzz.graph_fuzz import faults
from tests.fuzz.inputs import random_inputs
from tests.samples import CONTROL
from tracejit.ir import ops, rules
from tracejit.ir.graph import PRIMITIVES, Array, Graph
from tracejit.ir.interpreter import evaluate
from tracejit.ir.patterns import Rule, Var
from tracejit.ir.text import parse
from tracejit.ir.types import is_float
from tracejit.ir.verify import verify

GRAPHS = 100
CHUNK = 25


@pytest.mark.parametrize("start", range(0, GRAPHS, CHUNK))
def test_backends_agree_on_random_graphs(start: int) -> None:
    found = list(faults(range(start, start + CHUNK), list(BACKENDS)))
    assert not found, "\n".join(map(str, found))


def test_gradients_of_random_graphs() -> None:
    found = [fault for seed in range(200) if (fault := wrong_gradient(seed))]
    assert not found, "\n".join(found)


def test_graphs_are_well_formed_and_the_same_every_time() -> None:
    for seed in range(50):
        graph = random_graph(seed)
        verify(graph)
        assert str(graph) == str(random_graph(seed))


def test_graphs_cover_every_primitive() -> None:
    seen = {node.op for seed in range(400) for node in random_graph(seed).nodes()}
    assert seen == set(PRIMITIVES) - CONTROL


def test_the_small_backends_see_most_graphs() -> None:
    graphs = [random_graph(seed) for seed in range(GRAPHS)]
    assert sum(takes("nests", graph) for graph in graphs) > GRAPHS * 0.7


def test_most_elements_are_judged() -> None:
    """The allowance is exact for most elements, and anything goes for few."""
    exact = free = total = 0
    for seed in range(100):
        graph = random_graph(seed)
        for reference in references(graph, random_inputs(graph, seed)):
            total += reference.value.size
            exact += int((reference.allowed == 0).sum())
            free += int(np.isnan(reference.allowed).sum())
    assert exact > 0.5 * total
    assert free < 0.05 * total


# Tests of the tests: planted faults must be found


def multiplies_by_zero(graph: Graph) -> bool:
    return any(n.op == "mul" and n.inputs[1].scalar() == 0 for n in graph.nodes())


def test_a_planted_wrong_rule_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    x = Var("x")
    wrong = Rule("x * 0 => 0", x * 0, lambda m: ops.zeros_like(m.root))
    monkeypatch.setitem(rules.BY_OP, "mul", (wrong, *rules.BY_OP["mul"]))
    monkeypatch.setattr(inputs, "SPECIAL_SHARE", 1.0)
    monkeypatch.setattr(choices, "CONSTANTS", (0.0,))
    seeds = (seed for seed in range(6000) if multiplies_by_zero(random_graph(seed)))
    fault = next(faults(seeds, ["passes"]))
    assert "mul" in str(fault.graph) and "output 0" in fault.message
    assert len(fault.graph.nodes()) <= 5, "shrunk to the product and little else"


@pytest.mark.parametrize(
    "op", ["tanh", "mul", "reduce_sum", "dot_general", "conv", "window_sum", "window_max"]
)
def test_a_planted_wrong_vjp_is_caught(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = PRIMITIVES[op]
    assert right.vjp is not None
    rule = right.vjp

    def wrong(*args: object, **attrs: object) -> tuple[object, ...]:
        return tuple(g and g * 1.5 for g in rule(*args, **attrs))

    monkeypatch.setitem(PRIMITIVES, op, replace(right, vjp=wrong))
    assert any(wrong_gradient(seed) for seed in range(300))


def off_by_an_ulp(graph: Graph, arrays: Sequence[Array]) -> list[Array]:
    """A backend that is wrong in the last bit of one element of each float sum."""
    outputs = evaluate(graph, arrays)
    for node, output in zip(graph.outputs, outputs, strict=True):
        if node.op == "add" and is_float(node.dtype) and output.size:
            output.reshape(-1)[-1] = np.nextafter(output.reshape(-1)[-1], output.dtype.type(9))
    return outputs


def test_one_wrong_bit_is_caught_and_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "wrong", off_by_an_ulp)
    assert any("add" in str(fault.graph) for fault in faults(range(60), ["wrong"]))


def forgets_the_end(graph: Graph, arrays: Sequence[Array]) -> list[Array]:
    """A backend that forgets the last element of each exponential with more than 16 of them."""

    def forget(x: Array) -> Array:
        with np.errstate(all="ignore"):
            y = np.exp(x).astype(x.dtype)
        if y.size > 16:
            y.reshape(-1)[-1] = 0.25
        return y

    exp = PRIMITIVES["exp"]
    try:
        PRIMITIVES["exp"] = replace(exp, eval=forget)
        return evaluate(parse(str(graph)), arrays)
    finally:
        PRIMITIVES["exp"] = exp


def test_a_fault_shrinks_to_one_operation_that_replays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "forgetful", forgets_the_end)
    fault = next(iter(faults(range(300), ["forgetful"])))
    assert [n.op for n in fault.graph.nodes()] == ["input", "exp"], str(fault)
    text = str(fault).split('"""')[1].strip() + "\n"
    again = replay("forgetful", fault.seed, text)
    assert again is not None and again.message == fault.message


def test_an_exception_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(graph: Graph, arrays: Sequence[Array]) -> list[Array]:
        raise RuntimeError("no code for this")

    graph = random_graph(3)
    fault = compare(graph, 3, "failing", fails)
    assert fault is not None and "RuntimeError: no code for this" in fault.message
    assert len(shrink(fault, fails).graph.nodes()) <= len(graph.nodes())
