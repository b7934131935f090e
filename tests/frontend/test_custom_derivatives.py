"""custom_vjp and checkpoint: derivatives that are written, and values that are computed again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.frontend.checks import Transformed
from tests.frontend.test_grad import numeric
from tests.frontend.test_transformations import close
from tracejit import errors

RNG = np.random.default_rng(5)
A, B = RNG.standard_normal((3, 4)), RNG.standard_normal((4, 2))


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
