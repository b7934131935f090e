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
    """Two images of size x size; window // 2 zeros around."""
    d = Draft()
    low, steps, gaps = window // 2, (stride, stride), (1, 1)
    out = (size + 2 * low - window) // stride + 1
    weights = (window, window, 1, c, o)
    if direction == "input":
        dy, w = d(dtype, 2, out, out, 1, o), d(dtype, *weights)
        return d.graph(conv_input_grad(dy, w, (size, size), steps, gaps, (low, low)))
    x = d(dtype, 2, size, size, 1, c)
    padded = ops.pad(x, 0, (0, low, low, 0, 0), (0, low, low, 0, 0))
    if direction == "forward":
        return d.graph(ops.conv(padded, d(dtype, *weights), steps, gaps))
    dy = d(dtype, 2, out, out, 1, o)
    return d.graph(ops.conv_weight_grad(padded, dy, steps, gaps, (window, window)))


def products() -> Iterator[tuple[str, Graph]]:
    for layout in ("NN", "NT", "TN", "TT"):
        for m, k, n in ((16, 130, 128), (40, 70, 130), (7, 100, 7), (33, 260, 16), (3, 257, 144)):
            yield f"{m} x {k} x {n} {layout}", product(m, k, n, layout)
    yield "3 x 96 x 1040 NN", product(3, 96, 1040)
    yield "3 x 96 x 1040 TN", product(3, 96, 1040, "TN")
    for dtype in (F64, F16, BF16, I32):
        yield f"{dtype} NN", product(24, 140, 136, "NN", dtype)
        yield f"{dtype} TT", product(24, 140, 136, "TT", dtype)


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
    wide = parse(str(graph).replace(f"{dtype_name(dtype)}[", "f64["))
    return evaluate(wide, [a.astype(np.float64) for a in arrays])[0]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("family", [products, convolutions, epilogues])
def test_results(family: Callable[[], Iterator[tuple[str, Graph]]], name: str) -> None:
    machine, cases = SMALL[name], dict(family())
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
        (convolution("weight", 7, 5, 128, 3), 14),  # a row of pixels at a time
        (convolution("weight", 7, 5, 8, 3), 0),  # both operands stay in L2
    ],
)
def test_long_sums_are_taken_in_blocks(graph: Graph, count: int) -> None:
    assert blocks(graph) == count
