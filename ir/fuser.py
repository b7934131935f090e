"""The walk of fusion: where each node of a graph is computed."""

from __future__ import annotations

from tracejit.ir.affine import MOVEMENT, ZERO, Index, axis_index, result_index
from tracejit.ir.draft import (
    CONTRACTIONS,
    MAX_MEMBERS,
    REDUCTIONS,
    SCATTERS,
    VIRTUAL,
    WHOLE,
    WINDOWS,
    Draft,
    bare,
    same_rows,
    summed,
    through_movement,
    without,
)
from tracejit.ir.graph import Node
from tracejit.ir.grouping import Grouping
from tracejit.ir.types import UNBOUNDED, UnboundedError


class Fuser(Grouping):
    """Takes the nodes in topological order; its drafts are the groups when all are placed."""

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
            self._start("scatter" if node.op in SCATTERS else "map", node)

    def _place_movement(self, node: Node) -> None:
        operand = node.inputs[0]
        if node.op == "reshape" and not self._stored(operand) and not self._folds(node):
            self.copy(operand)
        where = self._placed(operand)
        if where is None:
            self.parts.see(node)
        elif (moved := result_index(node, where[1], where[0].extents)) is not None:
            self._see(where[0], node, moved)

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
            if other is draft or not other.alive:
                continue
            if other.kind == "map":
                self._merge(other, other_index, draft, index)
            elif other.full is not None and draft.full is not None and same_rows(other, draft):
                self._merge(other, other.full[1], draft, draft.full[1])

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

    def _place_reduction(self, node: Node) -> None:
        operand, axes = node.inputs[0], node.ints("axes")
        self._join_sibling(operand, axes)
        where = self._placed(operand)
        if where is not None and self._reduces(where[0], operand, where[1], axes):
            self._fold(where[0], node, where[1])
            return
        if where is not None and self._may_leave(operand, where[0]):
            self._leave(where[0], operand)
            self._reduce_apart(node, operand)
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

    def _may_leave(self, node: Node, draft: Draft) -> bool:
        """Whether a member had better be computed where it is summed: nobody else needs it, and
        its group folds other axes."""
        folds = draft.kind in ("row", "contraction")
        return folds and node in draft.at and node.prim.elementwise and self.rows.read_once(node)

    def _reduce_apart(self, node: Node, operand: Node) -> None:
        """Reduces a value that no group computes yet, in one that reads what it is made of."""
        space = operand.shape, node.ints("axes")
        sources = [s for s in map(through_movement, operand.inputs) if s.op not in VIRTUAL]
        for draft in self.rows.reading(space, sources, self.group_of):
            if draft.full is not None and self._fits(operand, draft, draft.full[1]):
                break
        else:
            draft = Draft("row", self.order)
            self._make_row(draft, operand, self._fresh_index(draft, operand.shape), space[1])
        assert draft.full is not None
        self._join(draft, operand, draft.full[1])
        self._fold(draft, node, draft.full[1])

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
            if row.full is None or row.depends_on(small):
                continue
            if self._merge(small, index, row, row.full[1]):
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
            self._in_memory(operand)
        self._start(kind, node)

    def _place_item(self, node: Node) -> None:
        """One of several results: stored by the group that computes all of them."""
        draft = self.group_of[node.inputs[0]]
        self._join(draft, node, self._fresh_index(draft, node.shape))
