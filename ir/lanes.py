"""Lanes: what a batch rule is given."""

from __future__ import annotations

from dataclasses import dataclass

from tracejit.ir import ops
from tracejit.ir.graph import PRIMITIVES, Node


@dataclass(frozen=True, slots=True)
class Lanes:
    """The operands of one operation done `size` times: those that differ have the lanes first."""

    size: int
    nodes: tuple[Node, ...]
    batched: tuple[bool, ...]

    @property
    def every(self) -> tuple[Node, ...]:
        """The operands, those that all lanes share repeated."""
        return tuple(
            node if has else repeated(node, self.size)
            for node, has in zip(self.nodes, self.batched, strict=True)
        )


def repeated(node: Node, size: int) -> Node:
    """`node` in each of `size` lanes."""
    shape = (size, *node.shape)
    value = node.scalar()
    if value is not None:
        return node.builder.full(value, node.type.with_shape(shape))
    axes = tuple(range(1, node.ndim + 1))
    return node.builder.emit(PRIMITIVES["broadcast"], node, shape=shape, axes=axes)


def folded(x: Node, axis: int) -> Node:
    """x[lanes, ...] with the lanes as the outer part of what is `axis` without them."""
    moved = ops.transpose(x, (*range(1, axis + 1), 0, *range(axis + 1, x.ndim)))
    rest = moved.shape
    return ops.reshape(moved, (*rest[:axis], rest[axis] * rest[axis + 1], *rest[axis + 2 :]))


def unfolded(x: Node, axis: int, size: int) -> Node:
    """The inverse of `folded`: lanes first."""
    inner = x.shape[axis] // size
    apart = ops.reshape(x, (*x.shape[:axis], size, inner, *x.shape[axis + 1 :]))
    return ops.transpose(apart, (axis, *range(axis), *range(axis + 1, apart.ndim)))
