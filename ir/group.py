"""Groups: the nodes of a graph that one kernel computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    parts: for each concatenation of which it stores a part only, the operand that is the part.
    bodies: of control flow, fused: those of a loop give each carry the place it had.
    """

    kind: str
    axes: tuple[tuple[str, int], ...]
    reduced: tuple[str, ...]
    at: Mapping[Node, Index]
    operand_at: Mapping[Node, Index]
    outputs: tuple[Node, ...]
    parts: Mapping[Node, Node] = field(default_factory=dict)
    bodies: tuple[Fused, ...] = ()

    def operands(self, node: Node) -> tuple[Node, ...]:
        """What a member reads here."""
        return (self.parts[node],) if node in self.parts else node.inputs

    @property
    def extents(self) -> dict[str, int]:
        return dict(self.axes)
