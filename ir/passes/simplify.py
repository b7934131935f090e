"""Applies the rule table and constant folding to every node, operands first."""

from __future__ import annotations

from tracejit.ir.copying import rebuild
from tracejit.ir.graph import Builder, Graph, Node
from tracejit.ir.passes.fold import folded
from tracejit.ir.patterns import Pattern, build
from tracejit.ir.rules import BY_OP


def simplify(graph: Graph) -> Graph:
    """The graph in which no rule matches any more. One sweep: operands are final before users."""

    def rewrite(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node:
        return simplified(builder.again(node, inputs))

    return rebuild(graph, rewrite)


def simplified(node: Node) -> Node:
    """What `node`, whose operands are final, rewrites to in the end."""
    while (better := _rewritten(folded(node))) is not node:
        node = better
    return node


def _rewritten(node: Node) -> Node:
    """`node` after the first rule that matches, or itself."""
    for rule in BY_OP.get(node.op, ()):
        match = rule.match(node)
        if match is not None:
            if isinstance(rule.rhs, Pattern):
                return build(rule.rhs, match, simplified)
            return rule.rhs(match)
    return node
