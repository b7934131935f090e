"""Variables, optimizers, and the two kinds of user code."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit import nn, optim

RNG = np.random.default_rng(2)


def test_a_variable_acts_as_its_value() -> None:
    a = RNG.random((3, 2))
    v = tj.Variable(a, name="v")
    np.testing.assert_array_equal(v + 1, a + 1)
    np.testing.assert_array_equal(2 * v @ v.T, 2 * a @ a.T)
    np.testing.assert_array_equal(np.exp(v), np.exp(a))
    np.testing.assert_array_equal(np.concatenate([v, a]), np.concatenate([a, a]))
    np.testing.assert_array_equal(v.sum(0), a.sum(0))
    np.testing.assert_array_equal(v[1:], a[1:])
    np.testing.assert_array_equal(np.asarray(v), a)
    assert isinstance(v + 1, np.ndarray)
    assert (v.shape, v.dtype, v.ndim, v.size, len(v)) == ((3, 2), np.float64, 2, 6, 3)
    assert v.trainable and v.name == "v"


def test_a_variable_has_memory_of_its_own() -> None:
    a = np.ones(3, np.float32)
    v = tj.Variable(a)
    assert v.buffer.ctypes.data % 64 == 0
    a += 1
    np.testing.assert_array_equal(v.numpy(), [1, 1, 1])
    copy = v.numpy()
    address = v.buffer.ctypes.data
    assert v.assign(copy + 1) is v
    v.value = v.value * 2
    np.testing.assert_array_equal(v.numpy(), [4, 4, 4])
    np.testing.assert_array_equal(copy, [1, 1, 1])
    assert v.buffer.ctypes.data == address
    assert tj.Variable(0.5).dtype == np.float32
    assert tj.Variable([1.0], dtype="f2").dtype == np.float16


def test_variables_are_read_and_written_in_place_by_a_step(target: str) -> None:
    count, total = tj.Variable(np.int32(0), name="count"), tj.Variable(np.zeros(3), name="total")

    @tj.jit(target=target)
    def step(x: Any) -> Any:
        before = total.value
        count.assign(count + 1)
        total.assign(total + x)
        total.assign(total * count)
        return before, total

    x = RNG.random(3)
    want = np.zeros(3)
    for i in range(3):
        before, after = step(x)
        np.testing.assert_allclose(before, want)
        want = (want + x) * (i + 1)
        np.testing.assert_allclose(after, want)
        np.testing.assert_allclose(total.numpy(), want)
    assert count.numpy() == 3
    total.assign(np.zeros(3))
    np.testing.assert_array_equal(step(x)[0], np.zeros(3))
    assert step.cache_info().entries == 1
    names = [n.attrs["name"] for n in step.lower(x).graph.inputs]
    assert sorted(names) == ["count", "total", "x"]


def test_variables_as_arguments(target: str) -> None:
    @tj.jit(target=target)
    def step(variables: Any, x: Any) -> Any:
        for v in variables:
            v.assign(v + x)
        return sum(v.sum() for v in variables)

    a, b = tj.Variable(np.ones(2)), tj.Variable(np.zeros(2))
    assert step([a, b], 2.0) == 2 * (3 + 2)
    assert step([a, b], 1.0) == 2 * (4 + 3)
    assert step([b, a], 1.0) == 2 * (4 + 5)
    np.testing.assert_array_equal(a.numpy(), [5, 5])


def test_an_error_while_tracing_leaves_variables_alone(target: str) -> None:
    v = tj.Variable(np.ones(2))

    def f() -> Any:
        v.assign(v * 2)
        raise KeyError("mine")

    for g in (tj.jit(f, target=target), tj.grad(f, wrt=[v])):
        with pytest.raises(KeyError):
            g()
    np.testing.assert_array_equal(v.numpy(), [1, 1])


SIZES = (8, 16, 4)


def parameters(dtype: Any) -> list[dict[str, Any]]:
    rng = np.random.default_rng(3)
    return [
        {"w": rng.standard_normal((a, b)).astype(dtype) / a**0.5, "b": np.zeros(b, dtype)}
        for a, b in pairwise(SIZES)
    ]


def forward(layers: Any, x: Any) -> Any:
    for layer in layers[:-1]:
        x = nn.relu(x @ layer["w"] + layer["b"])
    return x @ layers[-1]["w"] + layers[-1]["b"]


OPTIMIZERS = {
    "Adam": lambda: optim.Adam(1e-2),
    "SGD": lambda: optim.SGD(0.1),
    "momentum": lambda: optim.SGD(0.1, momentum=0.9),
    "Nesterov": lambda: optim.SGD(0.1, momentum=0.9, nesterov=True),
    "schedule": lambda: optim.Adam(lambda step: 0.01 / (1 + 0.5 * step)),
}


def train_trees(name: str, dtype: Any, target: str | None) -> list[float]:
    """Pure pytrees with donation."""
    opt = OPTIMIZERS[name]()
    x, y = batch(dtype)

    def step(params: Any, state: Any, x: Any, y: Any) -> Any:
        def loss_fn(params: Any) -> Any:
            return nn.softmax_cross_entropy(forward(params, x), y).mean()

        loss, grads = tj.value_and_grad(loss_fn)(params)
        params, state = opt.update(grads, state, params)
        return params, state, loss

    if target is not None:
        step = tj.jit(step, donate_argnames=("params", "state"), target=target)
    params = parameters(dtype)
    state = opt.init(params)
    losses = []
    for _ in range(6):
        params, state, loss = step(params, state, x, y)
        losses.append(float(loss))
    return losses


def train_variables(name: str, dtype: Any, target: str | None) -> list[float]:
    """Variables captured by the step."""
    opt = OPTIMIZERS[name]()
    x, y = batch(dtype)
    layers = tj.tree.map(tj.Variable, parameters(dtype))
    variables = tj.tree.leaves(layers)

    def step(x: Any, y: Any) -> Any:
        def loss_fn() -> Any:
            return nn.softmax_cross_entropy(forward(layers, x), y).mean()

        loss, grads = tj.value_and_grad(loss_fn, wrt=variables)()
        opt.apply(grads, variables)
        return loss

    if target is not None:
        step = tj.jit(step, target=target)
    losses = [float(step(x, y)) for _ in range(6)]
    assert opt.step.numpy() == 6
    assert len(opt.variables) == 1 + len(opt.slots) * len(variables)
    return losses


def batch(dtype: Any) -> tuple[Any, Any]:
    rng = np.random.default_rng(4)
    return rng.standard_normal((12, 8)).astype(dtype), rng.integers(0, 4, 12)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_kinds_of_user_code_train_alike(name: str, dtype: Any, target: str) -> None:
    losses = train_trees(name, dtype, target)
    assert losses == train_variables(name, dtype, target)
    assert losses[-1] < losses[0]
    tolerance = 2e-5 if dtype == np.float32 else 1e-11
    np.testing.assert_allclose(losses, train_trees(name, dtype, None), rtol=tolerance)
    np.testing.assert_allclose(losses, train_variables(name, dtype, None), rtol=tolerance)


def test_adam_is_the_papers_algorithm() -> None:
    p, opt = np.array([1.0, -2.0]), optim.Adam(0.1, 0.8, 0.9, 1e-6)
    state = opt.init(p)
    m, v, q = np.zeros(2), np.zeros(2), p.copy()
    for t in range(1, 5):
        g = np.array([0.5, -0.1]) * t
        p, state = opt.update(g, state, p)
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g**2
        step = 0.1 * np.sqrt(1 - 0.9**t) / (1 - 0.8**t)
        q -= step * m / (np.sqrt(v) + 1e-6)
        np.testing.assert_allclose(p, q, rtol=1e-14)
    assert state["step"] == 4


def test_nesterov_is_keras_formula() -> None:
    p, opt = np.array([1.0]), optim.SGD(0.1, 0.9, nesterov=True)
    state = opt.init(p)
    p, state = opt.update(np.array([2.0]), state, p)
    np.testing.assert_allclose(p, 1 + 0.9 * -0.2 - 0.2)


def test_optimizers_refuse_nonsense() -> None:
    with pytest.raises(ValueError, match=r"beta_2 = 1.5 is outside \[0, 1\)"):
        optim.Adam(beta_2=1.5)
    v = tj.Variable(np.ones(2))
    with pytest.raises(ValueError, match="0 gradients for 1 variables"):
        optim.SGD().apply([], [v])
