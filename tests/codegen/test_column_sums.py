"""Sums over the rows of a product, taken in its registers: where, and that they are right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.codegen.running import MACHINES, Runner, fault_in, planned
from tracejit import nn
from tracejit.codegen.launches import Plan
from tracejit.codegen.nest import Each, Fold, walk
from tracejit.ir.graph import Array, Graph

WIDE = MACHINES["512x32"]
Shapes = tuple[tuple[int, ...], ...]


def mean_of_product(x: Any, w: Any) -> Any:
    y = x @ w
    return y, y.mean(tuple(range(y.ndim - 1)))


def moments_of_product(x: Any, w: Any) -> Any:
    y = x @ w
    return y, y.sum(0), (y * y).sum(0)


def two_products(x: Any, w: Any, u: Any) -> Any:
    """Twins, which become the same code for other values."""
    return *mean_of_product(x, w), *mean_of_product(x, u)


def bias_gradient(x: Any, w: Any, cotangent: Any) -> Any:
    """Of a layer with ReLU before this one, whose bias was added to x."""
    _, back = tj.vjp(lambda b: np.maximum(x + b, 0) @ w, np.zeros(x.shape[-1], x.dtype))
    return back(cotangent)


def long_epilogue(x: Any, w: Any) -> Any:
    y = nn.gelu(x @ w)
    return y, y.sum(0)


def mean_of_conv(x: Any, w: Any) -> Any:
    y = nn.conv2d(x, w, padding="valid")
    return y, y.mean((0, 1, 2))


def in_a_border_of_ones(x: Any, w: Any) -> Any:
    y = np.pad(nn.conv2d(x, w, padding="valid"), 1, constant_values=1)
    return y, y.sum((0, 1, 2))


def read_for_the_sum_alone(x: Any, w: Any, r: Any) -> Any:
    y = x @ w
    return y, (y * r).sum(0)


def scaled_by_columns(x: Any, w: Any, c: Any) -> Any:
    y = x @ w
    return y, (y * c).sum(0)


# The function, the shapes of its operands, and the largest array that its row kernel reads:
# sums of parts, or where that is no better the product's result.
CASES: list[tuple[Callable[..., Any], Shapes, int]] = [
    (mean_of_product, ((96, 48), (48, 64)), 16 * 64),
    (mean_of_product, ((4096, 16), (16, 32)), 64 * 32),
    (mean_of_product, ((4, 24, 48), (48, 37)), 12 * 37),
    (mean_of_product, ((67, 48), (48, 37)), 67 * 37),  # a prime: no tile divides it
    (moments_of_product, ((96, 16), (16, 21)), 8 * 21),
    (bias_gradient, ((128, 64), (64, 32), (128, 32)), 32 * 64),
    (long_epilogue, ((90, 16), (16, 48)), 10 * 48),
    (mean_of_conv, ((3, 16, 16, 8), (1, 1, 8, 32)), 64 * 32),
    (mean_of_conv, ((2, 7, 7, 5), (1, 1, 5, 17)), 7 * 17),
    (mean_of_conv, ((3, 18, 18, 8), (3, 3, 8, 32)), 3 * 16 * 16 * 32),
    (scaled_by_columns, ((96, 48), (48, 64), (64,)), 16 * 64),
    (read_for_the_sum_alone, ((96, 48), (48, 64), (96, 64)), 96 * 64),
    (in_a_border_of_ones, ((1, 7, 7, 6), (1, 1, 6, 16)), 3 * 9 * 9 * 18),
    (mean_of_product, ((0, 48), (48, 64)), 64),
]


def graph_of(fn: Callable[..., Any], shapes: Shapes, dtype: Any = np.float32) -> Graph:
    return tj.jit(fn).lower(*(np.zeros(s, dtype) for s in shapes)).graph


def largest(plan: Plan) -> int:
    """Elements of the largest array that a row kernel has to do with."""
    rows = [u.kernel for u in plan.launches if u.kernel.kind == "row"]
    return max(b.size for kernel in rows for b in kernel.buffers)


@pytest.mark.parametrize(("fn", "shapes", "size"), CASES)
def test_what_is_summed_in_registers(fn: Callable[..., Any], shapes: Shapes, size: int) -> None:
    plan = planned(graph_of(fn, shapes), WIDE)
    kinds = [u.kernel.kind for u in plan.launches if u.kernel.kind not in ("map", "border")]
    assert kinds == ["contraction", "row"]
    assert largest(plan) == size


def test_sums_that_follow_much_else_are_added_row_by_row() -> None:
    """Behind few statements they are added up in registers, of all rows of a tile at once."""
    for fn, by_row in ((long_epilogue, True), (mean_of_product, False)):
        plan = planned(graph_of(fn, ((90, 16), (16, 48))), WIDE)
        (product,) = (u.kernel for u in plan.launches if u.kernel.kind == "contraction")
        stmts = list(walk(product.body))
        assert any(isinstance(s, Each) for s in stmts) == by_row
        assert sum(isinstance(s, Fold) for s in stmts) == (1 if by_row else 2)


def test_a_result_that_is_only_summed_is_not_stored() -> None:
    plan = planned(graph_of(bias_gradient, ((128, 64), (64, 32), (128, 32))), WIDE)
    (product,) = (u.kernel for u in plan.launches if u.kernel.kind == "contraction")
    assert [b.size for b in product.buffers if b.role == "out"] == [32 * 64]


def test_equal_products_become_one_code() -> None:
    plan = planned(graph_of(two_products, ((96, 20), (20, 33), (20, 33))), WIDE)
    products = [u.kernel for u in plan.launches if u.kernel.kind == "contraction"]
    assert len(products) == 2 and products[0].body is products[1].body


def arrays_for(graph: Graph, seed: int) -> list[Array]:
    rng = np.random.default_rng(seed)
    arrays = [(rng.standard_normal(n.shape) * 3).astype(n.dtype) for n in graph.inputs]
    if seed and arrays[0].size and arrays[0].dtype.kind == "f":
        arrays[0][-1, ..., 0] = np.nan
    return arrays


@pytest.mark.parametrize("machine", ["256x16", "512x32"])
def test_values(machine: str) -> None:
    """Against the interpreter; also with nan in a row; the same bits on any number of threads."""
    graphs = [graph_of(fn, shapes) for fn, shapes, _ in CASES]
    for dtype in (np.float64, np.float16, np.int32):
        graphs.append(graph_of(mean_of_product, ((96, 20), (20, 33)), dtype))
    graphs.append(graph_of(two_products, ((96, 20), (20, 33), (20, 33))))
    plans = [planned(graph, MACHINES[machine]) for graph in graphs]
    runner = Runner(plans, MACHINES[machine])
    for graph, plan in zip(graphs, plans, strict=True):
        for seed in (0, 1):
            arrays = arrays_for(graph, seed)
            runs = [runner.run(plan, arrays, threads=threads) for threads in (1, 2, 5)]
            assert not (fault := fault_in(graph, arrays, runs[0])), f"{fault}\n{graph}"
            for other in runs[1:]:
                assert all(a.tobytes() == b.tobytes() for a, b in zip(runs[0], other, strict=True))
