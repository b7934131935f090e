"""Saving: what is read is what was written; damaged and hostile files; training taken up again."""

from __future__ import annotations

import json
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.nn.test_models import X, Y, compiled, network
from tracejit import losses, nn, optim, saving
from tracejit.saving import SavedModelError


def same_bits(a: Any, b: Any) -> bool:
    pairs = zip(a.state_dict().items(), b.state_dict().items(), strict=True)
    return all(m == n and (v == w).all() for (m, v), (n, w) in pairs)


def schedule() -> Any:
    return optim.AdamW(optim.schedules.CosineDecay(0.02, 100), 0.01)


OPTIMIZERS: dict[str, Any] = {
    "sgd": lambda: optim.SGD(0.05, 0.9, nesterov=True),
    "adamw": schedule,
    "nadam": lambda: optim.Nadam(0.01, use_ema=True),
    "accumulating": lambda: optim.RMSprop(0.01, gradient_accumulation_steps=2),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_as_if_never_stopped(name: str, tmp_path: Path) -> None:
    """To the last bit: weights, moments, the schedule, the order of examples, dropout."""

    def fresh() -> Any:
        model = network()
        loss = losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(OPTIMIZERS[name](), loss, metrics=["accuracy"])
        return model

    whole, half = fresh(), fresh()
    wanted = whole.fit(X, Y, epochs=4, verbose=0).history
    half.fit(X, Y, epochs=2, verbose=0)
    half.save(tmp_path / "half.safetensors")
    again = tj.load_model(tmp_path / "half.safetensors")
    found = again.fit(X, Y, epochs=4, initial_epoch=2, verbose=0).history
    assert found == {name: values[2:] for name, values in wanted.items()}
    assert same_bits(again, whole)
    again.optimizer.finalize_variable_values(again.trainable_variables)
    whole.optimizer.finalize_variable_values(whole.trainable_variables)
    assert same_bits(again, whole)


def test_a_learning_rate_that_was_set_is_kept(tmp_path: Path) -> None:
    model = compiled()
    model.optimizer.learning_rate = 0.125
    model.save(tmp_path / "m")
    assert float(tj.load_model(tmp_path / "m").optimizer.learning_rate) == 0.125


def test_functional_models(tmp_path: Path) -> None:
    a, b = tj.Input((4,), name="a"), tj.Input((3,), name="b", dtype="int32")
    shared = nn.Dense(5, activation="gelu", kernel_initializer=nn.initializers.HeNormal(seed=1))
    embedded = nn.Flatten()(nn.Embedding(7, 5)(b))
    joined = nn.Concatenate()([shared(a), nn.LayerNormalization()(shared(a)), embedded])
    model = tj.Model(
        [a, b], {"out": nn.Dense(2, kernel_regularizer=nn.regularizers.L2(0.1))(joined)}
    )
    x = [np.ones((2, 4), np.float32), np.array([[1, 2, 3], [4, 5, 6]], np.int32)]
    model.save(tmp_path / "m.safetensors")
    again = tj.load_model(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again(x)["out"], model(x)["out"])
    assert float(again.losses[0]) == float(model.losses[0])
    doubled = tj.Model([a, b], shared(a) * 2.0)
    with pytest.raises(TypeError, match=r"multiply.* is no layer: use a layer"):
        doubled.save(tmp_path / "d")
    nested = tj.Sequential([tj.Sequential([nn.Dense(3)]), nn.ReLU()])
    nested(x[0])
    nested.save(tmp_path / "n")
    np.testing.assert_array_equal(tj.load_model(tmp_path / "n")(x[0]), nested(x[0]))


def test_things_of_ones_own(tmp_path: Path) -> None:
    class Twice(nn.Layer):
        def call(self, x: Any) -> Any:
            return x * 2

    model = tj.Sequential([Twice(), nn.Dense(2)])
    model(X)
    with pytest.raises(TypeError, match=r"save: Twice\(\) has no description"):
        model.save(tmp_path / "m")
    assert list(tmp_path.iterdir()) == []
    saving.save_model(model, tmp_path / "m", {"Twice": Twice})
    with pytest.raises(SavedModelError, match="custom 'Twice' is not known; for a class or func"):
        tj.load_model(tmp_path / "m")
    again = tj.load_model(tmp_path / "m", {"Twice": Twice})
    np.testing.assert_array_equal(again(X), model(X))


def test_weights_alone(tmp_path: Path) -> None:
    model, other = compiled(), network()
    model.fit(X, Y, verbose=0)
    model.save_weights(tmp_path / "w")
    other.load_weights(tmp_path / "w")
    assert same_bits(model, other)
    narrow = tj.Sequential([nn.Dense(7), nn.BatchNormalization(), nn.Dropout(0.2), nn.Dense(3)])
    narrow(X)
    before = narrow.state_dict()
    with pytest.raises(
        SavedModelError, match=r"'stack.0.kernel' is float32\[6, 8\], the model has"
    ):
        narrow.load_weights(tmp_path / "w")
    assert all((narrow.state_dict()[k] == v).all() for k, v in before.items())
    with pytest.raises(SavedModelError, match="other weights: missing"):
        few = tj.Sequential([nn.Dense(3)])
        few(X)
        few.load_weights(tmp_path / "w")


def written(tmp_path: Path) -> bytes:
    compiled().save(tmp_path / "good")
    return (tmp_path / "good").read_bytes()


def changed(content: bytes, change: Any) -> bytes:
    """With another description."""
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    description = json.loads(header["__metadata__"]["description"])
    change(header, description)
    if "description" in header["__metadata__"]:
        header["__metadata__"]["description"] = json.dumps(description)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def test_damaged_files_give_clear_errors(tmp_path: Path) -> None:
    good = written(tmp_path)
    bad = [good[:cut] for cut in (0, 4, 8, 50, len(good) // 2, len(good) - 1)]
    bad += [b"\xff" * 8 + good[8:], b"hello", good + b"more", bytes(100)]
    for content in bad:
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(SavedModelError, match="no safetensors file, or a damaged one"):
            tj.load_model(tmp_path / "bad")


def test_no_changed_byte_does_more_than_raise(tmp_path: Path) -> None:
    """Of the header: it loads, with other names or numbers; or it is a SavedModelError."""
    good = written(tmp_path)
    length = struct.unpack("<Q", good[:8])[0]
    rng, refused = np.random.default_rng(0), 0
    for _ in range(150):
        bad = bytearray(good)
        bad[int(rng.integers(8 + length))] = int(rng.choice(list(b'0919-"{}[],:aZ_ ')))
        (tmp_path / "bad").write_bytes(bad)
        try:
            tj.load_model(tmp_path / "bad")
        except SavedModelError:
            refused += 1
    assert refused > 50


KILLED = """
import os, signal, sys
from tests.nn.test_models import X, Y, compiled
from tracejit import callbacks

class Kill(callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 2:
            os.kill(os.getpid(), signal.SIGKILL)
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

compiled().fit(X, Y, epochs=4, verbose=0, callbacks=[
    callbacks.ModelCheckpoint(sys.argv[1]), Kill()])
"""


def test_killed_and_taken_up_again(tmp_path: Path) -> None:
    """In the middle of the third epoch; the file of the second is whole."""
    path = tmp_path / "m.safetensors"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=root)
    assert done.returncode == -signal.SIGKILL
    again, whole = tj.load_model(path), compiled()
    wanted = whole.fit(X, Y, epochs=4, verbose=0).history
    found = again.fit(X, Y, epochs=4, initial_epoch=2, verbose=0).history
    assert found == {name: values[2:] for name, values in wanted.items()}
    assert same_bits(again, whole)


def hostile(name: str) -> Any:
    def change(header: Any, description: Any) -> None:
        layer = description["model"]["config"]["layers"][0]
        if name == "class":
            layer["class"] = "os.system"
        elif name == "kind":
            layer["kind"] = "builtins"
        elif name == "argument":
            layer["config"]["no_such"] = 1
        elif name == "wider":
            layer["config"]["units"] = 9
        elif name == "huge":
            layer["config"]["units"] = 10**12
        elif name == "no model":
            del description["model"]
        elif name == "format":
            header["__metadata__"]["format"] = "pt"
        elif name == "description":
            del header["__metadata__"]["description"]

    return change


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("class", "layer 'os.system' is not known"),
        ("kind", "builtins 'Dense' is not known"),
        ("argument", "the description is damaged"),
        ("wider", r"'stack.0.bias' is float32\[8\], the model has f32\[9\]|'stack.0.kernel'"),
        ("huge", r"dense.*: kernel \[6, 1000000000000\] has more than \d+ elements"),
        ("no model", "the description is damaged: KeyError"),
        ("format", "format 'pt', not 'tracejit 1'"),
        ("description", "the description is damaged"),
    ],
)
def test_hostile_files_run_nothing(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(changed(written(tmp_path), hostile(name)))
    with pytest.raises(SavedModelError, match=message):
        tj.load_model(tmp_path / "bad")


def test_an_interrupted_save_leaves_the_old_file(tmp_path: Path, monkeypatch: Any) -> None:
    good = written(tmp_path)

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(saving.os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        compiled().save(tmp_path / "good")
    assert (tmp_path / "good").read_bytes() == good
    assert [p.name for p in tmp_path.iterdir()] == ["good"]
