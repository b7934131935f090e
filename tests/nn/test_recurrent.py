"""Recurrent layers beyond the table of layer_rows.py: states, dropout, cells of one's own."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.nn import references as ref
from tracejit import nn, optim

RNG = np.random.default_rng(4)
F64 = {"dtype": np.float64}
X = RNG.standard_normal((2, 5, 3))


def test_states_come_out_and_go_in() -> None:
    layer = nn.LSTM(4, return_sequences=True, return_state=True, **F64)
    whole, *last = layer(X)
    _, *half = layer(X[:, :2])
    rest, *found = tj.jit(lambda x, s: layer(x, initial_state=s))(X[:, 2:], half)
    np.testing.assert_allclose(rest, whole[:, 2:], rtol=1e-12)
    for a, b in zip(found, last, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    np.testing.assert_array_equal(whole[:, -1], last[0])


def test_a_stateful_layer_goes_on(target: str) -> None:
    layer, whole = nn.GRU(4, stateful=True, **F64), nn.GRU(4, **F64)
    wanted = whole(X)
    layer(X)
    layer.set_weights([np.zeros((2, 4)), *whole.get_weights()])
    step = tj.jit(lambda x: layer(x), target=target)
    step(X[:, :2])
    np.testing.assert_allclose(step(X[:, 2:4]) * 0 + step(X[:, 4:]), wanted, rtol=1e-12)
    layer.reset_state()
    np.testing.assert_allclose(layer(X), wanted, rtol=1e-12)
    with pytest.raises(tj.errors.ShapeError, match="built for batches of 2, not 1"):
        layer(X[:1])


def test_a_stateful_model_is_fitted(tmp_path: Path) -> None:
    model = tj.Sequential([nn.LSTM(3, stateful=True), nn.Dense(1)])
    model.compile("adam", "mse")
    history = model.fit(np.repeat(X, 4, 0), np.ones((8, 1)), batch_size=2, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert (model.layers[0].states[0].numpy() != 0).all()
    model.save(tmp_path / "m")
    again = tj.load_model(tmp_path / "m")
    np.testing.assert_array_equal(again.predict(X, batch_size=2), model.predict(X, batch_size=2))


def test_dropout_is_the_same_at_all_steps(target: str) -> None:
    """With weights of ones and no activation a step adds its kept inputs and kept states."""
    layer = nn.SimpleRNN(
        8, "linear", use_bias=False, kernel_initializer="identity", recurrent_initializer="zeros",
        dropout=0.5, return_sequences=True, seed=1, **F64,
    )  # fmt: skip
    ones = np.ones((4, 6, 8))
    np.testing.assert_array_equal(layer(ones), ones)
    step = tj.jit(lambda x: layer(x, training=True), target=target)
    first, second = step(ones), step(ones)
    assert set(np.unique(first)) == {0, 2}
    assert (first == first[:, :1]).all()
    assert (first != second).any()
    kept = nn.GRU(8, recurrent_dropout=0.5, seed=1, **F64)
    assert (kept(ones) != kept(ones, training=True)).any()


@pytest.mark.parametrize("mode", ["sum", "ave", "mul", None])
def test_ways_to_merge(mode: Any) -> None:
    layer = nn.Bidirectional(nn.GRU(3, return_sequences=True, **F64), mode, **F64)
    found = layer(X)
    w = layer.get_weights()
    there = ref.recurrent(ref.gru_step, w[:3], X)
    back = ref.recurrent(ref.gru_step, w[3:], X[:, ::-1])[:, ::-1]
    wanted = {"sum": there + back, "ave": (there + back) / 2, "mul": there * back}
    if mode is None:
        found, other = found
        np.testing.assert_allclose(other, back, rtol=1e-10)
    np.testing.assert_allclose(found, wanted.get(mode, there), rtol=1e-10)


class Decaying(nn.Layer):
    """A cell of one's own: h' = decay h + x."""

    def __init__(self, width: int, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.state_size = width

    def build(self, input_shape: Any) -> None:
        self.decay = self.add_weight((self.state_size,), nn.initializers.Constant(0.5))

    def call(self, x: Any, states: Any) -> Any:
        h = states[0] * self.decay + x
        return h * 2, [h]


def test_a_cell_of_ones_own() -> None:
    layer = nn.RNN([Decaying(3, **F64), nn.SimpleRNNCell(3, **F64)], return_state=True, **F64)
    out, first, second = tj.jit(lambda x: layer(x))(X)
    h = np.zeros((2, 3))
    for t in range(5):
        h = 0.5 * h + X[:, t]
    np.testing.assert_allclose(first[0], h, rtol=1e-12)
    np.testing.assert_array_equal(out, second[0])
    (g,) = tj.grad(lambda: layer(X)[1][0].sum(), wrt=[layer.cell.cells[0].decay])()
    step = 1e-6
    layer.cell.cells[0].decay.assign(0.5 + step)
    assert (layer(X)[1][0].sum() - first[0].sum()) / step == pytest.approx(g.sum(), rel=1e-4)


def test_the_summary_counts_every_turn() -> None:
    layer = nn.SimpleRNN(4, activation="linear", use_bias=False)
    model = tj.Sequential([tj.Input((5, 3)), layer])
    text: list[str] = []
    model.summary(width=100, print_fn=text.append)
    of_x, of_h, added = 5 * 2 * 3 * 4, 5 * 2 * 4 * 4, 5 * 4
    assert f" {of_x + of_h + added} " in text[0]


def test_the_forget_gate_begins_open() -> None:
    layer = nn.LSTM(2)
    layer(X)
    np.testing.assert_array_equal(layer.get_weights()[2], [0, 0, 1, 1, 0, 0, 0, 0])
    assert nn.LSTM(2).units == 2


def test_a_model_that_translates_is_saved(tmp_path: Path) -> None:
    """Encoder and decoder, as in Keras's functional style."""
    source, sofar = tj.Input((5, 3)), tj.Input((4, 2))
    _, *states = nn.Bidirectional(nn.LSTM(3, return_state=True), name="encoder")(source)
    joined = [nn.Concatenate()([states[i], states[i + 2]]) for i in (0, 1)]
    decoded = nn.LSTM(6, return_sequences=True)(sofar, initial_state=joined)
    model = tj.Model([source, sofar], nn.TimeDistributed(nn.Dense(2))(decoded))
    x = [X.astype(np.float32), np.ones((2, 4, 2), np.float32)]
    out = model(x)
    assert out.shape == (2, 4, 2)
    model.save(tmp_path / "m")
    np.testing.assert_array_equal(tj.load_model(tmp_path / "m")(x), out)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_mixed_precision(kind: Any) -> None:
    layer = kind(4, dtype="mixed_bfloat16", return_sequences=True)
    x = X.astype(np.float32)
    found = tj.jit(lambda x: layer(x))(x)
    assert str(found.dtype) == "bfloat16"
    assert {w.dtype for w in layer.weights} == {np.dtype(np.float32)}
    exact = kind(4, return_sequences=True)
    exact(x)
    exact.set_weights(layer.get_weights())
    np.testing.assert_allclose(found.astype(np.float32), exact(x), atol=0.05)


def test_a_step_learns_to_remember() -> None:
    """The first of 12 numbers, the others noise."""
    nn.set_random_seed(0)
    layer, out, opt = nn.LSTM(12), nn.Dense(1), optim.Adam(0.02)
    x = RNG.standard_normal((64, 12, 1)).astype(np.float32)
    out(layer(x))
    variables = [*layer.trainable_variables, *out.trainable_variables]

    @tj.jit
    def step(x: Any) -> Any:
        def loss_fn() -> Any:
            return np.mean(np.square(out(layer(x)) - x[:, 0]))

        loss, grads = tj.value_and_grad(loss_fn, wrt=variables)()
        opt.apply(grads, variables)
        return loss

    found = [float(step(x)) for _ in range(150)]
    assert found[-1] < 0.1 * found[0]
    assert step.cache_info().entries == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.GRU(2)(np.ones((2, 3))), r"takes \[N, T, \.\.\.\], not \[2, 3\]"),
        (lambda: nn.Bidirectional(nn.GRU(2), "max"), "merge_mode 'max' is none of 'concat', 'sum'"),
        (lambda: nn.Bidirectional(nn.GRU(2), backward_layer=nn.GRU(2)), "both layers go the same"),
    ],
)
def test_nonsense_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_arguments_are_named_in_the_order_of_keras() -> None:
    """What `help` shows, of which all but the last line may be given by position."""
    at_the_end = ["name", "trainable", "dtype"]
    of_weights = [
        *("kernel_initializer", "recurrent_initializer", "bias_initializer", "unit_forget_bias"),
        *("kernel_regularizer", "recurrent_regularizer", "bias_regularizer"),
        *("kernel_constraint", "recurrent_constraint", "bias_constraint"),
        *("dropout", "recurrent_dropout"),
    ]
    gates = ["units", "activation", "recurrent_activation", "use_bias"]
    loop = ["return_sequences", "return_state", "go_backwards", "stateful", "unroll"]
    plain = [n for n in of_weights if n != "unit_forget_bias"]
    layer = [*plain[:6], "activity_regularizer", *plain[6:]]
    wanted = {
        nn.LSTMCell: [*gates, *of_weights, "seed", *at_the_end, "activity_regularizer"],
        nn.GRUCell: [*gates, *plain, "reset_after", "seed", *at_the_end, "activity_regularizer"],
        nn.GRU: [*gates, *layer, "seed", *loop, "reset_after", "zero_output_for_mask", *at_the_end],
        nn.SimpleRNN: [
            *("units", "activation", "use_bias"),
            *(*layer, *loop, "seed", "zero_output_for_mask", *at_the_end),
        ],
    }
    for cls, names in wanted.items():
        assert list(inspect.signature(cls).parameters) == names, cls.__name__
    assert inspect.signature(nn.LSTM).parameters["recurrent_initializer"].default == "orthogonal"


def test_arguments_are_taken_by_position() -> None:
    layer = nn.GRU(2, "relu", "tanh", False, "zeros", "ones", return_sequences=True)
    layer(X)
    kernel, recurrent = layer.get_weights()
    assert (kernel == 0).all()
    assert (recurrent == 1).all()
    assert nn.Bidirectional(layer).backward_layer.get_config()["recurrent_initializer"] == "ones"
    with pytest.raises(TypeError, match="LSTM: got an unexpected keyword argument 'reset_after'"):
        nn.LSTM(2, reset_after=True)
    with pytest.raises(TypeError, match="GRUCell: missing a required argument: 'units'"):
        nn.GRUCell()
