"""fit, evaluate, predict: the numbers that a loop written out gives."""

from __future__ import annotations

import gc
import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit import losses, metrics, nn, optim
from tracejit.models import progress

RNG = np.random.default_rng(5)
X = RNG.standard_normal((70, 6)).astype(np.float32)
Y = (X[:, :2] @ RNG.standard_normal((2, 3))).argmax(-1).astype(np.int32)


def network() -> tj.Sequential:
    """Built at once, so that the seed decides its weights."""
    nn.set_random_seed(4)
    layers = [nn.Dense(8, "relu"), nn.BatchNormalization(), nn.Dropout(0.2), nn.Dense(3)]
    return tj.Sequential([tj.Input((6,)), *layers])


def compiled(**keywords: Any) -> tj.Sequential:
    model = network()
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optim.Adam(0.01), loss, metrics=["accuracy"], **keywords)
    return model


def by_hand(model: Any, batches: list[tuple[Any, Any]], rate: float = 0.01) -> list[float]:
    """The losses of a loop written out, define by run, on the same weights."""
    opt, found = optim.Adam(rate), []
    for x, y in batches:

        def loss_fn(x: Any = x, y: Any = y) -> Any:
            return nn.softmax_cross_entropy(model(x, training=True), y).mean()

        loss, grads = tj.value_and_grad(loss_fn, wrt=model.trainable_variables)()
        opt.apply(grads, model.trainable_variables)
        found.append(float(loss))
    return found


def in_order(n: int = 70, size: int = 32) -> list[tuple[Any, Any]]:
    return [(X[i : min(i + size, n)], Y[i : min(i + size, n)]) for i in range(0, n, size)]


def test_fit_is_the_loop_written_out() -> None:
    """To the last, smaller batch, which is not padded."""
    model, other = compiled(), network()
    other(X)
    wanted = by_hand(other, in_order() + in_order())
    history = model.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    sizes = np.array([32, 32, 6])
    for epoch in range(2):
        mean = np.average(wanted[3 * epoch : 3 * epoch + 3], weights=sizes)
        assert history.history["loss"][epoch] == pytest.approx(mean, rel=2e-4)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=3e-3, atol=3e-5)
    assert history.epoch == [0, 1]
    info = model.step("train").cache_info()
    assert info.entries == 2
    model.fit(X, Y, epochs=3, verbose=0)
    assert model.step("train").cache_info().entries == 2


def test_eagerly_it_is_the_same() -> None:
    a, b = compiled(), compiled(run_eagerly=True)
    first, second = (m.fit(X, Y, epochs=2, verbose=0) for m in (a, b))
    np.testing.assert_allclose(first.history["loss"], second.history["loss"], rtol=1e-3)


def test_the_same_seed_gives_the_same_bits() -> None:
    runs = []
    for _ in range(2):
        model = compiled()
        model.fit(X, Y, epochs=3, verbose=0)
        runs.append(model.get_weights())
    assert all((a == b).all() for a, b in zip(*runs, strict=True))


def test_evaluate_and_predict() -> None:
    model = compiled()
    model.fit(X, Y, epochs=30, verbose=0)
    out = model.predict(X, batch_size=32)
    np.testing.assert_allclose(out, model(X), rtol=1e-4, atol=1e-5)
    loss, accuracy = model.evaluate(X, Y)
    each = nn.softmax_cross_entropy(out, Y)
    assert loss == pytest.approx(each.mean(), rel=1e-4)
    assert accuracy == pytest.approx((out.argmax(-1) == Y).mean(), rel=1e-6)
    assert accuracy > 0.85
    assert model.evaluate(X, Y, return_dict=True).keys() == {"loss", "accuracy"}
    assert model.step("test").cache_info().entries == 2
    np.testing.assert_array_equal(model.predict_on_batch(X[:5]), model.predict(X[:5]))


def test_validation() -> None:
    model = compiled()
    history = model.fit(X, Y, epochs=2, validation_split=0.2, verbose=0).history
    assert history.keys() == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert model.evaluate(X[56:], Y[56:])[0] == pytest.approx(history["val_loss"][-1], rel=1e-6)
    other = model.fit(X, Y, epochs=2, validation_data=(X, Y), validation_freq=2, verbose=0).history
    assert len(other["val_loss"]) == 1


def test_weights_of_examples_and_classes() -> None:
    weights = RNG.uniform(0.5, 2, 70).astype(np.float32)
    plain = compiled(weighted_metrics=[metrics.SparseCategoricalAccuracy(name="weighted")])
    logs = plain.evaluate(X, Y, sample_weight=weights, return_dict=True)
    out = plain.predict(X)
    each = nn.softmax_cross_entropy(out, Y)
    hit = out.argmax(-1) == Y
    per_batch = [(each * weights)[s : s + 32].mean() for s in (0, 32, 64)]
    assert logs["loss"] == pytest.approx(np.average(per_batch, weights=[32, 32, 6]), rel=1e-4)
    assert logs["accuracy"] == pytest.approx(hit.mean(), rel=1e-5)
    assert logs["weighted"] == pytest.approx(np.average(hit, weights=weights), rel=1e-5)
    a, b = compiled(), compiled()
    table = {0: 2.0, 2: 0.5}
    first = a.fit(X, Y, class_weight=table, shuffle=False, verbose=0).history["loss"]
    by_class = np.array([2.0, 1.0, 0.5])[Y]
    second = b.fit(X, Y, sample_weight=by_class, shuffle=False, verbose=0).history["loss"]
    assert first == second


def test_batches_from_any_iterable() -> None:
    wanted = compiled().fit(X, Y, shuffle=False, epochs=2, verbose=0).history["loss"]
    listed = compiled()

    class Batches:
        def __len__(self) -> int:
            return 3

        def __getitem__(self, i: int) -> Any:
            return in_order()[i]

    assert listed.fit(Batches(), epochs=2, verbose=0).history["loss"] == wanted

    def endless() -> Any:
        while True:
            yield from in_order()

    model = compiled()
    found = model.fit(endless(), epochs=2, steps_per_epoch=3, verbose=0).history["loss"]
    assert found == wanted

    def broken() -> Any:
        yield in_order()[0]
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        compiled().fit(broken(), verbose=0)


def test_train_on_batch_counts_on() -> None:
    model, other = compiled(), network()
    other(X)
    losses_by_hand = by_hand(other, in_order()[:2])
    model.train_on_batch(*in_order()[0])
    loss, _ = model.train_on_batch(*in_order()[1])
    assert loss == pytest.approx(np.mean(losses_by_hand), rel=1e-4)
    model.reset_metrics()
    assert model.test_on_batch(X, Y, return_dict=True).keys() == {"loss", "accuracy"}


def test_a_functional_model() -> None:
    nn.set_random_seed(3)
    a, b = tj.Input((4,), name="a"), tj.Input((4,), name="b")
    shared = nn.Dense(5, activation="tanh", name="shared")
    left, right = shared(a), shared(b)
    joined = nn.Concatenate()([left, right * 2.0 - np.exp(right)])
    out = nn.Dense(2, name="out")(joined[:, 1:])
    model = tj.Model([a, b], {"out": out, "left": left})
    x = [RNG.standard_normal((3, 4)).astype(np.float32) for _ in "ab"]
    w, bias, v, c = model.get_weights()
    left_is, r = np.tanh(x[0] @ w + bias), np.tanh(x[1] @ w + bias)
    wanted = np.concatenate([left_is, r * 2 - np.exp(r)], -1)[:, 1:] @ v + c
    found = tj.jit(lambda x: model(x))(x)
    np.testing.assert_allclose(found["out"], wanted, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["left"], left_is, rtol=1e-5)
    assert out.shape == (None, 2) and model.layers[0].name == "shared"
    assert len(model.layers) == 3
    model.compile("sgd", {"out": "mse", "left": "mae"}, loss_weights={"out": 1.0, "left": 0.5})
    y = {"out": np.zeros((3, 2)), "left": np.zeros((3, 5))}
    loss = model.evaluate(x, y)
    assert loss == pytest.approx((wanted**2).mean() + 0.5 * abs(left_is).mean(), rel=1e-4)
    with pytest.raises(tj.errors.ConcretizationError, match="has a shape and no value"):
        bool(out > 0)
    with pytest.raises(ValueError, match="depend on <Symbol 'b'"):
        tj.Model(a, out)


def test_a_model_of_ones_own() -> None:
    class Own(tj.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.drop, self.last = nn.Dense(4), nn.Dropout(0.5), nn.Dense(1)

        def call(self, x: Any, training: bool | None = None) -> Any:
            return self.last(self.drop(self.first(x), training=training))

    class OwnStep(Own):
        def train_step(self, x: Any, y: Any, sample_weight: Any) -> Any:
            def loss_fn() -> Any:
                return np.mean(np.square(self(x, training=True)[:, 0] - y))

            loss, grads = tj.value_and_grad(loss_fn, wrt=self.trainable_variables)()
            self.optimizer.apply(grads, self.trainable_variables)
            return {"mine": loss}

    model = Own()
    model.compile("adam", "mse")
    assert list(model.fit(X, Y, verbose=0).history) == ["loss"]
    own = OwnStep()
    own.compile(optim.Adam(0.05))
    history = own.fit(X[:64], Y[:64], epochs=20, shuffle=False, verbose=0).history
    assert list(history) == ["mine"] and history["mine"][-1] < history["mine"][0]


def test_penalties_and_constraints_are_part_of_fit() -> None:
    model = tj.Sequential(
        [nn.Dense(3, kernel_regularizer="l2", bias_constraint="non_neg", bias_initializer="ones",
                  activity_regularizer="l1")]
    )  # fmt: skip
    model.compile(optim.SGD(5.0), "mse")
    loss = model.evaluate(X, np.zeros((70, 3)), batch_size=70)
    w, b = model.get_weights()
    out = X @ w + b
    wanted = (out**2).mean() + 0.01 * (w**2).sum() + 0.01 * abs(out).sum() / 70
    assert loss == pytest.approx(wanted, rel=1e-4)
    model.fit(X, np.full((70, 3), -1.0), verbose=0)
    assert (model.get_weights()[1] >= 0).all()


def test_summary() -> None:
    text: list[str] = []
    model = network()
    model.summary(width=100, print_fn=text.append)
    for part in ("Dense", "(None, 8)", "56", "51", "Parameters: 115 (99 trained, 16 not)"):
        assert part in text[0]


def test_verbose_lines(capsys: Any) -> None:
    compiled().fit(X, Y, epochs=2, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:11] for line in lines] == ["Epoch 1/2 -", "Epoch 2/2 -"]
    assert "loss: " in lines[0] and "accuracy: " in lines[0]


def test_a_steady_state_compiles_nothing() -> None:
    model = compiled()
    model.fit(X, Y, epochs=2, validation_split=0.3, verbose=0)
    before = [model.step(k).cache_info().misses for k in ("train", "test")]
    entries = [model.step(k).cache_info().entries for k in ("train", "test")]
    model.fit(X, Y, epochs=4, validation_split=0.3, verbose=0)
    assert [model.step(k).cache_info().misses for k in ("train", "test")] == before
    assert [model.step(k).cache_info().entries for k in ("train", "test")] == entries


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.fit(X, Y[:5]), r"different lengths: \[5, 70\] examples"),
        (lambda m: m.fit(X[:0], Y[:0]), "no examples: the arrays are empty"),
        (lambda m: m.fit(iter([(X, Y)]), Y), "gives y and sample_weight itself"),
        (lambda m: network().fit(X, Y), "call compile"),
        (lambda m: m.get_layer("nope"), "has no layer 'nope'"),
        (lambda m: tj.Sequential([nn.Dense(2)]).summary(), "not built"),
    ],
)
def test_nonsense_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(compiled())


def resident() -> int:
    """Bytes of memory in use."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="/proc is Linux's")
def test_memory_is_flat() -> None:
    """Over 10,000 steps."""
    model = compiled()
    model.fit(X, Y, batch_size=7, epochs=100, verbose=0)
    gc.collect()
    before = resident()
    model.fit(X, Y, batch_size=7, epochs=1000, verbose=0)
    gc.collect()
    assert resident() - before < 4 << 20
    assert model.step("train").cache_info().entries == 1


def test_a_model_is_garbage_once_nobody_holds_it() -> None:
    def used() -> tuple[Any, Any]:
        # In a frame of its own: tracing looks at f_locals, which Python 3.11 keeps with the frame.
        model = compiled()
        model.fit(X, Y, validation_split=0.2, verbose=0)
        model.predict(X)
        return weakref.ref(model), weakref.ref(model.variables[0])

    held = used()
    gc.collect()
    assert [r() for r in held] == [None, None]


def test_without_jit() -> None:
    a, b = compiled(), compiled()
    with tj.disable_jit():
        found = a.fit(X, Y, verbose=0).history["loss"]
    np.testing.assert_allclose(found, b.fit(X, Y, verbose=0).history["loss"], rtol=1e-3)
    assert a.step("train").cache_info().entries == 0


def test_the_bar_is_drawn_at_most_ten_times_a_second(monkeypatch: Any, capsys: Any) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    bar = progress.Bar()
    drawn = 0
    for epoch in range(2):
        bar.begin(epoch, 2, 1000)
        for step in range(1000):
            now[0] += 0.001
            if bar.due():
                bar.update(step + 1, {"loss": 0.5, "accuracy": 1e-9})
                drawn += 1
        bar.end(1000, {"loss": 0.5, "many": np.zeros(2)})
    bar.close()
    assert 16 <= drawn <= 20
    text = capsys.readouterr().out
    assert "Epoch 2/2 - 1.0s - 1.00 ms/step - loss: 0.5000 - many: [0. 0.]" in text
    assert isinstance(progress.progress(0), progress.Silent)
    assert type(progress.progress("auto")) is progress.Lines
