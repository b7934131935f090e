"""Where the time of a program goes: the same program with a clock behind every kernel.

All threads meet behind each kernel, and thread 0 then reads the clock: what a kernel takes is what
its slowest thread takes, in the caches as the kernels before left them.
"""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass
from functools import cached_property

from tracejit.codegen.compile import Program
from tracejit.codegen.cost import flops, moved
from tracejit.codegen.launches import Launch
from tracejit.codegen.nest import walk
from tracejit.codegen.objects import SYMBOL, Wanted, object_code
from tracejit.codegen.program import emit_program
from tracejit.codegen.runtime.toolchain import compile_ir, host
from tracejit.ir.log import Stopwatch

NEVER = (1 << 63) - 1  # more ticks than any kernel takes
CALIBRATION_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Timed:
    """One kernel of a program. runs [count]; total and least: seconds of all, and of one run."""

    launch: Launch
    runs: int
    total: float
    least: float

    @property
    def loc(self) -> str:
        """The source line of its first operation that has one."""
        found = (getattr(stmt, "loc", None) for stmt in walk(self.launch.plain.body))
        return next((loc for loc in found if loc), "")

    @property
    def flops(self) -> int:
        """Of one run."""
        return flops(self.launch.plain)

    @property
    def bytes(self) -> int:
        """Of its buffers, in one run."""
        return moved(self.launch.plain)


class ProfiledProgram(Program):
    """A program that counts and times the runs of its kernels. Slower than it is without."""

    exports = (SYMBOL, "tj_ticks", "tj_figures")

    def _objects(self, watch: Stopwatch) -> list[bytes]:
        stages = self.stages
        wanted = Wanted(tuple(stages.kernels), stages.emitted, None, (), stages.label)
        kernels = [module.code for module in object_code(wanted, watch)]
        program = emit_program(stages.plan, stages.symbols, timed=True)
        return [*kernels, *compile_ir([program + _clock(len(stages.symbols))])]

    def times(self) -> list[Timed]:
        """Each kernel, in the order in which they run, over all calls so far."""
        launches, second = list(self.stages.symbols), self._ticks_per_second
        figures = (ctypes.c_int64 * (3 * len(launches))).from_address(
            self._linked.address("tj_figures")
        )
        rows = zip(figures[0::3], figures[1::3], figures[2::3], strict=True)
        return [
            Timed(launch, runs, total / second, least / second if runs else 0.0)
            for launch, (runs, total, least) in zip(launches, rows, strict=True)
        ]

    @cached_property
    def _ticks_per_second(self) -> float:
        ticks = ctypes.CFUNCTYPE(ctypes.c_int64)(self._linked.address("tj_ticks"))
        start, before = time.perf_counter(), ticks()
        while time.perf_counter() - start < CALIBRATION_SECONDS:
            pass
        after, end = ticks(), time.perf_counter()
        return float(after - before) / (end - start)


def _clock(kernels: int) -> str:
    """LLVM IR of the clock; `tj_figures` holds runs, total and least ticks of each kernel."""
    arm = host().triple.startswith(("aarch64", "arm64"))
    counter = "llvm.readsteadycounter" if arm else "llvm.readcyclecounter"
    empty = ", ".join(f"i64 0, i64 0, i64 {NEVER}" for _ in range(kernels))
    size = 3 * kernels
    return f"""
@tj_figures = global [{size} x i64] [{empty}]
@tj_last = internal global i64 0
declare i64 @{counter}()
define i64 @tj_ticks() nounwind {{
  %now = call i64 @{counter}()
  ret i64 %now
}}
define internal void @tj_stamp(i64 %tid, i64 %nt, ptr %team, i64 %kernel) nounwind {{
  %several = icmp ugt i64 %nt, 1
  br i1 %several, label %meet, label %met
meet:
  call void @tj_barrier(ptr %team, i64 %tid, i64 %nt)
  br label %met
met:
  %first = icmp eq i64 %tid, 0
  br i1 %first, label %stamp, label %done
stamp:
  %now = call i64 @{counter}()
  %last = load i64, ptr @tj_last
  store i64 %now, ptr @tj_last
  %counts = icmp sge i64 %kernel, 0
  br i1 %counts, label %count, label %done
count:
  %ticks = sub i64 %now, %last
  %place = mul i64 %kernel, 3
  %runs.at = getelementptr i64, ptr @tj_figures, i64 %place
  %runs = load i64, ptr %runs.at
  %more = add i64 %runs, 1
  store i64 %more, ptr %runs.at
  %total.at = getelementptr i64, ptr %runs.at, i64 1
  %total = load i64, ptr %total.at
  %sum = add i64 %total, %ticks
  store i64 %sum, ptr %total.at
  %least.at = getelementptr i64, ptr %runs.at, i64 2
  %least = load i64, ptr %least.at
  %lower = icmp slt i64 %ticks, %least
  %new = select i1 %lower, i64 %ticks, i64 %least
  store i64 %new, ptr %least.at
  br label %done
done:
  ret void
}}
"""
