"""Random graphs over all primitives.

A value is exact when every backend must give the same bits: it comes from inputs by operations
without rounding freedom. Only exact values decide anything (a comparison, an index, a rounding).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import ClassVar, TypeVar

import numpy as np

from tests.fuzz.tables import (
    COMPARE,
    CONSTANTS,
    DTYPE_WEIGHTS,
    FLOAT_BINARY,
    FLOAT_UNARY,
    INEXACT,
    INTEGER_BINARY,
    INTEGER_UNARY,
    LARGE_ELEMENTS,
    LARGE_SIZES,
    MAX_ELEMENTS,
    MOVES,
    SIZES,
    STEP_WEIGHTS,
    STEPS,
)
from tracejit.ir import ops
from tracejit.ir.autodiff import gradients
from tracejit.ir.graph import PRIMITIVES, Builder, Graph, Loc, Node, topological
from tracejit.ir.types import (
    BOOL,
    DTYPES,
    I32,
    U32,
    DType,
    Shape,
    TensorType,
    is_float,
    is_integer,
)

T = TypeVar("T")


def is_inexact(node: Node, known: dict[Node, bool]) -> bool:
    """Whether backends may differ in the last bits of `node`; `known` holds its operands."""
    own = node.op in INEXACT and is_float(node.dtype)
    return own or any(known[operand] for operand in node.inputs)


class Generator:
    """Grows one graph. Each `_step` method adds a node or two; it returns None where it cannot."""

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

    # Steps

    def step_unary(self) -> Node | None:
        x = self.value()
        if x is None or x.dtype == BOOL:
            return None if x is None else ops.not_(x)
        if is_integer(x.dtype):
            return self.emit(self.pick(INTEGER_UNARY), x)
        if not self.known(x) and self.chance(0.2):
            return self.emit(self.pick(STEPS), x)
        op = self.pick(self.float_unary)
        return self.builder.mark(x) if op == "mark" else self.emit(op, x)

    def emit(self, op: str, *inputs: Node, **attrs: object) -> Node:
        return self.builder.emit(PRIMITIVES[op], *inputs, **attrs)  # type: ignore[arg-type]

    def step_binary(self) -> Node | None:
        a = self.value()
        if a is None:
            return None
        names = FLOAT_BINARY if is_float(a.dtype) else INTEGER_BINARY
        op = self.pick(("and", "or", "xor") if a.dtype == BOOL else names)
        b = self.constant(a.type) if self.chance(0.3) else self.fit(a.type)
        return self.emit(op, a, b) if self.chance(0.5) else self.emit(op, b, a)

    def step_power(self) -> Node | None:
        a = self.float()
        return None if a is None else ops.pow(a, self.fit(a.type, exact=True))

    def step_modulo(self) -> Node | None:
        a = self.exact(lambda n: is_float(n.dtype))
        if a is None:
            return None
        return self.emit(self.pick(("remainder", "floor_divide")), a, self.fit(a.type, exact=True))

    def step_compare(self) -> Node | None:
        a = self.exact()
        return None if a is None else self.emit(self.pick(COMPARE), a, self.fit(a.type, exact=True))

    def step_select(self) -> Node | None:
        a = self.value()
        if a is None:
            return None
        return ops.select(self.fit(a.type.with_dtype(BOOL), exact=True), a, self.fit(a.type))

    def step_cast(self) -> Node | None:
        x = self.value()
        return None if x is None else self.convert(x, self.dtype())

    def step_reduce(self) -> Node | None:
        x = self.value(lambda n: n.ndim > 0)
        if x is None:
            return None
        axes = tuple(d for d in range(x.ndim) if self.chance(0.6)) or (x.ndim - 1,)
        op = self.pick(("reduce_sum", "reduce_sum", "reduce_max", "reduce_min", "reduce_prod"))
        empty = 0 in (x.shape[d] for d in axes)
        if op in ("reduce_sum", "reduce_prod"):
            x = ops.cast(x, I32) if x.dtype == BOOL else x
        elif empty:
            return None
        y = self.emit(op, x, axes=axes)
        if self.chance(0.4):
            self.values.append(y)
            y = self.emit("broadcast", y, shape=x.shape,
                          axes=tuple(d for d in range(x.ndim) if d not in axes))  # fmt: skip
        return y

    def step_row(self) -> Node | None:
        """A softmax or a normalisation over the last axis."""
        x = self.value(lambda n: is_float(n.dtype) and n.ndim > 0 and n.shape[-1] > 0)
        if x is None:
            return None
        last, n = (x.ndim - 1,), x.shape[-1]
        if self.chance(0.5):
            e = ops.exp(x - ops.unreduce(self.emit("reduce_max", x, axes=last), x.shape, last))
            return e / ops.unreduce(ops.reduce_sum(e, last), x.shape, last)
        d = x - ops.unreduce(ops.reduce_sum(x, last) / n, x.shape, last)
        variance = ops.reduce_sum(d * d, last) / n
        return d * ops.unreduce(ops.rsqrt(variance + 1e-3), x.shape, last)

    def step_move(self) -> Node | None:
        x = self.value(lambda n: n.ndim > 0)
        if x is None:
            return None
        return getattr(self, f"move_{self.pick(MOVES)}")(x)

    def move_broadcast(self, x: Node) -> Node | None:
        shape = list(x.shape)
        shape.insert(int(self.rng.integers(x.ndim + 1)), self.pick(self.sizes))
        placed = shape.copy()
        added = next(d for d in range(len(shape)) if tuple(shape[:d] + shape[d + 1 :]) == x.shape)
        axes = tuple(d for d in range(len(shape)) if d != added)
        for d, s in zip(axes, x.shape, strict=True):
            placed[d] = self.pick([1, self.pick(self.sizes)]) if s == 1 else s
        if prod(placed) > self.limit or len(placed) > 5:
            return None
        return self.emit("broadcast", x, shape=tuple(placed), axes=axes)

    def move_reshape(self, x: Node) -> Node:
        dims = [s for s in x.shape if s != 1]
        if len(dims) > 1 and self.chance(0.5):
            at = int(self.rng.integers(len(dims) - 1))
            dims[at : at + 2] = [dims[at] * dims[at + 1]]
        elif dims and self.chance(0.7):
            at = int(self.rng.integers(len(dims)))
            factors = [f for f in (2, 3, 4, 8) if dims[at] and dims[at] % f == 0]
            if factors and len(dims) < 5:
                f = self.pick(factors)
                dims[at : at + 1] = [dims[at] // f, f]
        if self.chance(0.3):
            dims.insert(int(self.rng.integers(len(dims) + 1)), 1)
        return self.emit("reshape", x, shape=tuple(dims))

    def move_transpose(self, x: Node) -> Node:
        return self.emit("transpose", x, perm=tuple(int(p) for p in self.rng.permutation(x.ndim)))

    def move_reverse(self, x: Node) -> Node:
        return self.emit("reverse", x, axes=tuple(d for d in range(x.ndim) if self.chance(0.6)))

    def move_slice(self, x: Node) -> Node:
        start = [int(self.rng.integers(s // 2 + 1)) for s in x.shape]
        stop = [int(self.rng.integers(a, s + 1)) if self.chance(0.4) else s
                for a, s in zip(start, x.shape, strict=True)]  # fmt: skip
        stop = [max(a + 1, b) if s > a else b for a, b, s in zip(start, stop, x.shape, strict=True)]
        step = [self.pick([1, 1, 1, 2, 3]) for _ in x.shape]
        return self.emit("slice", x, start=tuple(start), stop=tuple(stop), step=tuple(step))

    def move_pad(self, x: Node) -> Node | None:
        low, high, gap = ([int(self.rng.choice([0, 0, 1, 3])) for _ in x.shape] for _ in range(3))
        spans = zip(low, high, x.shape, gap, strict=True)
        if prod(a + b + s * (g + 1) for a, b, s, g in spans) > self.limit:
            return None
        value = self.constant(TensorType((), x.dtype)).scalar()
        amounts = {"low": tuple(low), "high": tuple(high), "interior": tuple(gap)}
        return self.emit("pad", x, value=value, **amounts)

    def move_concatenate(self, x: Node) -> Node | None:
        axis = int(self.rng.integers(x.ndim))
        parts = [x]
        for _ in range(int(self.rng.integers(1, 3))):
            shape = list(x.shape)
            shape[axis] = self.pick([*self.sizes, x.shape[axis]])
            parts.append(self.fit(TensorType(tuple(shape), x.dtype)))
        self.rng.shuffle(parts)  # type: ignore[arg-type]
        out = self.emit("concatenate", *parts, axis=axis)
        return out if out.type.size <= self.limit else None

    def step_dot(self) -> Node | None:
        a = self.value(lambda n: n.dtype != BOOL and n.ndim > 0)
        if a is None:
            return None
        roles = [self.pick("cffb") for _ in a.shape]
        if "c" not in roles:
            roles[-1] = "c"
        contract, batch = ([d for d, r in enumerate(roles) if r == kind] for kind in "cb")
        free = [self.pick(self.sizes) for _ in range(int(self.rng.integers(0, 3)))]
        dims = [*((a.shape[d], d) for d in (*contract, *batch)), *((s, -1) for s in free)]
        order = [dims[int(i)] for i in self.rng.permutation(len(dims))]
        shape = tuple(size for size, _ in order)
        b_axes = {d: i for i, (_, d) in enumerate(order) if d >= 0}
        rows = prod(s for s, r in zip(a.shape, roles, strict=True) if r != "c")
        if prod(shape) > self.limit or rows * prod(free) > self.limit:
            return None
        b = self.fit(TensorType(shape, a.dtype))
        return self.emit(
            "dot_general", a, b,
            contract=(tuple(contract), tuple(b_axes[d] for d in contract)),
            batch=(tuple(batch), tuple(b_axes[d] for d in batch)),
        )  # fmt: skip

    def step_gather(self) -> Node | None:
        table = self.value(lambda n: n.ndim > 0 and n.shape[0] > 0)
        index = self.exact(lambda n: is_integer(n.dtype) and n.ndim < 3)
        if table is None:
            return None
        if index is None:
            index = self.fit(TensorType((self.pick(self.sizes),), I32), exact=True)
        out = self.emit("gather_rows", table, index)
        return out if out.type.size <= self.limit and out.ndim < 6 else None

    def step_scatter(self) -> Node | None:
        updates = self.value(lambda n: n.dtype != BOOL and n.ndim > 0)
        if updates is None:
            return None
        index = self.fit(TensorType(updates.shape[:1], I32), exact=True)
        return self.emit("scatter_add_rows", index, updates, rows=max(1, self.pick(self.sizes)))

    def step_source(self) -> Node | None:
        kind, shape = self.pick(("iota", "full", "random_bits")), self.shape()
        if kind == "full":
            return self.constant(TensorType(shape, self.dtype()))
        if kind == "iota":
            dtype = self.dtype()
            if not shape or dtype == BOOL:
                return None
            axis = int(self.rng.integers(len(shape)))
            return self.emit("iota", shape=shape, axis=axis, dtype=dtype)
        key = self.fit(TensorType((2,), U32), exact=True)
        return self.emit("random_bits", key, shape=shape)

    # The whole graph

    def grow(self, steps: int) -> Graph:
        for n in range(int(self.rng.integers(2, 5))):
            type = TensorType(self.shape(), self.dtype())
            self.inputs.append(self.builder.input(f"x{n}", type))
        self.values += self.inputs
        for n in range(steps):
            self.builder.loc = Loc("fuzz.py", n + 1)
            made = getattr(self, f"step_{self.weighted(self.step_weights)}")()
            if made is not None and made.type.size <= self.limit:
                self.values.append(made)
        outputs = self.outputs()
        return Graph("fuzz", tuple(self.inputs), tuple(outputs), self.donations(outputs))

    def outputs(self) -> list[Node]:
        """The last value, some others, and now and then gradients of a sum of a float value."""
        chosen = [self.values[-1]]
        chosen += [self.value() or chosen[0] for _ in range(int(self.rng.integers(0, 3)))]
        y = self.float()
        wrt = [n for n in self.inputs if is_float(n.dtype)]
        if y is not None and wrt and self.chance(0.25):
            total = ops.reduce_sum(y, tuple(range(y.ndim)))
            chosen += gradients([total], [ops.full_like(total, 1)], wrt)
        return chosen

    def donations(self, outputs: list[Node]) -> tuple[int | None, ...]:
        """Some outputs take over inputs of their type, each input once."""
        free = set(range(len(self.inputs)))
        donors: list[int | None] = []
        for node in outputs:
            fitting = [i for i in sorted(free) if self.inputs[i].type == node.type]
            donor = self.pick(fitting) if fitting and self.chance(0.4) else None
            free.discard(-1 if donor is None else donor)
            donors.append(donor)
        return tuple(donors)


def random_graph(seed: int) -> Graph:
    """The graph of a seed: 2 to 4 inputs and at most some 25 operations."""
    generator = Generator(seed)
    return generator.grow(int(generator.rng.integers(2, 25)))
