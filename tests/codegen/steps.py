"""Whole training steps, traced and staged for a machine that does not depend on the host."""

from __future__ import annotations

import importlib
import sys
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import tracejit as tj
from benchmarks.models.tracejit_models import LOSSES
from benchmarks.peers.tracejit_peer import adam, gan_step, train_step
from benchmarks.workloads import WORKLOADS
from tracejit.codegen.machine import Machine
from tracejit.codegen.stages import Stages
from tracejit.ir.graph import Graph

EXAMPLES = Path(__file__).parents[2] / "examples"
AVX2 = Machine(32, 16, True, 32768, 524288)
AVX512 = Machine(64, 32, True, 32768, 1 << 20)


def _example(name: str) -> ModuleType:
    sys.path.insert(0, str(EXAMPLES))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(EXAMPLES))


def _digits() -> Graph:
    digits = _example("digits")
    state = digits.initial_state()
    x, y = np.zeros((digits.BATCH, 64), "f4"), np.zeros(digits.BATCH, "i4")
    return _graph(digits.train_step, ("state",), state, x, y)


def _predict() -> Graph:
    digits = _example("digits")
    params = digits.initial_state()["params"]
    return _graph(digits.forward, (), params, np.zeros((digits.BATCH, 64), "f4"))


def _graph(fn: Any, donated: tuple[str, ...], *args: Any) -> Graph:
    graph = tj.jit(fn, donate_argnames=donated).lower(*args).graph
    assert isinstance(graph, Graph)
    return graph


def loss_fn(params: Any, x: Any, y: Any) -> Any:
    for w, b in params[:-1]:
        x = np.maximum(x @ w + b, 0)
    w, b = params[-1]
    return tj.nn.softmax_cross_entropy(x @ w + b, y).mean()


def adam_step(params: Any, m: Any, v: Any, t: Any, x: Any, y: Any) -> Any:
    """Kingma & Ba 2014, algorithm 1, written out."""
    loss, grads = tj.value_and_grad(loss_fn)(params, x, y)
    m = tj.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = tj.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
    a = 1e-3 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    params = tj.tree.map(lambda p, m, v: p - a * m / (np.sqrt(v) + 1e-8), params, m, v)
    return params, m, v, loss


def _mlp(sizes: tuple[int, ...], batch: int) -> Graph:
    def zeros() -> list[tuple[Any, Any]]:
        return [(np.zeros((a, b), "f4"), np.zeros(b, "f4")) for a, b in pairwise(sizes)]

    x, y = np.zeros((batch, sizes[0]), "f4"), np.zeros(batch, "i4")
    t = np.ones((), "f4")
    return _graph(adam_step, ("params", "m", "v"), zeros(), zeros(), zeros(), t, x, y)


def _benchmark(name: str) -> Graph:
    work = WORKLOADS[name]()
    zeros = tj.tree.map(np.zeros_like, work.params)
    state = (work.params, zeros, zeros, 1.0, work.x, work.y)
    if name == "dcgan":
        graph = gan_step.lower(*state).graph
    else:
        graph = train_step.lower(work.model, *state).graph
    assert isinstance(graph, Graph)
    return graph


# The larger steps of `python -m benchmarks`.
LARGE = ("lenet", "resnet", "lstm", "gpt", "dcgan")
STEPS = {
    "digits": _digits,
    "predict": _predict,
    "mlp_small": lambda: _mlp((64, 128, 10), 32),
    "mlp": lambda: _mlp((784, 512, 512, 10), 128),
}


@partial(tj.jit, static_argnames=("model",), donate_argnames=("params", "m", "v"))
def clipped_step(model: str, params: Any, m: Any, v: Any, t: Any, x: Any, y: Any) -> Any:
    """The gradients of all weights are divided by their common norm where that is above 1."""
    loss, grads = tj.value_and_grad(LOSSES[model])(params, x, y)
    norm = np.sqrt(sum(np.sum(g * g) for g in tj.tree.leaves(grads)))
    grads = tj.tree.map(lambda g: g / np.maximum(norm, 1), grads)
    return *adam(params, m, v, t, grads), loss


@cache
def clipped(name: str) -> Stages:
    """A larger step whose updates wait for all gradients, so that no product can hold them."""
    work = WORKLOADS[name]()
    zeros = tj.tree.map(np.zeros_like, work.params)
    lowered = clipped_step.lower(work.model, work.params, zeros, zeros, 1.0, work.x, work.y)
    return Stages(lowered.graph, AVX2)


@cache
def staged(name: str, machine: Machine = AVX2) -> Stages:
    return Stages(_benchmark(name) if name in LARGE else STEPS[name](), machine)
