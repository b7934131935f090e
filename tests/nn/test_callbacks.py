"""Callbacks of fit: they stop it, change its rate, and keep what it found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.nn.test_models import X, Y, compiled
from tracejit import callbacks


class Scripted(callbacks.Callback):
    """Puts values into the logs in place of what was measured."""

    def __init__(self, values: list[float]) -> None:
        self.values = values

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["val_loss"] = self.values[epoch]


def test_early_stopping() -> None:
    model = compiled()
    weights: list[Any] = []
    keep = callbacks.LambdaCallback(
        on_epoch_end=lambda e, logs: weights.append(model.get_weights())
    )
    stop = callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    values = [3.0, 1.0, 2.0, 2.0, 0.5, 0.1]
    history = model.fit(X, Y, epochs=6, callbacks=[Scripted(values), keep, stop], verbose=0)
    assert history.epoch == [0, 1, 2, 3]
    assert stop.stopped_epoch == 3 and stop.best_epoch == 1
    assert all((a == b).all() for a, b in zip(model.get_weights(), weights[1], strict=True))
    missing = callbacks.EarlyStopping("val_los")
    with pytest.raises(KeyError, match="no 'val_los' among loss, accuracy"):
        model.fit(X, Y, callbacks=missing, verbose=0)


def test_learning_rates_change_without_a_new_trace() -> None:
    model = compiled()
    plateau = callbacks.ReduceLROnPlateau(factor=0.5, patience=1, min_lr=0.003)
    script = Scripted([1.0, 1.0, 1.0, 1.0])
    rates = model.fit(X, Y, epochs=4, callbacks=[script, plateau], verbose=0)
    assert rates.history["learning_rate"] == [0.01, 0.01, 0.005, 0.003]
    schedule = callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))
    rates = model.fit(X, Y, epochs=2, callbacks=[schedule], verbose=0)
    assert rates.history["learning_rate"] == [0.1, 0.05]
    assert model.step("train").cache_info().entries == 2


def test_csv_and_checkpoints(tmp_path: Path) -> None:
    model = compiled()
    log = callbacks.CSVLogger(tmp_path / "log.csv")
    best = callbacks.ModelCheckpoint(tmp_path / "best.safetensors", save_best_only=True)
    every = callbacks.ModelCheckpoint(tmp_path / "{epoch:02d}.safetensors", save_weights_only=True)
    kept: list[Any] = []
    keep = callbacks.LambdaCallback(on_epoch_end=lambda e, logs: kept.append(model.predict(X)))
    model.fit(
        X, Y, epochs=3, callbacks=[Scripted([2.0, 1.0, 3.0]), log, best, every, keep], verbose=0
    )
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0] == "epoch,accuracy,loss,val_loss" and len(lines) == 4
    np.testing.assert_array_equal(tj.load_model(tmp_path / "best.safetensors").predict(X), kept[1])
    model.load_weights(tmp_path / "01.safetensors")
    np.testing.assert_array_equal(model.predict(X), kept[0])


def test_a_nan_stops(capsys: Any) -> None:
    model = compiled()
    x = X.copy()
    x[33] = np.nan
    model.fit(x, Y, epochs=5, shuffle=False, callbacks=callbacks.TerminateOnNaN(), verbose=0)
    assert model.history.epoch == [0]
    assert "Batch 1: the loss is nan" in capsys.readouterr().out
