"""`python -m benchmarks.fit`: seconds a step of `fit`, against the bare step, Keras and PyTorch.

One network per row, the same data, weights drawn by each; shuffled batches, Adam, the loss and the
accuracy of each epoch. Each peer runs in fresh processes, one after the other; the best epoch of
all counts. PEER is an interpreter with keras and torch or jax: `--peer-python PEER`.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
LOSS = "SparseCategoricalCrossentropy"


def mlp_small(layers: Any) -> list[Any]:
    return [layers.Dense(128, activation="relu"), layers.Dense(10)]


def cnn(layers: Any) -> list[Any]:
    return [
        layers.Conv2D(32, 3, padding="same", activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, padding="same", activation="relu"), layers.MaxPooling2D(2),
        layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dropout(0.3),
        layers.Dense(10),
    ]  # fmt: skip


def lstm(layers: Any) -> list[Any]:
    return [layers.LSTM(96), layers.Dense(10)]


# layers, shape of one input, examples, batch size
Workload = tuple[Callable[[Any], list[Any]], tuple[int, ...], int, int]
WORKLOADS: dict[str, Workload] = {
    "mlp_small": (mlp_small, (64,), 6_400, 32),
    "cnn": (cnn, (28, 28, 1), 2_000, 50),
    "lstm": (lstm, (28, 28), 2_000, 50),
}
PEERS = {
    "tracejit fit": ("tracejit", ""),
    "tracejit bare step": ("bare", ""),
    "Keras, torch": ("keras", "torch"),
    "Keras, JAX": ("keras", "jax"),
    "PyTorch loop": ("torch", ""),
}


def data(shape: tuple[int, ...], examples: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((examples, *shape)).astype(np.float32)
    return x, rng.integers(0, 10, examples).astype(np.int32)


def best_epoch(epoch: Callable[[], object], steps: int, seconds: float) -> float:
    """Seconds a step of the best epoch, after one to warm up."""
    epoch()
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        epoch()
        times.append((time.perf_counter() - start) / steps)
    return min(times)


def of_models(kind: str, work: Workload, seconds: float) -> float:
    """`fit` of tracejit or Keras, whose code is the same; or tracejit's step alone."""
    build, shape, examples, batch = work
    x, y = data(shape, examples)
    steps = examples // batch
    if kind == "keras":
        import keras

        model: Any = keras.Sequential([keras.Input(shape), *build(keras.layers)])
        loss: Any = getattr(keras.losses, LOSS)(from_logits=True)
    else:
        import tracejit as tj
        from tracejit import losses, nn

        model = tj.Sequential([tj.Input(shape), *build(nn)])
        loss = getattr(losses, LOSS)(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    if kind != "bare":
        return best_epoch(lambda: model.fit(x, y, batch_size=batch, verbose=0), steps, seconds)
    model.train_on_batch(x[:batch], y[:batch])
    step, one, labels = model.step("train"), x[:batch].copy(), y[:batch].copy()

    def epoch() -> None:
        for _ in range(steps):
            step(one, labels, None)

    return best_epoch(epoch, steps, seconds)


def of_torch(name: str, work: Workload, seconds: float) -> float:
    """The loop by hand, batches from a DataLoader."""
    import torch
    from torch import nn

    _, shape, examples, batch = work

    class Last(nn.Module):
        def forward(self, given: Any) -> Any:
            return given[0][:, -1]

    blocks: dict[str, list[Any]] = {
        "mlp_small": [nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)],
        "cnn": [
            nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10),
        ],
        "lstm": [nn.LSTM(28, 96, batch_first=True), Last(), nn.Linear(96, 10)],
    }  # fmt: skip
    x, y = data(shape, examples)
    if name == "cnn":
        x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    pairs = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y).long())
    loader = torch.utils.data.DataLoader(pairs, batch_size=batch, shuffle=True)
    model = nn.Sequential(*blocks[name])
    opt = torch.optim.Adam(model.parameters())

    def epoch() -> None:
        total, hits = 0.0, 0
        for images, digits in loader:
            opt.zero_grad()
            out = model(images)
            loss = nn.functional.cross_entropy(out, digits)
            loss.backward()
            opt.step()
            total += loss.item()
            hits += int((out.argmax(-1) == digits).sum())

    return best_epoch(epoch, examples // batch, seconds)


def child(peer: str, name: str, seconds: float) -> None:
    kind = PEERS[peer][0]
    work = WORKLOADS[name]
    found = of_torch(name, work, seconds) if kind == "torch" else of_models(kind, work, seconds)
    print(json.dumps(found))


def measured(peer: str, name: str, options: argparse.Namespace) -> float | str:
    """The best of all rounds, or why there is none."""
    kind, backend = PEERS[peer]
    python = sys.executable if kind in ("tracejit", "bare") else options.peer_python
    command = [python, "-m", "benchmarks.fit", "--child", peer, "--workload", name]
    command += ["--seconds", str(options.seconds)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if backend:
        environment["KERAS_BACKEND"] = backend
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no message"])[-1]
    return float(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fit", description=__doc__)
    parser.add_argument("--peer-python", metavar="PATH", help="an interpreter with keras and torch")
    parser.add_argument("--workload", action="append", choices=[*WORKLOADS])
    parser.add_argument("--peer", action="append", choices=[*PEERS], help="leave others out")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = options.workload or list(WORKLOADS)
    if options.child:
        child(options.child, names[0], options.seconds)
        return
    ours = [p for p, (kind, _) in PEERS.items() if kind in ("tracejit", "bare")]
    peers = list(PEERS) if options.peer_python else ours
    peers = [p for p in peers if p in ours or p in (options.peer or peers)]
    for name in names:
        best: dict[str, float] = {}
        for _ in range(options.rounds):
            for peer in peers:
                found = measured(peer, name, options)
                if isinstance(found, str):
                    print(f"{name}, {peer}: {found}")
                else:
                    best[peer] = min(found, best.get(peer, found))
        for peer, seconds in best.items():
            print(f"{name:10} {peer:20} {seconds * 1e3:9.3f} ms a step")
        if "tracejit bare step" in best:
            share = best["tracejit bare step"] / best["tracejit fit"]
            print(f"{name:10} fit runs at {share:.0%} of the bare step's rate")
        others = [s for p, s in best.items() if p not in ours]
        if others:
            print(f"{name:10} fit takes {best['tracejit fit'] / min(others):.2f} of the best peer")


if __name__ == "__main__":
    main()
