"""Every layer: against NumPy, jitted against eager, its gradients against differences."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.nn import references as ref
from tests.nn.layer_rows import F64, ROWS, Row
from tracejit import nn
from tracejit.nn.layer import Layer

# Without an answer of their own kind: integers go in, or numbers are drawn. Tested below.
ELSEWHERE = {
    "ActivityRegularization", "Dropout", "Embedding", "GaussianDropout", "GaussianNoise",
    "Normalization", "SpatialDropout1D", "SpatialDropout2D", "Conv3D", "Conv1DTranspose", "Layer",
    "Masking", "SimpleRNNCell", "LSTMCell", "GRUCell", "StackedRNNCells",
}  # fmt: skip


def inputs_of(row: Row) -> Any:
    rng = np.random.default_rng(7)
    arrays = [rng.standard_normal(shape) for shape in row.shapes]
    return arrays if len(arrays) > 1 else arrays[0]


def built(row: Row) -> Any:
    """The layer with every weight drawn anew, the second moments positive."""
    layer, rng = row.make(), np.random.default_rng(8)
    layer(inputs_of(row))
    layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.weights])
    return layer


def test_every_layer_has_a_row() -> None:
    layers = {
        n for n in nn.__all__ if isinstance(c := getattr(nn, n), type) and issubclass(c, Layer)
    }
    assert layers - {name.split()[0] for name in ROWS} - {"Dense"} == ELSEWHERE


@pytest.mark.parametrize("name", ROWS)
def test_a_layer_is_its_definition(name: str) -> None:
    row = ROWS[name]
    layer, x = built(row), inputs_of(row)
    assert tuple(w.shape for w in layer.weights) == row.weights
    eager = layer(x)
    np.testing.assert_allclose(eager, row.reference(layer.get_weights(), x), rtol=1e-10, atol=1e-12)
    assert eager.dtype == np.float64
    compiled = tj.jit(lambda x: layer(x))
    np.testing.assert_allclose(compiled(x), eager, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(compiled(x), eager, rtol=1e-12, atol=1e-14)


def differences(f: Callable[[], float], array: Any, step: float = 1e-6) -> Any:
    """The gradient of f by changing `array` in place."""
    out = np.empty_like(array)
    for i in np.ndindex(array.shape):
        held = array[i]
        array[i] = held + step
        above = f()
        array[i] = held - step
        out[i] = (above - f()) / (2 * step)
        array[i] = held
    return out


@pytest.mark.parametrize("name", ROWS)
def test_the_gradients_of_a_layer_are_differences(name: str) -> None:
    """By its weights and its first input, under jit, of a sum with unequal factors."""
    row = ROWS[name]
    layer, x = built(row), inputs_of(row)
    shape = np.shape(layer(x))
    factors = np.cos(np.arange(np.prod(shape))).reshape(shape)

    def loss(x: Any) -> Any:
        return np.sum(layer(x) * factors)

    first = x[0] if isinstance(x, list) else x
    by_weights = tj.jit(tj.grad(loss, wrt=layer.trainable_variables))(x)
    by_input = tj.tree.leaves(tj.jit(tj.grad(loss))(x))[0]
    places = [(first, by_input)]
    places += [(v.buffer, g) for v, g in zip(layer.trainable_variables, by_weights, strict=True)]
    for array, gradient in places:
        found = differences(lambda: float(loss(x)), array)
        np.testing.assert_allclose(gradient, found, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["Dense", "BatchNormalization", "Conv2D", "MultiHeadAttention"])
def test_default_layers_compute_in_f32(name: str) -> None:
    make = {
        "Dense": lambda: nn.Dense(3),
        "BatchNormalization": lambda: nn.BatchNormalization(),
        "Conv2D": lambda: nn.Conv2D(4, 2),
        "MultiHeadAttention": lambda: nn.MultiHeadAttention(2, 4),
    }[name]
    layer = make()
    x = np.random.default_rng(1).standard_normal((2, 5, 6, 3) if name == "Conv2D" else (2, 5, 3))
    args = (x, x) if name == "MultiHeadAttention" else (x,)
    y = layer(*args)
    assert y.dtype == np.float32
    assert {w.dtype for w in layer.weights} == {np.dtype(np.float32)}
    np.testing.assert_allclose(tj.jit(lambda *a: layer(*a))(*args), y, rtol=2e-5, atol=1e-6)


def test_mixed_precision_keeps_weights_in_f32() -> None:
    layer = nn.Dense(3, "relu", dtype="mixed_bfloat16")
    x = np.random.default_rng(1).standard_normal((4, 5)).astype(np.float32)
    y = tj.jit(lambda x: layer(x))(x)
    assert str(y.dtype) == "bfloat16"
    assert {w.dtype for w in layer.weights} == {np.dtype(np.float32)}
    want = np.maximum(x @ layer.get_weights()[0], 0)
    np.testing.assert_allclose(y.astype(np.float32), want, atol=0.05)
    g = tj.grad(lambda: layer(x).sum().astype(np.float32), wrt=layer.trainable_variables)()
    assert [a.dtype for a in g] == [np.float32, np.float32]


def test_batch_normalization_moves_its_moments(target: str) -> None:
    layer = nn.BatchNormalization(momentum=0.9, **F64)
    x = np.random.default_rng(2).standard_normal((6, 3)) * 2 + 1
    step = tj.jit(lambda x: layer(x, training=True), target=target)
    y = step(x)
    np.testing.assert_allclose(y, ref.normal(x, 0, 1e-3), rtol=1e-10)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.1 * x.mean(0), rtol=1e-10)
    np.testing.assert_allclose(layer.moving_variance.numpy(), 0.9 + 0.1 * x.var(0), rtol=1e-10)
    layer.trainable = False
    frozen = layer(x, training=True)
    np.testing.assert_allclose(frozen, layer(x), rtol=1e-12)
    assert layer.trainable_variables == []


def test_embedding_takes_rows(target: str) -> None:
    layer = nn.Embedding(5, 3)
    rows = np.array([[0, 4, 1], [1, 1, 2]])
    y = tj.jit(lambda i: layer(i), target=target)(rows)
    table = layer.get_weights()[0]
    np.testing.assert_array_equal(y, table[rows])
    assert np.abs(table).max() <= 0.05
    (g,) = tj.jit(tj.grad(lambda i: layer(i).sum(), wrt=layer.weights), target=target)(rows)
    np.testing.assert_array_equal(g[:, 0], [1, 3, 1, 0, 1])


@pytest.mark.parametrize(
    ("make", "shape", "per_channel"),
    [
        (lambda: nn.Dropout(0.25, seed=3), (64, 100), False),
        (lambda: nn.SpatialDropout1D(0.25, seed=3), (64, 10, 100), True),
        (lambda: nn.SpatialDropout2D(0.25, seed=3), (64, 2, 2, 100), True),
    ],
)
def test_dropout(make: Any, shape: Any, per_channel: bool, target: str) -> None:
    layer, again, x = make(), make(), np.ones(shape, np.float32)
    np.testing.assert_array_equal(layer(x), x)
    step = tj.jit(lambda x: layer(x, training=True), target=target)
    first, second = step(x), step(x)
    assert set(np.unique(first)) == {0, np.float32(4 / 3)}
    assert abs((first == 0).mean() - 0.25) < 0.02
    assert (first != second).any()
    np.testing.assert_array_equal(again(x, training=True), first)
    np.testing.assert_array_equal(again(x, training=True), second)
    if per_channel:
        assert (first == first[:, :1]).all()
    assert step.cache_info().entries == 1


def test_noise(target: str) -> None:
    x = np.full((64, 100), 2.0, np.float32)
    for layer, deviation in ((nn.GaussianNoise(0.5), 0.5), (nn.GaussianDropout(0.2), 2 * 0.5)):
        np.testing.assert_array_equal(layer(x), x)
        y = tj.jit(lambda x, layer=layer: layer(x, training=True), target=target)(x)
        assert abs(y.mean() - 2) < 0.05
        assert abs(y.std() - deviation) < 0.05


def test_normalization_adapts() -> None:
    x = np.random.default_rng(1).standard_normal((50, 3)) * 4 + 7
    layer = nn.Normalization(**F64)
    layer.adapt(x)
    np.testing.assert_allclose(layer(x), (x - x.mean(0)) / x.std(0), rtol=1e-12)
    given = nn.Normalization(mean=1.0, variance=4.0, **F64)
    np.testing.assert_allclose(given(x), (x - 1) / 2)


def test_more_axes_of_space() -> None:
    x = np.random.default_rng(1).standard_normal((2, 4, 5, 6, 2))
    layer = nn.Conv3D(3, 2, use_bias=False, **F64)
    y = layer(x)
    w = layer.get_weights()[0]
    assert y.shape == (2, 3, 4, 5, 3)
    np.testing.assert_allclose(
        y[:, 1, 2, 3], np.einsum("nabcd,abcdo->no", x[:, 1:3, 2:4, 3:5], w), rtol=1e-10
    )
    line = nn.Conv1DTranspose(3, 3, 2, use_bias=False, **F64)
    short = x[:, :, 0, 0]
    made = line(short)
    want = ref.transposed(short[:, None], line.get_weights()[0][None], 2)[:, 0]
    np.testing.assert_allclose(made, want, rtol=1e-10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Dropout(1.5), r"rate 1.5 is outside \[0, 1\]"),
        (lambda: nn.Dense(3, "rleu"), "activation 'rleu' is not there; there are celu"),
        (lambda: nn.Dense(3, kernel_initializer="x")(np.ones((1, 2))), "initializer 'x' is not"),
        (lambda: nn.Conv2D(3, 3, data_format="last"), "data_format 'last' is none of channels_la"),
        (lambda: nn.Permute((1, 3)), r"dims \(1, 3\) are no permutation of 1..2"),
        (lambda: nn.GroupNormalization(4)(np.ones((1, 2, 6))), "6 channels in 4 groups"),
    ],
)
def test_nonsense_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_another_width_than_it_was_built_for() -> None:
    layer = nn.Dense(3, name="head")
    layer(np.ones((2, 5)))
    with pytest.raises(tj.errors.ShapeError, match=r"head: built for \[..., 5\], called with \[2"):
        layer(np.ones((2, 4)))


ARGUMENTS = {
    "Dense": "units activation use_bias kernel_initializer bias_initializer kernel_regularizer"
    " bias_regularizer activity_regularizer kernel_constraint bias_constraint",
    "Conv2D": "filters kernel_size strides padding data_format dilation_rate groups activation"
    " use_bias kernel_initializer bias_initializer kernel_regularizer bias_regularizer"
    " activity_regularizer kernel_constraint bias_constraint",
    "DepthwiseConv2D": "kernel_size strides padding depth_multiplier data_format dilation_rate"
    " activation use_bias depthwise_initializer bias_initializer depthwise_regularizer"
    " bias_regularizer activity_regularizer depthwise_constraint bias_constraint",
    "SeparableConv2D": "filters kernel_size strides padding data_format dilation_rate"
    " depth_multiplier activation use_bias depthwise_initializer pointwise_initializer"
    " bias_initializer depthwise_regularizer pointwise_regularizer bias_regularizer"
    " activity_regularizer depthwise_constraint pointwise_constraint bias_constraint",
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_are_named_in_the_order_of_keras(name: str) -> None:
    """What `help` shows: all but the last three may be given by position."""
    parameters = inspect.signature(getattr(nn, name)).parameters
    assert list(parameters) == [*ARGUMENTS[name].split(), "name", "trainable", "dtype"]


def test_constraints_of_separable_kernels() -> None:
    layer = nn.SeparableConv2D(
        3, 2, depthwise_initializer="random_normal", pointwise_initializer="random_normal",
        depthwise_constraint="non_neg", pointwise_constraint="non_neg",
    )  # fmt: skip
    layer(np.ones((1, 4, 4, 2), np.float32))
    layer.apply_constraints()
    assert all(w.min() == 0 for w in layer.get_weights()[:2])
    with pytest.raises(TypeError, match=r"SeparableConv2D: .* argument 'kernel_initializer'"):
        nn.SeparableConv2D(3, 2, kernel_initializer="zeros")
