"""Modules: what they hold, in which order and by which name; in closures, arguments and trees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit import nn, optim

X = np.random.default_rng(1).standard_normal((6, 4)).astype(np.float32)


class Net(nn.Module):
    """As on the page of what users type."""

    def __init__(self) -> None:
        self.first = nn.Dense(5, activation="relu")
        self.blocks = [nn.BatchNormalization(), nn.Dropout(0.5, seed=1)]
        self.scale = tj.Variable(np.ones(3, np.float32), name="scale")
        self.named = {"out": nn.Dense(3)}
        self.count = tj.Variable(np.int32(0), trainable=False)

    def __call__(self, x: Any, training: bool = False) -> Any:
        x = self.first(x)
        for block in self.blocks:
            x = block(x, training=training)
        self.count.assign(self.count + 1)
        return self.named["out"](x) * self.scale


def net() -> Net:
    nn.set_random_seed(1)
    made = Net()
    made(X)
    return made


NAMES = [
    "scale", "count", "first.kernel", "first.bias", "blocks.0.gamma", "blocks.0.beta",
    "blocks.0.moving_mean", "blocks.0.moving_variance", "blocks.1.seed_state", "named.out.kernel",
    "named.out.bias",
]  # fmt: skip


def test_variables_stand_in_keras_order() -> None:
    """Own ones first, trainable before others; then those of what is inside, in order."""
    model = net()
    assert [n for n, _ in model.named_variables()] == NAMES
    trained = [n for n, _ in model.named_parameters()]
    assert trained == [
        n for n in NAMES if n.split(".")[-1] in ("scale", "kernel", "bias", "gamma", "beta")
    ]
    assert [id(v) for v in model.parameters()] == [id(v) for _, v in model.named_parameters()]
    rest = {id(v) for v in model.non_trainable_variables}
    assert rest == {id(v) for v in model.variables} - {id(v) for v in model.parameters()}
    assert len(model.weights) == len(NAMES) - 1
    assert model.count_params() == 3 + 1 + 25 + 20 + 18
    model.first.trainable = False
    assert [n for n, _ in model.named_parameters()] == [n for n in trained if "first" not in n]


def test_what_is_held_twice_counts_once() -> None:
    model = net()
    model.again = model.first
    model.tied = model.scale
    model.itself = [model]
    assert [n for n, _ in model.named_variables()] == NAMES


def test_state_dict_round_trip() -> None:
    model, other = net(), Net()
    state = model.state_dict()
    assert list(state) == NAMES
    with pytest.raises(KeyError, match=r"load_state_dict: missing \[\], unknown \['blocks.0.beta'"):
        other.load_state_dict(state)
    other(X)
    other.load_state_dict(state)
    np.testing.assert_array_equal(other(X), model(X))
    before = other.state_dict()
    with pytest.raises(
        tj.errors.ShapeError, match=r"'named.out.bias' is f32\[3\], the array has s"
    ):
        other.load_state_dict({**state, "scale": np.zeros(3), "named.out.bias": np.zeros(2)})
    np.testing.assert_array_equal(other.scale.numpy(), before["scale"])
    other.load_state_dict({"scale": np.zeros(3)}, strict=False)
    np.testing.assert_array_equal(other.scale.numpy(), 0)
    other.set_weights([w * 0 for w in model.get_weights()])
    assert not any(w.any() for w in other.get_weights())
    with pytest.raises(tj.errors.ShapeError, match="2 arrays for 10 weights"):
        other.set_weights([1, 2])


def test_train_and_eval_reach_everything_inside() -> None:
    model = nn.Dropout(0.5)
    holder = Net()
    holder.blocks.append(model)
    assert not model.training
    assert holder.train() is holder and model.training
    assert (model(np.ones(200, np.float32)) == 0).any()
    assert (model(np.ones(200, np.float32), training=False) == 1).all()
    with nn.training_mode(False):
        assert (model(np.ones(200, np.float32)) == 1).all()
    holder.eval()
    assert (model(np.ones(200, np.float32)) == 1).all()


def test_the_step_of_the_front_page(target: str) -> None:
    model, opt = net(), optim.Adam(1e-2)
    labels = np.arange(6) % 3

    def step(x: Any, y: Any) -> Any:
        def loss_fn() -> Any:
            return nn.softmax_cross_entropy(model(x, training=True), y).mean()

        loss, grads = tj.value_and_grad(loss_fn, wrt=model.trainable_variables)()
        opt.apply(grads, model.trainable_variables)
        return loss

    jitted = tj.jit(step, target=target)
    start = model.state_dict()
    losses = [float(jitted(X, labels)) for _ in range(4)]
    model.load_state_dict(start)
    for variable in opt.variables:
        variable.assign(0)
    np.testing.assert_allclose([float(step(X, labels)) for _ in range(4)], losses, rtol=2e-4)
    assert jitted.cache_info().entries == 1
    assert model.count.numpy() == start["count"] + 4


def test_weights_may_be_made_while_a_step_is_traced(target: str) -> None:
    model = Net()
    f = tj.jit(lambda x: model(x), target=target)
    first = f(X)
    np.testing.assert_allclose(model(X), first, rtol=1e-5)
    model.scale.assign(model.scale * 2)
    np.testing.assert_allclose(f(X), 2 * first, rtol=1e-5)
    assert f.cache_info().entries == 1


def test_a_module_as_an_argument(target: str) -> None:
    model = net()
    f = tj.jit(lambda m, x: m(x), target=target)
    np.testing.assert_allclose(f(model, X), model(X), rtol=1e-5, atol=1e-6)
    f(model, X)
    assert f.cache_info().entries == 1
    before = f(model, X)
    assert (f(net(), X) == before).all() and f.cache_info().entries == 2
    model.blocks[1].training = True
    f(model, X)
    assert f.cache_info().entries == 3


def test_a_module_is_a_tree() -> None:
    model = net()
    leaves = tj.tree.leaves(model)
    assert [id(v) for v in leaves] == [id(v) for v in model.variables]
    zeros = tj.tree.map(lambda v: np.zeros_like(v.numpy()), model)
    assert isinstance(zeros, Net) and zeros is not model
    assert len(tj.tree.leaves(zeros)) == len(leaves)
    ones = tj.tree.map(lambda a: a + 1, zeros)
    np.testing.assert_array_equal(ones.first.kernel, np.ones((4, 5)))
    assert model.first.kernel.numpy().any()
    assert tj.tree.map(lambda v: v, model) is model


def test_repr_shows_what_is_inside() -> None:
    assert repr(nn.Dense(3, activation="relu")) == "Dense(3, activation='relu')"
    assert "  (blocks.1): Dropout(0.5, seed=1)\n" in repr(Net())


def test_a_layer_of_ones_own() -> None:
    class Scaled(nn.Layer):
        def __init__(self, units: int, **keywords: Any) -> None:
            super().__init__(**keywords)
            self.units = units

        def build(self, input_shape: Any) -> None:
            self.w = self.add_weight((input_shape[-1], self.units), "ones", regularizer="l2")
            self.b = self.add_weight((self.units,), "zeros", trainable=False, constraint="non_neg")

        def call(self, x: Any, training: bool | None = None) -> Any:
            self.add_loss(np.sum(x))
            return x @ self.w + (1 if training else 0)

    layer = Scaled(2, name="mine")
    assert layer.compute_output_shape((None, 4)) == (None, 2)
    np.testing.assert_allclose(layer(X), np.repeat(X.sum(1, keepdims=True), 2, 1), rtol=1e-5)
    np.testing.assert_allclose(layer(X, True) - layer(X), 1, rtol=1e-5)
    assert layer.get_config() == {"units": 2, "name": "mine"}
    assert float(layer.losses[0]) == np.float32(0.08)
    layer.b.assign(np.array([-1, 1]))
    layer.apply_constraints()
    np.testing.assert_array_equal(layer.b.numpy(), [0, 1])
    with nn.collected_losses() as found:
        layer(X)
    assert float(found[0]) == pytest.approx(X.sum(), rel=1e-5)


def test_activity_regularizer_is_per_example() -> None:
    layer = nn.ActivityRegularization(l1=0.5)
    with nn.collected_losses() as found:
        layer(X)
    assert float(found[0]) == pytest.approx(0.5 * np.abs(X).sum() / 6, rel=1e-5)
