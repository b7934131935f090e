"""The order of nodes: operands before users."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracejit.ir.graph import Node


def operands(node: Node) -> tuple[Node, ...]:
    return node.inputs


def topological(
    roots: Sequence[Node],
    first: Sequence[Node] = (),
    needs: Callable[[Node], tuple[Node, ...]] = operands,
) -> list[Node]:
    """Nodes reachable from `roots`, operands before users, after those of `first`. Iterative.

    needs(node): what comes before a node.
    """
    order = dict.fromkeys(first)
    for root in roots:
        stack = [(root, iter(needs(root)))] if root not in order else []
        pending = {root}
        while stack:
            node, left = stack[-1]
            for operand in left:
                if operand not in order and operand not in pending:
                    pending.add(operand)
                    stack.append((operand, iter(needs(operand))))
                    break
            else:
                order[node] = None
                stack.pop()
    return list(order)
