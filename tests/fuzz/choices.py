"""Choices that the random graphs are made of: among sizes, dtypes, values, and values made to fit.

A value is exact when every backend must give the same bits: it comes from inputs by operations
without rounding freedom. Only exact values decide anything (a comparison, an index, a rounding).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import ClassVar, TypeVar

import numpy as np

from tests.fuzz.tables import (
    CONSTANTS,
    DTYPE_WEIGHTS,
    FLOAT_UNARY,
    INEXACT,
    LARGE_ELEMENTS,
    LARGE_SIZES,
    MAX_ELEMENTS,
    SIZES,
    STEP_WEIGHTS,
)
from tracejit.ir import ops
from tracejit.ir.graph import PRIMITIVES, Builder, Node
from tracejit.ir.order import topological
from tracejit.ir.types import BOOL, DTYPES, DType, Shape, TensorType, is_float, is_integer

T = TypeVar("T")


def is_inexact(node: Node, known: dict[Node, bool]) -> bool:
    """Whether backends may differ in the last bits of `node`; `known` holds its operands."""
    own = node.op in INEXACT and is_float(node.dtype)
    return own or any(known[operand] for operand in node.inputs)


class Choices:
    """The values of a graph so far, choices among them, and more that fit a type."""

    dtype_weights: ClassVar[Mapping[str, float]] = DTYPE_WEIGHTS
    step_weights: ClassVar[Mapping[str, float]] = STEP_WEIGHTS
    float_unary: Sequence[str] = FLOAT_UNARY

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.builder = Builder()
        self.values: list[Node] = []
        self.inputs: list[Node] = []
        self.inexact: dict[Node, bool] = {}
        large = self.chance(0.08)
        self.limit = LARGE_ELEMENTS if large else MAX_ELEMENTS
        self.sizes = [int(s) for s in self.rng.choice(LARGE_SIZES if large else SIZES, 3)]
        if self.rng.random() < 0.05:
            self.sizes[0] = 0

    # Choices

    def pick(self, items: Sequence[T]) -> T:
        return items[int(self.rng.integers(len(items)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def dtype(self) -> DType:
        return DTYPES[self.weighted(self.dtype_weights)]

    def weighted(self, weights: Mapping[str, float]) -> str:
        shares = np.array(list(weights.values()), float)
        return list(weights)[self.rng.choice(len(shares), p=shares / shares.sum())]

    def shape(self) -> Shape:
        rank = int(self.rng.choice(5, p=[0.1, 0.25, 0.35, 0.2, 0.1]))
        shape = tuple(self.pick([*self.sizes, 1]) for _ in range(rank))
        return shape if prod(shape) <= self.limit else shape[:1]

    def value(self, holds: Callable[[Node], bool] = lambda node: True) -> Node | None:
        """A value so far, later ones more often."""
        fitting = [node for node in self.values if holds(node)]
        if not fitting:
            return None
        return fitting[-1 - int(len(fitting) * self.rng.random() ** 2)]

    def float(self) -> Node | None:
        return self.value(lambda n: is_float(n.dtype))

    def exact(self, holds: Callable[[Node], bool] = lambda node: True) -> Node | None:
        return self.value(lambda n: not self.known(n) and holds(n))

    def known(self, node: Node) -> bool:
        """`is_inexact`, for nodes made in any way."""
        if node not in self.inexact:
            for n in topological([node]):
                if n not in self.inexact:
                    self.inexact[n] = is_inexact(n, self.inexact)
        return self.inexact[node]

    # Making one value fit a type

    def fit(self, type: TensorType, exact: bool = False) -> Node:
        """A value of `type`: one that is there, one broadcast or cast to it, or a constant."""
        held = [n for n in self.values if n.type == type and not (exact and self.known(n))]
        if held and self.chance(0.7):
            return self.pick(held)
        for _ in range(4):
            node = self.exact() if exact else self.value()
            if node is not None and (made := self.broadcast_to(node, type.shape)) is not None:
                converted = self.convert(made, type.dtype)
                if converted is not None:
                    return converted
        return self.constant(type)

    def broadcast_to(self, node: Node, shape: Shape) -> Node | None:
        if node.shape == shape:
            return node
        offset = len(shape) - node.ndim
        if offset < 0 or any(s not in (1, shape[offset + d]) for d, s in enumerate(node.shape)):
            return None
        return ops.broadcast_to(node, shape)

    def convert(self, node: Node, dtype: DType) -> Node | None:
        """A cast whose result is defined: what becomes an integer is exact, finite and small."""
        if node.dtype == dtype:
            return node
        if (is_integer(dtype) or dtype == BOOL) and is_float(node.dtype):
            if self.known(node):
                return None
            low = 0 if dtype.kind == "u" else -100
            finite = ops.select(ops.eq(node, node), node, ops.full_like(node, 1))
            bounded = ops.minimum(ops.full_like(node, 100), finite)
            node = ops.maximum(ops.full_like(node, low), bounded)
        return ops.cast(node, dtype)

    def constant(self, type: TensorType) -> Node:
        if is_float(type.dtype):
            return self.builder.full(self.pick(CONSTANTS), type)
        if type.dtype == BOOL:
            return self.builder.full(self.chance(0.5), type)
        return self.builder.full(self.pick([0, 1, 2, 5]), type)

    def emit(self, op: str, *inputs: Node, **attrs: object) -> Node:
        return self.builder.emit(PRIMITIVES[op], *inputs, **attrs)  # type: ignore[arg-type]
