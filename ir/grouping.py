"""Groups while they fill: which there are, what stands where in them, who joins and what merges."""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir.affine import MOVEMENT, ZERO, Index, axis_index, in_order, operand_index
from tracejit.ir.draft import (
    DEPS,
    MAX_MEMBERS,
    SCATTERS,
    TABLES,
    Draft,
    bare,
    only_waits,
    rows_stay_local,
    through_movement,
)
from tracejit.ir.graph import Node
from tracejit.ir.parts import Parts
from tracejit.ir.precedence import Precedence
from tracejit.ir.row_groups import RowGroups
from tracejit.ir.types import Shape


class Grouping:
    """What the walk over a graph's nodes has placed so far."""

    def __init__(self, order: Sequence[Node], outputs: Sequence[Node]) -> None:
        self.position = {node: n for n, node in enumerate(order)}
        self.group_of: dict[Node, Draft] = {}
        self.view_of: dict[Node, Draft] = {}
        self.borders: list[Draft] = []
        self.parts = Parts()
        self.rows = RowGroups(order, outputs)
        self.order = Precedence(DEPS)
        self._axes = 0

    # Groups

    def _fresh_axis(self, draft: Draft, size: int) -> str:
        name = f"a{self._axes}"
        self._axes += 1
        draft.extents[name] = size
        return name

    def _fresh_index(self, draft: Draft, shape: Shape) -> Index:
        return tuple(
            ZERO if size == 1 else axis_index(self._fresh_axis(draft, size)) for size in shape
        )

    def _start(self, kind: str, node: Node) -> Draft:
        draft = Draft(kind, self.order)
        if node.op in TABLES and not (node.op in SCATTERS and node.inputs[0].op == "full"):
            self._in_memory(node.inputs[0])
        self._join(draft, node, self._fresh_index(draft, node.shape))
        return draft

    def _in_memory(self, node: Node) -> None:
        """Sees to it that the elements of `node` lie in memory in its order."""
        node = in_order(node, self._stored)
        if not self._stored(node):
            self.copy(node)

    def copy(self, node: Node) -> None:
        """Stores a movement node or a constant, because someone needs it in memory."""
        if node in self.group_of:
            return
        self.position.setdefault(node, len(self.position))
        where = self._placed(node)
        if (
            where is not None
            and self._has_room(where[0])
            and self._source(node, where[1], where[0]) is True
        ):
            # Whoever computes the operand stores it here as well, before what reads it already.
            self._join(where[0], node, where[1])
            self._sort(where[0])
        else:
            self._start("map", node)

    def _has_room(self, draft: Draft) -> bool:
        kinds = ("assemble", "scatter", "border", "host", "control")
        return len(draft.at) < MAX_MEMBERS and draft.kind not in kinds

    def _join(self, draft: Draft, node: Node, index: Index) -> None:
        place = self.position[node]
        draft.first = min(draft.first, place) if draft.at else place
        draft.last = max(draft.last, place)
        for operand in node.inputs:
            source = through_movement(operand, self.group_of)
            group = self.group_of.get(source)
            # A part of a concatenation is known here, whoever stands for the whole.
            if group is not None and source not in draft.at:
                draft.needs(group)
        draft.at[node] = index
        self.group_of[node] = draft
        self._see(draft, node, index)

    def _leave(self, draft: Draft, node: Node) -> None:
        """Takes out a member that no other member reads."""
        del draft.at[node], self.group_of[node], draft.placed[node], self.view_of[node]

    def _merge(self, small: Draft, at_small: Index, big: Draft, at_big: Index) -> bool:
        """Moves a group into the one that reads it at the matching index, where legal; if it has.

        A map goes anywhere, a row group into one over the same rows.
        """
        if small.parts or len(small.at) + len(big.at) > MAX_MEMBERS:
            return False
        names = bare(at_small)
        if names is None or set(names) - {""} != set(small.extents):
            return False
        if big.depends_on(small, direct=False) or small.depends_on(big):
            return False
        where = {name: index for name, index in zip(names, at_big, strict=True) if name}
        for node, index in small.placed.items():
            self._see(big, node, tuple(i.substitute(where) for i in index))
        for node, index in small.at.items():
            big.at[node] = tuple(i.substitute(where) for i in index)
            self.group_of[node] = big
        for node, index in small.operand_at.items():
            big.operand_at[node] = tuple(i.substitute(where) for i in index)
        self._sort(big)
        big.first, big.last = min(small.first, big.first), max(small.last, big.last)
        big.stand_for(small)
        return True

    def _sort(self, draft: Draft) -> None:
        draft.at = dict(sorted(draft.at.items(), key=lambda item: self.position[item[0]]))

    # Where nodes stand, and where they could

    def _placed(self, node: Node) -> tuple[Draft, Index] | None:
        draft = self.view_of.get(node)
        return None if draft is None else (draft, draft.placed[node])

    def _see(self, draft: Draft, node: Node, index: Index) -> None:
        draft.placed[node] = index
        self.view_of[node] = draft

    def _stored(self, node: Node) -> bool:
        """Whether the whole of `node` will lie in memory for other groups."""
        return node.op == "input" or node in self.group_of

    def _folds(self, reshape: Node) -> bool:
        draft = Draft("map", self.order)
        index = self._fresh_index(draft, reshape.shape)
        constant = reshape.inputs[0].op == "full"
        return constant or operand_index(reshape, index, draft.extents) is not None

    def _fits(self, node: Node, draft: Draft, index: Index) -> bool:
        """Whether `node` can be computed at `index` in `draft`. It cannot if

        - the group is full, or is one that stores its parts in its own way;
        - it reads a member at another index, or something that needs this group's results, or is
          one number of several groups, that the rest would wait for;
        - it expands a reduction again that is not over trailing axes, or over few long rows.
        """
        if not self._has_room(draft):
            return False
        sources = [self._source(operand, index, draft) for operand in node.inputs]
        if any(source is False for source in sources):
            return False
        others = [source for source in sources if isinstance(source, Draft)]
        if (others and only_waits(node, draft)) or any(d.depends_on(draft) for d in others):
            return False
        return not self._reexpands(node, draft, index) or rows_stay_local(draft)

    def _reexpands(self, node: Node, draft: Draft, index: Index) -> bool:
        if draft.kind != "row" or not draft.varies(index):
            return False
        return any(
            source in draft.at and not draft.varies(draft.at[source])
            for source in map(through_movement, node.inputs)
        )

    def _source(self, node: Node, index: Index, draft: Draft) -> Draft | bool:
        """Where the value of `node` at `index` comes from, seen from `draft`.

        Another group; True for itself, an input or a constant; False where it cannot be had.
        """
        while True:
            if node in draft.at:
                return draft.at[node] == index
            if node in self.group_of:
                return self.group_of[node]
            if node.op not in MOVEMENT:
                return True
            operand = node.inputs[0]
            if node.op == "reshape" and operand not in draft.at and self._stored(operand):
                return self.group_of.get(operand, True)
            moved = operand_index(node, index, draft.extents)
            if moved is None:
                return False
            node, index = operand, moved
