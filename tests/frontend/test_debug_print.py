"""debug.print: text from compiled code, in order, in loops, branches and lanes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracejit as tj

X = np.arange(3.0)


def lines(capfd: Any) -> list[str]:
    return capfd.readouterr().out.splitlines()


def test_values_in_order(capfd: Any) -> None:
    @tj.jit
    def step(x):
        tj.debug.print("start")
        tj.debug.print("start")
        y = x * 2
        tj.debug.print("sum {:.2f}, all {all}", y.sum(), all=y)
        return y

    step.lower(X)
    assert lines(capfd) == []
    for _ in range(2):
        step(X)
        assert lines(capfd) == ["start", "start", "sum 6.00, all [0. 2. 4.]"]


def test_the_same_without_jit_and_outside(capfd: Any) -> None:
    tj.debug.print("loss {}", np.float32(0.5))
    assert lines(capfd) == ["loss 0.5"]
    step = tj.jit(lambda x: tj.debug.print("x {x}", x=x))
    with tj.disable_jit():
        step(X)
    assert lines(capfd) == ["x [0. 1. 2.]"]


@pytest.mark.parametrize("wrap", [tj.jit, lambda f: f], ids=["jit", "eager"])
def test_gradients_print_once(capfd: Any, wrap: Any) -> None:
    def loss(x):
        y = (x * x).sum()
        tj.debug.print("loss {}", y)
        return y

    np.testing.assert_array_equal(wrap(tj.grad(loss))(X), 2 * X)
    assert lines(capfd) == ["loss 5.0"]


def test_lanes(capfd: Any) -> None:
    def f(x):
        tj.debug.print("a {}", x)
        tj.debug.print("b {}", x + 1)
        return x

    tj.jit(tj.vmap(f))(X)
    assert lines(capfd) == ["a 0.0", "a 1.0", "a 2.0", "b 1.0", "b 2.0", "b 3.0"]


def test_loops_and_branches(capfd: Any) -> None:
    @tj.jit
    def step(x):
        def turn(carry, item):
            tj.debug.print("item {}", item)
            return carry + item, item

        total, _ = tj.scan(turn, 0.0, x)
        tj.debug.print("total {}", total)

        def big(t):
            tj.debug.print("big {}", t)
            return t

        return tj.cond(total > 2, big, lambda t: -t, total)

    assert step(X) == 3
    assert lines(capfd) == ["item 0.0", "item 1.0", "item 2.0", "total 3.0", "big 3.0"]
    assert step(X / 3) == -1
    assert lines(capfd)[-1] == "total 1.0"

    @tj.jit
    def count(n):
        def body(i):
            tj.debug.print("i {}", i)
            return i + 1

        return tj.while_loop(lambda i: i < n, body, 0)

    assert count(3) == 3
    assert lines(capfd) == ["i 0", "i 1", "i 2"]


def test_a_format_that_does_not_fit_is_an_error_when_traced() -> None:
    with pytest.raises(IndexError, match="out of range"):
        tj.jit(lambda x: tj.debug.print("{} {}", x)).lower(X)


def test_a_call_that_fails_ends_the_loop_it_is_in() -> None:
    calls = []

    @tj.custom_op
    def fails_at_two(x):
        calls.append(float(x))
        if x == 2:
            raise ArithmeticError("two")
        return x

    def step(x, state):
        total, _ = tj.scan(lambda c, i: (c + fails_at_two(i), i), state, x)
        return total

    step = tj.jit(step, donate_argnames=("state",))
    for _ in range(2):
        state = np.zeros(())
        with pytest.raises(ArithmeticError, match="two"):
            step(np.arange(5.0), state)
        assert calls == [0, 1, 2] and state == 0
        calls.clear()
    assert step(np.arange(2.0), np.zeros(())) == 1
