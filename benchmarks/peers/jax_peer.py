"""JAX: one jitted step, everything donated."""

import os
from functools import partial

import jax
import jax.numpy as jnp

from benchmarks.models.jax_models import LOSSES, discriminator_loss, generated, generator_loss
from benchmarks.stopwatch import Call, Step, main
from benchmarks.workloads import BETA1, BETA2, EPSILON, LEARNING_RATE, Work


def adam(params, m, v, t, grads):
    """Source: Kingma & Ba 2014, arXiv:1412.6980, Algorithm 1, its corrections in the scalars."""
    m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, grads)
    v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, grads)
    correction = jnp.sqrt(1 - BETA2**t)
    scale, epsilon = LEARNING_RATE * correction / (1 - BETA1**t), EPSILON * correction
    params = jax.tree.map(lambda p, m, v: p - scale * m / (jnp.sqrt(v) + epsilon), params, m, v)
    return params, m, v


@partial(jax.jit, static_argnames=("model",), donate_argnames=("params", "m", "v"))
def train_step(model, params, m, v, t, x, y):
    loss, grads = jax.value_and_grad(LOSSES[model])(params, x, y)
    return *adam(params, m, v, t, grads), loss


@partial(jax.jit, donate_argnames=("params", "m", "v"))
def gan_step(params, m, v, t, images, noise):
    fakes = generated(params["generator"], noise)
    name = "discriminator"
    loss, grads = jax.value_and_grad(discriminator_loss)(params[name], images, fakes)
    critic, critic_m, critic_v = adam(params[name], m[name], v[name], t, grads)
    name = "generator"
    more, grads = jax.value_and_grad(generator_loss)(params[name], critic, noise)
    maker, maker_m, maker_v = adam(params[name], m[name], v[name], t, grads)
    params = {"generator": maker, "discriminator": critic}
    m = {"generator": maker_m, "discriminator": critic_m}
    v = {"generator": maker_v, "discriminator": critic_v}
    return params, m, v, loss + more


@partial(jax.jit, donate_argnames=("arrays",))
def next_to_nothing(arrays):
    return [a + 1 for a in arrays]


def make_step(work: Work) -> Step:
    params = jax.device_put(work.params)
    m, v = jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params)
    x, y = jax.device_put((work.x, work.y))
    train = gan_step if work.model == "dcgan" else partial(train_step, work.model)
    t = 0.0

    def step() -> float:
        nonlocal params, m, v, t
        t += 1.0
        params, m, v, loss = train(params, m, v, t, x, y)
        # One program computes them all: when the loss is there, the weights are.
        return loss.block_until_ready()

    return step


def make_call(arrays: list) -> Call:
    arrays = jax.device_put(arrays)

    def call() -> object:
        nonlocal arrays
        arrays = jax.block_until_ready(next_to_nothing(arrays))
        return arrays

    return call


if __name__ == "__main__":
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        # By default only programs that took a second to compile are kept.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    main(make_step, jax.__version__, make_call)
