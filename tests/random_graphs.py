"""Random graphs of every family of primitives, each determined by its seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.samples import Rng, draw, specials
from tracejit.ir import ops
from tracejit.ir.graph import PRIMITIVES, Array, Builder, Graph, Loc, Node
from tracejit.ir.types import BOOL, F32, F64, I32, U32, TensorType, is_float

DTYPES = (F32, F64, I32, BOOL)
SIZES = (1, 2, 3, 5, 7)
LIMIT = 4096  # elements of one value

SMOOTH = ("neg", "abs", "sign", "tanh", "sigmoid", "erf", "sin", "cos", "floor", "ceil", "round")
PARTIAL = ("exp", "expm1", "log", "log1p", "sqrt", "rsqrt")  # overflow, poles, nan
FLOAT_PAIRS = ("add", "sub", "mul", "div", "maximum", "minimum", "remainder", "floor_divide")
INT_PAIRS = (
    "add", "sub", "mul", "maximum", "minimum", "remainder", "floor_divide", "and", "or", "xor",
    "shift_left", "shift_right",
)  # fmt: skip
COMPARES = ("eq", "ne", "lt", "le", "gt", "ge")

Step = Callable[["Draft"], Node | None]


class Draft:
    """A graph being made: a pool of values that each step draws operands from."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        self.builder = Builder()
        self.inputs: list[Node] = []
        self.pool: list[Node] = []

    def choose(self, fits: Callable[[Node], bool] = lambda node: True) -> Node | None:
        """A value that fits, recent ones more likely."""
        found = [node for node in self.pool if fits(node)]
        if not found:
            return None
        back = min(int(self.rng.exponential(3.0)), len(found) - 1)
        return found[-1 - back]

    def partner(self, x: Node) -> Node:
        """A value of x's type: from the pool, broadcast, or a constant."""
        same = [n for n in self.pool if n.type == x.type]
        smaller = [n for n in self.pool if n.dtype == x.dtype and _broadcasts(n, x)]
        kind = self.rng.integers(4)
        if kind == 0:
            return self.constant(x)
        choices = smaller if kind == 1 and smaller else same
        return ops.broadcast_to(choices[self.rng.integers(len(choices))], x.shape)

    def constant(self, x: Node) -> Node:
        common = [0, 1, -1, 2, 0.5] if is_float(x.dtype) else [0, 1, 2]
        return ops.full_like(x, common[self.rng.integers(len(common))])

    def pick(self, names: tuple[str, ...]) -> str:
        return names[self.rng.integers(len(names))]


def _broadcasts(small: Node, large: Node) -> bool:
    tail = large.shape[large.ndim - small.ndim :] if small.ndim <= large.ndim else None
    return tail is not None and all(m in (1, n) for m, n in zip(small.shape, tail, strict=True))


def _unary(d: Draft) -> Node | None:
    x = d.choose(lambda n: n.dtype != BOOL)
    if x is None:
        return None
    names = (*SMOOTH, *PARTIAL) if is_float(x.dtype) else ("neg", "abs", "sign", "not")
    return d.builder.emit(PRIMITIVES[d.pick(names)], x)


def _binary(d: Draft) -> Node | None:
    x = d.choose()
    if x is None:
        return None
    logical = ("and", "or", "xor")
    names = FLOAT_PAIRS if is_float(x.dtype) else logical if x.dtype == BOOL else INT_PAIRS
    pair = [x, d.partner(x)]
    if d.rng.random() < 0.3:
        pair.reverse()
    return d.builder.emit(PRIMITIVES[d.pick(names)], *pair)


def _power(d: Draft) -> Node | None:
    x = d.choose(lambda n: n.dtype != BOOL)
    return None if x is None else ops.pow(x, ops.full_like(x, int(d.rng.integers(4))))


def _compare(d: Draft) -> Node | None:
    x = d.choose()
    return None if x is None else d.builder.emit(PRIMITIVES[d.pick(COMPARES)], x, d.partner(x))


def _select(d: Draft) -> Node | None:
    pred = d.choose(lambda n: n.dtype == BOOL)
    x = d.choose(lambda n: pred is not None and n.shape == pred.shape)
    return None if pred is None or x is None else ops.select(pred, x, d.partner(x))


def _cast(d: Draft) -> Node | None:
    x = d.choose()
    if x is None:
        return None
    target = DTYPES[d.rng.integers(len(DTYPES))]
    # What a float out of range becomes as an integer is left open: keep it in range.
    if is_float(x.dtype) and target == I32:
        x = ops.select(ops.lt(ops.abs(x), ops.full_like(x, 1e6)), x, ops.zeros_like(x))
    return ops.cast(x, target)


def _reduce(d: Draft) -> Node | None:
    x = d.choose(lambda n: n.ndim > 0)
    if x is None:
        return None
    names: tuple[str, ...] = ("reduce_max", "reduce_min")
    if x.dtype != BOOL:
        names = (*names, "reduce_sum", "reduce_sum", "reduce_prod")
    axes = tuple(a for a in range(x.ndim) if d.rng.random() < 0.6) or (x.ndim - 1,)
    y = d.builder.emit(PRIMITIVES[d.pick(names)], x, axes=axes)
    # Often read back along the rows it came from, as softmax and normalisation do.
    return ops.unreduce(y, x.shape, axes) if d.rng.random() < 0.4 else y


def _broadcast(d: Draft) -> Node | None:
    x = d.choose(lambda n: n.type.size * 7 <= LIMIT and n.ndim < 4)
    if x is None:
        return None
    axis = int(d.rng.integers(x.ndim + 1))
    shape = [*x.shape[:axis], SIZES[d.rng.integers(len(SIZES))], *x.shape[axis:]]
    return ops.unreduce(x, shape, (axis,))


def _reshape(d: Draft) -> Node | None:
    x = d.choose()
    if x is None:
        return None
    size = x.type.size
    divisors = [k for k in range(1, size + 1) if size % k == 0]
    first = divisors[d.rng.integers(len(divisors))]
    shapes = ((size,), (first, size // first), (1, *x.shape), (*x.shape, 1))
    return ops.reshape(x, shapes[d.rng.integers(4)])


def _transpose(d: Draft) -> Node | None:
    x = d.choose(lambda n: n.ndim > 1)
    return None if x is None else ops.transpose(x, d.rng.permutation(x.ndim))


def _slice(d: Draft) -> Node | None:
    x = d.choose(lambda n: n.ndim > 0)
    if x is None:
        return None
    start = [int(d.rng.integers(n)) for n in x.shape]
    stop = [int(d.rng.integers(a, n)) + 1 for a, n in zip(start, x.shape, strict=True)]
    return ops.slice(x, start, stop, d.rng.integers(1, 4, x.ndim))


def _pad(d: Draft) -> Node | None:
    x = d.choose(lambda n: n.ndim > 0 and n.type.size * 9**n.ndim <= LIMIT)
    if x is None:
        return None
    low, high, interior = (d.rng.integers(0, 3, x.ndim) for _ in range(3))
    return ops.pad(x, int(d.rng.integers(2)), low, high, interior)


def _reverse(d: Draft) -> Node | None:
    x = d.choose(lambda n: n.ndim > 0)
    return None if x is None else ops.reverse(x, (int(d.rng.integers(x.ndim)),))


def _concatenate(d: Draft) -> Node | None:
    x = d.choose(lambda n: n.ndim > 0 and n.type.size * 3 <= LIMIT)
    if x is None:
        return None
    return ops.concatenate([x, d.partner(x)], int(d.rng.integers(x.ndim)))


def _iota(d: Draft) -> Node | None:
    x = d.choose(lambda n: n.ndim > 0)
    if x is None:
        return None
    return ops.iota(d.builder, x.shape, int(d.rng.integers(x.ndim)), (F32, I32)[d.rng.integers(2)])


def _dot(d: Draft) -> Node | None:
    a = d.choose(lambda n: n.dtype != BOOL and n.ndim in (1, 2))
    if a is None:
        return None
    b = d.choose(lambda n: n.dtype == a.dtype and n.ndim in (1, 2) and set(n.shape) & set(a.shape))
    if b is None:
        return None
    pairs = [(i, j) for i in range(a.ndim) for j in range(b.ndim) if a.shape[i] == b.shape[j]]
    i, j = pairs[d.rng.integers(len(pairs))]
    return ops.dot_general(a, b, ((i,), (j,))) if a.type.size * b.type.size < LIMIT**2 else None


def _gather(d: Draft) -> Node | None:
    table = d.choose(lambda n: n.ndim > 0)
    index = d.choose(lambda n: n.dtype == I32 and n.ndim < 3)
    if table is None or index is None or table.type.size * index.type.size > LIMIT:
        return None
    return ops.gather_rows(table, index)


def _scatter(d: Draft) -> Node | None:
    index = d.choose(lambda n: n.dtype == I32)
    updates = d.choose(
        lambda n: n.dtype != BOOL and index is not None and n.shape[: index.ndim] == index.shape
    )
    if index is None or updates is None:
        return None
    return ops.sum_of_rows(index, updates, int(d.rng.integers(1, 6)))


def _random(d: Draft) -> Node | None:
    key = d.builder.full(int(d.rng.integers(100)), TensorType((2,), U32))
    bits = ops.random_bits(key, (int(d.rng.integers(1, 12)),))
    return ops.cast(ops.shift_right(bits, ops.full_like(bits, 8)), F32)


STEPS: tuple[Step, ...] = (
    _unary, _unary, _unary, _binary, _binary, _binary, _binary, _power, _compare, _select,
    _cast, _reduce, _reduce, _broadcast, _reshape, _transpose, _slice, _pad, _reverse,
    _concatenate, _iota, _dot, _gather, _scatter, _random,
)  # fmt: skip


def random_graph(seed: int, steps: int = 15) -> Graph:
    """A graph with two to four inputs and one to three outputs."""
    d = Draft(np.random.default_rng(seed))
    rng = d.rng
    for i in range(int(rng.integers(2, 5))):
        ndim = int(rng.integers(0, 4))
        shape = tuple(SIZES[rng.integers(len(SIZES))] for _ in range(ndim))
        dtype = (F32, F32, F64, I32)[rng.integers(4)]
        d.inputs.append(d.builder.input(f"x{i}", TensorType(shape, dtype)))
    d.pool += d.inputs
    for line in range(steps):
        d.builder.loc = Loc("random.py", line + 1)
        node = STEPS[rng.integers(len(STEPS))](d)
        if node is not None and node.type.size <= LIMIT:
            d.pool.append(node)
    outputs = d.pool[-int(rng.integers(1, 4)) :]
    return Graph(f"random_{seed}", tuple(d.inputs), tuple(outputs))


def random_inputs(graph: Graph, seed: int) -> list[Array]:
    """Values for the inputs: plain ones, and for one seed in four special ones mixed in."""
    rng = np.random.default_rng([seed, 1])
    arrays = []
    for node in graph.inputs:
        values = draw(rng, node.dtype, node.shape)
        if seed % 4 == 0 and values.size:
            odd = rng.choice(specials(node.dtype).astype(node.dtype), node.shape)
            values = np.where(rng.random(node.shape) < 0.3, odd, values).astype(node.dtype)
        arrays.append(values)
    return arrays
