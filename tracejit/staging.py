"""From a Python function and the types of its arguments to a graph."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.arguments import Argument, input_name
from tracejit.errors import EscapedTracerError, UnrolledLoopWarning, UnsupportedError
from tracejit.ir.garbage import uncollected
from tracejit.ir.graph import Array, Graph, Node
from tracejit.source import here
from tracejit.trace import Trace
from tracejit.tracer import Tracer
from tracejit.variable import Variable

# Operations of one source line beyond which it is a loop that should be one operation.
UNROLLED = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Staged:
    """A traced function.

    graph.inputs are the array arguments, in order, then what was captured. graph.outputs are the
    results, in the order of `out_spec`'s leaves, then the new contents of assigned Variables.
    """

    graph: Graph
    arguments: tuple[Argument, ...]
    captured: tuple[Array | Variable, ...]
    out_spec: tree.Spec
    results: int


@uncollected()
def stage(
    f: Callable[..., Any],
    name: str,
    arguments: Sequence[Argument],
    call: Callable[[Callable[..., Any], list[Tracer | Variable]], Any],
    donated: frozenset[str] = frozenset(),
) -> Staged:
    """Runs f once on tracers of these types.

    call(f, leaves) calls f with the leaves put back into the structure of its arguments.
    donated: names of the parameters whose buffers results may take over.
    """
    trace = Trace(name)
    with trace.active():
        leaves: list[Tracer | Variable] = [
            a.variable
            if a.variable is not None
            else trace.argument(input_name(a), a.type, weak=a.number in (int, float))
            for a in arguments
        ]
        result = call(f, leaves)
        outputs, out_spec = tree.flatten(result)
        paths = tree.paths(result)
        nodes = [_output(trace, v, p) for v, p in zip(outputs, paths, strict=True)]
        assigned = [(v, c.now.node) for v, c in trace.cells.items() if c.assigned]
    arrays = [a for a in arguments if a.variable is None]
    owners = _match_donated(arrays, trace.inputs, nodes, paths, donated)
    position = {id(c): i for i, c in enumerate(trace.captured, len(trace.inputs))}
    graph = Graph(
        name,
        (*trace.inputs, *trace.captured_nodes),
        (*nodes, *(node for _, node in assigned)),
        (*owners, *(position[id(v)] for v, _ in assigned)),
    )
    if trace.mapped:
        _check_escaped(trace, graph)
    if trace.builder.made() > UNROLLED:
        _warn_of_unrolled_loops(trace)
    return Staged(graph, tuple(arguments), tuple(trace.captured), out_spec, len(nodes))


def _warn_of_unrolled_loops(trace: Trace) -> None:
    """Names the line that made most operations, if that alone is more than a loop should leave."""
    lines = Counter(node.loc for node in trace.builder.made_since(0) if node.loc is not None)
    for loc, count in lines.most_common(1):
        if count <= UNROLLED:
            return
        warnings.warn(
            f"{trace.name}: {count:,} operations were traced at {loc}: a Python loop unrolls, and"
            " takes long to compile. Write it as tj.scan or tj.fori_loop, which is one operation"
            " however often it turns",
            UnrolledLoopWarning,
            stacklevel=2,
        )


def _check_escaped(trace: Trace, graph: Graph) -> None:
    """Raises EscapedTracerError where a result reads an element of a vmap that has ended."""
    inputs = set(graph.inputs)
    for node in graph.nodes():
        if node.op == "input" and node not in inputs:
            raise EscapedTracerError(
                f"{trace.name}: a result depends on {node.type}, an element inside a vmap{here()};"
                " return what is needed from the mapped function instead of keeping it"
            )


def _output(trace: Trace, value: Any, path: tuple[Any, ...]) -> Node:
    is_array = isinstance(value, Tracer | Variable | np.ndarray | np.generic)
    if not (is_array or type(value) in (bool, int, float) or hasattr(value, "__array__")):
        raise UnsupportedError(
            f"{trace.name}: result{tree.path_text(path)} is a {type(value).__name__}{here()};"
            " a traced function returns arrays, numbers and None, in tuples, lists and dicts"
        )
    return trace.array(value).node


def _match_donated(
    arguments: Sequence[Argument],
    inputs: Sequence[Node],
    outputs: Sequence[Node],
    paths: Sequence[tuple[Any, ...]],
    donated: frozenset[str],
) -> list[int | None]:
    """For each output the donated argument whose place it takes.

    A donated array goes to the first free result of its type that stands under the same keys, else
    to the first free one of its type. A result that is itself an argument takes its own place only.
    """
    candidates = [i for i, a in enumerate(arguments) if a.path[0] in donated and a.number is None]
    places = _Places(inputs, outputs, paths, {len(arguments[i].path) - 1 for i in candidates})
    without_place = []
    for i in candidates:
        keys = arguments[i].path[1:]
        if places.take(i, inputs[i]):
            continue
        if not keys or not places.take(i, (inputs[i].type, keys)):
            without_place.append(i)
    for i in without_place:
        places.take(i, inputs[i].type)
    return places.owners


class _Places:
    """The results that arguments may take over, by what is asked for; the first ones come first.

    Asked for are the argument itself, where it is passed on, or a type, alone or with the last
    keys of the path. depths: how many of those.
    """

    def __init__(
        self,
        inputs: Sequence[Node],
        outputs: Sequence[Node],
        paths: Sequence[tuple[Any, ...]],
        depths: Set[int],
    ) -> None:
        self.owners: list[int | None] = [None] * len(outputs)
        self._places: defaultdict[object, deque[int]] = defaultdict(deque)
        passed_on = set(inputs)
        for o, (node, path) in enumerate(zip(outputs, paths, strict=True)):
            if node in passed_on:
                self._places[node].append(o)
                continue
            self._places[node.type].append(o)
            for depth in depths:
                if 0 < depth <= len(path):
                    self._places[node.type, path[-depth:]].append(o)

    def take(self, position: int, wanted: object) -> bool:
        """Gives input `position` the first free one; says if there was one."""
        places = self._places[wanted]
        while places:
            o = places.popleft()
            if self.owners[o] is None:
                self.owners[o] = position
                return True
        return False
