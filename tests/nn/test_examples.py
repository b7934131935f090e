"""Each example in its short form: it runs, it learns, and it is as short as promised."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
# What of the test examples the short form gets right at least.
RIGHT = {"fit_digits": 0.8, "cnn_digits": 0.8, "mnist_cnn": 0.8}
NAMES = [
    "fit_digits", "cnn_digits", "mnist_cnn", "resnet_digits", "lstm_rows", "gru_names",
    "vae_digits", "dcgan_digits", "gpt_stdlib",
]  # fmt: skip


def loaded(name: str) -> Any:
    """The example as a module, its folder importable meanwhile."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(EXAMPLES))


@pytest.mark.parametrize("name", NAMES)
def test_an_example_learns(name: str, capsys: Any) -> None:
    found = loaded(name).main(short=True)
    losses, accuracy = found if isinstance(found, tuple) else (found, 1.0)
    losses = losses["discriminator"] if isinstance(losses, dict) else losses
    assert losses[-1] < 0.95 * losses[0]
    assert accuracy > RIGHT.get(name, 0.0)
    assert capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_short(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 120
