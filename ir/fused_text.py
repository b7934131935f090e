"""The text form of fused graphs: that of the graph, with a comment before each kernel's nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tracejit.ir.draft import VIRTUAL
from tracejit.ir.graph import Graph, Node
from tracejit.ir.loops import bodies as bodies_of
from tracejit.ir.text import Equations, body_names, joined, node_names

if TYPE_CHECKING:
    from tracejit.ir.fusion import Fused


def print_fused(fused: Fused) -> str:
    """The text form with a comment before the nodes of each kernel; it parses as the graph.

    An index map, or a value that its readers compute again, stands with the first of these.
    """
    bodies = body_names(fused.graph)
    texts = [_fused_text(fused, fused.graph.name, bodies)]
    for group in fused.groups:
        node = next(iter(group.at))
        graphs = [graph for some in bodies_of(node).values() for graph in some]
        texts += [
            _fused_text(inner, bodies[graph], bodies)
            for graph, inner in zip(graphs, group.bodies, strict=True)
        ]
    return "\n".join(texts)


def _fused_text(fused: Fused, name: str, bodies: dict[Graph, str]) -> str:
    graph = fused.graph
    nodes = graph.nodes()
    names = node_names(graph, nodes)
    position = {node: i for i, node in enumerate(nodes)}
    shown = set(graph.inputs)
    members = {node for group in fused.groups for node in group.at}
    equations = Equations(names, bodies)

    def unseen(some: Iterable[Node]) -> Iterator[str]:
        """Those members and what no kernel has for its own that they read, less what is printed."""
        stack = [node for node in some if node not in shown]
        wanted = set(stack)
        while stack:
            for operand in stack.pop().inputs:
                own = operand.op in VIRTUAL or operand not in members
                if own and operand not in shown | wanted:
                    wanted.add(operand)
                    stack.append(operand)
        shown.update(wanted)
        return equations.of(sorted(wanted, key=position.__getitem__))

    lines: list[str] = []
    whole = {node: number for number, group in enumerate(fused.groups) for node in group.parts}
    for number, group in enumerate(fused.groups):
        axes = " ".join(f"{name}={extent}" for name, extent in group.axes)
        reduced = f" reducing {' '.join(group.reduced)}" if group.reduced else ""
        stores = ", ".join(names[node] for node in group.outputs)
        lines.append(f"  # kernel {number}: {group.kind} over [{axes}]{reduced}, stores {stores}")
        if group.kind != "border":  # whose one member stands where its inside is computed
            lines += unseen(node for node in group.at if whole.get(node, number) == number)
    lines += unseen(graph.outputs)
    return joined(graph, name, names, lines)
