"""Concatenations whose parts are stored in their places by whoever computes them.

Each part is known at some index of a group; shifted along the axis, that is its index in the whole.
So there is nothing to copy, and phases that are interleaved, one axis after the other, are stored
once. All groups that store a part hold the node; the one that runs last stands for it, and needs
the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tracejit.ir.affine import Index, result_index
from tracejit.ir.draft import Draft
from tracejit.ir.graph import Node
from tracejit.ir.group import Part


@dataclass(frozen=True, slots=True)
class _Placed:
    """A part of a concatenation, or of a view of it, and the group that stores it."""

    draft: Draft
    part: Part

    def moved(self, index: Index) -> _Placed:
        return replace(self, part=replace(self.part, index=index))


class Parts:
    """The parts of the concatenations so far, and of their views."""

    def __init__(self) -> None:
        self._known: dict[Node, tuple[_Placed, ...]] = {}

    def see(self, view: Node) -> None:
        """Notes a movement node, if it holds each part at a known index."""
        views: list[_Placed] = []
        for placed in self._known.get(view.inputs[0], ()):
            index = result_index(view, placed.part.index, placed.draft.extents)
            if index is None:
                return
            views.append(placed.moved(index))
        if views:
            self._known[view] = tuple(views)

    def store(
        self, node: Node, position: int, known: Callable[[Node], tuple[Draft, Index] | None]
    ) -> Draft | None:
        """Makes a concatenation a member of the groups of its parts; the one that stands for it.

        None where a part has no place. known: where a value is known in a group that takes another
        member.
        """
        parts = self._parts(node, known)
        if parts is None:
            return None
        self._known[node] = parts
        for placed in parts:
            draft = placed.draft
            draft.last = max(draft.last, position)
            draft.at[node] = placed.part.index
            draft.parts.setdefault(node, []).append(placed.part)
        last = parts[-1].draft
        for placed in parts[:-1]:
            last.needs(placed.draft)
        return last

    def _parts(
        self, node: Node, known: Callable[[Node], tuple[Draft, Index] | None]
    ) -> tuple[_Placed, ...] | None:
        """That of the group which runs last stands last."""
        axis, start = node.attrs["axis"], 0
        assert isinstance(axis, int)
        if 0 in node.shape:
            return None
        parts: list[_Placed] = []
        for operand in node.inputs:
            inner = self._known.get(operand)
            if inner is None:
                where = known(operand)
                if where is None:
                    return None
                inner = (_Placed(where[0], Part(operand, where[1], where[1])),)
            parts += [p.moved(_shifted(p.part.index, axis, start)) for p in inner]
            start += operand.shape[axis]
        drafts = [placed.draft for placed in parts]
        if not _can_store(drafts):
            return None
        free = (drafts[n] for n in reversed(range(len(drafts))) if not _is_needed(n, drafts))
        last = next(free, None)
        return None if last is None else tuple(sorted(parts, key=lambda p: p.draft is last))


def _can_store(drafts: Sequence[Draft]) -> bool:
    """Whether each group stands, and none stores several parts at different times, as rows may."""
    counts = Counter(drafts)
    return all(draft.alive and (n == 1 or draft.kind != "row") for draft, n in counts.items())


def _is_needed(n: int, drafts: Sequence[Draft]) -> bool:
    """Whether one of the groups is to run before another; its neighbours tell soonest."""
    places = (m for far in range(1, len(drafts)) for m in (n - far, n + far))
    others = (drafts[m] for m in places if 0 <= m < len(drafts))
    return any(other.depends_on(drafts[n]) for other in others if other is not drafts[n])


def _shifted(index: Index, axis: int, start: int) -> Index:
    return (*index[:axis], index[axis] + start, *index[axis + 1 :])
