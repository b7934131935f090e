"""From a graph to a program that runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from tracejit.codegen import STAGES
from tracejit.codegen.artifact import (
    Artifact,
    artifact_key,
    artifact_of,
    load_artifact,
    save_artifact,
)
from tracejit.codegen.cost import Cost
from tracejit.codegen.machine import this_machine
from tracejit.codegen.objects import SYMBOL, Wanted, object_code
from tracejit.codegen.runtime.entry import ArrayArg, DonatedOut, FreshOut, ScalarArg, make_entry
from tracejit.codegen.runtime.host import HostCallable, tj_host
from tracejit.codegen.runtime.team import num_threads, team
from tracejit.codegen.runtime.toolchain import Linked, link
from tracejit.ir import config
from tracejit.ir.garbage import uncollected
from tracejit.ir.graph import Array, Graph
from tracejit.ir.log import Stopwatch, log

if TYPE_CHECKING:
    from tracejit.codegen.launches import Plan
    from tracejit.codegen.stages import Stages
    from tracejit.ir.fusion import Fused

__all__ = ["STAGES", "Program", "compile_graph"]

# A call that is over sooner would lose more by giving up the interpreter lock than others gain.
RELEASE_SECONDS = 20e-6


@uncollected()
def compile_graph(graph: Graph) -> Program:
    """Compiles a graph for this machine. The first call of a kernel's code pays for it."""
    return Program(graph)


class Program:
    """A compiled graph. Its stages are computed, or computed again, when one is to be shown."""

    exports: tuple[str, ...] = (SYMBOL,)

    def __init__(self, graph: Graph) -> None:
        watch = Stopwatch()
        self.graph = graph
        self.artifact = self._artifact(watch)
        self._callables = {s: HostCallable(call) for s, call in self.artifact.calls.items()}
        self._linked = self._link(watch)
        self.compile_seconds = watch.total
        log("times", f"{graph.name}: {watch}")
        if "stages" in self.__dict__:
            log("times", f"{graph.name}: stages: {self.stages.watch}")

    @cached_property
    def stages(self) -> Stages:
        """Every form of the graph. A program found on disk needs none of them."""
        from tracejit.codegen.stages import Stages

        return Stages(self.graph, this_machine())

    # Code

    @cached_property
    def _key(self) -> str:
        return artifact_key(self.graph)

    def _artifact(self, watch: Stopwatch) -> Artifact:
        known = load_artifact(self._key)
        if known is None:
            stages = self.stages
            known = artifact_of(stages.plan, stages.symbols, stages.program)
        elif any(map(config.logging, ("passes", "fusion", "kernels"))):
            _ = self.stages.plan  # nothing needs it, but its making is to be told
        watch.lap("stages")
        return known

    def _objects(self, watch: Stopwatch) -> list[bytes]:
        known = self.artifact
        wanted = Wanted(
            kernels=known.symbols,
            emit=lambda symbol: self.stages.emitted(symbol),
            program=known.identity,
            modules=known.modules,
            label=lambda symbol: f"{self.graph.name}: {self.stages.label(symbol)}",
        )
        modules = object_code(wanted, watch)
        if (keys := tuple(module.key for module in modules)) != known.modules:
            self.artifact = replace(known, modules=keys)
            save_artifact(self._key, self.artifact)
        return [module.code for module in modules]

    def _link(self, watch: Stopwatch) -> Linked:
        objects = self._objects(watch)
        imports = {"tj_barrier": team().symbols["tj_barrier"]}
        if self._callables:
            imports["tj_host"] = tj_host()
            imports |= {symbol: id(thing) for symbol, thing in self._callables.items()}
        linked = link(objects, self.exports, imports)
        watch.lap("link")
        return linked

    @property
    def address(self) -> int:
        return self._linked.address(SYMBOL)

    # Calls

    def bind(
        self,
        args: Sequence[ArrayArg | ScalarArg],
        captured: Sequence[Array],
        slow: Callable[..., object],
    ) -> Callable[..., object]:
        """The native entry: call(*leaves) -> tuple of outputs.

        args: one per argument input; captured: the arrays of the remaining inputs, whose addresses
        are fixed and which are kept alive. Outputs that take over a captured array are not
        returned. `slow` is called with the same leaves when they are not as `args` says.
        """
        entry = make_entry(
            self.address,
            list(args),
            self._outs(len(args)),
            captured=[a.ctypes.data for a in captured],
            arena_bytes=self.artifact.cost.arena_bytes,
            nthreads=num_threads() if self.artifact.parallel else 1,
            release_gil=self.artifact.seconds > RELEASE_SECONDS,
            slow=slow,
            keep=(self._linked, self._callables, tuple(captured)),
        )
        return entry.call

    def _outs(self, args: int) -> list[FreshOut | DonatedOut]:
        """The outputs that are returned, where the first `args` inputs are arguments."""
        outs: list[FreshOut | DonatedOut] = []
        for node, donor in zip(self.graph.outputs, self.graph.donated, strict=True):
            if donor is None:
                outs.append(FreshOut(node.shape, node.dtype))
            elif donor < args:
                outs.append(DonatedOut(donor))
        return outs

    def numba_entry(
        self, args: Sequence[ArrayArg | ScalarArg], captured: Sequence[Array], passed: bool
    ) -> Callable[..., object]:
        """The entry for `@njit` code; see `codegen/runtime/entry_numba.py`.

        passed: fresh outputs are arguments, behind the others, and nothing is returned.
        """
        from tracejit.codegen.runtime.entry_numba import NumbaStep, numba_entry

        return numba_entry(
            NumbaStep(
                self.graph.name,
                self.address,
                tuple(args),
                tuple(self._outs(len(args))),
                tuple(a.ctypes.data for a in captured),
                self.artifact.cost.arena_bytes,
                num_threads() if self.artifact.parallel else 1,
                passed,
                self.artifact.failure,
                (self._linked, self._callables, tuple(captured)),
            )
        )

    def run(
        self, arrays: Sequence[np.ndarray[tuple[int, ...], np.dtype[np.generic]]]
    ) -> list[Array]:
        """Runs once on any arrays of the inputs' types; donated ones are updated in place."""
        donated = {d for d in self.graph.donated if d is not None}
        types = [node.type for node in self.graph.inputs]
        args = [ArrayArg(t.shape, t.dtype, i in donated) for i, t in enumerate(types)]
        ready = [_as_passed(array, arg.donated) for array, arg in zip(arrays, args, strict=True)]

        def refuse(*leaves: object) -> object:
            raise TypeError(f"{self.graph.name}: arguments are not {', '.join(map(str, types))}")

        outputs = self.bind(args, [], refuse)(*ready)
        assert isinstance(outputs, tuple)
        return list(outputs)

    # Inspection

    @property
    def optimized(self) -> Graph:
        return self.stages.optimized

    @property
    def fused(self) -> Fused:
        return self.stages.fused

    @property
    def plan(self) -> Plan:
        return self.stages.plan

    def cost(self) -> Cost:
        """Counted from the program, not measured."""
        return self.artifact.cost

    def dump(self, stage: str) -> str:
        """The text of one of STAGES. Raises ValueError for another name."""
        return self.stages.dump(stage)


def _as_passed(array: Array, donated: bool) -> Array:
    native = array.dtype.newbyteorder("=")
    ready = np.require(array, native, ["C", "A", "W"] if donated else ["C", "A"])
    return np.asarray(ready) if ready.ndim == array.ndim else ready.reshape(array.shape)
