"""Gradients through the front end: against finite differences, nested, by Variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit import nn

RNG = np.random.default_rng(1)


def numeric(f: Callable[[Any], Any], x: Any, h: float = 1e-6) -> Any:
    """Central differences of a scalar f at x: f64[...]."""
    out = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += h
        down[i] -= h
        out[i] = (f(up) - f(down)) / (2 * h)
    return out


LABELS = np.array([2, 0, 1])
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sum of squares": lambda x: (x * x).sum(),
    "matmul": lambda x: np.tanh(x @ x.T).sum(),
    "einsum": lambda x: np.einsum("ij,kj->", x, np.sin(x)),
    "slices": lambda x: (x[1:, ::-1] * x[:-1] ** 2).sum() + x[0, -1],
    "rows": lambda x: (x[np.array([0, 0, 2])] ** 3).sum(),
    "labels": lambda x: (x[np.arange(3), LABELS] ** 2).sum(),
    "var": lambda x: np.var(x, axis=0).sum() + np.std(x),
    "where": lambda x: np.where(x > 0, np.log(np.where(x > 0, x, 1)), x**2).sum(),
    "clip": lambda x: np.clip(x, -0.5, 0.5).sum() + np.max(x) + np.min(x, 1).sum(),
    "concatenate": lambda x: (np.concatenate([x, x**2], 1) * np.arange(8)).sum(),
    "stack, pad, roll": lambda x: (np.roll(np.pad(np.stack([x, -x]), 1), 2) ** 2).sum(),
    "logaddexp": lambda x: np.logaddexp(x, 0).sum() + np.logaddexp(x[0], x[1]).sum(),
    "hyperbolic": lambda x: (np.sinh(x) + np.cosh(x) + np.arctanh(x / 9) + np.cbrt(x)).sum(),
    "norm": lambda x: np.linalg.norm(x) + np.linalg.norm(x, axis=1).sum(),
    "prod": lambda x: np.prod(x, axis=1).sum(),
    "power": lambda x: (np.abs(x) ** 1.5 + 2.0**x + x**-2 + x**4).sum(),
    "softmax": lambda x: (nn.softmax(x) ** 2).sum() + nn.log_softmax(x, 0)[0].sum(),
    "logsumexp": lambda x: nn.logsumexp(x) + nn.logsumexp(x, 1, keepdims=True).sum(),
    "cross-entropy": lambda x: nn.softmax_cross_entropy(x, LABELS).mean(),
    "dense cross-entropy": lambda x: nn.softmax_cross_entropy(x, nn.softmax(x[::-1])).mean(),
    "sigmoid cross-entropy": lambda x: nn.sigmoid_cross_entropy(x, 0.3 * x).mean(),
    "activations": lambda x: sum(
        f(x).sum() for f in (nn.relu, nn.gelu, nn.silu, nn.sigmoid, nn.softplus, nn.elu, nn.selu)
    ),
    "exact gelu": lambda x: (nn.gelu(x, approximate=False) + nn.leaky_relu(x)).sum(),
    "norms": lambda x: (nn.layer_norm(x, x[0], x[1]) ** 3 + nn.rms_norm(x, x[0])).sum(),
    "take_along_axis": lambda x: (np.take_along_axis(x, LABELS[:, None], 1) ** 2).sum(),
    "diag": lambda x: (np.diag(x[0]) @ np.tril(x.T @ x)).sum() + np.trace(x) ** 2,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradient_equals_finite_differences(name: str) -> None:
    f = FUNCTIONS[name]
    x = RNG.standard_normal((3, 4))
    value, g = tj.value_and_grad(f)(x)
    assert g.dtype == x.dtype
    np.testing.assert_allclose(value, f(x), rtol=1e-12)
    np.testing.assert_allclose(g, numeric(f, x), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_compiled_gradient_equals_eager(name: str, target: str) -> None:
    x = RNG.standard_normal((3, 4))
    step = tj.jit(tj.value_and_grad(FUNCTIONS[name]), target=target)
    for got, want in zip(step(x), tj.value_and_grad(FUNCTIONS[name])(x), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)


def test_the_checker_catches_a_wrong_gradient() -> None:
    x = RNG.standard_normal((3, 4))
    wrong = tj.grad(lambda x: (x * tj.stop_gradient(x)).sum())(x)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(wrong, numeric(FUNCTIONS["sum of squares"], x), rtol=2e-5)


def test_nested_gradients_do_not_confuse_their_variables(target: str) -> None:
    def f(x: Any) -> Any:
        # d/dx (x * d/dy (x + y)) = 1; confusing the two variables gives 2.
        return x * tj.grad(lambda y: x + y)(1.0)

    assert tj.grad(f)(3.0) == 1.0
    assert tj.jit(tj.grad(f), target=target)(3.0) == 1.0
    third = tj.grad(tj.grad(tj.grad(lambda x: x**4)))
    np.testing.assert_allclose(third(np.float64(2.0)), 48.0)
    np.testing.assert_allclose(tj.jit(third, target=target)(np.float64(2.0)), 48.0)


def test_python_floats_give_default_floats() -> None:
    value, g = tj.value_and_grad(lambda x: np.sin(x) * 2)(0.5)
    assert value.dtype == g.dtype == np.float32
    np.testing.assert_allclose(g, 2 * np.cos(0.5), rtol=1e-6)


def test_define_by_run_branches_on_values() -> None:
    def f(x: Any) -> Any:
        total = x * 0
        while total < 10:
            total = total + x * x
        return total if x > 0 else -total

    x = np.float64(2.0)
    assert tj.grad(f)(x) == 3 * 2 * 2.0
    assert tj.grad(f)(-x) == 3 * 2 * 2.0


def test_argnums_aux_and_trees(target: str) -> None:
    def f(p: Any, x: Any, q: Any) -> Any:
        loss = (p["a"] * x).sum() + (q**2).sum()
        return loss, {"sum": x.sum(), "none": None}

    p, x, q = {"a": RNG.random(3)}, RNG.random(3), RNG.random(2)
    run = tj.value_and_grad(f, argnums=(0, 2), has_aux=True)
    for call in (run, tj.jit(run, target=target)):
        (loss, aux), (gp, gq) = call(p, x, q)
        np.testing.assert_allclose(loss, (p["a"] * x).sum() + (q**2).sum())
        np.testing.assert_allclose(aux["sum"], x.sum())
        np.testing.assert_array_equal(gp["a"], x)
        np.testing.assert_allclose(gq, 2 * q)
    g, aux = tj.grad(f, has_aux=True)(p, x, q)
    np.testing.assert_array_equal(g["a"], x)
    assert aux["none"] is None


def test_relu_is_flat_at_zero_and_keeps_nan() -> None:
    x = np.array([-1.0, -0.0, 0.0, 2.0, np.nan])
    np.testing.assert_array_equal(nn.relu(x), np.maximum(x, 0))
    g = tj.grad(lambda x: nn.relu(x)[:4].sum())(x)
    np.testing.assert_array_equal(g, [0, 0, 0, 1, 0])


def test_sigmoid_cross_entropy_at_zero() -> None:
    np.testing.assert_allclose(tj.grad(lambda x: nn.sigmoid_cross_entropy(x, 0.3))(0.0), 0.2)


def test_by_variables(target: str) -> None:
    w, b = tj.Variable(RNG.random((3, 2)), name="w"), tj.Variable(np.zeros(2), name="b")
    x = RNG.random((5, 3))

    def loss_fn() -> Any:
        return ((x @ w + b) ** 2).sum()

    run = tj.value_and_grad(loss_fn, wrt=[w, b])
    for call in (run, tj.jit(run, target=target)):
        loss, (gw, gb) = call()
        y = x @ w.numpy()
        np.testing.assert_allclose(loss, (y**2).sum())
        np.testing.assert_allclose(gw, 2 * x.T @ y)
        np.testing.assert_allclose(gb, 2 * y.sum(0))


def test_assignment_inside_the_loss_stays(target: str) -> None:
    w = tj.Variable(np.array([1.0, 2.0]), name="w")
    mean = tj.Variable(np.zeros(2), name="mean", trainable=False)
    x = RNG.random((5, 2))

    def loss_fn() -> Any:
        h = x * w
        mean.assign(0.9 * mean + 0.1 * h.mean(0))
        return (h - mean).sum()

    first = 0.1 * (x * w.numpy()).mean(0)
    tj.grad(loss_fn, wrt=[w])()
    np.testing.assert_allclose(mean.numpy(), first)
    tj.jit(tj.grad(loss_fn, wrt=[w]), target=target)()
    np.testing.assert_allclose(mean.numpy(), 1.9 * first)
