"""Products and convolutions against sums in f64, on machines whose caches are as small as they are.

What a schedule does for the sake of a cache, it does here for a few KiB: panels, blocks of a sum.
Results are the same for any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import prod

import numpy as np
import pytest

from tests.codegen.kernels import Draft
from tests.codegen.running import MACHINES, Runner, planned
from tests.samples import Convolution
from tracejit.codegen import splitting
from tracejit.codegen.machine import Machine
from tracejit.codegen.nest import For, walk
from tracejit.ir import ops
from tracejit.ir.convolution import conv_input_grad
from tracejit.ir.graph import Array, Graph
from tracejit.ir.interpreter import evaluate
from tracejit.ir.text import parse
from tracejit.ir.types import BF16, F16, F32, F64, I32, DType, dtype_name, is_float

SMALL = {
    name: replace(MACHINES[name], l1=1024, l2=32768) for name in ("128x16", "256x16", "512x32")
}
# Of the norm of the result, for operands of order 1: rounding of the operands' dtype, once, and of
# the sums in f32.
TOLERANCE = {F64: 1e-14, F32: 1e-6, F16: 1e-3, BF16: 8e-3}
THREADS = (1, 2, 3)


def product(m: int, k: int, n: int, layout: str = "NN", dtype: DType = F32) -> Graph:
    d = Draft()
    a = d(dtype, *((m, k) if layout[0] == "N" else (k, m)))
    b = d(dtype, *((k, n) if layout[1] == "N" else (n, k)))
    pairs = ((int(layout[0] == "N"),), (int(layout[1] == "T"),))
    return d.graph(ops.dot_general(a, b, pairs, ((), ())))


def convolution(
    direction: str, size: int, c: int, o: int, window: int, stride: int = 1, dtype: DType = F32
) -> Graph:
    """Two images of size x size; window // 2 places of padding around."""
    d = Draft()
    low, steps, gaps = window // 2, (stride, stride), (1, 1)
    out = (size + 2 * low - window) // stride + 1
    weights = (window, window, 1, c, o)
    if direction == "input":
        dy, w = d(dtype, 2, out, out, 1, o), d(dtype, *weights)
        return d.graph(conv_input_grad(dy, w, (size, size), steps, gaps, (low, low)))
    x, around = d(dtype, 2, size, size, 1, c), ((low, low),) * 2
    if direction == "forward":
        return d.graph(ops.conv(x, d(dtype, *weights), steps, gaps, around))
    dy = d(dtype, 2, out, out, 1, o)
    return d.graph(ops.conv_weight_grad(x, dy, steps, gaps, (window, window), around))


def products() -> Iterator[tuple[str, Graph]]:
    for layout in ("NN", "NT", "TN", "TT"):
        for m, k, n in ((16, 130, 128), (40, 70, 130), (7, 100, 7), (33, 260, 16), (3, 257, 144)):
            yield f"{m} x {k} x {n} {layout}", product(m, k, n, layout)
    yield "3 x 96 x 1040 NN", product(3, 96, 1040)
    yield "3 x 96 x 1040 TN", product(3, 96, 1040, "TN")
    for dtype in (F64, F16, BF16, I32):
        yield f"{dtype} NN", product(24, 140, 136, "NN", dtype)
        yield f"{dtype} TT", product(24, 140, 136, "TT", dtype)


def packed() -> Iterator[tuple[str, Graph]]:
    """Wide matrices that no panels divide, left-hand sides that are turned, copies in f32."""
    for layout in ("NN", "NT", "TN", "TT"):
        for dtype in (F32, F64, F16, BF16):
            yield f"{dtype} {layout}", product(130, 70, 270, layout, dtype)
        yield f"few rows {layout}", product(5, 70, 48, layout)
        yield f"many pages {layout}", product(130, 520, 140, layout)
    d = Draft()
    a, b, row = d(F32, 3, 130, 70), d(F32, 70, 270), d(F32, 270)
    y = ops.dot_general(a, b, ((2,), (0,)), ((), ()))
    yield "batch + row", d.graph(ops.tanh(y + ops.broadcast(row, y.shape, (2,))))


def convolutions() -> Iterator[tuple[str, Graph]]:
    for direction in ("forward", "input", "weight"):
        for sizes in (
            (8, 8, 16, 3), (7, 5, 128, 3), (7, 16, 24, 3, 2), (6, 3, 128, 3, 2), (9, 1, 32, 5),
            (5, 40, 32, 1), (8, 24, 40, 1, 2), (14, 4, 12, 7, 2), (6, 32, 3, 3), (8, 3, 32, 4, 2),
        ):  # fmt: skip
            yield f"{direction} {sizes}", convolution(direction, *sizes)
        for dtype in (F64, F16, BF16, I32):
            sizes = (6, 5, 128, 3)
            yield f"{direction} {dtype}", convolution(direction, *sizes, dtype=dtype)


# x, w, strides, dilation, padding
PADDED: dict[str, Convolution] = {
    "rows are images": (
        (8, 5, 6, 1, 16), (3, 3, 1, 16, 32), (1, 1), (1, 1), ((1, 1), (1, 1))),
    "rows are pixels": (
        (1, 9, 10, 1, 16), (5, 3, 1, 16, 32), (1, 1), (1, 1), ((2, 2), (1, 1))),
    "strides, gaps, one side more than the other": (
        (4, 7, 6, 1, 8), (3, 2, 1, 8, 24), (2, 3), (2, 2), ((3, 0), (0, 4))),
    "windows on the padding alone": (
        (4, 3, 2, 1, 8), (2, 2, 1, 8, 16), (1, 1), (1, 1), ((4, 3), (0, 5))),
    "one pixel": ((3, 1, 1, 1, 4), (3, 3, 1, 4, 8), (1, 1), (1, 1), ((1, 1), (1, 1))),
    "depthwise": ((4, 6, 5, 20, 1), (3, 3, 20, 1, 1), (1, 1), (1, 1), ((1, 1), (1, 1))),
    "groups": ((4, 6, 5, 3, 4), (3, 3, 3, 4, 8), (2, 1), (1, 1), ((1, 1), (1, 1))),
    "few columns": ((2, 6, 5, 1, 32), (3, 3, 1, 32, 1), (1, 1), (1, 1), ((1, 1), (1, 1))),
    "causal": ((4, 19, 1, 8), (5, 1, 8, 16), (1,), (2,), ((8, 0),)),
    "in space": (
        (2, 4, 5, 3, 1, 8), (3, 3, 3, 1, 8, 16), (1, 2, 1), (1, 1, 1), ((1, 1), (1, 1), (1, 1))),
}  # fmt: skip


def padded() -> Iterator[tuple[str, Graph]]:
    for name, (x, w, steps, gaps, around) in PADDED.items():
        d = Draft()
        image, weights = d(F32, *x), d(F32, *w)
        y = ops.conv(image, weights, steps, gaps, around)
        yield f"forward, {name}", d.graph(y)
        d = Draft()
        dy, image = d(F32, *y.shape), d(F32, *x)
        dw = ops.conv_weight_grad(image, dy, steps, gaps, w[:-3], around)
        yield f"weight, {name}", d.graph(dw)
        d = Draft()
        dy, weights = d(F32, *y.shape), d(F32, *w)
        low = [side for side, _ in around]
        dx = conv_input_grad(dy, weights, x[1:-2], steps, gaps, low)
        yield f"input, {name}", d.graph(dx)


def many_images() -> Iterator[tuple[str, Graph]]:
    """Gradients of few weights, whose sums are split by images."""
    for name, channels, window, columns in (("first", (1, 1), 5, 16), ("depthwise", (24, 1), 3, 1)):
        d, side = Draft(), window // 2
        x, dy = d(F32, 8, 20, 20, *channels), d(F32, 8, 20, 20, channels[0], columns)
        around = ((side, side),) * 2
        yield name, d.graph(ops.conv_weight_grad(x, dy, (1, 1), (1, 1), (window,) * 2, around))


def epilogues() -> Iterator[tuple[str, Graph]]:
    """So long that it is done row by row; columns that fill the last vector more or less."""
    for n in (20, 24, 30, 32, 36):
        d = Draft()
        a, b, c = d(F32, 13, 21), d(F32, 21, n), d(F32, 13, n)
        y = ops.dot_general(a, b, ((1,), (0,)), ((), ()))
        for _ in range(6):
            y = ops.tanh(y * c) + y
        yield f"{n} columns", d.graph(y)


def operands(graph: Graph) -> list[Array]:
    rng = np.random.default_rng(1)
    return [(rng.standard_normal(n.shape) * 3).astype(n.dtype) for n in graph.inputs]


def in_f64(graph: Graph, arrays: list[Array]) -> Array:
    """What the graph computes from these operands, in f64 where it is about floats."""
    dtype = graph.outputs[0].dtype
    if not is_float(dtype):
        return evaluate(graph, arrays)[0]
    name = dtype_name(dtype)
    text = str(graph).replace(f"{name}[", "f64[").replace(f"dtype={name}", "dtype=f64")
    wide = parse(text)
    return evaluate(wide, [a.astype(np.float64) for a in arrays])[0]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("family", [products, packed, convolutions, padded, epilogues])
def test_results(family: Callable[[], Iterator[tuple[str, Graph]]], name: str) -> None:
    check(dict(family()), SMALL[name])


@pytest.mark.parametrize("name", SMALL)
def test_sums_in_parts_that_are_taken_in_blocks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "MIN_PRODUCTS", 1)
    check(dict(many_images()), SMALL[name])


def check(cases: dict[str, Graph], machine: Machine) -> None:
    """Results near those in f64, and the same for any number of threads."""
    plans = {case: planned(graph, machine) for case, graph in cases.items()}
    runner = Runner(plans.values(), machine)
    for case, graph in cases.items():
        arrays = operands(graph)
        exact = in_f64(graph, arrays).astype(np.float64)
        (first,) = runner.run(plans[case], arrays, 1)
        off = np.linalg.norm(first.astype(np.float64) - exact) / np.linalg.norm(exact)
        assert off <= TOLERANCE.get(graph.outputs[0].dtype, 0), f"{case}: off by {off}"
        for threads in THREADS[1:]:
            (again,) = runner.run(plans[case], arrays, threads, threads)
            assert again.tobytes() == first.tobytes(), f"{case}, {threads} threads"


def blocks(graph: Graph) -> int:
    """How often the contraction of the graph adds to its sums in memory; 0 if it does not."""
    kernels = [u.kernel for u in planned(graph, SMALL["256x16"]).launches]
    (kernel,) = (k for k in kernels if k.kind == "contraction")
    loops = [s.loop for s in walk(kernel.body) if isinstance(s, For)]
    around = [loop.extent for loop in loops if not loop.parallel]
    return prod(around) if around else 0


@pytest.mark.parametrize(
    ("graph", "count"),
    [
        (product(3, 96, 1040), 3),  # 32 rows of the matrix at a time
        (product(3, 96, 1000), 0),  # which do not fill a page each
        (product(3, 97, 1040), 0),  # nor divide into blocks
        (product(5, 96, 1040), 0),  # sums that would not stay in L2 themselves
        (product(1, 96, 2080, dtype=BF16), 3),  # the same in bf16: rows are half as long
        (convolution("weight", 7, 5, 128, 3), 14),  # a row of pixels at a time
        (convolution("weight", 14, 5, 128, 3, dtype=BF16), 14),
        (convolution("weight", 7, 5, 8, 3), 0),  # both operands stay in L2
    ],
)
def test_long_sums_are_taken_in_blocks(graph: Graph, count: int) -> None:
    assert blocks(graph) == count
