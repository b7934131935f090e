"""What identifies a graph: its operations, attributes, types and donations, not its locations."""

from __future__ import annotations

from tracejit.ir.graph import Graph, attr_key


def fingerprint(graph: Graph, named: bool = True) -> str:
    """Equal for graphs that compute the same in the same way, in every process.

    named: whether the name counts, as it does for a step but not for the body of a loop.
    """
    number = {node: n for n, node in enumerate(graph.nodes())}
    lines = [graph.name if named else ""]
    for node in number:
        operands = ",".join(str(number[i]) for i in node.inputs)
        attrs = ",".join(f"{k}={attr_key(v)}" for k, v in sorted(node.attrs.items()))
        lines.append(f"{node.op}({operands}){attrs}:{node.type}")
    lines.append(",".join(str(number[node]) for node in graph.outputs))
    lines.append(str(graph.donated))
    return "\n".join(lines)
