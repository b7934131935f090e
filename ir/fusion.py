"""Fusion: the nodes of a graph gathered into groups, each of which becomes one kernel.

A group is a loop space and the index at which each member is computed in it. A node joins the
group of an operand when it is computed at the same index there, so the value stays in a register.
Movement nodes, constants and iotas belong to no group: they are index maps, folded into the reader.

    map          elementwise work over one space
    row          reductions over `reduced` axes, with their producers and consumers while the
                 other (parallel) axes agree: a softmax or a loss, forward and backward, is one
    contraction  one dot_general and the elementwise work on its result, done in registers
    border       the border of a `pad`, whose inside is stored by whoever computes it
    assemble     concatenate: parts stored side by side, where not each is stored in its place by
                 whoever computes it
    scatter      scatter_add_rows, scatter_rows: a table with some rows changed
    host         host_call: one call of a function that Python runs
    control      scan, while_loop or cond: programs of their own, made of the bodies' groups

One walk in topological order places every node; groups that meet in a node are merged where no
path through a third group makes that a cycle. At last, what is cheap to compute again is left to
its readers (`recompute`).
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import count

from tracejit.ir.copying import rebuild
from tracejit.ir.draft import VIRTUAL, Draft, through_movement
from tracejit.ir.fuser import Fuser
from tracejit.ir.graph import PRIMITIVES, Builder, Graph, Node
from tracejit.ir.group import Group
from tracejit.ir.loops import bodies, carrying
from tracejit.ir.recompute import recompute


@dataclass(frozen=True, slots=True, eq=False)
class Fused:
    """A graph and its groups, in an order in which they can run."""

    graph: Graph
    groups: tuple[Group, ...]

    def __str__(self) -> str:
        from tracejit.ir.fused_text import print_fused

        return print_fused(self)


def fuse(graph: Graph) -> Fused:
    """Groups the nodes of `graph`.

    Every value that outlives its group is stored exactly once, but for what `recompute` leaves to
    those who read it.
    """
    graph = _distinct_outputs(graph)
    order = graph.nodes()
    fuser = Fuser(order, graph.outputs)
    outputs = set(graph.outputs)
    for node in order:
        fuser.place(node)
        if node.op in VIRTUAL and node in outputs:
            fuser.copy(node)
    return Fused(graph, tuple(recompute(graph, _ordered(fuser, graph))))


def _distinct_outputs(graph: Graph) -> Graph:
    """Gives each output a node of its own: a copy of an input or of an earlier output.

    An input that is donated to its own output stays: there is nothing to do for it.
    """

    def keep(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node:
        return builder.again(node, inputs)

    if not _needs_copies(graph):
        return graph
    graph = rebuild(graph, keep)
    outputs: list[Node] = []
    for node, donor in zip(graph.outputs, graph.donated, strict=True):
        own = donor is not None and graph.inputs[donor] is node
        while node in outputs or (node.op == "input" and not own):
            node = node.builder.emit(PRIMITIVES["reshape"], node, shape=node.shape)
        outputs.append(node)
    return Graph(graph.name, graph.inputs, tuple(outputs), graph.donated)


def _needs_copies(graph: Graph) -> bool:
    inputs = any(node.op == "input" for node in graph.outputs)
    return inputs or len(set(graph.outputs)) < len(graph.outputs)


def _ordered(fuser: Fuser, graph: Graph) -> list[Group]:
    """The drafts, dependencies first, in order of their first node, with what each must store."""
    stored = set(graph.outputs)
    for node, home in fuser.group_of.items():
        for operand in () if node in home.parts else node.inputs:
            source = through_movement(operand, fuser.group_of)
            if fuser.group_of.get(source, home) is not home:
                stored.add(source)
    drafts = dict.fromkeys([*fuser.borders, *fuser.group_of.values()])
    missing = {draft: len(draft.deps) for draft in drafts}
    ready = [(d.first, n, d) for n, d in enumerate(drafts) if not d.deps]
    heapify(ready)
    tie = count(len(drafts))
    groups: list[Group] = []
    while ready:
        _, _, draft = heappop(ready)
        groups.append(_finished(draft, tuple(n for n in draft.at if n in stored)))
        for user in draft.users:
            missing[user] -= 1
            if not missing[user]:
                heappush(ready, (user.first, next(tie), user))
    assert len(groups) == len(drafts), "fusion made a cycle"
    return groups


def _finished(draft: Draft, outputs: tuple[Node, ...]) -> Group:
    axes = tuple(draft.extents.items())
    at, operand_at = dict(draft.at), dict(draft.operand_at)
    bodies = _fused_bodies(next(iter(at))) if draft.kind == "control" else ()
    parts = {node: tuple(stored) for node, stored in draft.parts.items()}
    return Group(draft.kind, axes, draft.reduced, at, operand_at, outputs, parts, bodies)


def _fused_bodies(node: Node) -> tuple[Fused, ...]:
    graphs = [graph for some in bodies(node).values() for graph in some]
    if node.op != "cond":
        graphs[-1] = carrying(node, graphs[-1])
    return tuple(map(fuse, graphs))
