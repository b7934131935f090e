"""Convolutions, windows, pads that are cut again, and products large enough to be packed.

Each needs operands whose sizes belong together, which the steps of `Generator` seldom meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from tests.fuzz.choices import Choices
from tests.fuzz.tables import PRODUCT_ELEMENTS, PRODUCT_SIZES
from tracejit.ir import ops
from tracejit.ir.graph import Node
from tracejit.ir.types import BOOL, DType, Shape, TensorType, is_float, is_integer


class Windows(Choices):
    """The steps over windows and matrices; each returns None where it cannot be taken."""

    # Operands

    def of_shape(self, shape: Shape, dtype: DType) -> Node:
        """A value of this type: one that is there, others reshaped, or a new input."""
        type = TensorType(shape, dtype)
        held = [n for n in self.values if n.type == type]
        if held and self.chance(0.5):
            return self.pick(held)
        larger = self.value(lambda n: n.dtype == dtype and n.type.size >= type.size)
        if larger is not None and self.chance(0.5):
            flat = self.emit("reshape", larger, shape=(larger.type.size,))
            return ops.reshape(ops.slice(flat, (0,), (type.size,)), shape)
        node = self.builder.input(f"x{len(self.inputs)}", type)
        self.inputs.append(node)
        self.values.append(node)
        return node

    def number(self) -> DType:
        """A dtype that sums take."""
        while (dtype := self.dtype()) == BOOL:
            pass
        return dtype

    def bordered(self, x: Node, axes: Sequence[int], value: bool | int | float) -> Node:
        """x inside a border, and now and then gaps, along these axes."""
        low, high, gap = ([0] * x.ndim for _ in range(3))
        for d in axes:
            low[d], high[d] = self.pick((0, 1, 2)), self.pick((0, 1, 3))
            gap[d] = self.pick((0, 0, 0, 0, 1))
        return ops.pad(x, value, low, high, gap)

    def filling(self, dtype: DType) -> bool | int | float:
        """What borders hold: mostly 0."""
        zero = self.builder.full(0, TensorType((), dtype))
        found = (zero if self.chance(0.7) else self.constant(zero.type)).scalar()
        assert found is not None
        return found

    def part(self, x: Node, axes: Sequence[int]) -> Node:
        """Some of x along these axes, in steps of 1, at least one element of each."""
        start, stop = [0] * x.ndim, list(x.shape)
        for d in axes:
            if x.shape[d] > 1:
                start[d] = int(self.rng.integers(min(3, x.shape[d])))
                stop[d] = int(self.rng.integers(start[d] + 1, x.shape[d] + 1))
        return ops.slice(x, start, stop)

    # Convolutions

    def step_conv(self) -> Node | None:
        """conv or conv_weight_grad over 1 to 3 axes in space, grouped or not, padded or not."""
        axes = range(1, 1 + self.pick((1, 2, 2, 3)))
        window, dilation, strides = (
            [self.pick(values) for _ in axes] for values in ((1, 2, 3), (1, 1, 2, 3), (1, 1, 2, 3))
        )
        spans = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
        x, features = self.image(axes, spans), self.pick((1, 2, 5, 16))
        around = [(self.pick((0, 0, 1, 2)), self.pick((0, 0, 1, 4))) for _ in axes]
        sizes = zip(x.shape[1:], around, spans, strides, strict=False)
        counts = [(size + sum(sides) - span) // s + 1 for size, sides, span, s in sizes]
        shape = (x.shape[0], *counts, x.shape[-2], features)
        work = prod(shape) * prod(window) * x.shape[-1]
        if max(x.type.size, prod(shape), work // 16) > self.limit:
            return None
        if self.chance(0.3):
            dy = self.of_shape(shape, x.dtype)
            return ops.conv_weight_grad(x, dy, strides, dilation, window, around)
        w = self.weights((*window, *x.shape[-2:], features), x.dtype)
        y = ops.conv(x, w, strides, dilation, around)
        return self.part(y, axes) if self.chance(0.4) else y

    def image(self, axes: Sequence[int], spans: Sequence[int]) -> Node:
        """[N, *S, G, C] that windows of these spans fit into, now and then empty."""
        sizes = [span + self.pick((0, 1, 3, 6)) for span in spans]
        shape = [self.pick((1, 2, 3)), *sizes, self.pick((1, 1, 2, 3)), self.pick((1, 2, 3, 8))]
        if self.chance(0.03):
            shape[self.pick((0, -1))] = 0
        dtype = self.number()
        x = self.of_shape(tuple(shape), dtype)
        if self.chance(0.5):
            x = self.bordered(x, axes, self.filling(dtype))
        return ops.reverse(x, axes) if self.chance(0.15) else x

    def weights(self, shape: Shape, dtype: DType) -> Node:
        """As they are, or stored with the last two axes exchanged, as gradients read them."""
        if self.chance(0.7):
            return self.of_shape(shape, dtype)
        *others, channels, features = range(len(shape))
        turned = self.of_shape((*shape[:-2], shape[-1], shape[-2]), dtype)
        return ops.transpose(turned, (*others, features, channels))

    # Windows

    def step_window(self) -> Node | None:
        """window_sum or window_max, windows of 1 to 3 on at most three axes, padded or not."""
        x = self.value(lambda n: n.dtype != BOOL and n.ndim > 0 and n.type.size > 0)
        if x is None:
            return None
        op = self.pick(("window_sum", "window_max"))
        axes = [int(d) for d in self.rng.permutation(x.ndim)[:3]]
        if self.chance(0.5):
            x = self.bordered(x, axes, self.identity(op, x.dtype))
        if x.type.size > self.limit:
            return None
        window, strides = [1] * x.ndim, [1] * x.ndim
        for d in axes:
            window[d] = min(x.shape[d], self.pick((1, 2, 3)))
            strides[d] = self.pick((1, 1, 2, 3))
        y = self.emit(op, x, window=tuple(window), strides=tuple(strides))
        return self.part(y, axes) if self.chance(0.2) else y

    def identity(self, op: str, dtype: DType) -> bool | int | float:
        """What pads a window: mostly what changes no result."""
        if op == "window_max" and is_float(dtype) and self.chance(0.7):
            return float("-inf")
        return self.filling(dtype)

    # Pads that are read in parts

    def step_narrow(self) -> Node | None:
        """A slice of a padded value, of the padding alone or across an edge."""
        x = self.value(lambda n: n.ndim > 0 and n.type.size > 0)
        if x is None:
            return None
        axes = range(x.ndim)
        padded = self.bordered(x, axes, self.filling(x.dtype))
        if padded is x or padded.type.size > self.limit:
            return None
        if self.chance(0.3):
            self.values.append(padded)
        if self.chance(0.5):
            return self.part(padded, axes)
        # All of the inside, and some of the border.
        low, high = padded.ints("low"), padded.ints("high")
        start = [int(self.rng.integers(n + 1)) for n in low]
        less = [int(self.rng.integers(n + 1)) for n in high]
        return ops.slice(padded, start, [n - k for n, k in zip(padded.shape, less, strict=True)])

    # Products

    def step_product(self) -> Node | None:
        """A matrix product or a batch of them, of sizes that layouts are chosen for."""
        m, k, n = (self.pick(PRODUCT_SIZES[axis]) for axis in "mkn")
        batch = self.pick(((), (), (), (2,), (3,)))
        drawn = [self.number() for _ in range(3)]
        dtype = next((d for d in drawn if is_float(d)), drawn[0])
        if max(m * k, k * n, m * n) * prod(batch) > max(self.limit, PRODUCT_ELEMENTS):
            return None
        a, a_k = self.matrix(batch, m, k, dtype)
        b, b_n = self.matrix(batch, n, k, dtype)
        lanes = tuple(range(len(batch)))
        y = ops.dot_general(a, b, ((a_k,), (b_n,)), (lanes, lanes))
        return ops.reduce_sum(y, (y.ndim - 1,)) if y.type.size > self.limit else y

    def matrix(self, batch: Shape, rows: int, depth: int, dtype: DType) -> tuple[Node, int]:
        """[*batch, rows, depth] or [*batch, depth, rows], stored or turned; its axis of depth."""
        first = len(batch)
        shape = (*batch, rows, depth) if self.chance(0.5) else (*batch, depth, rows)
        axis = first + (shape[first:] == (rows, depth))
        if self.chance(0.6):
            return self.of_shape(shape, dtype), axis
        perm = (*range(first), first + 1, first)
        node = self.of_shape((*batch, shape[first + 1], shape[first]), dtype)
        if is_integer(dtype) or self.chance(0.5):
            return ops.transpose(node, perm), axis
        return ops.transpose(ops.neg(node), perm), axis
