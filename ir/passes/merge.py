"""Merging: scans over the same operands whose carries are the same are one scan.

A derivative makes the scan that it differentiates once more, with more results.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir import ops
from tracejit.ir.copying import inlined
from tracejit.ir.graph import Builder, Graph, Node
from tracejit.ir.loops import Scan, scan_items
from tracejit.ir.order import topological

Group = tuple[Node, ...]


def merge(graph: Graph) -> Graph:
    """The graph in which scans that walk together are one, with the results of all."""
    groups = _groups(graph)
    if not groups:
        return graph
    needs = {node: _operands(group) for group in groups for node in group}
    order = topological(graph.outputs, graph.inputs, lambda n: needs.get(n, n.inputs))
    home = {node: group for group in groups for node in group}
    builder = Builder()
    new: dict[Node, Node] = {}
    for node in order:
        with builder.at(node.loc):
            if node.op == "input":
                new[node] = builder.input(graph.input_name(node), node.type)
            elif node in home:
                if node not in new:
                    new.update(_merged(builder, home[node], new))
            elif node.op == "item":
                index = node.attrs["index"]
                assert isinstance(index, int)
                new[node] = ops.item(new[node.inputs[0]], index)
            else:
                operands = (new[i] for i in node.inputs)
                new[node] = builder.emit(node.prim, *operands, **node.attrs)
    return Graph(
        graph.name,
        tuple(new[n] for n in graph.inputs),
        tuple(new[n] for n in graph.outputs),
        graph.donated,
    )


def _operands(group: Group) -> tuple[Node, ...]:
    return tuple(dict.fromkeys(i for node in group for i in node.inputs))


def _groups(graph: Graph) -> list[Group]:
    """Scans that start from the same, walk over the same, and do not wait for each other."""
    alike: dict[object, list[Node]] = {}
    for node in graph.nodes():
        if node.op == "scan":
            scan = Scan.of(node)
            key = (scan.inits, scan.xs, scan.length, scan.reverse)
            alike.setdefault(key, []).append(node)
    groups = []
    for same in alike.values():
        while len(same) > 1:
            first, rest = same[0], same[1:]
            group = [first]
            for node in rest:
                if _same_carries(first, node) and _apart(group, node):
                    group.append(node)
            if len(group) > 1:
                groups.append(tuple(group))
            same = [node for node in rest if node not in group]
    return groups


def _apart(group: Sequence[Node], node: Node) -> bool:
    """Whether no operand of one is computed from another."""
    every = [*group, node]
    reached = set(topological(_operands(tuple(every))))
    return not any(member in reached for member in every)


def _same_carries(a: Node, b: Node) -> bool:
    _, outs = _bodies((a, b))
    count = len(Scan.of(a).inits)
    return outs[0][:count] == outs[1][:count]


def _bodies(group: Group) -> tuple[Graph, list[list[Node]]]:
    """One builder that computes all bodies; as equal nodes are one, so are equal carries.

    Gives the inputs, as a graph without outputs, and the outputs of each body.
    """
    builder = Builder()
    first = Scan.of(group[0])
    shared = tuple(dict.fromkeys(c for node in group for c in Scan.of(node).consts))
    consts = {c: builder.input(f"c{n}", c.type) for n, c in enumerate(shared)}
    _, carries, xs = first.split(first.body.inputs)
    new_carries = [builder.input(f"s{n}", c.type) for n, c in enumerate(carries)]
    new_xs = [builder.input(f"x{n}", x.type) for n, x in enumerate(xs)]
    outs = [
        inlined(builder, scan.body, [*(consts[c] for c in scan.consts), *new_carries, *new_xs])
        for scan in map(Scan.of, group)
    ]
    inputs = (*consts.values(), *new_carries, *new_xs)
    return Graph(first.body.name, inputs, ()), outs


def _merged(builder: Builder, group: Group, new: dict[Node, Node]) -> dict[Node, Node]:
    """One scan for the group; for each member the pack of its results."""
    first = Scan.of(group[0])
    count = len(first.inits)
    frame, outs = _bodies(group)
    ys = list(dict.fromkeys(y for out in outs for y in out[count:]))
    body = Graph(frame.name, frame.inputs, (*outs[0][:count], *ys))
    shared = tuple(dict.fromkeys(c for node in group for c in Scan.of(node).consts))
    scan = Scan(
        body,
        tuple(new[c] for c in shared),
        tuple(new[n] for n in first.inits),
        tuple(new[n] for n in first.xs),
        first.length,
        first.reverse,
    )
    last, stacked = scan_items(scan, builder)
    of = dict(zip(ys, stacked, strict=True))
    return {
        node: ops.pack([*last, *(of[y] for y in out[count:])])
        for node, out in zip(group, outs, strict=True)
    }
