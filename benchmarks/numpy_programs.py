"""Plain NumPy programs, unchanged under tj.jit: `python -m benchmarks.numpy_programs`.

Prints NumPy's time, tracejit's, and their ratio. The functions know nothing of tracejit;
`tests/frontend/test_benchmark_programs.py` compares the results.

Each side runs in processes of its own, in turns: threads of the one that still spin would slow the
other. NumPy runs with the threads its BLAS chooses and with one, and the faster counts for each
program: on a busy machine several threads can be twenty times slower than one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

Array = Any
Rng = np.random.Generator


@dataclass(frozen=True)
class Program:
    """A function of arrays, and its arguments: inputs(rng, scale), small for a scale of 0."""

    f: Callable[..., Any]
    inputs: Callable[[Rng, int], tuple[Array, ...]]


PROGRAMS: dict[str, Program] = {}


def program(inputs: Callable[[Rng, int], tuple[Array, ...]]) -> Callable[..., Any]:
    """Adds the decorated function to the table."""

    def row(f: Callable[..., Any]) -> Callable[..., Any]:
        PROGRAMS[f.__name__] = Program(f, inputs)
        return f

    return row


def f32(rng: Rng, *shape: int) -> Array:
    return rng.standard_normal(shape).astype(np.float32)


@program(lambda rng, scale: (f32(rng, (5, 1024)[scale], (7, 1000)[scale]),))
def softmax(x: Array) -> Array:
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def _mlp(rng: Rng, scale: int) -> tuple[Array, ...]:
    n, wide = (3, 256)[scale], (8, 512)[scale]
    sizes = (wide, wide, 10)
    return (
        f32(rng, n, sizes[0]),
        f32(rng, sizes[0], sizes[1]) / np.float32(sizes[0] ** 0.5),
        f32(rng, sizes[1]),
        f32(rng, sizes[1], sizes[2]) / np.float32(sizes[1] ** 0.5),
        f32(rng, sizes[2]),
    )


@program(_mlp)
def mlp(x: Array, w1: Array, b1: Array, w2: Array, b2: Array) -> Array:
    return np.tanh(np.maximum(x @ w1 + b1, 0) @ w2 + b2)


def _options(rng: Rng, scale: int) -> tuple[Array, ...]:
    n = (50, 400_000)[scale]
    return rng.uniform(10, 50, n), rng.uniform(10, 50, n), rng.uniform(0.2, 2, n)


@program(_options)
def black_scholes(spot: Array, strike: Array, years: Array) -> tuple[Array, Array]:
    """Prices of calls and puts, at 2 % interest and 30 % volatility.

    Source of the normal distribution: Abramowitz & Stegun 1964, 26.2.17.
    """
    rate, sigma = 0.02, 0.3

    def normal(x: Array) -> Array:
        k = 1 / (1 + 0.2316419 * np.abs(x))
        tail = k * (
            0.31938153
            + k * (-0.356563782 + k * (1.781477937 + k * (-1.821255978 + k * 1.330274429)))
        )
        upper = 1 - np.exp(-x * x / 2) / np.sqrt(2 * np.pi) * tail
        return np.where(x >= 0, upper, 1 - upper)

    spread = sigma * np.sqrt(years)
    d1 = (np.log(spot / strike) + (rate + sigma**2 / 2) * years) / spread
    d2 = d1 - spread
    discounted = strike * np.exp(-rate * years)
    call = spot * normal(d1) - discounted * normal(d2)
    return call, call - spot + discounted


@program(lambda rng, s: (f32(rng, (6, 512)[s], 3), f32(rng, (6, 512)[s], 3), np.float32(0.01)))
def n_body(position: Array, velocity: Array, dt: Array) -> tuple[Array, Array]:
    """One leapfrog step of equal masses; 0.1 softens close encounters."""
    gap = position[None, :, :] - position[:, None, :]
    inverse = (np.sum(gap * gap, axis=-1) + np.float32(0.01)) ** np.float32(-1.5)
    force = np.sum(gap * inverse[..., None], axis=1) / len(position)
    velocity = velocity + dt * force
    return position + dt * velocity, velocity


@program(lambda rng, scale: (f32(rng, (8, 400)[scale], (9, 400)[scale]),))
def jacobi(u: Array) -> Array:
    """Twenty sweeps of the Laplace equation; the border is kept."""
    border = np.pad(np.zeros((u.shape[0] - 2, u.shape[1] - 2), u.dtype), 1, constant_values=1)
    fixed = u * border
    for _ in range(20):
        inside = (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]) * np.float32(0.25)
        u = np.pad(inside, 1) + fixed
    return u


def _plane(rng: Rng, scale: int) -> tuple[Array, ...]:
    n = (9, 300)[scale]
    x, y = np.meshgrid(np.linspace(-2, 0.6, n), np.linspace(-1.2, 1.2, n))
    return x.astype(np.float32), y.astype(np.float32)


@program(_plane)
def mandelbrot(x: Array, y: Array) -> Array:
    """How many of 40 iterations stay within a radius of 2."""
    zx, zy, count = 0 * x, 0 * y, np.zeros(x.shape, np.int32)
    for _ in range(40):
        inside = zx * zx + zy * zy <= 4
        zx, zy = (
            np.where(inside, zx * zx - zy * zy + x, zx),
            np.where(inside, 2 * zx * zy + y, zy),
        )
        count = count + inside
    return count


@program(lambda rng, scale: (f32(rng, (40, 8192)[scale], 16), f32(rng, (3, 32)[scale], 16)))
def k_means(points: Array, centres: Array) -> tuple[Array, Array]:
    """One step: each point to its nearest centre, each centre to the mean of its points."""
    distance = np.sum(centres * centres, axis=1) - 2 * points @ centres.T
    label = np.argmin(distance, axis=1)
    member = (label[:, None] == np.arange(len(centres))).astype(points.dtype)
    count = np.maximum(np.sum(member, axis=0), 1)
    return (member.T @ points) / count[:, None], label


@program(lambda rng, scale: (f32(rng, (30, 4000)[scale], (5, 128)[scale]),))
def power_iteration(x: Array) -> tuple[Array, Array]:
    """The first principal component and its variance, after 20 multiplications."""
    centred = x - np.mean(x, axis=0)
    v = np.ones(x.shape[1], x.dtype) / np.sqrt(np.float32(x.shape[1]))
    for _ in range(20):
        v = centred.T @ (centred @ v)
        v = v / np.linalg.norm(v)
    return v, np.var(centred @ v)


@program(lambda rng, scale: (rng.standard_normal((10, 50)[scale]),))
def kalman(measured: Array) -> Array:
    """Position and velocity filtered out of noisy positions."""
    step = np.array([[1.0, 0.1], [0.0, 1.0]])
    noise = 0.01 * np.eye(2)
    seen = np.array([1.0, 0.0])
    state, covariance = np.zeros(2), np.eye(2)
    track = []
    for z in measured:
        state = step @ state
        covariance = step @ covariance @ step.T + noise
        gain = covariance @ seen / (seen @ covariance @ seen + 0.25)
        state = state + gain * (z - seen @ state)
        covariance = covariance - np.outer(gain, seen @ covariance)
        track.append(state)
    return np.stack(track)


def solve(apply: Callable[[Array], Array], b: Array, steps: int) -> Array:
    """apply(x) = b by conjugate gradients. Source: Hestenes & Stiefel 1952."""
    x, r = 0 * b, b
    p, rr = r, r @ r
    for _ in range(steps):
        q = apply(p)
        alpha = rr / (p @ q)
        x, r = x + alpha * p, r - alpha * q
        rr, before = r @ r, rr
        p = r + rr / before * p
    return x


def _system(rng: Rng, scale: int) -> tuple[Array, ...]:
    n = (12, 512)[scale]
    a = rng.standard_normal((n, n))
    return a @ a.T / n + np.eye(n), rng.standard_normal(n)


@program(_system)
def conjugate_gradients(a: Array, b: Array) -> Array:
    return solve(lambda p: a @ p, b, 10)


def _labelled(rng: Rng, scale: int) -> tuple[Array, ...]:
    x = rng.standard_normal(((60, 6), (5000, 24))[scale])
    return x, (x @ rng.standard_normal(x.shape[1]) + rng.standard_normal(len(x)) > 0).astype(float)


@program(_labelled)
def newton_logistic(x: Array, y: Array) -> Array:
    """Five Newton steps of a ridge logistic regression."""
    w = np.zeros(x.shape[1])
    for _ in range(5):
        p = 1 / (1 + np.exp(-(x @ w)))
        gradient = x.T @ (p - y) + w
        hessian = (x.T * (p * (1 - p))) @ x + np.eye(x.shape[1])
        w = w - np.linalg.solve(hessian, gradient)
    return w


def _cell(rng: Rng, scale: int) -> tuple[Array, ...]:
    batch, wide = (3, 64)[scale], (4, 256)[scale]
    state = (f32(rng, batch, wide), f32(rng, batch, wide), f32(rng, batch, wide))
    return (*state, f32(rng, 2 * wide, 4 * wide) / np.float32(wide), f32(rng, 4 * wide))


@program(_cell)
def lstm_cell(x: Array, h: Array, c: Array, w: Array, b: Array) -> tuple[Array, Array]:
    gates = np.concatenate([x, h], axis=1) @ w + b
    i, f, g, o = np.split(gates, 4, axis=1)

    def sigmoid(v: Array) -> Array:
        return 1 / (1 + np.exp(-v))

    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


@program(lambda rng, scale: (rng.standard_normal((20, 120)[scale]),))
def arma_likelihood(series: Array) -> Array:
    """The log likelihood of an ARMA(1, 1) model of unit variance, given the first value."""
    phi, theta = 0.6, 0.3
    error, total = 0.0, 0.0
    for t in range(1, len(series)):
        error = series[t] - phi * series[t - 1] - theta * error
        total = total - error * error / 2
    return total - (len(series) - 1) / 2 * np.log(2 * np.pi)


@program(lambda rng, scale: tuple(f32(rng, 2, (5, 256)[scale], (4, 64)[scale]) for _ in "qkv"))
def attention(q: Array, k: Array, v: Array) -> Array:
    scores = np.einsum("hqd,hkd->hqk", q, k) / np.sqrt(np.float32(q.shape[-1]))
    scores = np.where(np.tril(np.ones(scores.shape[-2:], bool)), scores, np.float32(-1e9))
    return softmax(scores) @ v


def conv(x: Array, w: Array) -> Array:
    """x [N, H, W, C] with w [KH, KW, C, O], where the window fits: one product for each offset."""
    high, wide = x.shape[1] - w.shape[0] + 1, x.shape[2] - w.shape[1] + 1
    out = 0
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            out = out + x[:, i : i + high, j : j + wide] @ w[i, j]
    return out


def pool(x: Array) -> Array:
    """The largest of each 2 x 2."""
    batch, high, wide, channels = x.shape
    return x.reshape(batch, high // 2, 2, wide // 2, 2, channels).max(axis=(2, 4))


def _images(rng: Rng, scale: int) -> tuple[Array, ...]:
    batch, size = (2, 64)[scale], (16, 28)[scale]
    last = ((size - 4) // 2 - 4) // 2
    shapes = ((5, 5, 1, 6), (5, 5, 6, 16), (last * last * 16, 120), (120, 84), (84, 10))
    layers = (f32(rng, *s) / np.float32(np.prod(s[:-1]) ** 0.5) for s in shapes)
    return (f32(rng, batch, size, size, 1), *layers)


@program(_images)
def lenet(x: Array, w1: Array, w2: Array, w3: Array, w4: Array, w5: Array) -> Array:
    """LeCun et al. 1998, with rectifiers and maxima: logits [N, 10]."""
    h = pool(np.maximum(conv(x, w1), 0))
    h = pool(np.maximum(conv(h, w2), 0))
    h = np.maximum(h.reshape(len(h), -1) @ w3, 0)
    return np.maximum(h @ w4, 0) @ w5


def _features(rng: Rng, scale: int) -> tuple[Array, ...]:
    batch, size, channels = (2, 16)[scale], (6, 32)[scale], (4, 32)[scale]
    weights = (f32(rng, 3, 3, channels, channels) / np.float32(3 * channels**0.5) for _ in "ab")
    return (f32(rng, batch, size, size, channels), *weights)


@program(_features)
def residual_block(x: Array, w1: Array, w2: Array) -> Array:
    """He et al. 2015: two normalised 3 x 3 convolutions beside the identity."""

    def normalised(v: Array) -> Array:
        axes = (0, 1, 2)
        return (v - v.mean(axes)) / np.sqrt(v.var(axes) + np.float32(1e-5))

    def same(v: Array, w: Array) -> Array:
        return conv(np.pad(v, ((0, 0), (1, 1), (1, 1), (0, 0))), w)

    h = np.maximum(normalised(same(x, w1)), 0)
    return np.maximum(normalised(same(h, w2)) + x, 0)


def seconds_per_call(f: Callable[..., Any], args: tuple[Array, ...], least: float) -> float:
    """The median over calls of `least` seconds in all."""
    times: list[float] = []
    while len(times) < 5 or sum(times) < least:
        start = time.perf_counter()
        f(*args)
        times.append(time.perf_counter() - start)
    return median(times)


ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
SIDES: dict[str, dict[str, str]] = {"NumPy": {}, "NumPy, 1 thread": ONE_THREAD, "tracejit": {}}

Figures = dict[str, tuple[float, float]]  # program: seconds of a call, and of the first


def measured(side: str, names: list[str], least: float) -> Figures:
    """One side's figures, in this process."""
    figures = {}
    for name in names:
        row = PROGRAMS[name]
        f, args = row.f, row.inputs(np.random.default_rng(0), 1)
        if side == "tracejit":
            import tracejit as tj

            f = tj.jit(f)
        start = time.perf_counter()
        f(*args)
        first = time.perf_counter() - start
        figures[name] = seconds_per_call(f, args, least), first
    return figures


def in_own_process(side: str, names: list[str], least: float) -> Figures:
    command = [sys.executable, "-m", "benchmarks.numpy_programs", "--side", side]
    command += ["--seconds", str(least), *(f"--only={name}" for name in names)]
    environment = os.environ | SIDES[side]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return {name: (call, first) for name, (call, first) in json.loads(done.stdout).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.15, help="of calls, each turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--only", choices=PROGRAMS, action="append")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = options.only or list(PROGRAMS)
    if options.side:
        print(json.dumps(measured(options.side, names, options.seconds)))
        return
    turns = [
        {side: in_own_process(side, names, options.seconds) for side in SIDES}
        for _ in range(options.turns)
    ]
    print(f"{'ms':20}" + "".join(f"{side:>17}" for side in SIDES) + "     ratio  first call")
    for name in names:
        calls = {side: median(turn[side][name][0] for turn in turns) for side in SIDES}
        best = min(calls[side] for side in SIDES if side != "tracejit")
        first = turns[0]["tracejit"][name][1]
        cells = "".join(f"{calls[side] * 1e3:17.3f}" for side in SIDES)
        print(f"{name:20}{cells}{best / calls['tracejit']:10.2f}{first * 1e3:12.1f}")


if __name__ == "__main__":
    main()
