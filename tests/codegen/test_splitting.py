"""Long reductions with few results: in parts, right at every shape, the same on any threads."""

from __future__ import annotations

import numpy as np
import pytest

from tests.codegen.running import MACHINES
from tracejit.codegen.compile import compile_graph
from tracejit.codegen.plan import lower_all, plan
from tracejit.codegen.runtime.team import num_threads, set_num_threads
from tracejit.ir import ops
from tracejit.ir.fusion import fuse
from tracejit.ir.graph import PRIMITIVES, Builder, Graph
from tracejit.ir.interpreter import evaluate
from tracejit.ir.types import BOOL, F32, F64, I32, DType, Shape, TensorType

CASES: list[tuple[Shape, tuple[int, ...], str, DType]] = [
    ((100_000,), (0,), "reduce_sum", F32),
    ((100_003,), (0,), "reduce_sum", F64),  # prime: no equal parts
    ((65_536,), (0,), "reduce_max", F32),
    ((3, 50_000), (1,), "reduce_sum", F64),
    ((50_000, 3), (0,), "reduce_min", I32),
    ((16, 40, 33, 5), (0, 1, 2), "reduce_sum", F64),
    ((16, 5, 1201), (0, 2), "reduce_max", I32),
    ((200, 300), (0, 1), "reduce_max", BOOL),
    ((7, 5, 600), (0, 1, 2), "reduce_prod", F64),
    ((2000, 40), (0,), "reduce_sum", F64),
    ((1040, 1011), (0,), "reduce_max", I32),
]


def reduction(shape: Shape, axes: tuple[int, ...], op: str, dtype: DType) -> Graph:
    """The reduction of a product, what follows it, and the product, which is stored as well."""
    b = Builder()
    x = b.input("x", TensorType(shape, dtype))
    if dtype == BOOL:
        return Graph("reduction", (x,), (b.emit(PRIMITIVES[op], x, axes=axes),))
    y = x * x if op != "reduce_prod" else x
    reduced = b.emit(PRIMITIVES[op], y, axes=axes)
    return Graph("reduction", (x,), (reduced + 1, y))


def values(shape: Shape, dtype: DType) -> np.ndarray:
    rng = np.random.default_rng(len(shape))
    if dtype == BOOL:
        return rng.random(shape) > 0.99
    if dtype == I32:
        return rng.integers(-1000, 1000, shape, dtype=np.int32)
    return (1 + rng.standard_normal(shape) / 1000).astype(dtype)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_results(case: tuple[Shape, tuple[int, ...], str, DType]) -> None:
    shape, _, _, dtype = case
    graph, x = reduction(*case), values(shape, dtype)
    rtol = 1e-4 if dtype == F32 else 1e-11
    for got, expected in zip(compile_graph(graph).run([x]), evaluate(graph, [x]), strict=True):
        np.testing.assert_allclose(got, expected, rtol=rtol)


def test_the_number_of_threads_changes_nothing() -> None:
    graph = reduction((100_000,), (0,), "reduce_sum", F32)
    x = values((100_000,), F32)
    before, found = num_threads(), []
    try:
        for threads in (1, 2, 3):
            set_num_threads(threads)
            found.append(compile_graph(graph).run([x])[0])
    finally:
        set_num_threads(before)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ("shape", "axes", "kernels"),
    [
        ((100_000,), (0,), ["k0a", "k0"]),
        ((100_003,), (0,), ["k0"]),
        ((100, 100), (0, 1), ["k0"]),
        ((100, 1000), (1,), ["k0"]),
        ((32, 1000, 16), (0, 1), ["k0a", "k0"]),
        ((1024, 64), (0,), ["k0a", "k0"]),
        ((1000, 64), (0,), ["k0"]),
        ((8192, 128), (0,), ["k0a", "k0"]),
        ((8000, 128), (0,), ["k0"]),
        ((4096, 1025), (0,), ["k0"]),
    ],
)
def test_what_is_split(shape: Shape, axes: tuple[int, ...], kernels: list[str]) -> None:
    fused = fuse(reduction(shape, axes, "reduce_sum", F32))
    made = plan(fused, lower_all(fused), MACHINES["256x16"])
    assert [launch.kernel.name for launch in made.launches] == kernels


@pytest.mark.parametrize(
    ("x", "window", "outputs", "kernels"),
    [
        ((16, 48, 48, 1, 3), 3, 32, ["k0a", "k0"]),
        ((1, 192, 192, 1, 3), 3, 32, ["k0"]),  # one image
        ((16, 16, 16, 1, 3), 3, 32, ["k0"]),  # over soon
        ((16, 48, 48, 1, 16), 3, 32, ["k0"]),  # tiles for every thread
        ((16, 48, 48, 40, 1), 3, 1, ["k0a", "k0"]),
    ],
)
def test_gradients_of_few_weights_are_split_by_images(
    x: Shape, window: int, outputs: int, kernels: list[str]
) -> None:
    b, side = Builder(), window // 2
    images = b.input("x", TensorType(x, F32))
    dy = b.input("dy", TensorType((*x[:-1], outputs), F32))
    around = ((side, side),) * 2
    dw = ops.conv_weight_grad(images, dy, (1, 1), (1, 1), (window, window), around)
    fused = fuse(Graph("gradient", (images, dy), (dw,)))
    made = plan(fused, lower_all(fused), MACHINES["256x16"])
    assert [launch.kernel.name for launch in made.launches] == kernels
