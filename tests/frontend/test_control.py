"""scan, map, fori_loop, while_loop, cond, switch: define by run, jitted, differentiated, mapped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.errors import (
    ConcretizationError,
    DTypeError,
    ShapeError,
    UnboundedError,
    UnrolledLoopWarning,
    UnsupportedError,
)

RNG = np.random.default_rng(0)
W = RNG.normal(size=(3, 3)) / 2
X = RNG.normal(size=3)
XS = RNG.normal(size=(5, 3))


def recurrent(w: Any, xs: Any, reverse: bool = False) -> Any:
    def turn(h: Any, x: Any) -> tuple[Any, Any]:
        h = np.tanh(h @ w + x)
        return h, {"h": h, "n": (h * h).sum()}

    h, ys = tj.scan(turn, np.zeros(3), xs, reverse=reverse)
    return h, ys


def loss_of_scan(w: Any, xs: Any) -> Any:
    h, ys = recurrent(w, xs)
    return h.sum() + (ys["h"] * ys["n"][:, None]).sum()


def pytree_carry(w: Any, x: Any) -> Any:
    def turn(state: Any, _: Any) -> tuple[Any, None]:
        return {"a": state["b"] * 0.5, "b": np.sin(state["a"] @ w), "n": state["n"] + 1}, None

    end, _ = tj.scan(turn, {"a": x, "b": x * 2, "n": 0}, None, length=4)
    return end["a"].sum() * end["n"] + end["b"].sum()


def nested(w: Any, x: Any) -> Any:
    def inner(h: Any, _: Any) -> tuple[Any, Any]:
        return np.tanh(h @ w), h.sum()

    def outer(h: Any, _: Any) -> tuple[Any, Any]:
        h, sums = tj.scan(inner, h, None, length=3)
        return h + sums.sum() * x, None

    return tj.scan(outer, x, None, length=2)[0].sum()


def powers(w: Any, x: Any) -> Any:
    return tj.fori_loop(1, 4, lambda i, v: np.tanh(v @ w) * i, x).sum()


def branches(w: Any, x: Any) -> Any:
    y = tj.cond(x.sum() > 0, lambda x: x @ w, lambda x: np.sin(x), x)
    z = tj.switch(np.argmax(x), [np.exp, lambda v: v * v, lambda v: v @ w], x)
    return (y * z).sum()


def bounded(w: Any, x: Any) -> Any:
    """Newton's iteration for a square root, of a number that the weights make."""
    a = (w * w).sum() + (x * x).sum()
    turn = tj.while_loop(
        lambda s: abs(s * s - a) > 1e-6, lambda s: 0.5 * (s + a / s), a, max_steps=30
    )
    return turn * 1.0


def mapped(w: Any, x: Any) -> Any:
    return tj.map(lambda row: np.tanh(row @ w), np.stack([x, 2 * x])).sum()


SMOOTH: dict[str, Callable[[Any, Any], Any]] = {
    "scan": lambda w, x: loss_of_scan(w, np.stack([x, x * x, -x])),
    "reversed": lambda w, x: recurrent(w, np.stack([x, x * x]), reverse=True)[0].sum(),
    "pytree": pytree_carry,
    "nested": nested,
    "fori": powers,
    "branches": branches,
    "bounded": bounded,
    "map": mapped,
}


def slope(f: Callable[..., Any], args: list[Any], n: int) -> Any:
    found = np.zeros_like(args[n])
    for at in np.ndindex(found.shape):
        ends = []
        for step in (1e-6, -1e-6):
            moved = [a.copy() for a in args]
            moved[n][at] += step
            ends.append(float(f(*moved)))
        found[at] = (ends[0] - ends[1]) / 2e-6
    return found


@pytest.mark.parametrize("name", SMOOTH)
def test_value_and_gradient_eager_and_jitted(name: str) -> None:
    f, args = SMOOTH[name], [W, X]
    value = f(*args)
    both = tj.value_and_grad(f, argnums=(0, 1))
    for run in (both, tj.jit(both)):
        got, grads = run(*args)
        np.testing.assert_allclose(got, value, rtol=1e-10)
        for n in (0, 1):
            np.testing.assert_allclose(grads[n], slope(f, args, n), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", SMOOTH)
def test_second_derivatives_and_forward_mode(name: str) -> None:
    f = SMOOTH[name]
    hess = tj.hessian(f, argnums=1)
    want = hess(W, X)
    np.testing.assert_allclose(tj.jit(hess)(W, X), want, rtol=1e-8, atol=1e-9)
    first = tj.grad(f, argnums=1)
    for k in range(3):
        step = np.eye(3)[k] * 1e-6
        np.testing.assert_allclose(
            want[k], (first(W, X + step) - first(W, X - step)) / 2e-6, rtol=1e-4, atol=1e-6
        )
    along = np.array([0.5, -1.0, 2.0])
    _, end = tj.jit(lambda w, x: tj.jvp(lambda v: f(w, v), (x,), (along,)))(W, X)
    np.testing.assert_allclose(end, first(W, X) @ along, rtol=1e-8)


@pytest.mark.parametrize("name", SMOOTH)
def test_lanes_of_vmap(name: str) -> None:
    f = SMOOTH[name]
    xs = np.stack([X, -X, X * 0.5, X[::-1]])
    want = np.stack([f(W, x) for x in xs])
    every = tj.vmap(f, in_axes=(None, 0))
    np.testing.assert_allclose(every(W, xs), want, rtol=1e-8)
    np.testing.assert_allclose(tj.jit(every)(W, xs), want, rtol=1e-8)
    grads = tj.jit(tj.vmap(tj.grad(f, argnums=1), in_axes=(None, 0)))(W, xs)
    np.testing.assert_allclose(
        grads, np.stack([tj.grad(f, argnums=1)(W, x) for x in xs]), rtol=1e-7, atol=1e-9
    )


def collatz(n: Any) -> Any:
    """How many steps 3n + 1 takes to reach 1."""

    def step(state: Any) -> Any:
        n, count = state
        return np.where(n % 2 == 0, n // 2, 3 * n + 1), count + 1

    return tj.while_loop(lambda s: s[0] != 1, step, (n, 0))[1]


def test_a_while_loop_runs_as_long_as_it_must() -> None:
    counts = [collatz(np.int64(n)) for n in (1, 2, 7, 27)]
    assert counts == [0, 1, 16, 111]
    jitted = tj.jit(collatz)
    assert [int(jitted(np.int64(n))) for n in (1, 2, 7, 27)] == counts
    every = tj.jit(tj.vmap(collatz))(np.array([1, 2, 7, 27]))
    assert every.tolist() == counts
    assert tj.vmap(collatz)(np.array([1, 2, 7, 27])).tolist() == counts


def test_a_while_loop_has_forward_derivatives_only() -> None:
    def grown(x: Any) -> Any:
        return tj.while_loop(lambda v: v < 10, lambda v: v * x, x)

    value, end = tj.jit(lambda x: tj.jvp(grown, (x,), (1.0,)))(np.float64(1.5))
    assert value == 1.5**6
    np.testing.assert_allclose(end, 6 * 1.5**5)
    with pytest.raises(UnboundedError, match=r"while_loop: how often.*max_steps"):
        tj.jit(tj.grad(grown))(np.float64(1.5))
    assert tj.grad(grown)(np.float64(1.5)) == 6 * 1.5**5


def test_bounds_that_are_traced() -> None:
    def total(n: Any, x: Any) -> Any:
        return tj.fori_loop(0, n, lambda i, v: v + x * i, np.zeros(2))

    x = np.array([1.0, 2.0])
    np.testing.assert_array_equal(total(4, x), 6 * x)
    np.testing.assert_array_equal(tj.jit(total)(np.int64(4), x), 6 * x)
    np.testing.assert_array_equal(tj.jit(total)(np.int64(0), x), 0 * x)


def test_loops_without_turns() -> None:
    h, ys = recurrent(W, XS[:0])
    assert h.tolist() == [0, 0, 0] and ys["h"].shape == (0, 3) and ys["n"].shape == (0,)
    h, ys = tj.jit(recurrent)(W, XS[:0])
    assert h.tolist() == [0, 0, 0] and ys["h"].shape == (0, 3) and ys["n"].shape == (0,)
    assert tj.fori_loop(3, 3, lambda i, v: v + 1, X) is X


def test_variables_are_carried() -> None:
    total, calls = tj.Variable(np.zeros(3), name="total"), tj.Variable(np.int64(0), name="calls")

    def run(xs: Any) -> Any:
        def turn(h: Any, x: Any) -> tuple[Any, Any]:
            total.assign(total + x)
            calls.assign(calls + 1)
            return h * 0.5 + total.sum(), total.value

        return tj.scan(turn, np.float64(1.0), xs)

    results = []
    for f in (run, tj.jit(run)):
        total.assign(np.zeros(3))
        calls.assign(0)
        results.append((*f(XS), total.numpy(), calls.numpy()))
    for eager, jitted in zip(*results, strict=True):
        np.testing.assert_allclose(jitted, eager)
    assert results[1][3] == 5


def test_variables_in_branches_and_while_loops() -> None:
    seen = tj.Variable(np.float64(0), name="seen")

    @tj.jit
    def run(x: Any) -> Any:
        def noted(v: Any) -> Any:
            seen.assign(seen + v)
            return v * 2

        y = tj.cond(x > 0, noted, lambda v: v, x)

        def grow(v: Any) -> Any:
            seen.assign(seen + 100)
            return v * 2

        return tj.while_loop(lambda v: v < 10, grow, y)

    assert run(np.float64(3)) == 12 and seen.numpy() == 103
    with pytest.raises(UnsupportedError, match=r"assigns to a Variable.*the condition only reads"):

        @tj.jit
        def wrong(x: Any) -> Any:
            def check(v: Any) -> Any:
                seen.assign(v)
                return v < 3

            return tj.while_loop(check, lambda v: v + 1, x)

        wrong(np.float64(0))


def test_a_training_loop_inside_the_step() -> None:
    """Weights as a carry: the loop updates them where they lie."""
    x, y = RNG.normal(size=(8, 16, 3)), RNG.normal(size=(8, 16))

    def fit(w: Any, xs: Any, ys: Any) -> Any:
        def turn(w: Any, batch: Any) -> tuple[Any, Any]:
            x, y = batch
            loss, g = tj.value_and_grad(lambda w: ((x @ w - y) ** 2).mean())(w)
            return w - 0.1 * g, loss

        return tj.scan(turn, w, (xs, ys))

    w, losses = fit(X, x, y)
    got, got_losses = tj.jit(fit)(X, x, y)
    np.testing.assert_allclose(got, w, rtol=1e-10)
    np.testing.assert_allclose(got_losses, losses, rtol=1e-10)


def test_numbers_become_what_they_meet() -> None:
    xs = np.arange(4, dtype=np.float32)
    for scan in (tj.scan, tj.jit(lambda f, i, x: tj.scan(f, i, x), static_argnames=("f",))):
        total, _ = scan(lambda c, x: (c + x, None), 0, xs)
        assert total.dtype == np.float32 and total == 6
    count = tj.jit(lambda x: tj.fori_loop(0, 3, lambda i, c: c + 1, 0) + x)(np.float32(1))
    assert count.dtype == np.float32 and count == 4


def test_the_body_is_one_loop_in_the_program() -> None:
    lowered = tj.jit(recurrent).lower(W, XS)
    assert lowered.dump("traced").count("= scan") == 1
    longer = tj.jit(recurrent).lower(W, np.concatenate([XS] * 20))
    assert longer.cost().kernels == lowered.cost().kernels


CARRY = [
    (lambda: tj.scan(lambda c, x: (c[:2], None), X, XS), ShapeError, "a carry keeps its shape"),
    (
        lambda: tj.scan(lambda c, x: (c.astype(np.float32), None), X, XS),
        DTypeError,
        r"carry starts as f64\[3\] and comes back as f32\[3\].*astype\('float64'\)",
    ),
    (lambda: tj.scan(lambda c, x: ((c, c), None), X, XS), ShapeError, "keeps its structure"),
    (lambda: tj.scan(lambda c, x: c, X, XS), UnsupportedError, r"must return \(carry, y\)"),
    (
        lambda: tj.fori_loop(0, 3, lambda i, v: v[None], X),
        ShapeError,
        r"(fori_loop|scan): .*keeps its shape",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), CARRY)
def test_carries_keep_their_types(
    call: Callable[[], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message) as eager:
        call()
    with pytest.raises(kind, match=message) as jitted:
        tj.jit(call)()
    for error in (eager, jitted):
        assert "test_control.py:" in str(error.value)


def test_errors_of_lengths_and_predicates() -> None:
    with pytest.raises(ShapeError, match=r"differ in size: \[3, 5\]"):
        tj.scan(lambda c, x: (c, x), 0.0, (XS, X))
    with pytest.raises(ShapeError, match="needs a length"):
        tj.scan(lambda c, x: (c, x), 0.0)
    with pytest.raises(ShapeError, match=r"predicate is bool\[3\].*tj.where"):
        tj.jit(lambda x: tj.cond(x > 0, np.sin, np.cos, x))(X)
    with pytest.raises(ShapeError, match=r"condition is bool\[3\]"):
        tj.jit(lambda x: tj.while_loop(lambda v: v > 0, lambda v: v - 1, x))(X)
    with pytest.raises(ShapeError, match=r"cond: .* return the same types"):
        tj.jit(lambda x: tj.cond(x.sum() > 0, lambda v: v, lambda v: v[:2], x))(X)
    with pytest.raises(ShapeError, match="return the same structure"):
        tj.jit(lambda x: tj.cond(x.sum() > 0, lambda v: (v, v), lambda v: v, x))(X)
    with pytest.raises(ShapeError, match=r"switch: the index is f64\[3\]"):
        tj.switch(X, [np.sin, np.cos], X)


def test_python_branches_in_bodies_name_the_way_out() -> None:
    def turn(c: Any, x: Any) -> tuple[Any, None]:
        if x.sum() > 0:
            c = c + x
        return c, None

    assert tj.scan(turn, np.zeros(3), XS)[0].shape == (3,)
    with pytest.raises(ConcretizationError, match=r"tj\.cond"):
        tj.jit(lambda xs: tj.scan(turn, np.zeros(3), xs))(XS)


def test_custom_rules_and_checkpoint_inside_a_loop() -> None:
    scale = np.array([1.0, 2.0, 3.0])

    @tj.custom_vjp
    def clipped(x: Any) -> Any:
        return x * 1.0

    clipped.defvjp(lambda x: (x * 1.0, None), lambda _, g: (g * scale,))

    def f(w: Any, x: Any) -> Any:
        def turn(h: Any, _: Any) -> tuple[Any, None]:
            return tj.checkpoint(lambda h: np.tanh(clipped(h) @ w))(h), None

        return tj.scan(turn, x, None, length=3)[0].sum()

    want = tj.grad(f, argnums=(0, 1))(W, X)
    got = tj.jit(tj.grad(f, argnums=(0, 1)))(W, X)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


def test_a_loop_that_unrolls_too_far_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracejit.staging.UNROLLED", 50)

    def long(x: Any) -> Any:
        for _ in range(100):
            x = np.sin(x)
        return x

    said = r"long: 100 operations.*test_control.py.*tj\.scan"
    with pytest.warns(UnrolledLoopWarning, match=said):
        tj.make_graph(long)(X)
    tj.make_graph(lambda x: tj.fori_loop(0, 100, lambda i, v: np.sin(v), x))(X)
