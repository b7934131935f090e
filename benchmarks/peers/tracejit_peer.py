"""tracejit: pure pytrees, donated, as in examples/digits.py."""

from functools import partial
from importlib.metadata import PackageNotFoundError, version

import numpy as np

import tracejit as tj
from benchmarks.models.tracejit_models import LOSSES
from benchmarks.stopwatch import Call, Step, main
from benchmarks.workloads import BETA1, BETA2, EPSILON, LEARNING_RATE, Work


@partial(tj.jit, static_argnames=("model",), donate_argnames=("params", "m", "v"))
def train_step(model, params, m, v, t, x, y):
    loss, grads = tj.value_and_grad(LOSSES[model])(params, x, y)
    m = tj.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, grads)
    v = tj.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, grads)
    correction = np.sqrt(1 - BETA2**t)
    scale, epsilon = LEARNING_RATE * correction / (1 - BETA1**t), EPSILON * correction
    params = tj.tree.map(lambda p, m, v: p - scale * m / (np.sqrt(v) + epsilon), params, m, v)
    return params, m, v, loss


@partial(tj.jit, donate_argnames=("arrays",))
def next_to_nothing(arrays):
    return [a + 1 for a in arrays]


def make_step(work: Work) -> Step:
    params = tj.tree.map(np.copy, work.params)
    m, v = tj.tree.map(np.zeros_like, params), tj.tree.map(np.zeros_like, params)
    t = 0.0

    def step() -> float:
        nonlocal params, m, v, t
        t += 1.0
        params, m, v, loss = train_step(work.model, params, m, v, t, work.x, work.y)
        return loss

    return step


def make_call(arrays: list) -> Call:
    def call() -> object:
        nonlocal arrays
        arrays = next_to_nothing(arrays)
        return arrays

    return call


def installed() -> str:
    try:
        return version("tracejit")
    except PackageNotFoundError:
        return "checkout"


if __name__ == "__main__":
    main(make_step, installed(), make_call)
