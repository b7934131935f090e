"""vjp, jvp, jacobian, hessian, custom_vjp, checkpoint, vmap: against definitions and each other."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.frontend.test_grad import FUNCTIONS, numeric
from tracejit import errors

RNG = np.random.default_rng(5)
A, B = RNG.standard_normal((3, 4)), RNG.standard_normal((4, 2))
Transformed = Callable[[Callable[..., Any]], Callable[..., Any]]


def eager(f: Callable[..., Any]) -> Callable[..., Any]:
    return f


def compiled(f: Callable[..., Any]) -> Callable[..., Any]:
    return tj.jit(f)


def interpreted(f: Callable[..., Any]) -> Callable[..., Any]:
    return tj.jit(f, target="interpreter")


@pytest.fixture(params=[eager, interpreted, compiled])
def run(request: pytest.FixtureRequest) -> Transformed:
    return request.param


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


# custom_vjp


def clipped_gradient() -> Any:
    @tj.custom_vjp
    def identity(x: Any, limit: Any) -> Any:
        return x

    def fwd(x: Any, limit: Any) -> Any:
        return x, limit

    def bwd(limit: Any, g: Any) -> Any:
        return np.clip(g, -limit, limit), None

    identity.defvjp(fwd, bwd)
    return identity


def test_the_written_derivative_is_used(run: Transformed) -> None:
    clip = clipped_gradient()
    g = run(tj.grad(lambda x: (clip(x, 1.0) ** 3).sum()))(A)
    close(g, np.clip(3 * A**2, -1, 1))
    close(clip(A, 1.0), A)
    # Twice: the cotangent is clipped where both paths have met.
    both = run(tj.grad(lambda x: (lambda y: (y * 0.8 + y * 0.8).sum())(clip(x, 1.0))))(A)
    close(both, np.ones_like(A))


def log1pexp() -> Any:
    @tj.custom_vjp
    def f(x: Any) -> Any:
        return np.log1p(np.exp(x))

    f.defvjp(lambda x: (f(x), x), lambda x, g: (g * (1 - 1 / (1 + np.exp(x))),))
    return f


def test_a_written_derivative_is_differentiated_again(run: Transformed) -> None:
    f = log1pexp()
    s = 1 / (1 + np.exp(-1.3))
    close(run(tj.grad(tj.grad(f)))(1.3), np.array(s * (1 - s)), rtol=1e-6)
    close(run(lambda x: tj.jvp(f, (x,), (2.0,))[1])(np.float64(1.3)), np.array(2 * s))


def test_written_derivatives_of_several_results(run: Transformed) -> None:
    @tj.custom_vjp
    def split(x: Any, y: Any) -> Any:
        return {"a": x * y, "b": x + y}

    def bwd(res: Any, g: Any) -> Any:
        x, y, tag = res
        assert tag == "tag"
        return 10 * g["a"] * y + g["b"], g["a"] * x * g["b"]

    split.defvjp(lambda x, y: (split.__wrapped__(x, y), (x, y, "tag")), bwd)

    def loss(x: Any, y: Any) -> Any:
        parts = split(x, y)
        # What reads `a` is made before `b` is read: both cotangents must still be there at once.
        return 2 * parts["a"] + 3 * parts["b"]

    close(run(tj.grad(loss, argnums=(0, 1)))(5.0, 7.0), (np.array(143.0), np.array(30.0)))


def test_arguments_that_are_not_differentiated() -> None:
    seen = []

    def apply(f: Any, x: Any) -> Any:
        return f(x)

    scaled = tj.custom_vjp(apply, nondiff_argnums=(0,))
    scaled.defvjp(lambda f, x: (f(x), x), lambda f, x, g: (seen.append(f), (7 * g * f(x),))[1])
    close(tj.grad(lambda x: scaled(np.sin, x))(2.0), np.array(7 * np.sin(2.0)), rtol=1e-6)
    assert seen == [np.sin]


def test_written_derivatives_in_lanes(run: Transformed) -> None:
    clip = clipped_gradient()
    cubes = tj.grad(lambda x: (tj.vmap(lambda r: clip(r, 1.0))(x) ** 3).sum())
    close(run(cubes)(A), np.clip(3 * A**2, -1, 1))
    rows = tj.vmap(tj.grad(lambda r: (clip(r, 1.0) ** 3).sum()))
    close(run(rows)(A), np.clip(3 * A**2, -1, 1))


def test_misuse_of_custom_vjp() -> None:
    bare = tj.custom_vjp(lambda x: x)
    assert bare(3.0) == 3.0
    with pytest.raises(errors.GradError, match=r"no derivative yet .*defvjp"):
        tj.grad(bare)(1.0)
    bare.defvjp(lambda x: x, lambda r, g: (g,))
    with pytest.raises(errors.GradError, match=r"must return \(result, residuals\)"):
        tj.grad(bare)(1.0)
    bare.defvjp(lambda x: (x, None), lambda r, g: g)
    with pytest.raises(errors.GradError, match="a tuple of 1 cotangents"):
        tj.grad(bare)(1.0)
    bare.defvjp(lambda x: (x, None), lambda r, g: (np.ones(2),))
    with pytest.raises(errors.GradError, match=r"returned f64\[2\] as cotangent of f64\[\]"):
        tj.grad(bare)(1.0)


# checkpoint


def block(w: Any, x: Any) -> Any:
    return np.tanh(np.sin(x @ w) + x)


def deep(w: Any, x: Any, wrap: Any) -> Any:
    for i in range(4):
        x = wrap(block)(w[i], x)
    return (x**2).sum()


def test_checkpoint_changes_no_value(run: Transformed) -> None:
    w, x = RNG.standard_normal((4, 4, 4)), A
    plain = tj.value_and_grad(lambda w, x: deep(w, x, lambda f: f), argnums=(0, 1))
    again = tj.value_and_grad(lambda w, x: deep(w, x, tj.checkpoint), argnums=(0, 1))
    close(run(again)(w, x), plain(w, x))
    twice = tj.grad(lambda x: (tj.grad(lambda x: deep(w, x, tj.checkpoint))(x) ** 2).sum())
    reference = tj.grad(lambda x: (tj.grad(lambda x: deep(w, x, lambda f: f))(x) ** 2).sum())
    close(run(twice)(x), reference(x))


def test_layers_with_one_weight_count_each_path_once(run: Transformed) -> None:
    w = RNG.standard_normal((4, 4))

    def loss(wrap: Any) -> Any:
        def f(w: Any) -> Any:
            x = A
            for _ in range(3):
                x = wrap(block)(w, x)
            return (x**2).sum()

        return f

    plain = tj.grad(loss(lambda f: f))(w)
    close(run(tj.grad(loss(tj.checkpoint)))(w), plain)
    nested = tj.checkpoint(lambda w: loss(tj.checkpoint)(w))
    close(run(tj.grad(nested))(w), plain)
    np.testing.assert_allclose(plain, numeric(loss(lambda f: f), w), rtol=1e-5, atol=1e-7)


def test_checkpoint_of_what_it_captures(run: Transformed) -> None:
    v = tj.Variable(RNG.standard_normal((4, 4)), name="v")

    def loss(x: Any) -> Any:
        y = tj.checkpoint(lambda x: np.sin(x @ v.value) @ v.value)(x)
        return (y**2).sum()

    def plain(x: Any) -> Any:
        return ((np.sin(x @ v.value) @ v.value) ** 2).sum()

    close(run(tj.grad(loss, wrt=[v]))(A), tj.grad(plain, wrt=[v])(A))
    close(run(tj.vmap(tj.grad(loss)))(A), tj.vmap(tj.grad(plain))(A))
    close(run(tj.grad(lambda x: tj.vmap(loss)(x).sum()))(A), tj.vmap(tj.grad(plain))(A))


def test_checkpoint_computes_again_and_keeps_less() -> None:
    w, x = np.ones((4, 64, 64), "f4"), np.ones((256, 64), "f4")

    def steps(wrap: Any) -> Any:
        return tj.jit(tj.grad(lambda w, x: deep(w, x, wrap))).lower(w, x)

    plain, again = steps(lambda f: f), steps(tj.checkpoint)
    count = [s.dump("optimized").count("= sin") for s in (plain, again)]
    assert count == [4, 8]
    assert again.cost().arena_bytes < plain.cost().arena_bytes


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
