"""Reverse mode: one sweep over the graph, which builds more graph."""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir import ops
from tracejit.ir.graph import Node, topological
from tracejit.ir.types import is_float


def gradients(
    outputs: Sequence[Node], cotangents: Sequence[Node], wrt: Sequence[Node]
) -> list[Node]:
    """For each node of `wrt` the sum over outputs of cotangent times derivative.

    cotangents[i] has the type of outputs[i]. Zeros where no smooth path leads from a node to an
    output. The new nodes are put down to the source lines of the nodes they differentiate.
    """
    total: dict[Node, Node] = {}

    def accumulate(node: Node, g: Node) -> None:
        assert g.type == node.type, f"{node.op}: cotangent {g.type} of {node.type}"
        total[node] = total[node] + g if node in total else g

    sweep = _between(wrt, outputs)
    on_path = {*sweep, *wrt}
    for output, g in zip(outputs, cotangents, strict=True):
        accumulate(output, g)
    for node in reversed(sweep):
        if node not in total or node.prim.vjp is None:
            continue
        with node.builder.at(node.loc.backward() if node.loc else None):
            parts = node.prim.vjp(total[node], node, *node.inputs, **node.attrs)
            for operand, part in zip(node.inputs, parts, strict=True):
                if part is not None and operand in on_path:
                    accumulate(operand, part)
    return [total[node] if node in total else ops.zeros_like(node) for node in wrt]


def _between(wrt: Sequence[Node], outputs: Sequence[Node]) -> list[Node]:
    """The nodes that an output reaches from some node of `wrt` smoothly, in graph order."""
    reached = {node for node in wrt if is_float(node.dtype)}
    path = []
    for node in topological(outputs):
        smooth = node.prim.vjp is not None and is_float(node.dtype)
        if smooth and any(operand in reached for operand in node.inputs):
            reached.add(node)
            path.append(node)
    return path
