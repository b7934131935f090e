"""The verifier: what every graph must satisfy between any two passes."""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir.graph import PRIMITIVES, Graph, Node, attr_key
from tracejit.ir.loops import bodies
from tracejit.ir.text import node_names, print_node

CONTEXT = 3  # equations shown before and after the faulty one


class VerifyError(Exception):
    """A pass or the tracer made a graph that is not one. A bug of tracejit, not of its user."""


def verify(graph: Graph) -> Graph:
    """Returns `graph`. Raises VerifyError, with the equations around the fault."""
    _check_inputs(graph)
    nodes = graph.nodes()
    seen: dict[object, Node] = {}
    for node in nodes:
        fault = _fault(graph, node, seen)
        if fault is not None:
            raise VerifyError(f"{graph.name}: {fault}\n{_around(graph, nodes, node)}")
        for body in (b for some in bodies(node).values() for b in some):
            verify(body)
    _check_donations(graph)
    return graph


def _check_inputs(graph: Graph) -> None:
    if len(set(graph.inputs)) != len(graph.inputs):
        raise VerifyError(f"{graph.name}: an input is listed twice")
    for node in graph.inputs:
        if node.op != "input":
            raise VerifyError(f"{graph.name}: {node!r} is listed as an input")
    names = [graph.input_name(node) for node in graph.inputs]
    for name in names:
        if names.count(name) > 1:
            raise VerifyError(f"{graph.name}: two inputs are named {name!r}")


def _fault(graph: Graph, node: Node, seen: dict[object, Node]) -> str | None:
    """What is wrong with one node, or None. `seen` holds those before it, by identity key."""
    first = (*graph.outputs, *graph.inputs)[0]
    if node.builder is not first.builder:
        return f"{node.op}: made by another builder than the first output"
    if node.op == "input":
        return None if node in graph.inputs else "an input is used but not listed"
    if PRIMITIVES.get(node.op) is not node.prim:
        return f"{node.op}: not the primitive of that name"
    try:
        inferred = node.prim.infer(*(i.type for i in node.inputs), **node.attrs)
    except (TypeError, ValueError) as error:
        return f"{node.op}: does not type: {error}"
    if inferred != node.type:
        return f"{node.op}: its type is {node.type}, but inferred {inferred}"
    attrs = tuple((name, attr_key(node.attrs[name])) for name in sorted(node.attrs))
    twin = seen.setdefault((node.op, node.inputs, attrs), node)
    return None if twin is node else f"{node.op}: appears twice; equal nodes must be one"


def _check_donations(graph: Graph) -> None:
    taken: set[int] = set()
    for output, donor in zip(graph.outputs, graph.donated, strict=True):
        if donor is None:
            continue
        if not 0 <= donor < len(graph.inputs):
            raise VerifyError(f"{graph.name}: there is no input {donor} to donate")
        source = graph.inputs[donor]
        name = graph.input_name(source)
        if donor in taken:
            raise VerifyError(f"{graph.name}: input {name!r} is donated twice")
        taken.add(donor)
        if source.type != output.type:
            raise VerifyError(
                f"{graph.name}: output {output.type} cannot take over input {name!r}: {source.type}"
            )


def _around(graph: Graph, nodes: Sequence[Node], fault: Node) -> str:
    """The equations near `fault`, marked, and the user's line."""
    names = node_names(graph, nodes)
    at = nodes.index(fault)
    lines = []
    for node in nodes[max(at - CONTEXT, 0) : at + CONTEXT + 1]:
        if node.op == "input":
            equation = f"{names[node]}: {node.type} (input)"
        else:
            equation = print_node(node, names)
        lines.append(f"{'->' if node is fault else '  '} {equation}")
    where = f"at {fault.loc}" if fault.loc else "at no source line"
    return "\n".join([*lines, where])
