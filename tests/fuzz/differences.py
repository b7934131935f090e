"""Gradients of random f64 graphs against central differences along a random direction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from tests.fuzz.generate import Generator
from tests.fuzz.tables import FLOAT_UNARY, STEP_WEIGHTS
from tracejit.ir import ops
from tracejit.ir.autodiff import gradients
from tracejit.ir.graph import Array, Graph, Node
from tracejit.ir.interpreter import evaluate
from tracejit.ir.types import F64, TensorType, is_float

STEPS = (1e-5, 1e-6)
# Two steps that disagree by more than this say that a kink or a pole is near: not judged.
STEADY = 1e-4
WRONG = 1e-3


class _Smooth(Generator):
    """Only f64; no powers, whose derivatives blow up almost everywhere; nothing is stopped."""

    dtype_weights: ClassVar[Mapping[str, float]] = {"f64": 1.0}
    step_weights: ClassVar[Mapping[str, float]] = STEP_WEIGHTS | {"power": 0.0, "cast": 0.0}
    float_unary = tuple(op for op in FLOAT_UNARY if op != "stop_gradient")


def scalar_graph(seed: int) -> Graph:
    """The sum of the float outputs of a random graph, and its gradients."""
    generator = _Smooth(seed)
    grown = generator.grow(int(generator.rng.integers(2, 12)))
    total = generator.builder.full(0.0, TensorType((), F64))
    for node in dict.fromkeys(grown.outputs):
        if is_float(node.dtype):
            total = total + ops.reduce_sum(node, tuple(range(node.ndim)))
    slopes = gradients([total], [ops.full_like(total, 1)], grown.inputs)
    return Graph("sums", grown.inputs, (total, *slopes))


def wrong_gradient(seed: int) -> str | None:
    """What is wrong with the gradient of the graph of `seed`; None if right or not to be judged."""
    graph = scalar_graph(seed)
    rng = np.random.default_rng((seed, 2))
    points = [rng.uniform(-1.5, 1.5, n.shape) for n in graph.inputs]
    direction = [rng.uniform(-1, 1, n.shape) for n in graph.inputs]
    value, *slopes = evaluate(graph, points)
    with np.errstate(all="ignore"):
        exact = float(sum((g * d).sum() for g, d in zip(slopes, direction, strict=True)))
        near, nearer = (_difference(graph, points, direction, h) for h in STEPS)
    size = max(1.0, abs(nearer), abs(float(value)))
    if not np.isfinite([exact, near, nearer]).all() or abs(near - nearer) > STEADY * size:
        return None
    if abs(exact - nearer) <= WRONG * size:
        return None
    return f"derivative {exact}, by differences {nearer}\n{graph}"


def _difference(graph: Graph, points: list[Array], direction: list[Array], step: float) -> float:
    only: tuple[Node, ...] = graph.outputs[:1]
    function = Graph(graph.name, graph.inputs, only)
    ahead, behind = (
        evaluate(function, [p + s * d for p, d in zip(points, direction, strict=True)])[0]
        for s in (step, -step)
    )
    return float((ahead - behind) / (2 * step))
