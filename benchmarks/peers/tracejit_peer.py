"""tracejit: pure pytrees, donated, as in examples/digits.py."""

from functools import partial
from importlib.metadata import PackageNotFoundError, version

import numpy as np

import tracejit as tj
from benchmarks.models.tracejit_models import LOSSES, discriminator_loss, generated, generator_loss
from benchmarks.stopwatch import Call, Step, main
from benchmarks.workloads import BETA1, BETA2, EPSILON, LEARNING_RATE, Work


def adam(params, m, v, t, grads):
    """Source: Kingma & Ba 2014, arXiv:1412.6980, Algorithm 1, its corrections in the scalars."""
    m = tj.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, grads)
    v = tj.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, grads)
    correction = np.sqrt(1 - BETA2**t)
    scale, epsilon = LEARNING_RATE * correction / (1 - BETA1**t), EPSILON * correction
    params = tj.tree.map(lambda p, m, v: p - scale * m / (np.sqrt(v) + epsilon), params, m, v)
    return params, m, v


@partial(tj.jit, static_argnames=("model",), donate_argnames=("params", "m", "v"))
def train_step(model, params, m, v, t, x, y):
    loss, grads = tj.value_and_grad(LOSSES[model])(params, x, y)
    return *adam(params, m, v, t, grads), loss


@partial(tj.jit, donate_argnames=("params", "m", "v"))
def gan_step(params, m, v, t, images, noise):
    fakes = generated(params["generator"], noise)
    name = "discriminator"
    loss, grads = tj.value_and_grad(discriminator_loss)(params[name], images, fakes)
    critic, critic_m, critic_v = adam(params[name], m[name], v[name], t, grads)
    name = "generator"
    more, grads = tj.value_and_grad(generator_loss)(params[name], critic, noise)
    maker, maker_m, maker_v = adam(params[name], m[name], v[name], t, grads)
    params = {"generator": maker, "discriminator": critic}
    m = {"generator": maker_m, "discriminator": critic_m}
    v = {"generator": maker_v, "discriminator": critic_v}
    return params, m, v, loss + more


@partial(tj.jit, donate_argnames=("arrays",))
def next_to_nothing(arrays):
    return [a + 1 for a in arrays]


def make_step(work: Work) -> Step:
    params = tj.tree.map(np.copy, work.params)
    m, v = tj.tree.map(np.zeros_like, params), tj.tree.map(np.zeros_like, params)
    train = gan_step if work.model == "dcgan" else partial(train_step, work.model)
    t = 0.0

    def step() -> float:
        nonlocal params, m, v, t
        t += 1.0
        params, m, v, loss = train(params, m, v, t, work.x, work.y)
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
