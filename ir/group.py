"""Groups: the nodes of a graph that one kernel computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tracejit.ir.affine import Index
from tracejit.ir.graph import Node


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """One kernel to be: a loop space, its members, and which of them are stored.

    axes: (name, extent) in loop order. at: the index of each member, in topological order.
    reduced: the axes folded by a row group, or contracted by a contraction.
    operand_at: for each reduction the index at which it reads its operand.
    """

    kind: str
    axes: tuple[tuple[str, int], ...]
    reduced: tuple[str, ...]
    at: Mapping[Node, Index]
    operand_at: Mapping[Node, Index]
    outputs: tuple[Node, ...]

    @property
    def extents(self) -> dict[str, int]:
        return dict(self.axes)
