"""Concatenations whose parts are stored in their places by whoever computes them.

Each part is known at some index of a group; shifted along the axis, that is its index in the whole.
So there is nothing to copy, and phases that are interleaved, one axis after the other, are stored
once. All groups that store a part hold the node; the one that runs last stands for it, and needs
the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tracejit.ir.affine import Index, result_index
from tracejit.ir.draft import Draft
from tracejit.ir.graph import Node


@dataclass(frozen=True, slots=True)
class Part:
    """Where in a concatenation, or a view of it, a group stores: `value`, computed at `at`."""

    draft: Draft
    index: Index
    value: Node
    at: Index


class Parts:
    """The parts of the concatenations so far, and of their views."""

    def __init__(self) -> None:
        self._known: dict[Node, tuple[Part, ...]] = {}

    def see(self, view: Node) -> None:
        """Notes a movement node, if it holds each part at a known index."""
        known = self._known.get(view.inputs[0], ())
        found = [(part, result_index(view, part.index, part.draft.extents)) for part in known]
        views = [replace(part, index=index) for part, index in found if index is not None]
        if known and len(views) == len(known):
            self._known[view] = tuple(views)

    def store(
        self, node: Node, position: int, placed: Callable[[Node], tuple[Draft, Index] | None]
    ) -> Draft | None:
        """Makes a concatenation a member of the groups of its parts; the one that stands for it.

        None where a part has no place. placed: where a value is known in a group that takes
        another member.
        """
        parts = self._parts(node, placed)
        if parts is None:
            return None
        self._known[node] = parts
        for part in parts:
            draft = part.draft
            draft.last = max(draft.last, position)
            draft.at[node] = part.index
            draft.operand_at[node] = part.at
            draft.parts[node] = part.value
        last = parts[-1].draft
        for part in parts[:-1]:
            last.needs(part.draft)
        return last

    def _parts(
        self, node: Node, placed: Callable[[Node], tuple[Draft, Index] | None]
    ) -> tuple[Part, ...] | None:
        """That of the group which runs last stands last."""
        axis, start = node.attrs["axis"], 0
        assert isinstance(axis, int)
        if 0 in node.shape:
            return None
        parts: list[Part] = []
        for operand in node.inputs:
            inner = self._known.get(operand)
            if inner is None:
                where = placed(operand)
                if where is None:
                    return None
                inner = (Part(*where, operand, where[1]),)
            parts += [replace(part, index=_shifted(part.index, axis, start)) for part in inner]
            start += operand.shape[axis]
        drafts = [part.draft for part in parts]
        if len(set(drafts)) < len(drafts) or not all(draft.alive for draft in drafts):
            return None
        last = next((d for d in reversed(drafts) if not _is_needed(d, drafts)), None)
        return None if last is None else tuple(sorted(parts, key=lambda part: part.draft is last))


def _is_needed(draft: Draft, by: Sequence[Draft]) -> bool:
    return any(other.depends_on(draft) for other in by if other is not draft)


def _shifted(index: Index, axis: int, start: int) -> Index:
    return (*index[:axis], index[axis] + start, *index[axis + 1 :])
