"""The steps of these tests. WIDE runs on the team without the GIL, NARROW on one thread with it."""

import json

import numpy as np

import tracejit as tj

WIDE, NARROW = (64, 256, 10), (4, 4, 3)


def loss_fn(params, x, y):
    (w1, b1), (w2, b2) = params
    return tj.nn.softmax_cross_entropy(np.maximum(x @ w1 + b1, 0) @ w2 + b2, y).mean()


def train_step(params, x, y):
    loss, grads = tj.value_and_grad(loss_fn)(params, x, y)
    return tj.tree.map(lambda p, g: p - 0.25 * g, params, grads), loss


def jitted(target="cpu", donate=False):
    return tj.jit(train_step, target=target, donate_argnames=("params",) if donate else ())


def state(sizes, seed=0):
    """Parameters, and a batch."""
    rng = np.random.default_rng(seed)
    a, b, c = sizes
    params = [
        (rng.standard_normal((m, n), np.float32) / np.float32(np.sqrt(m)), np.zeros(n, "f4"))
        for m, n in ((a, b), (b, c))
    ]
    rows = 128 if sizes == WIDE else 6
    x = rng.standard_normal((rows, a), np.float32)
    return params, x, rng.integers(0, c, rows).astype("i4")


def losses(step, sizes, steps=8, seed=0):
    params, x, y = state(sizes, seed)
    found = []
    for _ in range(steps):
        params, loss = step(params, x, y)
        found.append(float(loss))
    return found


def main():
    """What most scripts do: train, and print the losses."""
    print(json.dumps(losses(jitted(), WIDE)))
