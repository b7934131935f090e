"""Trains a network on handwritten digits, and shows what the compiler made of the training step."""

import time
from functools import partial
from itertools import pairwise
from statistics import median

import digits_numpy
import numpy as np
from digits_data import load
from rich.progress import BarColumn, MofNCompleteColumn, Progress

import tracejit as tj

SIZES = (64, 256, 128, 10)
BATCH = 64
EPOCHS = 20
STEPS = EPOCHS * (1437 // BATCH)


def forward(params, x):
    """Logits [n, 10] of images x: [n, 64]."""
    for w, b in params[:-1]:
        x = np.maximum(x @ w + b, 0)
    w, b = params[-1]
    return x @ w + b


def loss_fn(params, x, y):
    return tj.nn.softmax_cross_entropy(forward(params, x), y).mean()


def learning_rate(t):
    """Falls linearly from 0.002 to nearly 0 over the training."""
    return 0.002 * (1 - (t - 1) / STEPS)


def train_step(state, x, y):
    """Forward, backward and Adam (Kingma & Ba 2014, section 2): the new state, and the loss."""
    loss, grads = tj.value_and_grad(loss_fn)(state["params"], x, y)
    t = state["t"] + 1
    m = tj.tree.map(lambda m, g: m + 0.1 * (g - m), state["m"], grads)
    v = tj.tree.map(lambda v, g: v + 0.001 * (g * g - v), state["v"], grads)
    scale = learning_rate(t) * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    params = tj.tree.map(lambda p, m, v: p - scale * m / (np.sqrt(v) + 1e-8), state["params"], m, v)
    return {"params": params, "m": m, "v": v, "t": t}, loss


def initial_state(seed=0):
    """Weights after He et al. 2015, section 2.2; Adam's moments and step count at zero."""
    rng = np.random.default_rng(seed)
    params = [
        ((rng.standard_normal((a, b)) * np.sqrt(2 / a)).astype("f4"), np.zeros(b, "f4"))
        for a, b in pairwise(SIZES)
    ]
    m, v = tj.tree.map(np.zeros_like, params), tj.tree.map(np.zeros_like, params)
    return {"params": params, "m": m, "v": v, "t": np.zeros((), "f4")}


def train(step, predict, digits):
    """Returns the trained state and the accuracy on the test images."""
    rng, state = np.random.default_rng(1), initial_state()
    with Progress("epoch", MofNCompleteColumn(), BarColumn(), "{task.fields[figures]}") as progress:
        bar = progress.add_task("", total=EPOCHS, figures="compiling")
        for _ in range(EPOCHS):
            losses = []
            order = rng.permutation(len(digits.x_train))[: STEPS // EPOCHS * BATCH]
            for rows in order.reshape(-1, BATCH):
                state, loss = step(state, digits.x_train[rows], digits.y_train[rows])
                losses.append(float(loss))
            accuracy = (predict(state["params"], digits.x_test).argmax(1) == digits.y_test).mean()
            figures = f"loss {np.mean(losses):.4f}, test accuracy {accuracy:.2%}"
            progress.update(bar, advance=1, figures=figures)
    return state, accuracy


def seconds_per_step(step, state, batch, calls=300):
    """The median; `step` takes and returns the state, or changes it in place and returns a loss."""
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        result = step(state, *batch)
        times.append(time.perf_counter() - start)
        state = result[0] if isinstance(result, tuple) else state
    return median(times)


def report(step, state, batch):
    """What was compiled, what it costs, and where to look."""
    lowered, compiled = step.lower(state, *batch), step.cache_info()
    cost, fused = lowered.cost(), lowered.dump("fused").splitlines()
    by_hand = partial(digits_numpy.train_step, rate=learning_rate)
    ours = seconds_per_step(step, state, batch) * 1e6
    theirs = seconds_per_step(by_hand, initial_state(), batch) * 1e6
    print(f"compiled in  {compiled.compile_seconds:.2f} s (0 from a filled cache)")
    print(f"one step     {ours:.0f} us; in plain NumPy {theirs:.0f} us, ratio {ours / theirs:.2f}")
    print(f"the program  {cost.kernels} kernels, {cost.barriers} barriers, ", end="")
    print(f"{cost.arena_bytes:,} bytes of arena, {cost.flops / 1e6:.1f} MFLOP a step")
    print('\nIts kernels, as step.lower(state, x, y).dump("fused") begins:\n')
    print(*(line[:99] for line in fused[:16]), f"... ({len(fused)} lines)", sep="\n")
    print("\nMore stages: tracejit run --dump optimized,loops,llvm examples/digits.py")


def main():
    digits = load()
    step, predict = tj.jit(train_step, donate_argnames=("state",)), tj.jit(forward)
    start = time.perf_counter()
    state, accuracy = train(step, predict, digits)
    seconds = time.perf_counter() - start
    print(f"\ntrained      {EPOCHS} epochs in {seconds:.1f} s: test accuracy {accuracy:.2%}")
    report(step, state, (digits.x_train[:BATCH], digits.y_train[:BATCH]))
    return 0 if accuracy >= 0.97 else 1


if __name__ == "__main__":
    raise SystemExit(main())
