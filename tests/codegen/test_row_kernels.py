"""Softmax, losses and norms: how many kernels each is, forward and backward; and their values.

A backward pass gets the inputs and a cotangent, and gives all gradients. What is more than one
kernel, and why, stands in docs/row-kernels.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.codegen.running import Runner, fault_in, planned
from tests.codegen.steps import AVX2
from tracejit import losses, nn
from tracejit.codegen.stages import Stages
from tracejit.ir.graph import Array, Graph

Rows = tuple[int, ...]


def normed_by_batch(x: Any, scale: Any, bias: Any) -> Any:
    mean, variance = nn.moments(x, tuple(range(x.ndim - 1)))
    return nn.batch_norm(x, mean, variance, scale, bias)


def in_groups(x: Any, scale: Any, bias: Any) -> Any:
    return nn.group_norm(x, 37 if x.shape[-1] == 37 else 4, scale, bias)


def mean_loss(x: Any, labels: Any) -> Any:
    return losses.sparse_categorical_crossentropy(labels, x, from_logits=True)


@dataclass(frozen=True)
class Function:
    """operands: what follows x, by name. forward, backward: the kinds of the kernels.

    sums: how many of these, forward and backward, sum over all rows.
    """

    apply: Callable[..., Any]
    operands: str
    forward: str
    backward: str
    sums: tuple[int, int] = (0, 0)

    def in_parts(self) -> tuple[str, str]:
        """The kernels where sums over all rows are taken in parts, by one kernel more each."""
        return "row " * self.sums[0] + self.forward, "row " * self.sums[1] + self.backward


FUNCTIONS = {
    "softmax": Function(nn.softmax, "", "row", "row"),
    "log_softmax": Function(nn.log_softmax, "", "row", "row"),
    "logsumexp": Function(lambda x: nn.logsumexp(x, -1), "", "row", "row"),
    "cross_entropy of labels": Function(nn.softmax_cross_entropy, "labels", "row", "row"),
    "cross_entropy of shares": Function(nn.softmax_cross_entropy, "shares", "row", "row"),
    "loss": Function(mean_loss, "labels", "row", "row"),
    "layer_norm": Function(nn.layer_norm, "scale bias", "row", "row row", (0, 1)),
    "layer_norm without weights": Function(nn.layer_norm, "", "row", "row"),
    "rms_norm": Function(nn.rms_norm, "scale", "row", "row row", (0, 1)),
    "group_norm": Function(in_groups, "scale bias", "row", "row row", (0, 1)),
    "batch_norm": Function(normed_by_batch, "scale bias", "row row map", "row row row map", (2, 3)),
}
SHAPES: tuple[Rows, ...] = ((64, 128), (1000, 37), (8, 5000), (5000, 24), (1, 64))
MANY_ROWS = (5000, 24)
# Batches so small that one kernel goes over their columns again.
SMALL = ((64, 128), (1, 64))


def operands(function: Function, shape: Rows) -> list[Array]:
    rng = np.random.default_rng(shape[0])
    made: dict[str, Array] = {
        "labels": rng.integers(0, shape[-1], shape[:-1]).astype(np.int32),
        "shares": rng.random(shape, np.float32),
        "scale": rng.standard_normal(shape[-1]).astype(np.float32),
        "bias": rng.standard_normal(shape[-1]).astype(np.float32),
    }
    x = rng.standard_normal(shape).astype(np.float32)
    return [x, *(made[name] for name in function.operands.split())]


def graphs(function: Function, shape: Rows) -> tuple[Graph, Graph]:
    """Of the forward and of the backward pass."""
    given = operands(function, shape)
    floats = [a.dtype == np.float32 for a in given]

    def backward(cotangent: Any, *given: Any) -> Any:
        wanted = [a for a, is_float in zip(given, floats, strict=True) if is_float]

        def applied(*wanted: Any) -> Any:
            rest = iter(wanted)
            own = (next(rest) if f else a for a, f in zip(given, floats, strict=True))
            return function.apply(*own)

        return tj.vjp(applied, *wanted)[1](cotangent)

    forward = tj.jit(function.apply).lower(*given).graph
    cotangent = np.zeros(forward.outputs[0].shape, np.float32)
    return forward, tj.jit(backward).lower(cotangent, *given).graph


def kinds(graph: Graph) -> str:
    return " ".join(launch.kernel.kind for launch in Stages(graph, AVX2).plan.launches)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_kernels(name: str, shape: Rows) -> None:
    function = FUNCTIONS[name]
    expected = function.forward, function.backward
    if shape == MANY_ROWS:
        expected = function.in_parts()
    elif shape in SMALL and name == "batch_norm":
        expected = "row", "row"
    forward, backward = graphs(function, shape)
    assert (kinds(forward), kinds(backward)) == expected


@pytest.mark.parametrize("name", ["group_norm", "batch_norm"])
def test_kernels_of_images(name: str) -> None:
    """Of a group's places neighbouring channels fill lines, so it is gone over again."""
    forward, backward = graphs(FUNCTIONS[name], (8, 16, 16, 64))
    assert (kinds(forward), kinds(backward)) == FUNCTIONS[name].in_parts()


AWKWARD: tuple[Rows, ...] = ((13, 37), (3, 5000), (67, 24), (0, 8), (2, 5, 3, 64))


def cases() -> Iterator[tuple[str, Rows]]:
    yield from ((name, shape) for name in FUNCTIONS for shape in AWKWARD)


def test_values() -> None:
    """Against the interpreter, on three threads; a nan stays in its row or column."""
    found = [(*case, graph) for case in cases() for graph in graphs(FUNCTIONS[case[0]], case[1])]
    plans = [planned(graph) for _, _, graph in found]
    runner = Runner(plans)
    for (name, shape, graph), plan in zip(found, plans, strict=True):
        rng = np.random.default_rng(len(shape))
        arrays: list[Array] = []
        for node in graph.inputs:
            values = rng.standard_normal(node.shape).astype(node.dtype)
            if node.dtype.kind == "i":
                values = rng.integers(0, max(shape[-1], 1), node.shape).astype(node.dtype)
            elif values.ndim > 1 and values.size:
                values[-1, ..., -1] = np.nan
            arrays.append(values)
        fault = fault_in(graph, arrays, runner.run(plan, arrays, threads=3))
        assert not fault, f"{name} of {shape}: {fault}\n{graph}"
