"""Builds the stages of a graph for any machine model, and runs plans kernel by kernel.

The threads of a program are played one after another: between two barriers each thread runs its
share of every kernel, in an order of threads that is drawn. So a barrier that is missing shows as a
wrong result, every time, and not as a race now and then.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np

from tests.emitters.accuracy import random_values
from tests.fuzz.check import compare_outputs
from tracejit.codegen.launches import Launch, Plan
from tracejit.codegen.llvm.emit import emit_kernel
from tracejit.codegen.machine import Machine
from tracejit.codegen.nest import Kernel, kernel_text
from tracejit.codegen.plan import lower_all, plan
from tracejit.codegen.runtime import toolchain
from tracejit.codegen.runtime.host import HostCallable, host_call
from tracejit.codegen.sharing import shared_code, size_of, starts
from tracejit.codegen.stages import Stages
from tracejit.ir.fusion import fuse
from tracejit.ir.graph import Array, Graph
from tracejit.ir.types import is_float

FMA = toolchain.host().has_fma
L1, L2 = 32768, 524288
# Vectors wider than the CPU's are legal LLVM: they take several registers each.
MACHINES = {
    "128x16": Machine(16, 16, FMA, L1, L2),
    "128x32": Machine(16, 32, FMA, L1, L2),
    "256x16": Machine(32, 16, FMA, L1, L2),
    "256x32": Machine(32, 32, FMA, L1, L2),
    "512x32": Machine(64, 32, FMA, L1, L2),
}
USUAL = MACHINES["256x16"]
GUARD = 192  # bytes on either side of every buffer
UNWRITTEN = 0x5A


def planned(graph: Graph, machine: Machine = USUAL, passes: bool = True) -> Plan:
    """A graph through all stages up to the plan; `passes=False`: kernels of the graph as it is."""
    if passes:
        return Stages(graph, machine).plan
    fused = fuse(graph)
    return plan(fused, lower_all(fused), machine)


class Runner:
    """Plans compiled together for one machine; run(plan, arrays) gives the outputs."""

    def __init__(self, plans: Iterable[Plan], machine: Machine = USUAL) -> None:
        launches = [u for p in plans for u in p.launches if u.kernel.kind != "host"]
        kernels = {_symbol(u.kernel): shared_code(u.kernel) for u in launches}
        texts = []
        for symbol, kernel in kernels.items():
            function, declared = emit_kernel(kernel, machine, symbol)
            texts.append("\n".join([*declared.values(), function]))
        objects = toolchain.compile_ir(texts)
        self._linked = toolchain.link(objects, list(kernels), {}) if kernels else None

    def run(
        self, plan: Plan, arrays: Sequence[Array], threads: int = 1, seed: int = 0
    ) -> list[Array]:
        """Outputs of one call on copies of `arrays`; asserts that nothing else is written."""
        graph = plan.graph
        inputs = [
            _Guarded(a.size, node.dtype, shift=1)
            for a, node in zip(arrays, graph.inputs, strict=True)
        ]
        for buffer, array in zip(inputs, arrays, strict=True):
            buffer.array[:] = np.ascontiguousarray(array).reshape(-1)
        before = [buffer.array.copy() for buffer in inputs]
        outputs = [
            _Guarded(graph.outputs[p].type.size, graph.outputs[p].dtype, shift=1)
            for p in plan.fresh
        ]
        arena = _Guarded(plan.arena_bytes, np.dtype(np.uint8))
        memory = {"input": inputs, "output": outputs}
        rng = np.random.default_rng(seed)
        for _, wave in groupby(plan.launches, key=lambda launch: launch.wave):
            launches = list(wave)
            for tid in rng.permutation(threads):
                for launch in launches:
                    pointers = [
                        arena.address + slot.at if slot.place == "arena"
                        else memory[slot.place][slot.at].address
                        for slot in launch.slots
                    ]  # fmt: skip
                    self._call(launch, pointers, int(tid), threads)
        for buffer in (*inputs, *outputs, arena):
            buffer.check()
        donated = {d for d in graph.donated if d is not None}
        for n, (buffer, old) in enumerate(zip(inputs, before, strict=True)):
            same = buffer.array.tobytes() == old.tobytes()
            assert n in donated or same, f"input {n} is written but not donated"
        fresh = iter(outputs)
        found = []
        for node, donor in zip(graph.outputs, graph.donated, strict=True):
            buffer = next(fresh) if donor is None else inputs[donor]
            found.append(buffer.array.reshape(node.shape).copy())
        return found

    def _call(self, launch: Launch, pointers: list[int], tid: int, threads: int) -> None:
        if launch.alone:
            if tid != (launch.turn.thread(threads) if launch.turn else 0):
                return
            tid, threads = 0, 1
        if launch.kernel.kind == "host":
            frame = (ctypes.c_void_p * len(pointers))(*pointers)
            HostCallable(host_call(launch.kernel))(ctypes.addressof(frame))
            return
        assert self._linked is not None
        size = size_of(launch.kernel)
        numbers = [tid, threads, *([] if size is None else [size])]
        first = starts(launch.kernel).values()
        sides = zip(pointers, first, launch.kernel.buffers, strict=False)
        there = [pointer + start * buffer.dtype.itemsize for pointer, start, buffer in sides]
        types = [ctypes.c_void_p] * len(there) + [ctypes.c_int64] * len(numbers)
        code = ctypes.CFUNCTYPE(None, *types)(self._linked.address(_symbol(launch.kernel)))
        code(*there, *numbers)


class _Guarded:
    """A buffer between two zones that must stay as they are, aligned no better than its elements.

    The zones hold 0xff: nan in every float, so that what is read there by mistake shows.
    """

    def __init__(self, size: int, dtype: np.dtype[np.generic], shift: int = 0) -> None:
        self._bytes = np.full(size * dtype.itemsize + 2 * GUARD + 64, 0xFF, np.uint8)
        start = GUARD + -(self._bytes.ctypes.data + GUARD) % 64 + shift * dtype.itemsize % 64
        self._span = slice(start, start + size * dtype.itemsize)
        self._bytes[self._span] = UNWRITTEN
        self.array = self._bytes[self._span].view(dtype)
        self.address = self._bytes.ctypes.data + start

    def check(self) -> None:
        before, after = self._bytes[: self._span.start], self._bytes[self._span.stop :]
        assert (before == 0xFF).all() and (after == 0xFF).all(), "written outside of a buffer"


def _symbol(kernel: Kernel) -> str:
    text = kernel_text(shared_code(kernel), locations=False, name="k")
    return f"k{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def fault_in(graph: Graph, arrays: Sequence[Array], got: Sequence[Array]) -> str | None:
    """What is wrong with the outputs `got`, by the interpreter with an allowance for rounding."""
    return compare_outputs(graph, arrays, list(got))


def arrays_of(graph: Graph, seed: int) -> list[Array]:
    """Values of order 1, small enough that products of many stay finite; wild row numbers."""
    rng = np.random.default_rng(seed)
    arrays = []
    for node in graph.inputs:
        values = random_values(rng, node.dtype, node.shape)
        arrays.append(np.asarray(values / 2 if is_float(node.dtype) else values).astype(node.dtype))
    return arrays
