"""Donated arguments: updated in place, whatever they are views of and whoever holds the results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracejit as tj

RNG = np.random.default_rng(0)


def normal(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def test_donated_arrays_are_updated_in_place(target: str) -> None:
    @tj.jit(donate_argnames=("params", "state"), target=target)
    def step(params: Any, state: Any, g: Any) -> Any:
        state = {k: 0.5 * v + g for k, v in state.items()}
        return {k: params[k] - state[k] for k in params}, state, g.sum()

    params = {"a": normal(3), "b": normal(3)}
    state = {"a": normal(3), "b": normal(3)}
    g = normal(3)
    want_state = {k: 0.5 * v + g for k, v in state.items()}
    want = {k: params[k] - want_state[k] for k in params}
    p, s, _ = step(params, state, g)
    for k in params:
        assert p[k] is params[k] and s[k] is state[k]
        np.testing.assert_array_equal(p[k], want[k])
        np.testing.assert_array_equal(s[k], want_state[k])


def test_results_in_another_order_take_places_of_their_type(target: str) -> None:
    f = tj.jit(lambda a, b: (b + 1, a + 1), donate_argnames=("a", "b"), target=target)
    a, b = normal(2), normal(3)
    want = b + 1, a + 1
    first, second = f(a, b)
    assert first is b and second is a
    np.testing.assert_array_equal(first, want[0])
    np.testing.assert_array_equal(second, want[1])


def test_swapping_donated_arrays(target: str) -> None:
    f = tj.jit(lambda a, b: (b, a), donate_argnames=("a", "b"), target=target)
    a, b = normal(3), normal(3)
    want = b.copy(), a.copy()
    for got, expected in zip(f(a, b), want, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_swapped_sums_of_donated_arrays(target: str) -> None:
    """Each result needs the other's old content."""
    f = tj.jit(lambda a, b: (a + b[::-1], b - a[::-1]), donate_argnames=("a", "b"), target=target)
    a, b = normal(37), normal(37)
    want = a + b[::-1], b - a[::-1]
    for got, expected in zip(f(a, b), want, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("make", [lambda: normal(5, 4).T, lambda: normal(8, 5)[::2]])
def test_donated_views_are_written_through(make: Any, target: str) -> None:
    f = tj.jit(lambda x: x * 2, donate_argnames=("x",), target=target)
    x = make()
    want = x * 2
    assert f(x) is x
    np.testing.assert_array_equal(x, want)


def test_donated_read_only_array_is_left_alone(target: str) -> None:
    f = tj.jit(lambda x: x * 2, donate_argnames=("x",), target=target)
    x = normal(3)
    x.flags.writeable = False
    old = x.copy()
    np.testing.assert_array_equal(f(x), old * 2)
    np.testing.assert_array_equal(x, old)


def test_results_that_are_held_are_not_overwritten(target: str) -> None:
    f = tj.jit(lambda x: x + 1, target=target)
    held = [f(np.full(8, float(i), np.float32)) for i in range(4)]
    for i, value in enumerate(held):
        np.testing.assert_array_equal(value, np.full(8, i + 1, np.float32))


def test_a_training_loop_works_in_the_donated_arrays(target: str) -> None:
    """Weights and momentum of a whole epoch, with no copy of them in the compiled program."""

    def epoch(w: Any, m: Any, xs: Any, ys: Any) -> Any:
        def turn(state: Any, batch: Any) -> Any:
            w, m = state
            x, y = batch
            loss, g = tj.value_and_grad(lambda w: ((np.tanh(x @ w) - y) ** 2).mean())(w)
            m = 0.9 * m + g
            return (w - 0.1 * m, m), loss

        (w, m), losses = tj.scan(turn, (w, m), (xs, ys))
        return w, m, losses

    arrays = normal(8, 4), normal(8, 4), normal(6, 5, 8), normal(6, 5, 4)
    want = tj.jit(epoch, target=target)(*arrays)
    step = tj.jit(epoch, target=target, donate_argnames=("w", "m"))
    w, m = arrays[0].copy(), arrays[1].copy()
    got = step(w, m, *arrays[2:])
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert got[0].ctypes.data == w.ctypes.data
    assert got[1].ctypes.data == m.ctypes.data
    if target == "cpu":
        program = step.lower(w, m, *arrays[2:]).dump("program")
        assert "init" not in program
        assert "copy" not in program
