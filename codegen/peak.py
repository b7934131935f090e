"""What the machine can do, measured on every core at once: the two sides of the roofline."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from threading import Barrier, Thread

import numpy as np

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


COPIED = 1 << 22  # bytes a thread copies at once: beyond L2, in the L3 that a step's values are in


def peak_flops() -> float:
    """FLOP/s in f32: independent multiply-adds in registers."""
    machine = this_machine()
    (code,) = compile_ir([_loop(machine)])
    linked = link([code], ["peak"], {})
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(linked.address("peak"))
    lanes = machine.vector_bytes // 4

    def work() -> Callable[[], object]:
        x = (ctypes.c_float * lanes)()  # zeros stay zeros: no denormals
        return lambda: call(x, TURNS)  # ctypes gives up the interpreter lock

    return 2 * CHAINS * TURNS * lanes / _seconds(work)


def peak_bytes() -> float:
    """Bytes/s read and written, by copies."""

    def work() -> Callable[[], object]:
        source, target = np.ones((2, COPIED), np.uint8)
        return lambda: np.copyto(target, source)  # which gives up the interpreter lock

    return 2 * COPIED / _seconds(work)


def _seconds(work: Callable[[], Callable[[], object]]) -> float:
    """Of one call on each thread at once, through their number: the best of REPEATS.

    work: makes, on its thread, what is called there.
    """
    threads = num_threads()
    start_line = Barrier(threads)
    spans: list[tuple[float, float]] = []

    def timed() -> None:
        call = work()
        start_line.wait()
        start = time.perf_counter()
        call()
        spans.append((start, time.perf_counter()))

    best = float("inf")
    for _ in range(REPEATS):
        spans.clear()
        team = [Thread(target=timed) for _ in range(threads)]
        for thread in team:
            thread.start()
        for thread in team:
            thread.join()
        best = min(best, max(end for _, end in spans) - min(start for start, _ in spans))
    return best / threads
