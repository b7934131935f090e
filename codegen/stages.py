"""The stages of a graph on its way to a program, each computed when it is first asked for."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cached_property

from tracejit.codegen import STAGES
from tracejit.codegen.launches import Launch, Plan
from tracejit.codegen.layout import choose_layouts
from tracejit.codegen.llvm.emit import emit_kernel
from tracejit.codegen.machine import Machine
from tracejit.codegen.nest import Kernel, kernel_text
from tracejit.codegen.objects import SYMBOL, Emitted, module_text
from tracejit.codegen.per_body import PerBody
from tracejit.codegen.plan import lower_all, plan
from tracejit.codegen.program import emit_program, is_call
from tracejit.codegen.runtime.toolchain import assembly
from tracejit.codegen.sharing import shared_code
from tracejit.ir import config
from tracejit.ir.fusion import Fused, fuse
from tracejit.ir.graph import Graph
from tracejit.ir.log import Stopwatch, log
from tracejit.ir.passes import optimize
from tracejit.ir.unfused import fusion_log


class Stages:
    """Every form that a graph takes for one machine; `dump` shows any of them."""

    def __init__(self, graph: Graph, machine: Machine) -> None:
        self.graph = graph
        self.machine = machine
        self.watch = Stopwatch()

    @cached_property
    def optimized(self) -> Graph:
        self.watch = Stopwatch()
        done = optimize(self.graph)
        self.watch.lap("passes")
        return done

    @cached_property
    def fused(self) -> Fused:
        graph = self.optimized
        done = fuse(choose_layouts(graph, self.machine))
        self.watch.lap("fusion")
        if config.logging("fusion"):
            log("fusion", fusion_log(done))
        return done

    @cached_property
    def plan(self) -> Plan:
        fused = self.fused
        lowered = lower_all(fused)
        self.watch.lap("lower")
        done = plan(fused, lowered, self.machine)
        self.watch.lap("schedule")
        return done

    @cached_property
    def symbols(self) -> dict[Launch, str]:
        """The function of each launch, also in bodies; equal kernels have one."""
        symbol = PerBody(_symbol)
        return {launch: symbol(kernel) for launch, kernel in self._code.items()}

    @cached_property
    def _code(self) -> dict[Launch, Kernel]:
        """Each launch's kernel as it is compiled."""
        code = PerBody(shared_code)
        return {
            u: u.kernel if is_call(u) else replace(code(u.kernel), name=u.kernel.name)
            for u in self.plan.flat()
        }

    @cached_property
    def program(self) -> str:
        """LLVM IR of the function that calls the kernels."""
        return emit_program(self.plan, self.symbols)

    @cached_property
    def kernels(self) -> dict[str, Kernel]:
        """The kernel behind each symbol that code is made for: of all but the host calls."""
        return {symbol: self._code[u] for u, symbol in self.symbols.items() if not is_call(u)}

    def module(self, symbol: str) -> str:
        """The LLVM module of one symbol: a kernel, or the program that calls them."""
        if symbol == SYMBOL:
            return self.program
        return f"; {self.kernels[symbol].name}\n{module_text([self.emitted(symbol)])}"

    def emitted(self, symbol: str) -> Emitted:
        """The LLVM function of a kernel, and what it declares."""
        return emit_kernel(self.kernels[symbol], self.machine, symbol)

    def label(self, symbol: str) -> str:
        """A symbol with the name and kind of its kernel: `k3 contraction tj_...`."""
        if symbol == SYMBOL:
            return f"calls of all kernels {symbol}"
        kernel = self.kernels[symbol]
        return f"{kernel.name} {kernel.kind} {symbol}"

    def dump(self, stage: str) -> str:
        """The text of one of STAGES. Raises ValueError for another name."""
        match stage:
            case "optimized":
                return str(self.optimized)
            case "fused":
                return str(self.fused)
            case "loops":
                return "\n\n".join(str(launch.plain) for launch in self.plan.flat())
            case "scheduled":
                return "\n\n".join(str(launch.kernel) for launch in self.plan.flat())
            case "program":
                return str(self.plan)
            case "llvm":
                return "\n".join(self._modules())
            case "asm":
                return "\n".join(assembly(module) for module in self._modules())
            case "numba":
                from tracejit.codegen.numba_program import program_source

                return program_source(self.plan)
        raise ValueError(f"no stage {stage!r}; there are traced, {', '.join(STAGES)}")

    def _modules(self) -> list[str]:
        return [self.module(symbol) for symbol in (*self.kernels, SYMBOL)]


def _symbol(kernel: Kernel) -> str:
    """Names a kernel by what its code depends on: its scheduled loops, not names and lines."""
    canonical = kernel_text(kernel, locations=False, name="k")
    return f"tj_{hashlib.sha256(canonical.encode()).hexdigest()[:32]}"
