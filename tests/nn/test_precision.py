"""Mixed precision, loss scaling, recomputation: weights in f32, the same result within rounding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.nn.test_models import X, Y
from tracejit import losses, metrics, nn, optim


@pytest.fixture
def policy() -> Any:
    yield nn.set_dtype_policy
    nn.set_dtype_policy(None)


def model_of(**keywords: Any) -> tj.Sequential:
    nn.set_random_seed(4)
    layers = [nn.Dense(16, "relu", **keywords), nn.BatchNormalization(**keywords), nn.Dense(3)]
    model = tj.Sequential([tj.Input((6,)), *layers])
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optim.Adam(0.01), loss, metrics=["accuracy"])
    return model


def f16_dots(model: Any) -> set[str]:
    """The dtypes in which the training step multiplies matrices."""
    lowered = model.step("train").lower(X[:32], Y[:32], None)
    lines = [line for line in lowered.dump("traced").splitlines() if "dot_general" in line]
    return {line.split(":")[1].split("[")[0].strip() for line in lines}


@pytest.mark.parametrize("name", ["mixed_bfloat16", "mixed_float16"])
def test_a_model_in_16_bits_learns_the_same(name: str, policy: Any, tmp_path: Path) -> None:
    wanted = model_of().fit(X, Y, epochs=6, verbose=0).history
    policy(name)
    assert nn.dtype_policy() == name
    model = model_of()
    policy(None)
    assert {v.dtype for v in model.weights} == {np.dtype(np.float32)}
    model.fit(X, Y, epochs=4, verbose=0)
    assert f16_dots(model) == {"bf16" if name == "mixed_bfloat16" else "f16"}
    assert isinstance(model.optimizer, optim.LossScaleOptimizer) == (name == "mixed_float16")
    model.save(tmp_path / "m")
    again = tj.load_model(tmp_path / "m")
    for one in (model, again):
        found = one.fit(X, Y, epochs=6, initial_epoch=4, verbose=0).history
        # In f16 the first steps overflow, until the scale is small enough: they move nothing.
        near = 0.05 if name == "mixed_bfloat16" else 0.2
        np.testing.assert_allclose(found["loss"], wanted["loss"][4:], rtol=near)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert again.layers[0].compute_dtype == model.layers[0].compute_dtype != np.float32


def test_losses_and_metrics_of_16_bits_are_summed_in_32() -> None:
    p = np.full((4096, 2), 0.1).astype("float16")
    y = np.zeros((4096, 2))
    exact = float(p[0, 0].astype(np.float64) ** 2)
    assert losses.MeanSquaredError()(y, p) == pytest.approx(exact, rel=1e-5)
    assert metrics.MeanSquaredError()(y, p) == pytest.approx(exact, rel=1e-5)


def test_a_step_with_an_overflow_changes_nothing_but_the_scale(target: str) -> None:
    inner = optim.SGD(0.5, 0.9)
    opt = optim.LossScaleOptimizer(inner, initial_scale=8.0, dynamic_growth_steps=2)
    opt.learning_rate = 1.0
    weight = tj.Variable(np.ones(2, np.float32))
    step = tj.jit(lambda g: opt.apply([opt.scale_loss(g)], [weight]), target=target)
    scales, weights = [], []
    for value in (1.0, np.inf, 1.0, np.nan, 1.0, 1.0, 1.0):
        step(np.array([value, 0], np.float32))
        scales.append(float(opt.scale))
        weights.append(float(weight.numpy()[0]))
    assert scales == [8, 4, 4, 2, 2, 4, 4]
    plain, moved = optim.SGD(1.0, 0.9), tj.Variable(np.ones(2, np.float32))
    wanted = []
    for _ in range(5):
        plain.apply([np.array([1, 0], np.float32)], [moved])
        wanted.append(float(moved.numpy()[0]))
    assert weights == [wanted[i] for i in (0, 0, 1, 1, 2, 3, 4)]
    assert int(opt.iterations) == 5


def test_a_layer_of_remat_keeps_less_and_gives_the_same() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((64, 32)).astype(np.float32)
    steps = []
    for wrap in (lambda layer: layer, nn.Remat):
        nn.set_random_seed(2)
        inner = [
            tj.Sequential([nn.Dense(128, "gelu"), nn.Dropout(0.1), nn.Dense(32)]) for _ in range(2)
        ]
        model = tj.Sequential([tj.Input((32,)), *map(wrap, inner)])
        variables = model.trainable_variables

        @tj.jit
        def step(x: Any, model: Any = model, variables: Any = variables) -> Any:
            return tj.grad(lambda: np.sum(model(x, training=True) ** 2), wrt=variables)()

        steps.append(step)
    kept, again = (step.lower(x).cost() for step in steps)
    assert again.flops > kept.flops
    assert again.arena_bytes < 0.7 * kept.arena_bytes
    for a, b in zip(*(step(x) for step in steps), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
