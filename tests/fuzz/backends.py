"""What the fuzzer compares with the interpreter: each a function of a graph and its inputs."""

from __future__ import annotations

from collections.abc import Sequence

from tests.emitters.nests import run_nests
from tests.fuzz.check import Backend, Mismatch, compare, terms
from tracejit.codegen.compile import compile_graph
from tracejit.codegen.machine import this_machine
from tracejit.codegen.numba_program import run_program
from tracejit.codegen.stages import Stages
from tracejit.ir.graph import Array, Graph, Node
from tracejit.ir.interpreter import evaluate
from tracejit.ir.passes import optimize
from tracejit.ir.text import equal, parse


def through_passes(graph: Graph, arrays: Sequence[Array]) -> list[Array]:
    """The optimised graph, interpreted."""
    return evaluate(optimize(graph), arrays)


def through_text(graph: Graph, arrays: Sequence[Array]) -> list[Array]:
    """The graph printed and parsed, interpreted."""
    again = parse(str(graph))
    assert equal(graph, again) and str(again) == str(graph), "printed and parsed, it is another"
    return evaluate(again, arrays)


def through_plan(graph: Graph, arrays: Sequence[Array]) -> list[Array]:
    """The planned program, with its layouts, in place and in the arena, as printed plain Python."""
    return run_program(Stages(graph, this_machine()).plan, arrays, use_numba=False)


def through_llvm(graph: Graph, arrays: Sequence[Array]) -> list[Array]:
    """The native program, scheduled for this machine."""
    outputs = compile_graph(graph).run(arrays)
    for output, donor in zip(outputs, graph.donated, strict=True):
        in_place = donor is None or output.tobytes() == arrays[donor].tobytes()
        assert in_place, "a donated array must hold the output"
    return outputs


BACKENDS: dict[str, Backend] = {
    "passes": through_passes,
    "text": through_text,
    "nests": run_nests,
    "plan": through_plan,
    "llvm": through_llvm,
}
# Plain Python takes about a microsecond for each operation on each element.
MAX_PLAIN_PYTHON = 60_000
CONTRACTIONS = ("dot_general", "conv", "conv_weight_grad", "window_sum", "window_max")


def takes(name: str, graph: Graph) -> bool:
    """Whether a graph is small enough for a backend."""
    return name not in ("nests", "plan") or sum(map(_work, graph.nodes())) <= MAX_PLAIN_PYTHON


def _work(node: Node) -> int:
    """Scalar operations, about."""
    folds = terms(node) if node.op in CONTRACTIONS else 1
    return node.type.size * folds + sum(operand.type.size for operand in node.inputs)


def replay(name: str, seed: int, text: str) -> Mismatch | None:
    """Runs a reproducer: the fault of that backend on a graph in text form, or None."""
    return compare(parse(text), seed, name, BACKENDS[name])
