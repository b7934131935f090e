"""The command in a process of its own, and a small script for it to run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TRAIN = """
import sys
import numpy as np
import tracejit as tj

def loss_fn(w, x):
    return np.tanh(x @ w).mean()

@tj.jit
def train_step(w, x):
    loss, g = tj.value_and_grad(loss_fn)(w, x)
    return w - 0.5 * g, loss

def scaled(x, *offsets, factor=2.0):
    return x * factor + offsets[0]

final_step = tj.jit(lambda x: x.sum())

def main():
    print("words", *sys.argv[1:])
    rng = np.random.default_rng(0)
    w = rng.standard_normal((8, 5)).astype("f4")
    for rows in (6, 6, 4):
        x = scaled(np.ones((rows, 8), "f4"), 1.0)
        w, loss = train_step(w, x)
    print("loss", float(loss))
    print("sum", float(final_step(w)))

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def script(tmp_path):
    """Writes a script; returns its path."""

    def write(source=TRAIN, name="train.py"):
        path = tmp_path / name
        path.write_text(source)
        return path

    return write


@pytest.fixture(scope="session")
def python():
    """Runs Python with these words; (exit code, stdout, stderr). Warnings are errors."""

    def run(*words, **environment):
        kept = {k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "TERM")}
        done = subprocess.run(
            [sys.executable, "-W", "error", *map(str, words)],
            env={**kept, "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture(scope="session")
def command(python):
    """Runs `tracejit` with these words."""
    return lambda *words, **environment: python("-m", "tracejit", *words, **environment)
