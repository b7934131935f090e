"""Graphs of every kind of kernel, for the tests of native code: named, in families."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tracejit.ir import ops
from tracejit.ir.graph import PRIMITIVES, Builder, Graph, Node
from tracejit.ir.types import (
    BF16,
    BOOL,
    F16,
    F32,
    F64,
    I8,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    DType,
    TensorType,
)

Case = tuple[str, Graph]
Family = Callable[[], Iterator[Case]]

ALL_DTYPES = (F32, F64, F16, BF16, I32, I64, I8, U8, U16, U32, U64, BOOL)


class Draft:
    def __init__(self) -> None:
        self.builder = Builder()
        self.inputs: list[Node] = []

    def __call__(self, dtype: DType, *shape: int) -> Node:
        name = f"x{len(self.inputs)}"
        self.inputs.append(self.builder.input(name, TensorType(shape, dtype)))
        return self.inputs[-1]

    def graph(self, *outputs: Node) -> Graph:
        return Graph("f", tuple(self.inputs), outputs)


def _maps() -> Iterator[Case]:
    for n in (0, 1, 2, 7, 8, 9, 31, 64, 127, 1000):
        d = Draft()
        x, y = d(F32, n), d(F32, n)
        yield f"[{n}]", d.graph(x * y + x, ops.gt(x, y))
    for shape in ((3, 5), (1, 7), (7, 1), (2, 3, 17), (5, 0, 4)):
        d = Draft()
        x, b = d(F32, *shape), d(F32, shape[-1])
        yield f"{shape} + row", d.graph(ops.exp(x) + ops.broadcast(b, shape, (len(shape) - 1,)))
        d = Draft()
        x, c = d(F32, *shape), d(F32, shape[0])
        yield f"{shape} * column", d.graph(x * ops.broadcast(c, shape, (0,)))
        d = Draft()
        x = d(F32, *shape)
        y = ops.transpose(x, tuple(reversed(range(len(shape)))))
        yield f"{shape} transposed", d.graph(ops.neg(y))
        d = Draft()
        x = d(F32, *shape)
        yield f"{shape} reversed", d.graph(ops.neg(ops.reverse(x, (len(shape) - 1,))))
    for dtype in ALL_DTYPES:
        d = Draft()
        x, y, p = d(dtype, 3, 11), d(dtype, 11, 3), d(BOOL, 11)
        z = ops.select(ops.broadcast(p, (3, 11), (1,)), x, ops.transpose(y, (1, 0)))
        yield f"select {dtype}", d.graph(z, ops.lt(x, z), ops.cast(z, F32))
    for dtype in ALL_DTYPES[:-1]:
        d = Draft()
        x, s = d(dtype, 5, 13), d(dtype)
        scaled = (x + ops.broadcast(s, (5, 13), ())) * x
        yield f"scalar {dtype}", d.graph(scaled, ops.reverse(scaled, (0, 1)))


def _mixed() -> Iterator[Case]:
    """Kernels whose values have several widths: lanes of one are parts or multiples of others."""
    for a, b in (
        (I8, F64),
        (BOOL, F64),
        (F16, F64),
        (BF16, I64),
        (U8, F32),
        (F32, I64),
        (U16, F32),
    ):
        d = Draft()
        x, y = d(a, 4, 9), d(b, 4, 9)
        zero = ops.zeros_like(y)
        total = ops.select(x, y, zero) if a == BOOL else ops.cast(x, b) + y
        yield f"{a} and {b}", d.graph(total, ops.eq(ops.cast(x, b), y))
    d = Draft()
    x = d(U8, 6, 37)
    yield "mean of bytes", d.graph(ops.reduce_sum(ops.cast(x, F32), (1,)) / 37)
    d = Draft()
    x = d(I64, 6, 37)
    total = ops.reduce_sum(ops.cast(x, F32), (1,))
    yield "rows of i64 as floats", d.graph(ops.cast(x, F32) / ops.unreduce(total, (6, 37), (1,)))


REDUCTIONS = ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod")


def _reductions() -> Iterator[Case]:
    for shape, axes in (
        ((1,), (0,)), ((17,), (0,)), ((300,), (0,)), ((5, 7), (1,)), ((5, 7), (0,)),
        ((5, 7), (0, 1)), ((4, 1), (1,)), ((1, 9), (1,)), ((3, 5, 7), (1,)), ((3, 5, 7), (0, 2)),
        ((3, 5, 7), (0, 1)), ((2, 33, 16), (2,)), ((2, 33, 16), (1, 2)), ((0, 4), (1,)),
        ((2, 1, 3, 1), (1, 3)), ((3, 4), ()),
    ):  # fmt: skip
        d = Draft()
        x = d(F32, *shape)
        outputs = [d.builder.emit(PRIMITIVES[op], x, axes=axes) for op in REDUCTIONS]
        yield f"all of {shape} over {axes}", d.graph(*outputs)
    for shape, axes in (((0,), (0,)), ((4, 0), (1,)), ((0, 4), (0,)), ((4, 0), (0,))):
        d = Draft()
        x = d(F32, *shape)
        outputs = [ops.reduce_sum(x, axes), ops.reduce_prod(x, axes)]
        yield f"empty {shape} over {axes}", d.graph(*outputs)
    for dtype in ALL_DTYPES:
        for axes in ((0,), (1,), (0, 1)):
            d = Draft()
            x = d(dtype, 5, 19)
            names = REDUCTIONS if dtype != BOOL else REDUCTIONS[1:3]
            outputs = [d.builder.emit(PRIMITIVES[op], x, axes=axes) for op in names]
            yield f"{dtype} over {axes}", d.graph(*outputs)


def softmax(x: Node) -> Node:
    axes = (x.ndim - 1,)
    e = ops.exp(x - ops.unreduce(ops.reduce_max(x, axes), x.shape, axes))
    return e / ops.unreduce(ops.reduce_sum(e, axes), x.shape, axes)


def _layer_norm(x: Node, scale: Node) -> Node:
    axes, n = (x.ndim - 1,), x.shape[-1]
    c = x - ops.unreduce(ops.reduce_sum(x, axes) / n, x.shape, axes)
    v = ops.reduce_sum(c * c, axes) / n
    y = c * ops.unreduce(ops.rsqrt(v + 1e-5), x.shape, axes)
    return y * ops.broadcast(scale, x.shape, axes)


def _rows() -> Iterator[Case]:
    for shape in (
        (1, 1),
        (3, 1),
        (1, 9),
        (4, 8),
        (5, 10),
        (6, 33),
        (2, 5000),
        (7, 5000),
        (2, 3, 17),
    ):
        d = Draft()
        x = d(F32, *shape)
        y = softmax(x)
        yield f"softmax {shape}", d.graph(y, ops.log(ops.reduce_sum(y * y, (len(shape) - 1,))))
        d = Draft()
        x, s = d(F32, *shape), d(F32, shape[-1])
        yield f"layer norm {shape}", d.graph(_layer_norm(x, s))
    for dtype in (F64, F16, BF16):
        d = Draft()
        yield f"softmax {dtype}", d.graph(softmax(d(dtype, 5, 21)))
    d = Draft()
    x, y = d(F32, 6, 9, 4), d(I32, 6)
    hot = ops.eq(ops.broadcast(y, (6, 9, 4), (0,)), ops.iota(d.builder, (6, 9, 4), 2, I32))
    picked = ops.select(hot, x, ops.zeros_like(x))
    yield "rows of two axes", d.graph(ops.reduce_sum(picked, (1, 2)), ops.reduce_max(x, (1, 2)))
    d = Draft()
    x = d(F32, 9, 6)
    p = softmax(ops.transpose(x, (1, 0)))
    yield "softmax of columns", d.graph(ops.transpose(p, (1, 0)))
    d = Draft()
    x = d(F32, 40, 6)
    total = ops.reduce_sum(x * x, (0,))
    yield "normalised columns", d.graph(x / ops.unreduce(ops.sqrt(total), (40, 6), (0,)), total)
    d = Draft()
    x = d(F32, 33)
    yield "softmax of a vector", d.graph(softmax(x))


def dot(a: Node, b: Node, contract: str, batch: str = "") -> Node:
    pairs = tuple(tuple(int(p[side]) for p in contract.split()) for side in (0, 1))
    batches = tuple(tuple(int(p[side]) for p in batch.split()) for side in (0, 1))
    return ops.dot_general(a, b, pairs, batches)  # type: ignore[arg-type]


def _products() -> Iterator[Case]:
    sizes = ((1, 1, 1), (3, 5, 7), (17, 16, 8), (6, 16, 33), (13, 40, 19), (33, 10, 64), (1, 64, 9),
             (64, 1, 9), (5, 7, 0), (0, 4, 3), (4, 0, 3), (12, 130, 5))  # fmt: skip
    for m, n, k in sizes:
        for layout, (i, j) in {"NN": (1, 0), "NT": (1, 1), "TN": (0, 0), "TT": (0, 1)}.items():
            d = Draft()
            a = d(F32, *((m, k) if i else (k, m)))
            b = d(F32, *((n, k) if j else (k, n)))
            yield f"{layout} {m}x{n}x{k}", d.graph(dot(a, b, f"{i}{j}"))
    for dtype in (F64, F16, BF16, I32, I8, U8, I64, U64):
        for contract, a_shape, b_shape in (
            ("10", (9, 11), (11, 21)), ("11", (9, 35), (5, 35)), ("00", (7, 5), (7, 19)),
        ):  # fmt: skip
            d = Draft()
            a, b = d(dtype, *a_shape), d(dtype, *b_shape)
            yield f"{dtype} {contract}", d.graph(dot(a, b, contract))
    for name, contract, batch, a_shape, b_shape in (
        ("matrix, vector", "10", "", (13, 37), (37,)),
        ("vector, matrix", "00", "", (37,), (37, 13)),
        ("columns, vector", "00", "", (37, 13), (37,)),
        ("inner", "00", "", (70,), (70,)),
        ("outer", "", "", (13,), (9,)),
        ("outer of matrices", "", "", (3, 4), (5, 6)),
        ("batched", "21", "00", (3, 5, 7), (3, 7, 9)),
        ("batched, second transposed", "22", "00", (3, 5, 17), (3, 9, 17)),
        ("batch of the last axis", "10", "22", (5, 7, 3), (7, 9, 3)),
        ("two batch axes", "32", "00 11", (2, 3, 5, 7), (2, 3, 7, 4)),
        ("two inner axes", "10 21", "", (5, 3, 7), (3, 7, 9)),
        ("two inner axes, swapped", "11 20", "", (5, 3, 7), (7, 3, 9)),
        ("three free axes", "20", "", (2, 3, 7), (7, 9)),
        ("elementwise", "", "00 11", (5, 9), (5, 9)),
        ("inner, batched", "11", "00", (6, 19), (6, 19)),
    ):
        d = Draft()
        a, b = d(F32, *a_shape), d(F32, *b_shape)
        yield name, d.graph(dot(a, b, contract, batch))


def _epilogues() -> Iterator[Case]:
    for m, n, k in ((7, 9, 5), (32, 10, 128), (16, 48, 30)):
        d = Draft()
        x, w, b = d(F32, m, k), d(F32, k, n), d(F32, n)
        y = dot(x, w, "10") + ops.broadcast(b, (m, n), (1,))
        zero = ops.zeros_like(y)
        yield f"bias and relu {m}x{n}", d.graph(ops.maximum(y, zero), ops.gt(y, zero))
        d = Draft()
        x, g, w, v = d(F32, k, m), d(F32, k, n), d(F32, m, n), d(F32, m, n)
        dw = dot(x, g, "00")
        v2 = v * 0.9 + dw * dw
        yield f"update {m}x{n}", d.graph(w - dw / (ops.sqrt(ops.abs(v2)) + 1e-3), v2)
        d = Draft()
        x, w, r = d(F32, m, k), d(F32, n, k), d(F32, n, m)
        y = ops.transpose(dot(x, w, "11"), (1, 0)) + r
        yield f"transposed residual {m}x{n}", d.graph(ops.tanh(y))
    d = Draft()
    x, w = d(F32, 6, 5, 3), d(F32, 3, 8)
    y = ops.reshape(dot(x, w, "20"), (30, 8))
    yield "a reshape after a product", d.graph(ops.exp(y))
    d = Draft()
    x, w = d(F32, 4, 6), d(F32, 7, 6)
    cut = ops.slice(ops.reverse(x, (0,)), (0, 1), (3, 6), (1, 1))
    yield "cut operands", d.graph(dot(cut, ops.slice(w, (0, 0), (7, 5), (2, 1)), "11"))
    d = Draft()
    x, s = d(F32, 5), d(F32, 6, 9)
    y = dot(ops.broadcast(x, (5, 6), (0,)), s, "10")
    yield "a broadcast operand", d.graph(y)


def _movement() -> Iterator[Case]:
    for dtype in (F32, I8, BOOL, BF16):
        d = Draft()
        x, y, z = d(dtype, 3, 4), d(dtype, 3, 1), d(dtype, 3, 9)
        yield f"concatenate {dtype}", d.graph(ops.concatenate([x, y, z, x], 1))
        d = Draft()
        x = d(dtype, 3, 4)
        value = True if dtype == BOOL else 7
        yield f"pad {dtype}", d.graph(ops.pad(x, value, (1, 0), (2, 3), (1, 2)))
    d = Draft()
    x, y = d(F32, 2, 17, 3), d(F32, 5, 17, 3)
    joined = ops.concatenate([ops.neg(x), ops.reverse(y, (1,))], 0)
    yield "concatenate of index maps", d.graph(ops.transpose(joined, (2, 0, 1)))
    d = Draft()
    x, y = d(F32, 0, 3), d(F32, 2, 3)
    padded = ops.pad(x, 1.5, (2, 1), (0, 0))
    yield "concatenate with nothing", d.graph(ops.concatenate([x, y], 0), padded)
    for step in ((1, 1), (2, 1), (1, 2), (3, 2)):
        d = Draft()
        x = d(F32, 21, 37)
        cut = ops.slice(x, (1, 3), (20, 36), step)
        yield f"slice {step}", d.graph(ops.exp(cut), ops.reverse(cut, (0, 1)))
    d = Draft()
    x = d(F32, 6, 35)
    y = ops.reshape(ops.transpose(x, (1, 0)), (14, 15))
    yield "reshape of a transpose", d.graph(ops.neg(y))
    for dtype in (I32, F32, F64, I8, U64, F16, BF16):
        d = Draft()
        x = d(dtype, 3, 21)
        numbers = [ops.iota(d.builder, (3, 21), axis, dtype) for axis in (0, 1)]
        yield f"iota {dtype}", d.graph(x + numbers[0], x + numbers[1])
    d = Draft()
    i = ops.iota(d.builder, (21,), 0, I32)
    yield "nothing but numbers", d.graph(ops.reverse(i, (0,)), i, ops.full_like(i, 3))
    for shape in ((1,), (4,), (7,), (3, 5), (2, 3, 33)):
        d = Draft()
        key = d(U32, 2)
        bits = ops.random_bits(key, shape)
        high = ops.shift_right(bits, ops.full_like(bits, 8))
        yield f"random {shape}", d.graph(bits, ops.cast(high, F32))
    d = Draft()
    key = d(U32, 2)
    bits = ops.random_bits(key, (9, 21))
    yield "random, transposed", d.graph(ops.neg(ops.transpose(bits, (1, 0))))


def _gathers() -> Iterator[Case]:
    for dtype in (I32, I64, U8, U32, I8, U64):
        d = Draft()
        table, rows = d(F32, 6, 11), d(dtype, 9)
        yield f"rows by {dtype}", d.graph(ops.gather_rows(table, rows))
        d = Draft()
        rows, updates = d(dtype, 9), d(F32, 9, 11)
        yield f"scatter by {dtype}", d.graph(ops.sum_of_rows(rows, updates, 6))
    sizes = (((5,), (17,)), ((5, 3), ()), ((5, 2, 3), (4, 2)), ((1, 8), (3,)))
    for table_shape, index_shape in (*sizes, ((5, 4), (0,)), ((5, 0), (3,))):
        d = Draft()
        table, rows = d(F32, *table_shape), d(I32, *index_shape)
        taken = ops.gather_rows(table, rows)
        yield f"rows {index_shape} of {table_shape}", d.graph(taken * taken)
        d = Draft()
        updates, rows = d(F32, *index_shape, *table_shape[1:]), d(I32, *index_shape)
        yield (
            f"scatter {index_shape} to {table_shape}",
            d.graph(ops.sum_of_rows(rows, ops.exp(updates), table_shape[0])),
        )
    for dtype in (F16, BF16, I32, F64):
        d = Draft()
        rows, updates = d(I32, 12), d(dtype, 12, 5)
        yield f"scatter of {dtype}", d.graph(ops.sum_of_rows(rows, updates, 4))
    d = Draft()
    table, rows, w = d(F32, 7, 5), d(I32, 6), d(F32, 5, 9)
    yield "rows into a product", d.graph(dot(ops.gather_rows(table, rows), w, "10"))
    d = Draft()
    x, rows, g = d(F32, 9, 6), d(I32, 5), d(F32, 5, 6)
    taken = ops.gather_rows(x, rows)
    yield "rows weighted and summed", d.graph(ops.reduce_sum(taken * g, (1,)), ops.exp(taken))


FAMILIES: dict[str, Family] = {
    "maps": _maps,
    "mixed widths": _mixed,
    "reductions": _reductions,
    "rows": _rows,
    "products": _products,
    "epilogues": _epilogues,
    "movement": _movement,
    "gathers": _gathers,
}
