"""Equal groups, as deep networks have many: what becomes of one becomes of all, found once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import replace

from tracejit.codegen.lower import lower, lower_group
from tracejit.codegen.nest_builder import Lowered
from tracejit.ir.affine import MOVEMENT, Index
from tracejit.ir.draft import VIRTUAL
from tracejit.ir.graph import Node
from tracejit.ir.group import Group
from tracejit.ir.order import topological


class PartsOnce:
    """A function that cuts kernels into several, called once for those that are twins."""

    def __init__(self, function: Callable[[Lowered], list[Lowered]]) -> None:
        self._function = function
        self._known: dict[int, tuple[Lowered, list[Lowered]]] = {}

    def __call__(self, low: Lowered) -> list[Lowered]:
        known = self._known.get(id(low.kernel.body))
        if known is None:
            parts = self._function(low)
            self._known[id(low.kernel.body)] = low, parts
            return parts
        first, parts = known
        if parts == [first]:
            return [low]
        nodes = counterparts([first], [low], parts)
        old, new = first.kernel.name, low.kernel.name
        return [like(part, nodes, lambda name: new + name.removeprefix(old)) for part in parts]


def counterparts(
    theirs: Sequence[Lowered], ours: Sequence[Lowered], parts: Sequence[Lowered]
) -> dict[Node, Node]:
    """The values of kernels in those of their twins; a fresh one for what only `parts` have."""
    nodes: dict[Node, Node] = {}
    for them, us in zip(theirs, ours, strict=True):
        nodes |= zip((*them.nodes, *them.members), (*us.nodes, *us.members), strict=True)
    for node in (node for part in parts for node in part.nodes if node not in nodes):
        nodes[node] = node.builder.input(str(node.attrs["name"]), node.type)
    return nodes


class Twins:
    """Lowers groups. One that differs from another in its values only gets the same loops."""

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[Lowered, list[Node]]] = {}

    def lowered(self, group: Group, stored: Collection[Node], name: str) -> list[Lowered]:
        """The kernels of a group, as `lower_group` makes them."""
        if group.kind in ("host", "control", "scatter"):
            return lower_group(group, stored, name)
        text, nodes = _described(group, stored)
        known = self._known.get(text)
        if known is None:
            low = lower(group, stored, name)
            self._known[text] = low, nodes
            return [low]
        first, theirs = known
        return [like(first, dict(zip(theirs, nodes, strict=True)), lambda _: name)]


def like(low: Lowered, nodes: Mapping[Node, Node], called: Callable[[str], str]) -> Lowered:
    """The same loops for other values, under other names."""
    kernel = replace(low.kernel, name=called(low.kernel.name))
    plain = replace(low.plain, name=called(low.plain.name))
    held = tuple([nodes[node] for node in low.nodes])
    return Lowered(kernel, held, plain, tuple([nodes[node] for node in low.members]))


def _described(group: Group, stored: Collection[Node]) -> tuple[Hashable, list[Node]]:
    """All that lowering looks at, with numbers in the place of nodes and axes; and the nodes.

    Below the members that is what lowering reads through: what is not stored, and movement.
    """

    def below(node: Node) -> tuple[Node, ...]:
        if node in group.at:
            return group.operands(node) if group.kind != "border" else ()
        through = node.op in MOVEMENT or (node.prim.elementwise and node not in stored)
        return node.inputs if through else ()

    nodes = topological(tuple(group.at), needs=below)
    number = {node: n for n, node in enumerate(nodes)}
    axis = {name: n for n, (name, _) in enumerate(group.axes)}

    places: dict[int, Hashable] = {}  # members mostly share one index

    def place(index: Index) -> Hashable:
        found = places.get(id(index))
        if found is None:
            terms = ((sorted([(axis[a], c) for a, c in i.terms]), i.const) for i in index)
            found = places[id(index)] = tuple([(*t, const) for t, const in terms])
        return found

    rows = []
    for node in nodes:
        member, lies = node in group.at, node in stored
        leaf = lies and not member and node.op not in VIRTUAL
        inputs = tuple([number.get(operand, -1) for operand in below(node)])
        rows.append((node.type, member, lies, inputs, () if leaf else _operation(node)))
    return (
        group.kind,
        tuple([extent for _, extent in group.axes]),
        tuple([axis[name] for name in group.reduced]),
        tuple(rows),
        tuple([node.inputs[0].type for node in group.at]) if group.kind == "border" else (),
        tuple([(number[node], place(index)) for node, index in group.at.items()]),
        tuple([(number[node], place(index)) for node, index in group.operand_at.items()]),
        tuple(
            [
                (number[node], tuple([(number[p.value], place(p.at), place(p.index)) for p in ps]))
                for node, ps in group.parts.items()
            ]
        ),
        tuple([number[node] for node in group.outputs]),
    ), nodes


def _operation(node: Node) -> Hashable:
    """What a node does, and the line that dumps show for it."""
    # Packed copies are told apart by a number that says nothing.
    return node.op, () if node.op == "contiguous" else node.attr_keys, node.loc
