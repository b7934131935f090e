"""What the passes over scans share: a rebuild in which a scan may become other nodes."""

from __future__ import annotations

from collections.abc import Callable

from tracejit.ir import ops
from tracejit.ir.copying import rebuild
from tracejit.ir.graph import Builder, Graph, Node
from tracejit.ir.loops import Scan

# From the parts of a scan, on new operands, and the results that are used: a node per result.
Change = Callable[[Builder, Scan, frozenset[int]], list[Node] | None]


def change_scans(graph: Graph, change: Change) -> Graph:
    """The graph with each scan replaced by the nodes that `change` gives for its results.

    None leaves it as it is. Results that are not used may be anything of their type.
    """
    if not any(node.op == "scan" for node in graph.nodes()):
        return graph
    used = used_results(graph)

    def rewrite(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node:
        if node.op == "item":
            index = node.attrs["index"]
            assert isinstance(index, int)
            return ops.item(inputs[0], index)
        if node.op == "scan":
            results = change(builder, Scan.of(node, inputs), used[node])
            if results is not None:
                return ops.pack(results)
        return builder.again(node, inputs)

    return rebuild(graph, rewrite)


def used_results(graph: Graph) -> dict[Node, frozenset[int]]:
    """For each operation with several results those that something reads."""
    found: dict[Node, set[int]] = {}
    for node in graph.nodes():
        if node.op == "item":
            index = node.attrs["index"]
            assert isinstance(index, int)
            found.setdefault(node.inputs[0], set()).add(index)
    return {node: frozenset(items) for node, items in found.items()}
