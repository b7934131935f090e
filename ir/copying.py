"""Copies of nodes on other operands, in the same builder or another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tracejit.ir.graph import Builder, Graph, Node, dependencies
from tracejit.ir.order import topological


def inlined(builder: Builder, graph: Graph, inputs: Sequence[Node]) -> list[Node]:
    """The outputs of `graph`, computed in `builder` from `inputs`."""
    return transplanted(builder, graph.outputs, dict(zip(graph.inputs, inputs, strict=True)))


def transplanted(
    builder: Builder, outputs: Sequence[Node], replaced: Mapping[Node, Node]
) -> list[Node]:
    """`outputs` made in `builder`; what depends on no key of `replaced` are constants alone."""
    known = dict(replaced)
    for node in topological(outputs, tuple(replaced), dependencies):
        if not node.inputs and node not in known:
            assert node.op != "input", f"input {node.attrs['name']!r} has no value"
            known[node] = builder.emit(node.prim, **node.attrs)

    def missing(node: Node) -> Node:
        raise AssertionError(f"{node.op} depends on nothing")

    return copied(builder, outputs, known, missing)


def copied(
    builder: Builder,
    outputs: Sequence[Node],
    replaced: Mapping[Node, Node],
    other: Callable[[Node], Node],
) -> list[Node]:
    """`outputs` with the keys of `replaced` exchanged for their values, made in `builder`.

    other(node): what stands for an operand that depends on no key.
    """
    depends = set(replaced)
    known = dict(replaced)

    def new(node: Node) -> Node:
        if node not in known:
            known[node] = other(node)
        return known[node]

    for node in topological(outputs, tuple(replaced), dependencies):
        needed = dependencies(node)
        if node in depends or not any(n in depends for n in needed):
            continue
        depends.add(node)
        if node in known:  # an output of a custom derivative, made with the first of them
            continue
        with builder.at(node.loc):
            custom = node.builder.customs.get(node)
            if custom is None:
                known[node] = builder.emit(node.prim, *map(new, node.inputs), **node.attrs)
                continue
            fresh = builder.attach(
                [new(output.inputs[0]) for output in custom.outputs],
                [new(n) for n in custom.operands],
                [new(n) for n in custom.residuals],
                custom.backward,
            )
            known.update(zip(custom.outputs, fresh, strict=True))
    return [new(output) for output in outputs]


def rebuild(graph: Graph, rewrite: Callable[[Builder, Node, tuple[Node, ...]], Node]) -> Graph:
    """A new graph in a new builder: the frame that every node-by-node pass fills in.

    rewrite(builder, node, inputs) gives what stands for `node`, whose operands are already
    rewritten to `inputs`. Inputs and donations are kept. Locations follow the old node.
    """
    builder = Builder()
    new: dict[Node, Node] = {}
    for node in graph.inputs:
        with builder.at(node.loc):
            new[node] = builder.input(graph.input_name(node), node.type)
    for node in graph.nodes():
        if node in new:
            continue
        builder.loc = node.loc
        new[node] = rewrite(builder, node, tuple(new[i] for i in node.inputs))
        assert new[node].type == node.type, f"{node.op}: rewritten to another type"
    return Graph(
        graph.name,
        tuple(new[n] for n in graph.inputs),
        tuple(new[n] for n in graph.outputs),
        graph.donated,
    )
