"""The derivative of a scan: the same scan again, which keeps what is needed of each turn, and one
that runs the other way over what was kept.

Passes merge the first with the scan that was differentiated. A gradient of something that all turns
share is summed in a carry.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from tracejit.ir import ops
from tracejit.ir.autodiff import gradients
from tracejit.ir.copying import inlined, transplanted
from tracejit.ir.draft import VIRTUAL
from tracejit.ir.graph import Attr, Builder, Graph, Nested, Node
from tracejit.ir.loops import Scan, scan_items
from tracejit.ir.order import topological
from tracejit.ir.primitives.costly import EXPENSIVE
from tracejit.ir.types import is_float


@dataclass(frozen=True, slots=True, eq=False)
class _Turn:
    """One turn and its gradient, by positions among the body's inputs and outputs.

    seeds: the cotangents of outputs. found: the gradients of inputs, where they are not zero.
    shared: the consts of the body, then what user-written rules read of the graph around.
    """

    inside: list[Node]
    outs: list[Node]
    seeds: dict[int, Node]
    found: dict[int, Node]
    shared: list[Node]
    saved: list[Node]


def scan_vjp(g: Node, out: Node, *operands: Node, **attrs: Attr) -> tuple[Node | None, ...]:
    scan = Scan.of(out)
    cotangents = ops.items(g)
    with out.builder.nested() as nest:
        turn = _differentiated(nest, scan, cotangents)
        around = (*scan.consts, *nest.captured)
    consts, carries, xs = scan.split(turn.inside)
    forward = Graph(scan.body.name, (*turn.shared, *carries, *xs), (*turn.outs, *turn.saved))
    again = Scan(forward, around, scan.inits, scan.xs, scan.length, scan.reverse)
    _, ys = scan_items(again, out.builder)
    kept = ys[len(scan.ys) :]

    ends = [c for i, c in enumerate(cotangents[: len(carries)]) if i in turn.seeds]
    along = [c for i, c in enumerate(cotangents) if i in turn.seeds and i >= len(carries)]
    sums = [ops.zeros_like(c) for i, c in enumerate(scan.consts) if i in turn.found]
    back = Scan(
        _backward(turn, len(consts), len(carries)),
        around,
        (*sums, *ends),
        (*scan.xs, *kept, *along),
        scan.length,
        not scan.reverse,
    )
    last, mapped = scan_items(back, out.builder)
    moving = [i for i in range(len(carries)) if i in turn.seeds]
    first_x = len(consts) + len(carries)
    by_position: dict[int, Node] = dict(
        zip([i for i in range(len(consts)) if i in turn.found], last, strict=False)
    )
    by_position |= {len(consts) + i: g for i, g in zip(moving, last[len(sums) :], strict=True)}
    by_position |= zip([i for i in turn.found if i >= first_x], mapped, strict=True)
    return tuple(by_position.get(i) for i in range(len(operands)))


def _differentiated(nest: Nested, scan: Scan, cotangents: Sequence[Node]) -> _Turn:
    inside = [nest.input("in", n.type) for n in scan.body.inputs]
    outs = inlined(nest.builder, scan.body, inside)
    # The cotangent of a carry is zero at most at the end; that of a y is zero everywhere or not.
    seeds = {
        i: nest.input("ct", n.type)
        for i, n in enumerate(outs)
        if is_float(n.dtype) and (i < len(scan.inits) or cotangents[i].scalar() != 0)
    }
    smooth = [i for i, n in enumerate(inside) if is_float(n.dtype)]
    every = gradients([outs[i] for i in seeds], list(seeds.values()), [inside[i] for i in smooth])
    found = {i: g for i, g in zip(smooth, every, strict=True) if g.scalar() != 0}
    consts, _, xs = scan.split(inside)
    shared = [*consts, *nest.captured.values()]
    saved = _saved(list(found.values()), set(seeds.values()), {*shared, *xs})
    return _Turn(inside, outs, seeds, found, shared, saved)


def _saved(found: Sequence[Node], seeds: Collection[Node], known: Collection[Node]) -> list[Node]:
    """What the gradient reads of the forward turn and what is not cheaply computed again."""
    nodes = topological(found)
    moving = set(seeds)
    for node in nodes:
        if any(i in moving for i in node.inputs):
            moving.add(node)
    read = {i for node in nodes if node in moving for i in node.inputs if i not in moving}
    read |= {node for node in found if node not in moving}
    at_hand, saved = set(known), []
    for node in nodes:
        if node in moving or node in at_hand:
            continue
        if _cheap(node) and all(i in at_hand for i in node.inputs):
            at_hand.add(node)
        elif node in read:
            saved.append(node)
            at_hand.add(node)
    return saved


def _cheap(node: Node) -> bool:
    return node.op in VIRTUAL or (node.prim.elementwise and node.op not in EXPENSIVE)


def _backward(turn: _Turn, consts: int, carries: int) -> Graph:
    """The body of the scan run back: takes shared, sums and cotangents, then what is mapped."""
    builder = Builder()

    def inputs(name: str, nodes: Iterable[Node]) -> list[Node]:
        return [builder.input(f"{name}{n}", node.type) for n, node in enumerate(nodes)]

    ends = [s for i, s in turn.seeds.items() if i < carries]
    along = [s for i, s in turn.seeds.items() if i >= carries]
    xs = turn.inside[consts + carries :]
    new_shared = inputs("shared", turn.shared)
    sums = inputs("sum", (turn.inside[i] for i in range(consts) if i in turn.found))
    new_ends = inputs("g", ends)
    new_mapped = inputs("x", [*xs, *turn.saved, *along])
    replaced = dict(
        zip(
            [*turn.shared, *ends, *xs, *turn.saved, *along],
            [*new_shared, *new_ends, *new_mapped],
            strict=True,
        )
    )
    values = transplanted(builder, list(turn.found.values()), replaced)
    by_input = dict(zip(turn.found, values, strict=True))
    terms = [g for i, g in by_input.items() if i < consts]
    added = [total + term for total, term in zip(sums, terms, strict=True)]
    moved = [
        by_input.get(consts + i, ops.zeros_like(g))
        for g, i in zip(new_ends, (i for i in turn.seeds if i < carries), strict=True)
    ]
    mapped = [g for i, g in by_input.items() if i >= consts + carries]
    return Graph("back", (*new_shared, *sums, *new_ends, *new_mapped), (*added, *moved, *mapped))
