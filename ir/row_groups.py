"""The row groups made so far, found by what they go over and what they read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tracejit.ir.draft import Draft, through_movement
from tracejit.ir.graph import Node
from tracejit.ir.types import Shape

# What a row group goes over: a shape, and the axes of it that are reduced.
Space = tuple[Shape, tuple[int, ...]]


class RowGroups:
    """Looked up for every reduction: by the readers of its operand, not one group after another."""

    def __init__(self, order: Sequence[Node], outputs: Sequence[Node]) -> None:
        self._spaces: dict[Space, dict[Draft, int]] = {}
        self._readers: dict[Node, list[Node]] = {}
        self._outputs = frozenset(outputs)
        for node in order:
            for operand in node.inputs:
                self._readers.setdefault(through_movement(operand), []).append(node)

    def add(self, space: Space, draft: Draft) -> None:
        drafts = self._spaces.setdefault(space, {})
        drafts[draft] = len(drafts)

    def reading(
        self, space: Space, sources: Iterable[Node], group_of: Mapping[Node, Draft]
    ) -> list[Draft]:
        """Those over `space` that read any of `sources`, through movement or not, oldest first."""
        drafts = self._spaces.get(space)
        if not drafts:
            return []
        readers = (reader for source in sources for reader in self._readers.get(source, ()))
        found = {group_of.get(reader) for reader in readers}
        return sorted((d for d in found if d is not None and d in drafts), key=drafts.__getitem__)

    def read_once(self, node: Node) -> bool:
        """Whether one node needs it, and none of its views."""
        return len(self._readers.get(node, ())) == 1 and node not in self._outputs
