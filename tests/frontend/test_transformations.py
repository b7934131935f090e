"""vjp, jvp, jacobian, hessian, vmap: against definitions and each other."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.frontend.checks import Transformed
from tests.frontend.test_grad import FUNCTIONS
from tracejit import errors

RNG = np.random.default_rng(5)
A, B = RNG.standard_normal((3, 4)), RNG.standard_normal((4, 2))


def close(got: Any, want: Any, rtol: float = 1e-9) -> None:
    got, want = tj.tree.leaves(got), tj.tree.leaves(want)
    assert len(got) == len(want)
    for g, w in zip(got, want, strict=True):
        assert np.shape(g) == np.shape(w)
        np.testing.assert_allclose(g, w, rtol=rtol, atol=1e-10)


def directional(f: Callable[..., Any], x: Any, v: Any, h: float = 1e-6) -> Any:
    return (f(x + h * v) - f(x - h * v)) / (2 * h)


# vjp and jvp


def model(w: Any, b: Any) -> Any:
    return {"h": np.tanh(w @ b), "s": (w**2).sum()}


def test_vjp_gives_the_value_and_the_pullback(run: Transformed) -> None:
    ct = {"h": np.ones((3, 2)), "s": np.array(2.0)}

    def step(a: Any, b: Any) -> Any:
        value, pullback = tj.vjp(model, a, b)
        return value, pullback(ct)

    value, (da, db) = run(step)(A, B)
    close(value, model(A, B))
    slope = 1 - np.tanh(A @ B) ** 2
    close((da, db), (slope @ B.T + 4 * A, A.T @ slope))


def test_a_pullback_may_be_called_again_and_elsewhere() -> None:
    value, pullback = tj.vjp(np.sin, A)
    close(value, np.sin(A))
    close(pullback(A), (np.cos(A) * A,))
    close(pullback(A + 1), (np.cos(A) * (A + 1),))
    close(tj.jit(lambda ct: pullback(2 * ct))(A), (2 * np.cos(A) * A,))
    close(tj.grad(lambda ct: (pullback(ct)[0] ** 2).sum())(A), 2 * np.cos(A) ** 2 * A)
    close(tj.vmap(pullback)(np.stack([A, 3 * A])), (np.stack([np.cos(A) * A, 3 * np.cos(A) * A]),))


def test_vjp_with_aux_and_integers() -> None:
    value, pullback, aux = tj.vjp(lambda x, n: (x * n, {"n": n}), 2.0, np.array(3), has_aux=True)
    assert value == 6 and aux["n"] == 3
    dx, dn = pullback(1.0)
    assert dx == 3 and dn is None


@pytest.mark.parametrize("name", FUNCTIONS)
def test_jvp_equals_differences(name: str) -> None:
    f, x, v = FUNCTIONS[name], RNG.standard_normal((3, 4)), RNG.standard_normal((3, 4))
    value, slope = tj.jvp(f, (x,), (v,))
    close(value, f(x))
    np.testing.assert_allclose(slope, directional(f, x, v), rtol=3e-5, atol=1e-5)


def test_jvp_of_a_pytree(run: Transformed) -> None:
    def f(p: Any, x: Any) -> Any:
        return {"y": p["w"] * x, "n": np.argmax(x)}

    def step(w: Any, x: Any) -> Any:
        return tj.jvp(f, ({"w": w}, x), ({"w": 2 * w}, np.ones_like(x)))

    value, tangent = run(step)(A, A)
    close(value["y"], A * A)
    close(tangent["y"], 2 * A * A + A)
    assert tangent["n"] == 0


def test_forward_over_reverse_is_the_hessian_product(run: Transformed) -> None:
    def f(x: Any) -> Any:
        return np.exp(x @ A).sum() * x[0]

    x, v = RNG.standard_normal(3) * 0.3, RNG.standard_normal(3)
    _, product = run(lambda x, v: tj.jvp(tj.grad(f), (x,), (v,)))(x, v)
    close(product, tj.hessian(f)(x) @ v)


# jacobian and hessian


def test_jacobian_of_few_and_of_many(run: Transformed) -> None:
    x = RNG.standard_normal(4)
    close(run(tj.jacobian(lambda x: A @ np.sin(x)))(x), A * np.cos(x))
    close(run(tj.jacobian(lambda x: A.T @ np.sin(x)))(x[:3]), A.T * np.cos(x[:3]))
    close(run(tj.jacobian(lambda x: (x**2).sum()))(x), 2 * x)


def test_jacobian_has_the_structure_of_result_and_arguments() -> None:
    def f(p: Any, y: Any) -> Any:
        return {"sum": p["w"].sum() + y, "scaled": p["w"] * y}

    w = np.arange(3.0)
    table = tj.jacobian(f, argnums=(0, 1))({"w": w}, 2.0)
    close(table["sum"], ({"w": np.ones(3)}, np.array(1.0)))
    close(table["scaled"], ({"w": 2 * np.eye(3)}, w))
    (rows, aux) = tj.jacobian(lambda x: (x * x, x), has_aux=True)(w)
    close(rows, np.diag(2 * w))
    close(aux, w)


def test_hessian(run: Transformed) -> None:
    x = RNG.standard_normal(3)
    close(
        run(tj.hessian(lambda x: (x**3).sum() + x[0] * x[2]))(x),
        np.diag(6 * x) + np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]]),
    )
    blocks = tj.hessian(lambda p: p["a"] * p["b"] ** 2)({"a": 2.0, "b": 3.0})
    close(blocks["b"], {"a": np.array(6.0), "b": np.array(4.0)})


def test_third_derivative() -> None:
    f = tj.jacobian(tj.jacobian(tj.jacobian(lambda x: x**4)))
    close(f(2.0), np.array(48.0))


# vmap


def test_axes(run: Transformed) -> None:
    x = RNG.standard_normal((2, 3, 4))
    f = tj.vmap(lambda a, b: a @ b, in_axes=(1, None), out_axes=1)
    close(run(f)(x, B), np.stack([x[:, i] @ B for i in range(3)], 1))
    g = tj.vmap(lambda p, s: {"y": p["w"] * s + p["b"]}, in_axes=({"w": -1, "b": None}, 0))
    want = np.stack([x[..., i] * i + 1.5 for i in range(4)])
    close(run(g)({"w": x, "b": 1.5}, np.arange(4.0)), {"y": want})
    close(run(tj.vmap(lambda a: (a.sum(), 1.0), out_axes=(0, None)))(x), (x.sum((1, 2)), 1.0))
    close(run(tj.vmap(lambda a: 2.0))(x), np.full(2, 2.0))
    close(run(tj.vmap(lambda a, *, k: a + k))(x, k=x), 2 * x)
    close(tj.vmap(lambda: np.float64(3), axis_size=2)(), np.full(2, 3.0))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_vmap_of_grad_is_a_loop(name: str) -> None:
    x = RNG.standard_normal((3, 3, 4))
    f = tj.value_and_grad(FUNCTIONS[name])
    values, slopes = tj.vmap(f)(x)
    for i in range(3):
        close((values[i], slopes[i]), f(x[i]), rtol=1e-8)


def test_nested(run: Transformed) -> None:
    x, y = RNG.standard_normal((3, 2)), RNG.standard_normal((5, 2))
    pairs = tj.vmap(lambda a: tj.vmap(lambda b: np.tanh(a @ b))(y))
    close(run(pairs)(x), np.tanh(x @ y.T))
    total = tj.grad(lambda x: tj.vmap(lambda a: tj.vmap(lambda b: np.tanh(a @ b))(y))(x).sum())
    close(run(total)(x), (1 - np.tanh(x @ y.T) ** 2) @ y)
    cubes = tj.vmap(tj.hessian(lambda r: (r**3).sum()))
    close(run(cubes)(x), np.stack([np.diag(6 * r) for r in x]))
    slopes = tj.vmap(tj.vmap(tj.grad(np.sin)))
    close(run(slopes)(x), np.cos(x))


def test_per_example_gradients_equal_a_loop() -> None:
    w, x, labels = RNG.standard_normal((4, 3)), RNG.standard_normal((6, 4)), np.arange(6) % 3

    def loss(w: Any, x: Any, label: Any) -> Any:
        return tj.nn.softmax_cross_entropy(x @ w, label)

    each = tj.jit(tj.vmap(tj.grad(loss), in_axes=(None, 0, 0)))(w, x, labels)
    close(each, np.stack([tj.grad(loss)(w, x[i], labels[i]) for i in range(6)]))


def test_random_numbers_in_lanes_are_those_of_each_key(run: Transformed) -> None:
    keys = np.stack([tj.random.key(i) for i in range(3)])
    got = run(tj.vmap(lambda k: tj.random.normal(k, (5,))))(keys)
    np.testing.assert_allclose(got, np.stack([tj.random.normal(k, (5,)) for k in keys]), rtol=1e-5)


def test_misuse_of_vmap() -> None:
    with pytest.raises(errors.ShapeError, match=re.escape("3 (f64[3,4] over axis 0) and 4")):
        tj.vmap(lambda a, b: a)(A, B)
    with pytest.raises(errors.ShapeError, match="has no axis 2"):
        tj.vmap(lambda a: a, in_axes=2)(A)
    with pytest.raises(ValueError, match="in_axes has 1 entries"):
        tj.vmap(lambda a, b: a, in_axes=(0,))(A, A)
    with pytest.raises(ValueError, match="does not match the structure"):
        tj.vmap(lambda a: a["x"], in_axes=([0, 0],))({"x": A})
    with pytest.raises(ValueError, match="out_axes=None"):
        tj.vmap(lambda a: a, out_axes=None)(A)
    with pytest.raises(errors.ConcretizationError, match="has no value under vmap"):
        tj.vmap(lambda a: a if a.sum() > 0 else -a)(A)
    v = tj.Variable(np.zeros(4), name="v")
    with pytest.raises(
        errors.UnsupportedError, match="assigns a value per element to variable 'v'"
    ):
        tj.vmap(lambda a: v.assign(a))(A)


def test_misuse_of_vjp_and_jvp() -> None:
    _, pullback = tj.vjp(np.sin, A)
    with pytest.raises(errors.GradError, match="the cotangents are"):
        pullback((A, A))
    with pytest.raises(errors.GradError, match=re.escape("f64[2] does not fit f64[3,4]")):
        pullback(np.ones(2))
    with pytest.raises(errors.GradError, match="differ in structure"):
        tj.jvp(np.sin, (A,), (A, A))
    with pytest.raises(errors.GradError, match="are tuples"):
        tj.jvp(np.sin, A, A)
    with pytest.raises(errors.GradError, match="jacobian: argument 0 is i64"):
        tj.jacobian(lambda x: x)(np.arange(3))
    with pytest.raises(errors.GradError, match="returned i64"):
        tj.jacobian(lambda x: np.argmax(x))(A)


def test_an_element_kept_beyond_its_vmap() -> None:
    kept = []

    def f(x: Any) -> Any:
        tj.vmap(lambda row: kept.append(row * 2) or row)(x)  # type: ignore[func-returns-value]
        return (kept[-1] + 1).sum()

    with pytest.raises(errors.EscapedTracerError, match="an element inside a vmap"):
        tj.jit(f)(A)
    with pytest.raises(errors.ConcretizationError, match="has no value under vmap"):
        tj.value_and_grad(f)(A)
