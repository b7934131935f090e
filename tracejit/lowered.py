"""One compiled step: a traced function with its program, bound to the memory it captured."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit import dumps, tree
from tracejit.callpath import MISS, CallPath, call_path
from tracejit.errors import UnsupportedError
from tracejit.ir import config
from tracejit.ir.graph import Array, Graph
from tracejit.staging import Staged
from tracejit.variable import Variable

Statics = tuple[Any, ...]
TARGETS = ("cpu", "numba", "interpreter")

# Called with the Jitted and its new step when that has been traced. The command line listens here.
on_trace: list[Callable[[Any, Lowered], None]] = []
# Called with every step when it has been compiled.
on_compile: list[Callable[[Lowered], None]] = [dumps.write]


def _compile(graph: Graph, target: str) -> Any:
    if target == "interpreter" or config.get("interpret"):
        from tracejit.interpreted import InterpretedProgram

        return InterpretedProgram(graph)
    if target == "numba":
        from tracejit.interpreted import NumbaProgram

        return NumbaProgram(graph)
    if config.get("profile"):
        from tracejit.codegen.profile import ProfiledProgram

        return ProfiledProgram(graph)
    from tracejit.codegen.compile import compile_graph

    return compile_graph(graph)


class Lowered:
    """One traced step. Compiles when a stage after "traced", the cost or a call asks for it."""

    def __init__(
        self, staged: Staged, spec: tree.Spec, has_keywords: bool, statics: Statics, target: str
    ) -> None:
        self.staged = staged
        self.spec = spec
        self.has_keywords = has_keywords
        self.statics = statics
        self.target = target
        self.seconds = 0.0
        self._lock = threading.Lock()
        self._program: Any = None
        self.call: Callable[..., Any] | None = None
        self.path: CallPath | None = None
        self._fixed: dict[int, Any] = {}
        self.positions = [i for i, a in enumerate(staged.arguments) if a.variable is None]
        self.passed = [staged.arguments[i] for i in self.positions]
        count = len(self.positions)
        self.donated = {d for d in self.graph.donated if d is not None and d < count}
        self.single = staged.out_spec.is_leaf()

    @property
    def graph(self) -> Graph:
        return self.staged.graph

    @property
    def program(self) -> Any:
        """The compiled program."""
        compiled = False
        with self._lock:
            if self._program is None:
                start = time.perf_counter()
                self._program = _compile(self.graph, self.target)
                self.seconds += time.perf_counter() - start
                compiled = True
        if compiled:  # outside the lock, which `dump` takes
            for listener in on_compile:
                listener(self)
        return self._program

    def dump(self, stage: str) -> str:
        """The text of a stage: "traced", or one of `codegen.compile.STAGES`.

        Raises ValueError for another name.
        """
        return str(self.graph) if stage == "traced" else str(self.program.dump(stage))

    def cost(self) -> Any:
        """flops, bytes, kernels, barriers, arena_bytes."""
        return self.program.cost()

    def finish(self, outputs: tuple[Any, ...]) -> Any:
        """The program's outputs in the structure of the function's result."""
        if self.single:
            return outputs[0]
        return tree.unflatten(self.staged.out_spec, outputs[: self.staged.results])

    def bind(self, slow: Callable[..., Any], fixed: dict[int, Any]) -> None:
        """Makes `call`: the argument leaves that are no Variables -> outputs.

        fixed: the values of the static arguments by position.
        """
        buffers, refreshed = _captured_buffers(self.staged)
        native = self.program.bind(self._arguments(), buffers, slow)
        call = _refreshing(native, refreshed) if refreshed else native
        self._fixed = fixed
        self.call = call

    def as_numba(self, outputs: str = "returned") -> Callable[..., Any]:
        """The step as a function that `@numba.njit` code calls; see `Jitted.as_numba`."""
        if outputs not in ("returned", "passed"):
            raise ValueError(f"as_numba: outputs={outputs!r} is neither 'returned' nor 'passed'")
        name, buffers = self.graph.name, _captured_buffers(self.staged)
        program = self.program
        if not hasattr(program, "numba_entry"):
            raise UnsupportedError(f"as_numba: {name} was made for target={self.target!r}")
        if buffers[1]:
            raise UnsupportedError(
                f"as_numba: {name} captured an array that is not contiguous; pass it, or capture"
                " np.ascontiguousarray of it"
            )
        entry: Callable[..., Any] = program.numba_entry(
            self._arguments(), buffers[0], outputs == "passed"
        )
        return entry

    def _arguments(self) -> list[Any]:
        from tracejit.codegen.runtime.entry import ArrayArg, ScalarArg

        return [
            ScalarArg(a.type.dtype)
            if a.number
            else ArrayArg(a.type.shape, a.type.dtype, position in self.donated)
            for position, a in enumerate(self.passed)
        ]

    def make_path(self) -> CallPath:
        """The way of a call whose arguments are like those that the step was traced for."""
        assert self.call is not None, "a step is bound before it is called"
        if self.path is None:
            held = [a.variable for a in self.staged.arguments]
            out_spec = self.staged.out_spec
            if self.has_keywords:
                self.path = lambda args: MISS
            else:
                self.path = call_path(self.spec, held, self._fixed, out_spec, self.call)
        return self.path

    def structured(self, leaves: list[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """All leaves, as positional arguments and keywords."""
        return structured(self.spec, self.has_keywords, leaves)


def structured(
    spec: tree.Spec, has_keywords: bool, leaves: list[Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Leaves as positional arguments and keywords; spec: of args, or of (args, keywords)."""
    filled = tree.unflatten(spec, leaves)
    return filled if has_keywords else (filled, {})


def _captured_buffers(staged: Staged) -> tuple[list[Array], list[tuple[Array, Array]]]:
    """Memory of fixed address for each captured input; and pairs (from, to) to copy at each call.

    An array that compiled code cannot read as it lies has a copy, made anew for every call.
    """
    buffers, refreshed = [], []
    nodes = staged.graph.inputs[len(staged.graph.inputs) - len(staged.captured) :]
    for captured, node in zip(staged.captured, nodes, strict=True):
        if isinstance(captured, Variable):
            buffers.append(captured.buffer)
            continue
        flags = captured.flags
        native = captured.dtype == node.dtype and captured.dtype.isnative
        if flags.c_contiguous and flags.aligned and native:
            buffers.append(captured)
        else:
            own = np.array(captured, dtype=node.dtype, order="C", copy=True, subok=False)
            buffers.append(own)
            refreshed.append((captured, own))
    return buffers, refreshed


def _refreshing(
    native: Callable[..., Any], refreshed: list[tuple[Array, Array]]
) -> Callable[..., Any]:
    lock = threading.RLock()

    def call(*leaves: Any) -> Any:
        with lock:
            for source, target in refreshed:
                np.copyto(target, source)
            return native(*leaves)

    return call
