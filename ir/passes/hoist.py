"""Hoisting: what a turn computes without its carries is computed before the loop.

Work that is the same in every turn is done once. A product whose operands come from the elements of
that turn alone, as the input projection of a recurrent layer, is one product over all turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from math import prod

from tracejit.ir.batching import body_in_lanes
from tracejit.ir.copying import rebuild, transplanted
from tracejit.ir.draft import CONTRACTIONS, VIRTUAL, WHOLE, summed, through_movement
from tracejit.ir.graph import Builder, Graph, Node
from tracejit.ir.lanes import Lanes
from tracejit.ir.loops import Scan, scan_items
from tracejit.ir.passes.loops import change_scans

# Products of all turns that would take more memory than this stay in the loop.
MAX_BYTES = 1 << 26
# A product of fewer rows mostly waits for the matrix that it reads; one of all turns reads it once.
FEW_ROWS = 16


def hoist(graph: Graph) -> Graph:
    """The graph whose loops do in each turn what depends on the carries, and no more."""
    graph = change_scans(graph, lambda builder, scan, _: hoisted(builder, scan))
    if not any(node.op == "while_loop" for node in graph.nodes()):
        return graph

    def rewrite(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node:
        if node.op == "while_loop":
            return _hoisted_while(builder, node, inputs)
        return builder.emit(node.prim, *inputs, **node.attrs)

    return rebuild(graph, rewrite)


def _hoisted_while(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node:
    """A while_loop whose body and condition find ready what is the same in every turn."""
    test, body, consts = node.attrs["test"], node.attrs["body"], node.attrs["consts"]
    assert isinstance(test, Graph) and isinstance(body, Graph) and isinstance(consts, int)
    more: list[list[Node]] = []
    ready: list[Node] = []
    for part in (test, body):
        first, rest = part.inputs[:consts], part.inputs[consts:]
        roots = _roots(part, _depending(part.nodes(), first, rest))
        outside = dict(zip(first, inputs[:consts], strict=True))
        ready += transplanted(builder, roots, outside)
        more.append(roots)
    types = [n.type for n in (*inputs[:consts], *ready, *inputs[consts:])]
    parts = []
    for part, roots, start in zip((test, body), more, (0, len(more[0])), strict=True):
        inner = Builder()
        new = [inner.input(f"in{n}", t) for n, t in enumerate(types)]
        carries = new[consts + len(ready) :]
        replaced = dict(zip(part.inputs, [*new[:consts], *carries], strict=True))
        replaced |= dict(zip(roots, new[consts + start :], strict=False))
        outputs = transplanted(inner, part.outputs, replaced)
        parts.append(Graph(part.name, tuple(new), tuple(outputs)))
    return builder.emit(
        node.prim,
        *inputs[:consts],
        *ready,
        *inputs[consts:],
        test=parts[0],
        body=parts[1],
        consts=consts + len(ready),
    )


def hoisted(builder: Builder, scan: Scan) -> list[Node] | None:
    """The results of a scan of which parts stand before it; None where there are none."""
    consts, carries, xs = scan.split(scan.body.inputs)
    nodes = scan.body.nodes()
    shared = _depending(nodes, consts, [*carries, *xs])
    # A loop or a choice within is not unrolled into lanes, which would all turn as often as one.
    mapped = _depending(nodes, xs, [*carries, *(n for n in nodes if n.op in WHOLE)])
    once = _roots(scan.body, shared)
    each = [n for n in nodes if n in mapped and _merges(n, mapped, scan)]
    if not once and not each:
        return None
    outside = dict(zip(consts, scan.consts, strict=True))
    new_consts = transplanted(builder, once, outside)
    new_xs = _over_turns(builder, scan, each)
    inner = Builder()
    inputs = [inner.input(f"in{n}", node.type) for n, node in enumerate(scan.body.inputs)]
    more = [inner.input(f"once{n}", node.type) for n, node in enumerate(once)]
    stacked = [inner.input(f"each{n}", node.type) for n, node in enumerate(each)]
    replaced = dict(zip([*scan.body.inputs, *once, *each], [*inputs, *more, *stacked], strict=True))
    outputs = transplanted(inner, scan.body.outputs, replaced)
    a, b, c = scan.split(inputs)
    body = Graph(scan.body.name, (*a, *more, *b, *c, *stacked), tuple(outputs))
    moved = Scan(
        body,
        (*scan.consts, *new_consts),
        scan.inits,
        (*scan.xs, *new_xs),
        scan.length,
        scan.reverse,
    )
    last, ys = scan_items(moved, builder)
    return [*last, *ys]


def _merges(node: Node, mapped: Set[Node], scan: Scan) -> bool:
    """Whether the products of all turns are better one: with an operand that all turns share.

    In a loop with carries that leaves less between one turn and the next. A loop without is there
    to have only one turn in memory: only products of few rows leave it.
    """
    if node.op not in CONTRACTIONS or node.type.nbytes * scan.length > MAX_BYTES:
        return False
    shared = [operand for operand in node.inputs if through_movement(operand) not in mapped]
    if not shared or scan.inits:
        return bool(shared)
    return node.type.size * prod(summed(node)) < FEW_ROWS * shared[0].type.size


def _depending(nodes: Iterable[Node], on: Iterable[Node], never: Iterable[Node]) -> set[Node]:
    """The nodes that depend on something of `on`, and on nothing of `never`."""
    found, tainted = set(on), set(never)
    for node in nodes:
        if any(i in tainted for i in node.inputs):
            tainted.add(node)
        elif any(i in found for i in node.inputs):
            found.add(node)
    return found


def _roots(body: Graph, shared: set[Node]) -> list[Node]:
    """The last nodes of what is the same in every turn. Index maps stay with their readers."""
    roots: dict[Node, None] = {}

    def reach(node: Node) -> None:
        while node in shared and node.op in VIRTUAL and node.inputs:
            node = node.inputs[0]
        if node in shared and node.op != "input":
            roots[node] = None

    for node in body.nodes():
        if node not in shared:
            for operand in node.inputs:
                reach(operand)
    for output in body.outputs:
        reach(output)
    return list(roots)


def _over_turns(builder: Builder, scan: Scan, roots: Sequence[Node]) -> list[Node]:
    """Values of all turns at once: [length, ...]."""
    if not roots:
        return []
    consts, _, xs = scan.split(scan.body.inputs)
    of_turns = Graph(scan.body.name, (*consts, *xs), tuple(roots))
    flags = (*[False] * len(consts), *[True] * len(xs))
    inputs = Lanes(scan.length, (*scan.consts, *scan.xs), flags)
    return body_in_lanes(builder, of_turns, inputs).every
