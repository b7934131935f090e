"""Arrays for the inputs of a random graph."""

from __future__ import annotations

import numpy as np

from tests.emitters.accuracy import random_values, specials
from tracejit.ir.graph import Array, Graph

# The share of graphs that see special values.
SPECIAL_SHARE = 1 / 3


def random_inputs(graph: Graph, seed: int) -> list[Array]:
    """Arrays for the inputs; one graph in three sees nan, infinities and other special values."""
    rng = np.random.default_rng((seed, 1))
    special = rng.random() < SPECIAL_SHARE
    arrays = []
    for node in graph.inputs:
        array = random_values(rng, node.dtype, node.shape)
        if special and array.size:
            hit = rng.random(node.shape) < 0.1
            array = np.where(hit, rng.choice(specials(node.dtype), node.shape), array)
        arrays.append(np.asarray(array, node.dtype))
    return arrays
