"""The parts of a `scan`, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tracejit.ir import ops
from tracejit.ir.copying import rebuild
from tracejit.ir.graph import PRIMITIVES, Builder, Graph, Node


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """A `scan` node to be or as it is: operands by their role, and the body that they go into."""

    body: Graph
    consts: tuple[Node, ...]
    inits: tuple[Node, ...]
    xs: tuple[Node, ...]
    length: int
    reverse: bool

    @classmethod
    def of(cls, node: Node, operands: Sequence[Node] | None = None) -> Scan:
        """The parts of a node, or of its copy on other operands."""
        body, length = node.attrs["body"], node.attrs["length"]
        assert isinstance(body, Graph) and isinstance(length, int)
        consts, carries = counts(node)
        given = tuple(node.inputs if operands is None else operands)
        inits, xs = given[consts : consts + carries], given[consts + carries :]
        return cls(body, given[:consts], inits, xs, length, bool(node.attrs["reverse"]))

    def emit(self, builder: Builder) -> Node:
        return builder.emit(
            PRIMITIVES["scan"],
            *self.consts,
            *self.inits,
            *self.xs,
            body=self.body,
            consts=len(self.consts),
            carries=len(self.inits),
            length=self.length,
            reverse=self.reverse,
        )

    def split(self, nodes: Sequence[Node]) -> tuple[list[Node], list[Node], list[Node]]:
        """One node per operand as consts, carries and xs: those of the body's inputs, say."""
        a, b = len(self.consts), len(self.consts) + len(self.inits)
        return list(nodes[:a]), list(nodes[a:b]), list(nodes[b:])

    @property
    def next(self) -> tuple[Node, ...]:
        """The carries that the body hands on."""
        return self.body.outputs[: len(self.inits)]

    @property
    def ys(self) -> tuple[Node, ...]:
        return self.body.outputs[len(self.inits) :]


def counts(node: Node) -> tuple[int, int]:
    """How many consts and carries a `scan` has."""
    consts, carries = node.attrs["consts"], node.attrs["carries"]
    assert isinstance(consts, int) and isinstance(carries, int)
    return consts, carries


def every_node(graph: Graph) -> Iterator[Node]:
    """The nodes of a graph and of all bodies in it."""
    for node in graph.nodes():
        yield node
        for body in (b for some in bodies(node).values() for b in some):
            yield from every_node(body)


def each_body(graph: Graph, change: Callable[[Graph], Graph]) -> Graph:
    """The graph with every body of control flow changed."""
    if not any(bodies(node) for node in graph.nodes()):
        return graph

    def rewrite(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node:
        attrs = dict(node.attrs)
        for name, value in attrs.items():
            if isinstance(value, Graph):
                attrs[name] = change(value)
            elif name in bodies(node) and isinstance(value, tuple):
                attrs[name] = tuple(change(g) for g in value if isinstance(g, Graph))
        return builder.emit(node.prim, *inputs, **attrs)

    return rebuild(graph, rewrite)


def carrying(node: Node, body: Graph) -> Graph:
    """The body of a loop whose carries take over the memory that they come in."""
    consts = node.attrs["consts"]
    assert isinstance(consts, int)
    carries = len(body.outputs) if node.op == "while_loop" else counts(node)[1]
    others = (None,) * (len(body.outputs) - carries)
    donated = (*range(consts, consts + carries), *others)
    return Graph(body.name, body.inputs, body.outputs, donated)


def scan_items(scan: Scan, builder: Builder) -> tuple[list[Node], list[Node]]:
    """Emits the scan: its last carries and its ys."""
    every = ops.items(scan.emit(builder))
    return every[: len(scan.inits)], every[len(scan.inits) :]


def bodies(node: Node) -> dict[str, tuple[Graph, ...]]:
    """The graphs among a node's attributes: one, or a tuple of them, by name."""
    found: dict[str, tuple[Graph, ...]] = {}
    for name, value in node.attrs.items():
        if isinstance(value, Graph):
            found[name] = (value,)
        elif isinstance(value, tuple) and value and isinstance(value[0], Graph):
            found[name] = tuple(g for g in value if isinstance(g, Graph))
    return found
