"""Host calls somewhere in random graphs, and work on their results, through the backends."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fuzz.backends import BACKENDS
from tests.fuzz.check import compare
from tests.fuzz.generate import random_graph
from tracejit.ir import ops
from tracejit.ir.graph import Graph, Node
from tracejit.ir.types import BF16, F32, F64, is_float

CALLS = 3
GRAPHS = 60
CHUNK = 20
# The oracle of loop nests knows no calls.
NAMES = [name for name in BACKENDS if name != "nests"]


def called(x: Node, rng: np.random.Generator) -> list[Node]:
    """The results of some function of x."""
    axis = int(rng.integers(x.ndim))
    choice = rng.integers(5 if x.dtype in (F32, F64) else 3)
    if choice == 0:
        return list(ops.host_call("sort", x, axis=axis, stable=True))
    if choice == 1:
        return list(ops.host_call("argsort", x, axis=axis))
    if choice == 2:
        return list(ops.host_call("top_k", x, k=int(rng.integers(x.shape[-1] + 1))))
    if choice == 3:
        imag = ops.reverse(x, (axis,))
        return list(ops.host_call("fft", x, imag, axis=axis, inverse=bool(rng.integers(2))))
    kth = (int(rng.integers(x.shape[axis])),)
    whole = ops.host_call("partition", x, axis=axis, kth=kth)[0]
    return [ops.slice(whole, *_row(whole, axis, kth[0]))]


def _row(x: Node, axis: int, at: int) -> tuple[list[int], list[int]]:
    start, stop = [0] * x.ndim, list(x.shape)
    start[axis], stop[axis] = at, at + 1
    return start, stop


def with_calls(seed: int) -> Graph:
    """A random graph, with calls on nodes of it, on their results too."""
    graph, rng = random_graph(seed), np.random.default_rng(seed)
    pool = [n for n in graph.nodes() if n.ndim and n.type.size and n.dtype != BF16]
    outputs = list(graph.outputs)
    for _ in range(CALLS if pool else 0):
        x = pool[int(rng.integers(len(pool)))]
        results = called(x, rng)
        outputs += [r for r in results if rng.random() < 0.7]
        for result in results:
            if result.type.size and is_float(result.dtype):
                better = ops.neg(result) if result.type != x.type else result - x
                pool.append(better)
                outputs.append(better)
    donated = (*graph.donated, *(None,) * (len(outputs) - len(graph.outputs)))
    return Graph(graph.name, graph.inputs, tuple(outputs), donated)


@pytest.mark.parametrize("start", range(0, GRAPHS, CHUNK))
def test_backends_agree(start: int) -> None:
    found = [
        fault
        for seed in range(start, start + CHUNK)
        for name in NAMES
        if (name != "plan" or seed % 4 == 0)
        if (fault := compare(with_calls(seed), seed, name, BACKENDS[name]))
    ]
    assert not found, "\n".join(map(str, found))


def test_graphs_have_calls_of_every_kind_and_many_run_on_the_team() -> None:
    graphs = [with_calls(seed) for seed in range(GRAPHS)]
    callees = {n.attrs["callee"] for g in graphs for n in g.nodes() if n.op == "host_call"}
    assert callees == {"sort", "argsort", "top_k", "fft", "partition"}
    assert sum(any(d is not None for d in g.donated) for g in graphs) > GRAPHS / 8
