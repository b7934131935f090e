"""Reverse mode: one sweep over the graph, which builds more graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tracejit.ir import ops
from tracejit.ir.graph import Custom, Node, dependencies
from tracejit.ir.masking import added, pulled
from tracejit.ir.order import topological
from tracejit.ir.types import TensorType, TupleType, is_float


def gradients(
    outputs: Sequence[Node],
    cotangents: Sequence[Node],
    wrt: Sequence[Node],
    independent: bool = False,
) -> list[Node]:
    """For each node of `wrt` the sum over outputs of cotangent times derivative.

    cotangents[i] has the type of outputs[i]. independent: nodes of `wrt` are variables apart, so a
    path to one does not lead on to another that it is computed from. Zeros where no smooth path
    leads from a node to an output. The new nodes are put down to the source lines of the nodes they
    differentiate.
    """
    sums = _Cotangents({}, {})
    sweep = _between(wrt, outputs, set(wrt) if independent else set())
    on_path = {*sweep, *wrt}
    # The outputs of one custom rule are differentiated together, when all have their cotangents.
    first_of: dict[Custom, Node] = {}
    for node in sweep:
        if node in node.builder.customs:
            first_of.setdefault(node.builder.customs[node], node)
    for output, g in zip(outputs, cotangents, strict=True):
        sums.add(output, g)
    for node in reversed(sweep):
        custom = node.builder.customs.get(node)
        with node.builder.at(node.loc.backward() if node.loc else None):
            if custom is None:
                operands, parts = node.inputs, _parts(node, sums.of(node))
            elif first_of[custom] is node:
                operands, parts = custom.operands, _custom_parts(custom, sums.total)
            else:
                continue
            for operand, part in zip(operands, parts, strict=True):
                if part is not None and operand in on_path:
                    sums.add(operand, part)
    return [sums.total[node] if node in sums.total else ops.zeros_like(node) for node in wrt]


@dataclass(frozen=True, slots=True)
class _Cotangents:
    """What has come to each node so far; of_items: to the results of an operation with several."""

    total: dict[Node, Node]
    of_items: dict[Node, dict[int, Node]]

    def add(self, node: Node, g: Node) -> None:
        assert g.type == node.type, f"{node.op}: cotangent {g.type} of {node.type}"
        self.total[node] = added(self.total[node], g) if node in self.total else g
        if node.op == "item":
            (packed,), (index,) = node.inputs, node.attrs.values()
            assert isinstance(index, int)
            self.of_items.setdefault(packed, {})[index] = self.total[node]

    def of(self, node: Node) -> Node | None:
        items = self.of_items.get(node)
        return self.total.get(node) if items is None else _packed(node, items)


def _parts(node: Node, g: Node | None) -> Sequence[Node | None]:
    """What the operands of `node` get of its cotangent."""
    if g is None or node.prim.vjp is None:
        return (None,) * len(node.inputs)
    return pulled(node, g)


def _packed(node: Node, items: Mapping[int, Node]) -> Node:
    """The cotangents of all results: zeros for those that have none."""
    return ops.pack(
        [items[n] if n in items else ops.zeros_like(r) for n, r in enumerate(ops.items(node))]
    )


def _custom_parts(custom: Custom, total: Mapping[Node, Node]) -> Sequence[Node | None]:
    if not any(output in total for output in custom.outputs):
        return (None,) * len(custom.operands)
    return custom.backward(
        custom.residuals, [total.get(n) or ops.zeros_like(n) for n in custom.outputs]
    )


def _is_smooth(type: TensorType) -> bool:
    return isinstance(type, TupleType) or is_float(type.dtype)


def pushed(outputs: Sequence[Node], wrt: Sequence[Node], along: Sequence[Node]) -> list[Node]:
    """The derivatives of `outputs` where the nodes `wrt` move along the tangents `along`.

    The pullback is linear in its cotangents u, whatever their values; its transpose is the
    derivative itself. So the nodes that pull u back are dead: only their structure is read.
    """
    if not outputs:
        return []
    u = [n.builder.mark(ops.zeros_like(n)) for n in outputs]
    return gradients(gradients(outputs, u, wrt), along, u)


def _between(wrt: Sequence[Node], outputs: Sequence[Node], ends: set[Node]) -> list[Node]:
    """The nodes that an output reaches from some node of `wrt` smoothly, in graph order.

    The walk down from the outputs does not go beyond the nodes of `ends`.
    """
    reached = {node for node in wrt if is_float(node.dtype)}
    path = []
    for node in topological(outputs, (), lambda n: () if n in ends else dependencies(n)):
        if node in ends:
            continue
        custom = node.builder.customs.get(node)
        smooth = node.prim.vjp is not None and _is_smooth(node.type)
        operands = node.inputs if custom is None else custom.operands
        if smooth and any(operand in reached for operand in operands):
            reached.add(node)
            path.append(node)
    return path
