"""Random graphs over all primitives."""

from __future__ import annotations

from math import prod

from tests.fuzz.tables import (
    COMPARE,
    FLOAT_BINARY,
    INTEGER_BINARY,
    INTEGER_UNARY,
    MOVES,
    RARE,
    STEPS,
)
from tests.fuzz.windows import Windows
from tracejit.ir import ops
from tracejit.ir.autodiff import gradients
from tracejit.ir.graph import Graph, Loc, Node
from tracejit.ir.types import BOOL, I32, U32, TensorType, is_float, is_integer


class Generator(Windows):
    """Grows one graph. Each `step` method adds a node or two; it returns None where it cannot."""

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
        self.rng.shuffle(parts)
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
        shape = (max(1, self.pick(self.sizes)), *updates.shape[1:])
        table = self.fit(updates.type.with_shape(shape), exact=self.chance(0.5))
        return self.emit(self.pick(("scatter_add_rows", "scatter_rows")), table, index, updates)

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
        kept: list[Node] = []
        for n in range(steps):
            self.builder.loc = Loc("fuzz.py", n + 1)
            step = self.weighted(self.step_weights)
            made = getattr(self, f"step_{step}")()
            if made is not None and made.type.size <= self.limit:
                self.values.append(made)
                if step in RARE and self.chance(0.3):
                    kept.append(made)
        outputs = [*self.outputs(), *kept]
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
