"""The walk of fusion: where each node of a graph is computed."""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir.affine import (
    MOVEMENT,
    ZERO,
    Index,
    axis_index,
    operand_index,
    result_index,
)
from tracejit.ir.draft import (
    CONTRACTIONS,
    DEPS,
    MAX_MEMBERS,
    REDUCTIONS,
    VIRTUAL,
    WHOLE,
    WINDOWS,
    Draft,
    bare,
    only_waits,
    rows_stay_local,
    summed,
    through_movement,
    without,
)
from tracejit.ir.graph import Node
from tracejit.ir.parts import Parts
from tracejit.ir.precedence import Precedence
from tracejit.ir.row_groups import RowGroups
from tracejit.ir.types import UNBOUNDED, Shape, UnboundedError


class Fuser:
    """Takes the nodes in topological order; its drafts are the groups when all are placed."""

    def __init__(self, order: Sequence[Node]) -> None:
        self.position = {node: n for n, node in enumerate(order)}
        self.group_of: dict[Node, Draft] = {}
        self.view_of: dict[Node, Draft] = {}
        self.borders: list[Draft] = []
        self.parts = Parts()
        self.rows = RowGroups(order)
        self.order = Precedence(DEPS)
        self._axes = 0

    # One node

    def place(self, node: Node) -> None:
        if node.op in MOVEMENT:
            self._place_movement(node)
        elif node.op in ("input", "full", "iota"):
            return
        elif node.op in REDUCTIONS:
            self._place_reduction(node)
        elif node.op in WINDOWS:
            self._place_window(node)
        elif node.prim.elementwise:
            self._place_elementwise(node)
        elif node.op in CONTRACTIONS:
            self._place_contraction(node)
        else:
            self._place_special(node)

    def _place_special(self, node: Node) -> None:
        """What is stored in a way of its own."""
        if node.op == "contiguous":
            self._place_contiguous(node)
        elif node.op == "pad":
            self._place_pad(node)
        elif node.op == "concatenate":
            self._place_concatenate(node)
        elif node.op in WHOLE:
            self._place_whole(node, WHOLE[node.op])
        elif node.op == "item":
            self._place_item(node)
        else:
            self._start("scatter" if node.op == "scatter_add_rows" else "map", node)

    def _place_movement(self, node: Node) -> None:
        operand = node.inputs[0]
        if node.op == "reshape" and not self._stored(operand) and not self._folds(node):
            self.copy(operand)
        where = self._placed(operand)
        if where is None:
            self.parts.see(node)
        elif (moved := result_index(node, where[1], where[0].extents)) is not None:
            self._see(where[0], node, moved)

    def _placed(self, node: Node) -> tuple[Draft, Index] | None:
        return (draft, draft.placed[node]) if (draft := self.view_of.get(node)) else None

    def _see(self, draft: Draft, node: Node, index: Index) -> None:
        draft.placed[node] = index
        self.view_of[node] = draft

    def _place_elementwise(self, node: Node) -> None:
        candidates = [(d, i) for d, i in self._candidates(node) if self._fits(node, d, i)]
        if not candidates:
            self._start("map", node)
            return
        # A reduction or contraction cannot move into another group, a map can: join the former,
        # and of several the last one.
        draft, index = max(candidates, key=lambda c: (c[0].kind != "map", c[0].last))
        self._join(draft, node, index)
        for other, other_index in candidates:
            if other is not draft and other.kind == "map" and other.alive:
                self._merge(other, other_index, draft, index)

    def _candidates(self, node: Node) -> list[tuple[Draft, Index]]:
        found: dict[Draft, Index] = {}
        for operand in node.inputs:
            where = self._placed(operand)
            if where is not None:
                found.setdefault(*where)
        for operand in node.inputs:
            source = operand
            while source.op in MOVEMENT and source not in self.group_of:
                source = source.inputs[0]
            row = self.group_of.get(source)
            if row is not None and row.full is not None and row.full[0] == node.shape:
                found.setdefault(row, row.full[1])
        return list(found.items())

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

    def _place_reduction(self, node: Node) -> None:
        operand, axes = node.inputs[0], node.ints("axes")
        self._join_sibling(operand, axes)
        where = self._placed(operand)
        if where is not None and self._reduces(where[0], operand, where[1], axes):
            self._fold(where[0], node, where[1])
            return
        source = through_movement(operand)
        for draft in self.rows.reading((operand.shape, axes), [source], self.group_of):
            if draft.full is not None and self._shares(draft, operand):
                self._fold(draft, node, draft.full[1])
                return
        draft = Draft("row", self.order)
        index = self._fresh_index(draft, operand.shape)
        self._make_row(draft, operand, index, axes)
        self._fold(draft, node, index)

    def _join_sibling(self, operand: Node, axes: tuple[int, ...]) -> None:
        """Moves a map into a row group that reduces over the same axes and reads the same value.

        So a sum of squares beside a sum is no second walk over the rows.
        """
        where = self._placed(operand)
        if where is None or where[0].kind != "map":
            return
        small, index = where
        sources = {s for n in small.at for s in map(through_movement, n.inputs)} - set(small.at)
        stored = [s for s in sources if s.op not in VIRTUAL]
        for row in self.rows.reading((operand.shape, axes), stored, self.group_of):
            if row.full is not None and not row.depends_on(small):
                self._merge(small, index, row, row.full[1])
                return

    def _fold(self, draft: Draft, node: Node, index: Index) -> None:
        """Joins a reduction that reads its operand at `index`."""
        draft.operand_at[node] = index
        self._join(draft, node, without(index, node.ints("axes")))

    def _reduces(self, draft: Draft, operand: Node, index: Index, axes: tuple[int, ...]) -> bool:
        """Whether `draft` can fold `operand` over `axes`; a map group becomes a row group."""
        names = bare(index)
        if names is None or set(names) - {""} != set(draft.extents):
            return False
        if len(draft.at) >= MAX_MEMBERS:
            return False
        if draft.kind == "row":
            return {names[d] for d in axes} - {""} == set(draft.reduced)
        if draft.kind != "map":
            return False
        self._make_row(draft, operand, index, axes)
        return True

    def _make_row(self, draft: Draft, operand: Node, index: Index, axes: tuple[int, ...]) -> None:
        draft.kind = "row"
        draft.reduced = tuple(index[d].axes()[0] for d in axes if index[d] != ZERO)
        draft.full = (operand.shape, index)
        self.rows.add((operand.shape, axes), draft)

    def _shares(self, draft: Draft, operand: Node) -> bool:
        """Whether a row group that reads `operand` too may read it again."""
        source = through_movement(operand)
        if source.op in VIRTUAL or len(draft.at) >= MAX_MEMBERS:
            return False
        assert draft.full is not None
        found = self._source(operand, draft.full[1], draft)
        return found is True or (isinstance(found, Draft) and not found.depends_on(draft))

    def _place_window(self, node: Node) -> None:
        """A row for each window; what follows may join, but no window is walked a second time."""
        draft = Draft("row", self.order)
        index = self._fresh_index(draft, node.shape)
        sizes = node.ints("window")
        inside = [axis_index(self._fresh_axis(draft, n)) if n > 1 else ZERO for n in sizes]
        draft.reduced = tuple(i.axes()[0] for i in inside if i != ZERO)
        steps = zip(index, node.ints("strides"), inside, strict=True)
        draft.operand_at[node] = tuple(i * stride + k for i, stride, k in steps)
        self._join(draft, node, index)

    def _place_contiguous(self, node: Node) -> None:
        """Another order in memory: whoever computes the operand stores it there as well."""
        where = self._placed(node.inputs[0])
        if where is not None and self._fits(node, *where):
            self._join(where[0], node, where[1])
        else:
            self._start("map", node)

    def _place_pad(self, node: Node) -> None:
        """Two groups: one fills the border, then whoever computes the operand stores it inside."""
        operand = node.inputs[0]
        border = Draft("border", self.order, first=self.position[node], last=self.position[node])
        border.at[node] = self._fresh_index(border, node.shape)
        self.borders.append(border)
        where = self._placed(operand)
        if where is None or not self._fits(node, *where):
            draft = Draft("map", self.order)
            where = draft, self._fresh_index(draft, operand.shape)
        draft, index = where
        low, gaps = node.ints("low"), node.ints("interior")
        inside = (i * (gap + 1) + b for i, b, gap in zip(index, low, gaps, strict=True))
        draft.operand_at[node] = index
        draft.needs(border)
        self._join(draft, node, tuple(inside))
        # Nobody else is computed at the places of a padded value.
        del draft.placed[node], self.view_of[node]

    def _place_concatenate(self, node: Node) -> None:
        """Parts stored in their places, where each is computed by a group of its own."""
        last = self.parts.store(node, self.position[node], self._open)
        self.group_of[node] = last or self._start("assemble", node)

    def _open(self, node: Node) -> tuple[Draft, Index] | None:
        """Where `node` is known in a group that has room."""
        where = self._placed(node)
        return where if where is not None and self._has_room(where[0]) else None

    def _place_contraction(self, node: Node) -> None:
        draft = self._start("contraction", node)
        draft.reduced = tuple(self._fresh_axis(draft, size) for size in summed(node))

    def _place_whole(self, node: Node, kind: str) -> None:
        """A group of its own, whose operands lie in memory as they are."""
        if node.op == "while_pull":
            raise UnboundedError(f"{UNBOUNDED} ({node.loc})")
        for operand in node.inputs:
            if not self._stored(operand):
                self.copy(operand)
        self._start(kind, node)

    def _place_item(self, node: Node) -> None:
        """One of several results: stored by the group that computes all of them."""
        draft = self.group_of[node.inputs[0]]
        self._join(draft, node, self._fresh_index(draft, node.shape))

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
        if node.op == "gather_rows" and not self._stored(node.inputs[0]):
            self.copy(node.inputs[0])
        self._join(draft, node, self._fresh_index(draft, node.shape))
        return draft

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

    def _merge(self, small: Draft, at_small: Index, big: Draft, at_big: Index) -> None:
        """Moves a map group into the group that reads it at the matching index, where legal."""
        if small.parts or len(small.at) + len(big.at) > MAX_MEMBERS:
            return
        names = bare(at_small)
        if names is None or set(names) - {""} != set(small.extents):
            return
        if big.depends_on(small, direct=False) or small.depends_on(big):
            return
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

    def _sort(self, draft: Draft) -> None:
        draft.at = dict(sorted(draft.at.items(), key=lambda item: self.position[item[0]]))

    # Facts

    def _stored(self, node: Node) -> bool:
        """Whether the whole of `node` will lie in memory for other groups."""
        return node.op == "input" or node in self.group_of

    def _folds(self, reshape: Node) -> bool:
        draft = Draft("map", self.order)
        index = self._fresh_index(draft, reshape.shape)
        constant = reshape.inputs[0].op == "full"
        return constant or operand_index(reshape, index, draft.extents) is not None
