"""Runs a graph through fusion, lowering and the Numba emitter alone: no schedule, no LLVM."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tracejit.codegen.lower import lower_group
from tracejit.codegen.numba_emitter import run_kernel
from tracejit.ir.fusion import fuse
from tracejit.ir.graph import Array, Graph, Node
from tracejit.ir.passes import optimize


def run_nests(graph: Graph, arrays: Sequence[Array], *, use_numba: bool = False) -> list[Array]:
    """The outputs of a graph. Each value in memory has an array of its own: nothing is in place."""
    fused = fuse(optimize(graph))
    memory: dict[Node, Array] = {
        node: np.ascontiguousarray(array).reshape(node.shape).copy()
        for node, array in zip(fused.graph.inputs, arrays, strict=True)
    }
    for n, group in enumerate(fused.groups):
        # A value is there once its group has run, and not before; a padded one has two groups.
        for node in group.outputs:
            memory.setdefault(node, _unwritten(node))
        for lowered in lower_group(group, memory.keys(), f"k{n}"):
            operands = [memory[node] for node in lowered.nodes]
            run_kernel(lowered.kernel, operands, use_numba=use_numba)
    return [memory[node] for node in fused.graph.outputs]


def _unwritten(node: Node) -> Array:
    """Memory with a pattern in it, so that an element that nobody writes shows."""
    array = np.empty(node.shape, node.dtype)
    array.reshape(-1).view(np.uint8)[:] = 1 if node.dtype == bool else 0x5A
    return array
