"""PyTensor in its Numba mode: weights and moments are shared variables, updated by the function."""

import numpy as np
import pytensor
import pytensor.tensor as pt

from benchmarks.stopwatch import Step, main
from benchmarks.workloads import BETA1, BETA2, EPSILON, LEARNING_RATE, Work


def shared(value):
    return pytensor.shared(value, borrow=False)


def loss_of(params, x, y):
    for w, b in params[:-1]:
        x = pt.maximum(x @ w + b, np.float32(0))
    w, b = params[-1]
    logs = pt.special.log_softmax(x @ w + b, axis=-1)
    return -logs[pt.arange(y.shape[0]), y].mean()


def adam(params, grads, t):
    """(variable, new value) of each weight and moment. Source: Kingma & Ba 2014, Algorithm 1."""
    one = np.float32(1)
    correction = pt.sqrt(one - np.float32(BETA2) ** t)
    scale = np.float32(LEARNING_RATE) * correction / (one - np.float32(BETA1) ** t)
    updates = []
    for p, g in zip(params, grads, strict=True):
        m, v = (shared(np.zeros_like(p.get_value())) for _ in range(2))
        new_m = np.float32(BETA1) * m + np.float32(1 - BETA1) * g
        new_v = np.float32(BETA2) * v + np.float32(1 - BETA2) * g * g
        step = scale * new_m / (pt.sqrt(new_v) + np.float32(EPSILON) * correction)
        updates += [(m, new_m), (v, new_v), (p, p - step)]
    return updates


def make_step(work: Work) -> Step:
    pytensor.config.floatX = "float32"
    params = [(shared(w), shared(b)) for w, b in work.params]
    flat = [p for layer in params for p in layer]
    x, y, t = pt.fmatrix("x"), pt.ivector("y"), pt.fscalar("t")
    train, count = None, 0

    def step() -> float:
        nonlocal train, count
        if train is None:  # its compilation belongs to the first call
            loss = loss_of(params, x, y)
            updates = adam(flat, pytensor.grad(loss, flat), t)
            train = pytensor.function([x, y, t], loss, updates=updates, mode="NUMBA")
        count += 1
        return train(work.x, work.y, np.float32(count))

    return step


if __name__ == "__main__":
    main(make_step, pytensor.__version__)
