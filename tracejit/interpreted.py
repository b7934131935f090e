"""The targets "interpreter" and "numba": the protocol of a compiled step, in Python.

The first runs a step node by node in NumPy. The second runs the Python source of its kernels, as
`dump("numba")` prints it, through Numba: another way to the same results, slow to compile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.ir.graph import Array, Graph
from tracejit.ir.interpreter import evaluate
from tracejit.ir.types import TensorType


@dataclass(frozen=True, slots=True)
class InterpretedCost:
    """One kernel per operation, no barriers, no arena."""

    flops: int
    bytes: int
    kernels: int
    barriers: int = 0
    arena_bytes: int = 0


class InterpretedProgram:
    """Runs the graph as it was traced, by each primitive's `eval`."""

    compile_seconds = 0.0

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def bind(
        self,
        args: Sequence[Any],
        captured: Sequence[Array],
        slow: Callable[..., Any],
    ) -> Callable[..., Any]:
        """args: ArrayArg or ScalarArg per argument. See `codegen.compile`."""
        types = [node.type for node in self.graph.inputs[: len(args)]]

        def call(*leaves: Any) -> Any:
            if not all(_fits(v, a, t) for v, a, t in zip(leaves, args, types, strict=True)):
                return slow(*leaves)
            values = [np.asarray(v, t.dtype) for v, t in zip(leaves, types, strict=True)]
            outputs = self.outputs([*values, *captured])
            results: list[Any] = list(outputs)
            for i, owner in enumerate(self.graph.donated):
                if owner is not None:
                    own = owner < len(args)
                    target = leaves[owner] if own else captured[owner - len(args)]
                    target[...] = outputs[i]
                    results[i] = target if own else None
            return tuple(results)

        return call

    def outputs(self, arrays: list[Array]) -> list[Array]:
        return evaluate(self.graph, arrays)

    def dump(self, stage: str) -> str:
        from tracejit.ir.passes import optimize

        if stage == "optimized":
            return str(optimize(self.graph))
        raise ValueError(f"stage {stage!r}: the interpreter has traced and optimized only")

    def cost(self) -> InterpretedCost:
        nodes = [n for n in self.graph.nodes() if n.prim.name not in ("input", "full")]
        moved = sum(n.type.nbytes + sum(i.type.nbytes for i in n.inputs) for n in nodes)
        return InterpretedCost(sum(n.type.size for n in nodes), moved, len(nodes))


class NumbaProgram(InterpretedProgram):
    """Runs the kernels of the graph as Numba compiles their Python source."""

    def __init__(self, graph: Graph) -> None:
        from tracejit.codegen.machine import this_machine
        from tracejit.codegen.stages import Stages

        super().__init__(graph)
        self.stages = Stages(graph, this_machine())

    def outputs(self, arrays: list[Array]) -> list[Array]:
        from tracejit.codegen.numba_program import run_program

        return run_program(self.stages.plan, arrays)

    def dump(self, stage: str) -> str:
        return self.stages.dump(stage)

    def cost(self) -> Any:
        from tracejit.codegen.artifact import artifact_of

        return artifact_of(self.stages.plan, self.stages.symbols, "").cost


def _fits(value: Any, spec: Any, tensor: TensorType) -> bool:
    """What the native entry guards."""
    if not hasattr(spec, "donated"):
        exact = type(value) is {"b": bool, "i": int, "f": float}[tensor.dtype.kind]
        return exact and (type(value) is not int or -(2**63) <= value < 2**63)
    return (
        type(value) is np.ndarray
        and value.shape == tensor.shape
        and value.dtype == tensor.dtype
        and value.flags.c_contiguous
        and value.flags.aligned
        and (value.flags.writeable or not spec.donated)
    )
