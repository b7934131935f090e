"""Masks: made, passed on, heeded; sequences padded to one length act as if each had its own."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.nn import references as ref
from tracejit import losses, metrics, nn, optim
from tracejit.nn import masking

RNG = np.random.default_rng(3)
F64 = {"dtype": np.float64}
TOKENS = np.array([[3, 1, 2, 0], [4, 0, 0, 0], [1, 2, 3, 4]])
MASK = TOKENS != 0
X = RNG.standard_normal((3, 4, 2))


def test_masks_are_made_and_passed_on() -> None:
    embedded = nn.Embedding(5, 3, mask_zero=True)(TOKENS)
    np.testing.assert_array_equal(masking.of(embedded), MASK)
    assert masking.of(nn.Embedding(5, 3)(TOKENS)) is None
    for layer in (nn.Dense(2, "relu"), nn.Dropout(0.5), nn.LayerNormalization(), nn.LSTM(2,
                  return_sequences=True), nn.TimeDistributed(nn.Dense(2)), nn.Activation("tanh"),
                  nn.Bidirectional(nn.GRU(2, return_sequences=True))):  # fmt: skip
        np.testing.assert_array_equal(masking.of(layer(embedded)), MASK)
    assert masking.of(nn.GRU(2)(embedded)) is None
    state = nn.GRU(2, return_sequences=True, return_state=True)(embedded)
    assert [m is None for m in masking.of(state)] == [False, True]
    rows = np.where(MASK[..., None], X, 9.0)
    masked = nn.Masking(9.0, **F64)(rows)
    np.testing.assert_array_equal(masking.of(masked), MASK)
    np.testing.assert_array_equal(masked, np.where(MASK[..., None], X, 0))
    assert masking.of(np.copy(masked)) is None


def test_masks_of_several_inputs() -> None:
    other = MASK[::-1].copy()
    a, b = X.copy(), X[::-1].copy()
    masking.put(a, MASK)
    masking.put(b, other)
    added = nn.Add(**F64)([a, b])
    np.testing.assert_array_equal(masking.of(added), MASK | other)
    assert masking.of(nn.Add(**F64)([a, X])) is None
    in_time = nn.Concatenate(1, **F64)([a, X])
    wanted = np.concatenate([MASK, np.ones_like(MASK)], 1)
    np.testing.assert_array_equal(masking.of(in_time), wanted)
    largest = nn.Maximum(**F64)([a, b])
    both, left = (MASK & other)[..., None], (MASK & ~other)[..., None]
    np.testing.assert_array_equal(largest, np.where(both, np.maximum(a, b), np.where(left, a, b)))


def test_a_layer_that_passes_no_masks_on_says_so() -> None:
    embedded = nn.Embedding(5, 3, mask_zero=True)(TOKENS)
    layer = nn.Conv1D(2, 1, name="cv")
    with pytest.warns(UserWarning, match=r"cv: Conv1D does not pass masks on.*test_masking.py"):
        layer(embedded)


def test_masks_go_with_their_arrays() -> None:
    before = len(masking._masks)
    embedded = nn.Embedding(5, 3, mask_zero=True)(TOKENS)
    assert len(masking._masks) == before + 1
    del embedded
    gc.collect()
    assert len(masking._masks) == before


CELLS: dict[str, tuple[Any, Any, int]] = {
    "SimpleRNN": (nn.SimpleRNN, ref.simple_step, 1),
    "LSTM": (nn.LSTM, ref.lstm_step, 2),
    "GRU": (nn.GRU, ref.gru_step, 1),
}


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_states_stand_still_where_a_mask_is_false(name: str, unroll: bool) -> None:
    kind, step, count = CELLS[name]
    layer = kind(3, return_sequences=True, unroll=unroll, bias_initializer="ones", **F64)
    found = tj.jit(lambda x, mask: layer(x, mask=mask))(X, MASK)
    wanted = ref.recurrent(step, layer.get_weights(), X, count, MASK)
    np.testing.assert_allclose(found, wanted, rtol=1e-10)
    last = kind(3, zero_output_for_mask=True, **F64)
    last(X)
    last.set_weights(layer.get_weights())
    kept = np.where(MASK[:, -1:], wanted[:, -1], 0)
    np.testing.assert_allclose(last(X, mask=MASK), kept, rtol=1e-10)


def test_what_is_masked_changes_nothing() -> None:
    """Through recurrence, attention, means and the loss: neither a number nor a gradient."""
    nn.set_random_seed(1)
    model = tj.Sequential([
        nn.Masking(9.0, **F64),
        nn.Bidirectional(nn.LSTM(3, return_sequences=True, **F64), **F64),
        Attends(),
        nn.Dense(2, **F64),
    ])  # fmt: skip
    mean = nn.GlobalAveragePooling1D(**F64)
    loss = losses.MeanSquaredError()

    def value(x: Any, y: Any) -> Any:
        out = model(x)
        return loss(y, out) + np.sum(mean(out))

    y = RNG.standard_normal((3, 4, 2))
    padded = np.where(MASK[..., None], X, 9.0)
    other = np.where(MASK[..., None], y, 1e3)
    model(padded)
    run = tj.jit(tj.value_and_grad(value, wrt=model.trainable_variables))
    first, grads = run(padded, y)
    second, same = run(padded, other)
    assert first == second
    for a, b in zip(grads, same, strict=True):
        np.testing.assert_array_equal(a, b)
    alone = [value(X[i : i + 1, :n], y[i : i + 1, :n]) for i, n in enumerate((3, 1, 4))]
    sums = [np.sum(mean(model(X[i : i + 1, :n]))) for i, n in enumerate((3, 1, 4))]
    squares = [(a - s) * n for a, s, n in zip(alone, sums, (3, 1, 4), strict=True)]
    np.testing.assert_allclose(first, sum(squares) / 8 + sum(sums), rtol=1e-10)


class Attends(nn.Layer):
    """Self-attention; the masks of query and value are found with the array."""

    supports_masking = True

    def __init__(self) -> None:
        super().__init__(**F64)
        self.inner = nn.MultiHeadAttention(2, 3, **F64)

    def call(self, x: Any) -> Any:
        return self.inner(x, x)


def test_losses_and_metrics_heed_masks() -> None:
    y, p = RNG.standard_normal((3, 4, 2)), RNG.standard_normal((3, 4, 2))
    weights = np.array([1.0, 2.0, 0.5])
    masking.put(p, MASK)
    each = ((y - p) ** 2).mean(-1) * MASK
    assert losses.MeanSquaredError()(y, p) == pytest.approx(each.sum() / MASK.sum())
    assert losses.MeanSquaredError("sum")(y, p) == pytest.approx(each.sum())
    heavy = (each * weights[:, None]).sum()
    assert losses.MeanSquaredError()(y, p, weights) == pytest.approx(heavy / MASK.sum())
    metric = metrics.MeanSquaredError(dtype=np.float64)
    assert metric(y, p) == pytest.approx(each.sum() / MASK.sum())


def test_batch_normalization_counts_what_a_mask_leaves(target: str) -> None:
    layer = nn.BatchNormalization(momentum=0.0, **F64)
    step = tj.jit(lambda x, mask: layer(x, training=True, mask=mask), target=target)
    step(X, MASK)
    np.testing.assert_allclose(layer.moving_mean.numpy(), X[MASK].mean(0), rtol=1e-10)
    np.testing.assert_allclose(layer.moving_variance.numpy(), X[MASK].var(0), rtol=1e-10)


def test_softmax_under_a_mask() -> None:
    found = nn.Softmax(**F64)(X, mask=np.broadcast_to(MASK[..., None], X.shape))
    np.testing.assert_allclose(found, ref.softmax(X) * MASK[..., None], rtol=1e-12)


def test_fit_on_padded_sequences() -> None:
    """Whether more of the tokens are odd, of sequences of 3 to 9."""
    nn.set_random_seed(2)
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 10, 256)
    tokens = np.where(np.arange(9) < lengths[:, None], rng.integers(1, 7, (256, 9)), 0)
    y = ((tokens % 2).sum(1) * 2 > lengths).astype(np.int32)
    model = tj.Sequential([nn.Embedding(7, 8, mask_zero=True), nn.GRU(16), nn.Dense(2)])
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optim.Adam(0.02), loss, metrics=["accuracy"])
    model.fit(tokens, y, batch_size=64, epochs=15, verbose=0)
    assert model.evaluate(tokens, y)[1] > 0.95
    longer = np.pad(tokens[:64], ((0, 0), (0, 5)))
    np.testing.assert_allclose(model(longer), model(tokens[:64]), rtol=1e-4, atol=1e-5)
