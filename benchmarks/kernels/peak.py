"""The machine's peak in f32, measured: independent multiply-adds in registers on every core."""

from __future__ import annotations

import ctypes
import time
from threading import Barrier, Thread

from tracejit.codegen.machine import Machine, this_machine
from tracejit.codegen.runtime.team import num_threads
from tracejit.codegen.runtime.toolchain import compile_ir, link

CHAINS = 12  # more than latency times units of any core so far; they fit into 16 registers
TURNS = 200_000
REPEATS = 20


def _loop(machine: Machine) -> str:
    """LLVM text of f(x: pointer, turns): CHAINS dependent chains of v = v * v + v."""
    lanes = machine.vector_bytes // 4
    vector = f"<{lanes} x float>"
    lines = [f"declare {vector} @llvm.fma.v{lanes}f32({vector}, {vector}, {vector})"]
    lines += ["define void @peak(ptr %x, i64 %turns) {", "entry:"]
    lines += [f"  %x0 = load {vector}, ptr %x, align 4", "  br label %loop", "loop:"]
    lines += ["  %i = phi i64 [0, %entry], [%next, %loop]"]
    lines += [f"  %v{c} = phi {vector} [%x0, %entry], [%w{c}, %loop]" for c in range(CHAINS)]
    for c in range(CHAINS):
        if machine.fma:
            triple = ", ".join(f"{vector} %v{c}" for _ in range(3))
            lines += [f"  %w{c} = call {vector} @llvm.fma.v{lanes}f32({triple})"]
        else:
            lines += [f"  %p{c} = fmul {vector} %v{c}, %v{c}"]
            lines += [f"  %w{c} = fadd {vector} %p{c}, %v{c}"]
    lines += ["  %next = add i64 %i, 1", "  %more = icmp ult i64 %next, %turns"]
    lines += ["  br i1 %more, label %loop, label %done", "done:"]
    total = "%w0"
    for c in range(1, CHAINS):
        lines += [f"  %s{c} = fadd {vector} {total}, %w{c}"]
        total = f"%s{c}"
    lines += [f"  store {vector} {total}, ptr %x, align 4", "  ret void", "}"]
    return "\n".join(lines)


def peak_flops() -> float:
    """FLOP/s of all threads together: the best of REPEATS."""
    machine, threads = this_machine(), num_threads()
    (code,) = compile_ir([_loop(machine)])
    linked = link([code], ["peak"], {})
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(linked.address("peak"))
    start_line = Barrier(threads)
    spans: list[tuple[float, float]] = []

    def work() -> None:
        x = (ctypes.c_float * (machine.vector_bytes // 4))()  # zeros stay zeros: no denormals
        start_line.wait()
        start = time.perf_counter()
        call(x, TURNS)  # ctypes gives up the interpreter lock
        spans.append((start, time.perf_counter()))

    best = 0.0
    for _ in range(REPEATS):
        spans.clear()
        team = [Thread(target=work) for _ in range(threads)]
        for thread in team:
            thread.start()
        for thread in team:
            thread.join()
        elapsed = max(end for _, end in spans) - min(start for start, _ in spans)
        flops = 2 * CHAINS * TURNS * (machine.vector_bytes // 4) * threads
        best = max(best, flops / elapsed)
    return best
