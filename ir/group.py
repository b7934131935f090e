"""Groups: the nodes of a graph that one kernel computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tracejit.ir.affine import Affine, Index
from tracejit.ir.graph import Node

if TYPE_CHECKING:
    from tracejit.ir.fusion import Fused


@dataclass(frozen=True, slots=True)
class Part:
    """Of a concatenation: `value`, computed at index `at`, stored at `index` of the whole."""

    value: Node
    at: Index
    index: Index

    def substitute(self, axes: Mapping[str, Affine]) -> Part:
        """With axes replaced by expressions."""
        at, index = (tuple(i.substitute(axes) for i in ix) for ix in (self.at, self.index))
        return Part(self.value, at, index)


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """One kernel to be: a loop space, its members, and which of them are stored.

    axes: (name, extent) in loop order. at: the index of each member, in topological order.
    reduced: the axes folded by a row group, or contracted by a contraction.
    operand_at: for each reduction the index at which it reads its operand.
    parts: for each concatenation that it does not store as a whole, those of its parts it stores.
    bodies: of control flow, fused: those of a loop give each carry the place it had.
    """

    kind: str
    axes: tuple[tuple[str, int], ...]
    reduced: tuple[str, ...]
    at: Mapping[Node, Index]
    operand_at: Mapping[Node, Index]
    outputs: tuple[Node, ...]
    parts: Mapping[Node, Sequence[Part]] = field(default_factory=dict)
    bodies: tuple[Fused, ...] = ()

    def operands(self, node: Node) -> tuple[Node, ...]:
        """What a member reads here."""
        return tuple(p.value for p in self.parts[node]) if node in self.parts else node.inputs

    def reads(self, node: Node) -> Iterator[tuple[Node, Index]]:
        """What a member reads here, and at which index where that is known."""
        if node in self.parts:
            yield from ((part.value, part.at) for part in self.parts[node])
        else:
            where = self.operand_at.get(node, self.at[node])
            yield from ((operand, where) for operand in node.inputs)

    @property
    def extents(self) -> dict[str, int]:
        return dict(self.axes)
