"""Affine index expressions: `const + sum(coefficient * axis)` over named loop axes.

Movement primitives (broadcast, reshape, transpose, slice, reverse) are index maps: reading their
result at some index is reading their operand at another. While that map is affine it costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tracejit.ir.graph import Node


@dataclass(frozen=True, slots=True)
class Affine:
    """`const + sum(c * axis for axis, c in terms)`; terms are sorted, no coefficient is 0."""

    terms: tuple[tuple[str, int], ...] = ()
    const: int = 0

    def __add__(self, other: Affine | int) -> Affine:
        if isinstance(other, int):
            return Affine(self.terms, self.const + other)
        if not self.terms or not other.terms:
            return Affine(self.terms or other.terms, self.const + other.const)
        sums = dict(self.terms)
        _add(sums, other, 1)
        return affine(sums, self.const + other.const)

    def __mul__(self, factor: int) -> Affine:
        if factor == 0:
            return ZERO
        terms = tuple([(axis, c * factor) for axis, c in self.terms])
        return Affine(terms, self.const * factor)

    def coefficient(self, axis: str) -> int:
        return next((c for name, c in self.terms if name == axis), 0)

    def axes(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.terms)

    def substitute(self, values: Mapping[str, Affine]) -> Affine:
        """Each axis in `values` replaced by its expression."""
        if not any(axis in values for axis, _ in self.terms):
            return self
        sums: dict[str, int] = {}
        const = self.const
        for axis, c in self.terms:
            value = values.get(axis)
            if value is None:
                sums[axis] = sums.get(axis, 0) + c
            else:
                _add(sums, value, c)
                const += value.const * c
        return affine(sums, const)

    def __str__(self) -> str:
        parts = [axis if c == 1 else f"{c}*{axis}" for axis, c in self.terms]
        if self.const or not parts:
            parts.append(str(self.const))
        return " + ".join(parts).replace("+ -", "- ")


ZERO = Affine()
Index = tuple[Affine, ...]


def affine(terms: Mapping[str, int], const: int = 0) -> Affine:
    return Affine(tuple(sorted([(a, c) for a, c in terms.items() if c])), const)


def _add(sums: dict[str, int], value: Affine, factor: int) -> None:
    for axis, c in value.terms:
        sums[axis] = sums.get(axis, 0) + c * factor


def in_order(node: Node, stored: Callable[[Node], bool]) -> Node:
    """What holds the elements of `node` in its order: itself, or what it is a reshape of."""
    while node.op == "reshape" and not stored(node):
        node = node.inputs[0]
    return node


def axis_index(name: str) -> Affine:
    return Affine(((name, 1),))


def strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Row-major element strides."""
    done, stride = [], 1
    for size in reversed(shape):
        done.append(stride)
        stride *= size
    return tuple(done[::-1])


def linear(index: Index, shape: Sequence[int]) -> Affine:
    """The flat row-major offset of `index` in a contiguous array."""
    sums: dict[str, int] = {}
    const = 0
    for i, stride in zip(index, strides(shape), strict=True):
        _add(sums, i, stride)
        const += i.const * stride
    return affine(sums, const)


def split(offset: Affine, shape: Sequence[int], extents: Mapping[str, int]) -> Index | None:
    """The index into `shape` whose flat offset is `offset`; None where it is not affine.

    Each stride takes the terms it divides; what remains must stay below the stride.
    """
    if 0 in shape:
        return (ZERO,) * len(shape)
    index = []
    rest = offset
    for size, stride in zip(shape, strides(shape), strict=True):
        if size == 1:
            index.append(ZERO)
            continue
        taken = {a: c // stride for a, c in rest.terms if c % stride == 0}
        left = affine({a: c for a, c in rest.terms if c % stride}, rest.const % stride)
        if not _within(left, stride, extents):
            return None
        index.append(affine(taken, rest.const // stride))
        rest = left
    return tuple(index) if _within(rest, 1, extents) else None


def _within(value: Affine, bound: int, extents: Mapping[str, int]) -> bool:
    """Whether 0 <= value < bound for every value of the axes."""
    low = high = value.const
    for axis, c in value.terms:
        reach = c * (extents[axis] - 1)
        low, high = low + min(reach, 0), high + max(reach, 0)
    return low >= 0 and high < max(bound, 1)


def operand_index(node: Node, index: Index, extents: Mapping[str, int]) -> Index | None:
    """Where a movement node reads its operand for its element `index`; None if not affine."""
    operand = node.inputs[0]
    match node.op:
        case "broadcast":
            axes = node.ints("axes")
            return tuple(
                ZERO if size == 1 else index[axes[d]] for d, size in enumerate(operand.shape)
            )
        case "transpose":
            where = {p: d for d, p in enumerate(node.ints("perm"))}
            return tuple(index[where[d]] for d in range(operand.ndim))
        case "slice":
            start, step = node.ints("start"), node.ints("step")
            return tuple(i * s + b for i, b, s in zip(index, start, step, strict=True))
        case "reverse":
            axes = node.ints("axes")
            return tuple(
                i * -1 + (n - 1) if d in axes else i
                for d, (i, n) in enumerate(zip(index, operand.shape, strict=True))
            )
        case "reshape":
            return split(linear(index, node.shape), operand.shape, extents)
        case _:
            raise AssertionError(f"{node.op} is not a movement primitive")


def result_index(node: Node, index: Index, extents: Mapping[str, int]) -> Index | None:
    """Where a movement node holds what its operand has at `index`; None if not known to be affine.

    A transpose and a reshape hold all of it, once.
    """
    if node.op == "transpose":
        return tuple(index[p] for p in node.ints("perm"))
    if node.op == "reshape":
        return split(linear(index, node.inputs[0].shape), node.shape, extents)
    return None


MOVEMENT = frozenset({"broadcast", "reshape", "transpose", "slice", "reverse"})
