"""Sums of products, of sums over rows, of padded slices: one of each, meaning the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tracejit.ir import ops
from tracejit.ir.graph import Builder, Graph, Node
from tracejit.ir.interpreter import evaluate
from tracejit.ir.passes.collect import MIN_TERMS, collect
from tracejit.ir.types import F64, TensorType


def built(
    terms: Callable[[Builder, list[Node]], list[Node]], shapes: list[tuple[int, ...]]
) -> Graph:
    b = Builder()
    inputs = [b.input(f"x{n}", TensorType(shape, F64)) for n, shape in enumerate(shapes)]
    total, *rest = terms(b, inputs)
    for term in rest:
        total = total + term
    return Graph("total", tuple(inputs), (total,))


def same(graph: Graph) -> list[str]:
    """The operations after the pass, which must not change the result."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(node.shape) for node in graph.inputs]
    after = collect(graph)
    (got,), (expected,) = evaluate(after, arrays), evaluate(graph, arrays)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
    return sorted(node.op for node in after.nodes() if node.op != "input")


def products(count: int) -> Graph:
    def terms(b: Builder, x: list[Node]) -> list[Node]:
        return [ops.dot_general(x[2 * n], x[2 * n + 1], ((0,), (0,))) for n in range(count)]

    return built(terms, [(2, 5), (2, 7)] * count)


def test_products_of_one_kind_are_one_product() -> None:
    assert same(products(MIN_TERMS + 1)) == ["concatenate", "concatenate", "dot_general"]


def test_a_few_products_stay() -> None:
    assert same(products(MIN_TERMS - 1)).count("dot_general") == MIN_TERMS - 1


def test_large_operands_of_small_results_stay() -> None:
    def terms(b: Builder, x: list[Node]) -> list[Node]:
        return [ops.dot_general(x[n], x[n + 1], ((0,), (0,))) for n in range(6)]

    assert same(built(terms, [(50, 3)] * 7)).count("dot_general") == 6


def test_other_terms_are_added_to_the_collected_ones() -> None:
    def terms(b: Builder, x: list[Node]) -> list[Node]:
        sums = [ops.reduce_sum(x[n], (0,)) for n in range(5)]
        return [*sums[:2], ops.exp(x[5]), *sums[2:]]

    assert same(built(terms, [(3, 4)] * 5 + [(4,)])) == ["add", "concatenate", "exp", "reduce_sum"]


def test_a_term_that_is_needed_elsewhere_stays() -> None:
    b = Builder()
    x = [b.input(f"x{n}", TensorType((3, 4), F64)) for n in range(4)]
    sums = [ops.reduce_sum(a, (0,)) for a in x]
    total = sums[0] + sums[1] + sums[2] + sums[3]
    graph = Graph("total", tuple(x), (total, sums[1]))
    assert collect(graph) is graph


@pytest.mark.parametrize(
    ("starts", "operations"),
    [
        ((0, 2, 4, 6), ["concatenate"]),
        ((6, 0, 4, 2), ["concatenate"]),
        ((1, 3, 5, 7), ["concatenate", "full"]),
        ((0, 3, 6, 9), ["concatenate", "full", "full"]),
        ((0, 1, 4, 6), ["add", "add", "add", "pad", "pad", "pad", "pad"]),
    ],
)
def test_slices_in_zeros_lie_side_by_side(starts: tuple[int, ...], operations: list[str]) -> None:
    size = 8 if max(starts) < 7 else 9 if max(starts) == 7 else 12

    def terms(b: Builder, x: list[Node]) -> list[Node]:
        return [
            ops.pad(a, 0.0, (start, 0), (size - start - 2, 0))
            for a, start in zip(x, starts, strict=True)
        ]

    found = same(built(terms, [(2, 3)] * 4))
    assert set(found) == set(operations)
