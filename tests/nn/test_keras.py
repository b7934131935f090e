"""Against Keras itself, with its weights copied in order. Runs where keras and a backend are."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit import losses, metrics, nn, optim


def _keras() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import keras
        except Exception:
            return None
        return keras


keras = _keras()
pytestmark = [
    pytest.mark.skipif(keras is None, reason="keras is not installed"),
    pytest.mark.filterwarnings("ignore"),
]

RNG = np.random.default_rng(1)


def numbers(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


IMAGE = (2, 8, 7, 4)
LAYERS: dict[str, tuple[tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = {
    "Dense": ((5,), {"activation": "gelu"}, (3, 4)),
    "Conv1D": ((5, 3), {"strides": 2, "activation": "selu"}, (2, 9, 4)),
    "Conv2D": ((5, 3), {"padding": "same", "strides": 2, "groups": 1}, IMAGE),
    "Conv2DTranspose": ((5, 3), {"padding": "same", "strides": 2}, IMAGE),
    "DepthwiseConv2D": ((3,), {"depth_multiplier": 2}, IMAGE),
    "SeparableConv2D": ((5, 3), {"activation": "relu"}, IMAGE),
    "MaxPooling2D": ((3,), {"strides": 2, "padding": "same"}, IMAGE),
    "AveragePooling2D": ((3,), {"strides": 2, "padding": "same"}, IMAGE),
    "GlobalAveragePooling2D": ((), {}, IMAGE),
    "BatchNormalization": ((), {}, IMAGE),
    "LayerNormalization": ((), {}, IMAGE),
    "GroupNormalization": ((2,), {}, IMAGE),
    "UnitNormalization": ((), {}, (3, 4)),
    "LeakyReLU": ((), {}, (3, 4)),
    "PReLU": ((), {"alpha_initializer": "random_normal"}, (3, 4)),
    "ReLU": ((), {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.2}, (3, 4)),
    "Reshape": (((2, -1),), {}, (3, 4)),
    "Permute": (((2, 1),), {}, (3, 4, 5)),
    "ZeroPadding2D": (((1, 2),), {}, IMAGE),
    "UpSampling2D": ((2,), {}, IMAGE),
    "Activation": (("hard_sigmoid",), {}, (3, 4)),
    "SimpleRNN": ((5,), {}, (3, 6, 4)),
    "LSTM": ((5,), {"return_sequences": True}, (3, 6, 4)),
    "GRU": ((5,), {"go_backwards": True, "return_sequences": True}, (3, 6, 4)),
}  # fmt: skip


def close(ours: Any, theirs: Any, tolerance: float = 2e-5) -> None:
    wanted = keras.ops.convert_to_numpy(theirs)
    np.testing.assert_allclose(ours, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer(name: str) -> None:
    args, keywords, shape = LAYERS[name]
    if name == "AveragePooling2D" and keras.backend.backend() == "torch":
        keywords = {"strides": 2}  # there Keras counts what is padded; with JAX and TensorFlow not
    theirs, ours = (
        getattr(keras.layers, name)(*args, **keywords),
        getattr(nn, name)(*args, **keywords),
    )
    x = numbers(*shape)
    theirs(x)
    ours(x)
    drawn = [RNG.uniform(0.5, 1.5, w.shape).astype(np.float32) for w in theirs.weights]
    theirs.set_weights(drawn)
    ours.set_weights(drawn)
    close(ours(x), theirs(x), 1e-4)
    assert [w.shape for w in ours.trainable_variables] == [
        tuple(w.shape) for w in theirs.trainable_variables
    ]


def test_attention() -> None:
    theirs, ours = keras.layers.MultiHeadAttention(2, 3), nn.MultiHeadAttention(2, 3)
    q, v = numbers(2, 5, 6), numbers(2, 5, 6)
    wanted = theirs(q, v, use_causal_mask=True)
    ours(q, v)
    ours.set_weights(theirs.get_weights())
    close(ours(q, v, use_causal_mask=True), wanted)


def test_recurrent_layers_under_masks() -> None:
    """Bidirectional, stacked, with a mask from the embedding, the loss under it too."""

    def build(namespace: Any, sequential: Any) -> Any:
        return sequential(
            [
                namespace.Embedding(7, 5, mask_zero=True),
                namespace.Bidirectional(namespace.LSTM(4, return_sequences=True)),
                namespace.GRU(3, reset_after=False, return_sequences=True),
                namespace.RNN([namespace.GRUCell(4), namespace.LSTMCell(3)], return_sequences=True),
                namespace.TimeDistributed(namespace.Dense(2)),
            ]
        )

    lengths = np.array([[6], [2], [4]])
    tokens = np.where(np.arange(6) < lengths, RNG.integers(1, 7, (3, 6)), 0)
    theirs, ours = build(keras.layers, keras.Sequential), build(nn, tj.Sequential)
    theirs(tokens)
    ours(tokens)
    drawn = [RNG.standard_normal(w.shape).astype(np.float32) for w in theirs.get_weights()]
    theirs.set_weights(drawn)
    ours.set_weights(drawn)
    close(ours(tokens), theirs(tokens), 1e-4)
    y = numbers(3, 6, 2)
    for model in (ours, theirs):
        model.compile("sgd", "mse", metrics=["mae"])
    wanted = theirs.evaluate(tokens, y, verbose=0)
    np.testing.assert_allclose(ours.evaluate(tokens, y, verbose=0), wanted, rtol=1e-4)


LOSSES: dict[str, dict[str, Any]] = {
    "MeanSquaredError": {}, "MeanAbsoluteError": {}, "MeanAbsolutePercentageError": {},
    "MeanSquaredLogarithmicError": {}, "Huber": {"delta": 0.3}, "LogCosh": {}, "Hinge": {},
    "SquaredHinge": {}, "CategoricalHinge": {}, "KLDivergence": {}, "Poisson": {},
    "CosineSimilarity": {}, "BinaryCrossentropy": {"label_smoothing": 0.1},
    "BinaryFocalCrossentropy": {"apply_class_balancing": True},
    "CategoricalCrossentropy": {"label_smoothing": 0.1}, "CategoricalFocalCrossentropy": {},
    "Dice": {}, "Tversky": {"alpha": 0.3},
}  # fmt: skip
PROBABILITIES = RNG.dirichlet(np.ones(4), 6).astype(np.float32)
ONE_HOT = np.eye(4, dtype=np.float32)[RNG.integers(0, 4, 6)]
WEIGHTS = RNG.uniform(0.5, 2, 6).astype(np.float32)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss(name: str) -> None:
    theirs = getattr(keras.losses, name)(**LOSSES[name])
    ours = getattr(losses, name)(**LOSSES[name])
    close(ours(ONE_HOT, PROBABILITIES), theirs(ONE_HOT, PROBABILITIES))
    if name not in ("Dice", "Tversky"):
        weighted = theirs(ONE_HOT, PROBABILITIES, sample_weight=WEIGHTS)
        close(ours(ONE_HOT, PROBABILITIES, WEIGHTS), weighted)


METRICS: dict[str, dict[str, Any]] = {
    "BinaryAccuracy": {}, "CategoricalAccuracy": {}, "TopKCategoricalAccuracy": {"k": 2},
    "RootMeanSquaredError": {}, "CosineSimilarity": {}, "AUC": {}, "Precision": {}, "Recall": {},
    "F1Score": {"average": "macro"}, "R2Score": {}, "TruePositives": {}, "KLDivergence": {},
    "MeanSquaredError": {}, "Hinge": {}, "Poisson": {}, "LogCoshError": {}, "FalseNegatives": {},
}  # fmt: skip


@pytest.mark.parametrize("name", METRICS)
def test_a_metric(name: str) -> None:
    theirs = getattr(keras.metrics, name)(**METRICS[name])
    ours = getattr(metrics, name)(**METRICS[name])
    for weight in (None, WEIGHTS):
        theirs.update_state(ONE_HOT, PROBABILITIES, sample_weight=weight)
        ours.update_state(ONE_HOT, PROBABILITIES, sample_weight=weight)
        close(ours.result(), theirs.result(), 1e-4)


def test_the_area_under_precision_and_recall() -> None:
    theirs, ours = keras.metrics.AUC(curve="PR"), metrics.AUC(curve="PR")
    close(ours(ONE_HOT, PROBABILITIES), theirs(ONE_HOT, PROBABILITIES), 1e-4)


OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0.9, "nesterov": True}, "Adam": {"amsgrad": True}, "AdamW": {},
    "RMSprop": {"centered": True, "momentum": 0.5}, "Adagrad": {}, "Adadelta": {}, "Adamax": {},
    "Nadam": {}, "Lion": {}, "Lamb": {},
}  # fmt: skip


@pytest.mark.parametrize("clipping", [{}, {"global_clipnorm": 1.0}, {"clipnorm": 0.7}])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer(name: str, clipping: Any) -> None:
    settings = {"learning_rate": 0.05, **OPTIMIZERS[name], **clipping}
    theirs, ours = getattr(keras.optimizers, name)(**settings), getattr(optim, name)(**settings)
    starts = [numbers(3, 2), numbers(4)]
    variables = [keras.Variable(s) for s in starts]
    own = [tj.Variable(s) for s in starts]
    step = tj.jit(lambda grads: ours.apply(grads, own))
    for _ in range(5):
        grads = [numbers(3, 2), numbers(4)]
        theirs.apply([keras.ops.convert_to_tensor(g) for g in grads], variables)
        step(grads)
    for a, b in zip(own, variables, strict=True):
        close(a.numpy(), b.value, 1e-4)


def convolutional(namespace: Any) -> list[Any]:
    return [
        namespace.Conv2D(6, 3, activation="relu", padding="same"),
        namespace.BatchNormalization(),
        namespace.MaxPooling2D(2),
        namespace.Flatten(),
        namespace.Dense(16, activation="relu"),
        namespace.Dense(3),
    ]


def recurrent(namespace: Any) -> list[Any]:
    return [
        namespace.Reshape((8, 8)),
        namespace.Bidirectional(namespace.LSTM(6, return_sequences=True)),
        namespace.LayerNormalization(),
        namespace.GRU(8),
        namespace.Dense(3),
    ]


@pytest.mark.parametrize("layers", [convolutional, recurrent])
def test_two_epochs_of_the_same_model(layers: Any) -> None:
    """Weights, data and order the same: the losses agree within a thousandth."""
    x = numbers(90, 8, 8, 1)
    y = (x.mean((1, 2, 3)) > 0).astype(np.int32) + (x[:, 0, 0, 0] > 0)
    theirs, ours = keras.Sequential(layers(keras.layers)), tj.Sequential(layers(nn))
    theirs.build((None, 8, 8, 1))
    ours.build((None, 8, 8, 1))
    ours.set_weights(theirs.get_weights())
    for model, home, opt in ((theirs, keras.losses, keras.optimizers), (ours, losses, optim)):
        loss = home.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(opt.Adam(1e-3), loss, metrics=["accuracy"])
    arguments = {"batch_size": 32, "epochs": 2, "shuffle": False, "verbose": 0}
    wanted = theirs.fit(x, y, **arguments).history
    found = ours.fit(x, y, **arguments).history
    np.testing.assert_allclose(found["loss"], wanted["loss"], rtol=1e-3)
    np.testing.assert_allclose(found["accuracy"], wanted["accuracy"], atol=0.02)
