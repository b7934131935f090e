"""Attention in blocks against all scores at once: values, gradients, what is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.codegen.running import USUAL
from tracejit import nn
from tracejit.codegen.launches import Plan
from tracejit.codegen.stages import Stages
from tracejit.nn import flash

RNG = np.random.default_rng(7)


def drawn(*shapes: tuple[int, ...], dtype: Any = np.float64) -> list[Any]:
    return [RNG.normal(size=shape).astype(dtype) for shape in shapes]


def at_once(q: Any, k: Any, v: Any, causal: bool) -> Any:
    weights = nn.functions.attention_weights(q, k, None, causal)
    return np.matmul(weights, v)


def blocks(q: Any, k: Any, v: Any, causal: bool) -> Any:
    return flash.attend(q, k, v, causal, float(q.shape[-1]) ** -0.5)


def pulled(attention: Any, causal: bool) -> Any:
    """The result, and the cotangents of q, k and v."""

    @tj.jit
    def step(q: Any, k: Any, v: Any, g: Any) -> Any:
        y, pull = tj.vjp(lambda q, k, v: attention(q, k, v, causal), q, k, v)
        return (y, *pull(g))

    return step


# Leading sizes, queries, keys, and their features. Blocks of causal attention have 64 rows here.
CAUSAL = [
    ((2, 3), 130, 130, 5, 4),
    ((), 64, 64, 3, 3),
    ((9,), 65, 65, 1, 2),
    ((1,), 200, 200, 8, 8),
]
WHOLE = [((2,), 5, 300, 4, 3), ((9,), 129, 7, 4, 4), ((1, 2), 1, 1, 2, 2), ((), 300, 40, 3, 5)]


@pytest.mark.parametrize("causal, sizes", [(True, s) for s in CAUSAL] + [(False, s) for s in WHOLE])
def test_blocks_equal_all_scores_at_once(causal: bool, sizes: Any) -> None:
    lead, queries, keys, wide, out = sizes
    arrays = drawn(
        (*lead, queries, wide), (*lead, keys, wide), (*lead, keys, out), (*lead, queries, out)
    )
    got, want = (pulled(f, causal)(*arrays) for f in (blocks, at_once))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_long_sequences_in_f32() -> None:
    """Blocks of 128 and of 256 rows, with gaps behind the last."""
    for length in (600, 2100):
        q, k, v, g = drawn(*[(length, 16)] * 4, dtype=np.float32)
        got = pulled(blocks, True)(q * 3, k * 3, v, g)
        wide = [x.astype(np.float64) for x in (q * 3, k * 3, v, g)]
        for a, b in zip(got, pulled(at_once, True)(*wide), strict=True):
            assert a.dtype == np.float32
            assert np.linalg.norm(a - b) < 3e-6 * np.linalg.norm(b)


@pytest.mark.parametrize("causal", [True, False])
def test_derivatives_of_any_order_and_lanes(causal: bool) -> None:
    q, k, v = drawn(*[(70, 3)] * 3)
    t = drawn(*[(70, 3)] * 3)

    def loss(attention: Any) -> Any:
        return lambda q, k, v: (attention(q, k, v, causal) ** 2).sum()

    def second(attention: Any) -> Any:
        def along(q: Any, k: Any, v: Any) -> Any:
            gradient = tj.grad(loss(attention), argnums=(0, 1, 2))(q, k, v)
            return sum((g * d).sum() for g, d in zip(gradient, t, strict=True))

        return tj.jit(tj.grad(along, argnums=(0, 1, 2)))

    def forward(attention: Any) -> Any:
        return tj.jit(lambda *x: tj.jvp(loss(attention), x, tuple(t)))

    def lanes(attention: Any) -> Any:
        each = tj.vmap(lambda s: attention(q * s, k, v * s, causal))
        return tj.jit(lambda *_: each(np.array([1.0, -0.5])))

    for make in (second, forward, lanes):
        got, want = (tj.tree.leaves(make(f)(q, k, v)) for f in (blocks, at_once))
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


def test_blocks_behind_a_query_have_no_part_in_it() -> None:
    """What queries from 128 on see shows a nan and an infinity; those before do not know of it."""
    q, k, v, g = drawn(*[(200, 4)] * 4)
    k[150], v[170] = np.nan, np.inf
    y, of_q, of_k, _ = pulled(blocks, True)(q, k, v, g)
    assert np.isnan(y[150:]).all() and np.isfinite(y[:128]).all()
    assert np.isfinite(of_q[:128]).all() and np.isnan(of_k[:150]).all()


def test_large_scores_do_not_overflow() -> None:
    q, k, v, g = drawn(*[(130, 4)] * 4, dtype=np.float32)
    for causal in (True, False):
        got, want = (pulled(f, causal)(q * 1e3, k * 1e3, v, g) for f in (blocks, at_once))
        np.testing.assert_allclose(got[0], want[0], rtol=1e-3, atol=1e-3)
        assert all(np.isfinite(x).all() for x in got)


def largest(plan: Plan) -> int:
    """Of all values of a program and its bodies, the size of the largest."""
    sizes = [b.size for u in plan.launches for b in u.kernel.buffers]
    inner = [largest(p) for u in plan.launches if u.flow is not None for p in u.flow.plans]
    return max(sizes + inner)


def test_long_causal_attention_keeps_no_scores_and_turns_apart() -> None:
    heads, length, wide = 8, 512, 16
    q, k, v, g = drawn(*[(heads, length, wide)] * 4, dtype=np.float32)

    @tj.jit
    def step(q: Any, k: Any, v: Any, g: Any) -> Any:
        def attention(q: Any, k: Any, v: Any) -> Any:
            return nn.scaled_dot_product_attention(q, k, v, is_causal=True)

        y, pull = tj.vjp(attention, q, k, v)
        return (y, *pull(g))

    plan = Stages(step.lower(q, k, v, g).graph, USUAL).plan
    assert largest(plan) == heads * length * wide
    flows = [u.flow for u in plan.launches if u.flow is not None]
    assert [flow.apart for flow in flows] == [True, True]


@pytest.mark.parametrize(
    "shape, keys, causal, dtype, better",
    [
        ((4, 192, 64), 192, True, "float32", True),
        ((4, 191, 64), 191, True, "float32", False),
        ((4, 256, 64), 300, True, "float32", False),
        ((4, 256, 64), 256, True, "float16", False),
        ((4, 1024, 64), 1024, False, "float32", True),
        ((3, 1024, 64), 1024, False, "float32", False),
    ],
)
def test_where_blocks_are_taken(
    shape: Any, keys: int, causal: bool, dtype: str, better: bool
) -> None:
    q, k = np.zeros(shape, dtype), np.zeros((shape[0], keys, shape[2]), dtype)
    found = []
    tj.jit(lambda q, k: (found.append(flash.pays(q, k, k, causal)), q)[1]).lower(q, k)
    assert found == [better]
    assert not flash.pays(q, k, k, causal)  # define by run
