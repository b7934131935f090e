"""Groups: the nodes of a graph that one kernel computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracejit.ir.affine import Index
from tracejit.ir.graph import Node

if TYPE_CHECKING:
    from tracejit.ir.fusion import Fused


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """One kernel to be: a loop space, its members, and which of them are stored.

    axes: (name, extent) in loop order. at: the index of each member, in topological order.
    reduced: the axes folded by a row group, or contracted by a contraction.
    operand_at: for each reduction the index at which it reads its operand.
    bodies: of control flow, fused: those of a loop give each carry the place it had.
    """

    kind: str
    axes: tuple[tuple[str, int], ...]
    reduced: tuple[str, ...]
    at: Mapping[Node, Index]
    operand_at: Mapping[Node, Index]
    outputs: tuple[Node, ...]
    bodies: tuple[Fused, ...] = ()

    @property
    def extents(self) -> dict[str, int]:
        return dict(self.axes)
