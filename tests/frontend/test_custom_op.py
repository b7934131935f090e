"""custom_op: Python and Numba functions in traced code, with derivatives and lanes."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numba
import numpy as np
import pytest

import tracejit as tj
from tests.frontend.checks import check_derivatives, check_results
from tracejit.errors import DTypeError, GradError, ShapeError, StaticArgumentError

X = np.linspace(0.1, 2.0, 6).reshape(2, 3)


@numba.njit
def _smoothed(x, factor=0.5):
    out = np.empty_like(x)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = x[i, j] * factor + x[i, j - 1] * (1 - factor)
    return out


smooth = tj.custom_op(_smoothed)


@smooth.defvjp
def _smooth_vjp(g: Any, y: Any, x: Any, factor: float = 0.5) -> Any:
    return (g * factor + np.roll(g, -1, axis=1) * (1 - factor),)


@tj.custom_op(out=lambda x, y: (x, tj.ShapeDtype((), np.float64)))
def sine_and_dot(x, y):
    return np.sin(x), np.vdot(x, y)


@sine_and_dot.defvjp
def _sine_vjp(g: Any, results: Any, x: Any, y: Any) -> Any:
    of_sine, of_dot = g
    return of_sine * np.cos(x) + of_dot * y, of_dot * x


def plain(x: Any, factor: float = 0.5) -> Any:
    return x * factor + np.roll(x, 1, axis=1) * (1 - factor)


def test_a_numba_function() -> None:
    np.testing.assert_allclose(smooth(X), plain(X))
    np.testing.assert_allclose(tj.jit(lambda x: smooth(x * 2) + 1)(X), plain(2 * X) + 1)
    np.testing.assert_allclose(smooth(X, factor=0.25), plain(X, 0.25))
    both = tj.jit(lambda x: (smooth(x, factor=0.25), smooth(x, factor=0.75)))(X)
    np.testing.assert_allclose(both, [plain(X, 0.25), plain(X, 0.75)])
    check_results(lambda x: smooth(np.sin(x)), [X], 1e-12)
    check_derivatives(lambda x: smooth(np.sin(x), factor=0.3) ** 2, [X])


def test_a_numba_function_with_a_signature() -> None:
    doubled = tj.custom_op(numba.njit("f8[:,::1](f8[:,::1])")(lambda x: x + x))
    np.testing.assert_array_equal(tj.jit(lambda x: doubled(x))(X), X + X)


def test_several_results_and_arguments() -> None:
    check_results(lambda x, y: sine_and_dot(x, y), [X, X[::-1] + 1], 1e-12)
    check_derivatives(lambda x, y: sine_and_dot(x, y), [X, X + 1])
    assert (
        tj.custom_op(out=tj.ShapeDtype((), np.int64))(lambda t: t["a"].size + t["b"][0].size)(
            {"a": X, "b": [X]}
        )
        == 12
    )


def test_gradient_in_a_jitted_step_under_vmap() -> None:
    def loss(x: Any, y: Any) -> Any:
        s, d = sine_and_dot(x, y)
        return (s * s).sum() + d

    xs = np.stack([X, X + 1, X * 2])
    got = tj.jit(tj.vmap(tj.grad(loss, argnums=(0, 1)), in_axes=(0, None)))(xs, X)
    for i, x in enumerate(xs):
        np.testing.assert_allclose(got[0][i], 2 * np.sin(x) * np.cos(x) + X)
        np.testing.assert_allclose(got[1][i], x)
    shared = tj.jit(tj.grad(lambda y: tj.vmap(loss, in_axes=(0, None))(xs, y).sum()))(X)
    np.testing.assert_allclose(shared, xs.sum(0))


@pytest.mark.parametrize("batch", ["sequential", "broadcast_all", "rule"])
def test_lanes(batch: str) -> None:
    calls = []

    def centred(x: Any, shift: Any) -> Any:
        calls.append(x.shape)
        return x - x.mean(-1, keepdims=True) + shift

    def rule(size: int, batched: Any, x: Any, shift: Any) -> Any:
        assert (size, batched) == (3, (True, False))
        return op(x, shift)

    op: Any = tj.custom_op(centred, batch=rule if batch == "rule" else batch)
    xs = np.random.default_rng(0).random((3, 5))
    f = tj.jit(tj.vmap(lambda x: op(x, 2.0) * 2))
    if batch == "broadcast_all":
        f = tj.jit(tj.vmap(lambda x: op(x, np.full(5, 2.0)) * 2))
    np.testing.assert_allclose(f(xs), 2 * (xs - xs.mean(-1, keepdims=True) + 2))
    assert calls == ([(5,)] * 3 if batch == "sequential" else [(3, 5)])


def test_nested_lanes() -> None:
    total = tj.custom_op(lambda x, y: x @ y, out=tj.ShapeDtype((), np.float64))
    x, y = np.random.default_rng(0).random((2, 4, 5))
    outer = tj.vmap(tj.vmap(lambda a, b: total(a, b), in_axes=(None, 0)), in_axes=(0, None))
    np.testing.assert_allclose(tj.jit(outer)(x, y), x @ y.T)


def test_one_call_for_several_results_and_none_for_those_unread() -> None:
    calls = []

    @tj.custom_op(out=lambda x: (x, x))
    def pair(x):
        calls.append(1)
        return x + 1, x + 2

    a, b = tj.jit(lambda x: pair(x))(X)
    assert len(calls) == 1
    np.testing.assert_array_equal(b - a, np.ones_like(X))
    tj.jit(lambda x: (pair(x), x)[1])(X)
    assert len(calls) == 1


def test_arguments_may_be_kept_and_changed() -> None:
    kept = []

    @tj.custom_op
    def keeps(x):
        kept.append(x)
        x += 1
        return x

    step = tj.jit(lambda x: keeps(x) * x)
    for n in range(3):
        np.testing.assert_array_equal(step(X + n), (X + n + 1) * (X + n))
    np.testing.assert_array_equal(kept[0], X + 1)


def test_exceptions_are_the_users() -> None:
    class Odd(Exception):
        pass

    @tj.custom_op
    def fails(x):
        raise Odd(f"shape {x.shape}")

    for f in (fails, tj.jit(lambda x: fails(x)), tj.grad(lambda x: fails(x).sum())):
        with pytest.raises(Odd, match=r"shape \(2, 3\)"):
            f(X)


def test_two_operations_of_one_name() -> None:
    made = []
    for n in range(2):

        def same(x, n=n):
            return x + n

        made.append(tj.custom_op(same))
    a, b = tj.jit(lambda x: [op(x) for op in made])(X)
    np.testing.assert_allclose(b - a, np.ones_like(X))


def test_errors() -> None:
    wrong_shape = tj.custom_op(lambda x: x[0])
    with pytest.raises(ShapeError, match=r"returned shape \[3\], but out= says f64\[2,3\]"):
        tj.jit(lambda x: wrong_shape(x))(X)
    wrong_dtype = tj.custom_op(lambda x: x.astype("f4"))
    with pytest.raises(DTypeError, match=r"returned float32, but out= says f64\[2,3\]"):
        tj.jit(lambda x: wrong_dtype(x))(X)
    no_vjp = tj.custom_op(np.sin)
    with pytest.raises(DTypeError, match=r"no derivative \(test_custom_op.py:\d+\); give it a vjp"):
        tj.grad(lambda x: no_vjp(x).sum())(X)
    bad_vjp = tj.custom_op(lambda x, y: x, vjp=lambda g, r, x, y: g)
    with pytest.raises(GradError, match="vjp returned 1 cotangents for 2 arguments"):
        tj.grad(lambda x: bad_vjp(x, x).sum())(X)
    with pytest.raises(StaticArgumentError, match=r"keywords are static.*pass arrays by position"):
        smooth(X, factor=np.ones(3))
    with pytest.raises(ValueError, match="batch='all' is neither"):
        tj.custom_op(np.sin, batch="all")
    fixed = tj.custom_op(np.sin, out=tj.ShapeDtype((3,), np.float64), batch="broadcast_all")
    with pytest.raises(ShapeError, match="'broadcast_all' needs an out= that follows the shapes"):
        tj.jit(tj.vmap(lambda x: fixed(x)))(X)


def test_a_step_with_an_operation_is_garbage_when_nobody_holds_it() -> None:
    op = tj.custom_op(np.sin)
    step = tj.jit(lambda x: op(x))
    step(X)
    gone = weakref.ref(step)
    del step
    gc.collect()
    assert gone() is None
