"""`python -m benchmarks.compile_time`: what importing, tracing and compiling cost.

Three tables: `import tracejit` in fresh processes; tracing per operation; tracing and compiling a
training step (forward, backward, Adam) of 10, 100 and 1,000 layers. All are processor times, of all
threads, and the least of several runs: other work on the machine changes them little.
"""

import argparse
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
from rich.console import Console
from rich.table import Table

import tracejit as tj
from benchmarks.peers.tracejit_peer import adam
from benchmarks.rounds import ROOT, UNSET
from tracejit.codegen import objects
from tracejit.codegen.compile import compile_graph
from tracejit.codegen.machine import this_machine
from tracejit.codegen.stages import Stages
from tracejit.ir.garbage import uncollected

WIDTH, BATCH = 32, 8
STAGES = (
    ("passes", "optimized"),
    ("fusion", "fused"),
    ("lower and plan", "plan"),
    ("program", "program"),
)
OPS = 2000


def least(repeats: int, timed: Callable[[], float]) -> float:
    return min(timed() for _ in range(repeats))


def import_seconds(module: str) -> float:
    """Of one import in a process of its own, its bytecode there already."""
    code = f"import time; a = time.process_time(); import {module}; print(time.process_time() - a)"
    environment = {k: v for k, v in os.environ.items() if k not in UNSET}
    environment["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-c", code]
    return float(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)


def elementwise(x):
    """OPS operations that no rule takes away."""
    for n in range(OPS // 4):
        x = np.tanh(x * 0.5 + n) - x
    return x


def residual(params, x):
    """A layer: x + tanh(x @ w + b)."""
    for w, b in zip(*params, strict=True):
        x = x + np.tanh(x @ w + b)
    return np.mean(x * x)


def descent(params, x):
    loss, grads = tj.value_and_grad(residual)(params, x)
    return tj.tree.map(lambda p, g: p - 0.1 * g, params, grads), loss


@partial(tj.jit, donate_argnames=("params", "m", "v"))
def training(params, m, v, t, x):
    loss, grads = tj.value_and_grad(residual)(params, x)
    return *adam(params, m, v, t, grads), loss


def layers(depth: int):
    rng = np.random.default_rng(0)
    weights = [np.float32(0.1) * rng.standard_normal((WIDTH, WIDTH), "f4") for _ in range(depth)]
    params = weights, [np.zeros(WIDTH, "f4") for _ in range(depth)]
    return params, rng.standard_normal((BATCH, WIDTH), "f4")


def traced_seconds(function: Callable[..., object], *args: object) -> float:
    start = time.process_time()
    tj.jit(function).lower(*args)
    return time.process_time() - start


def compile_seconds(depth: int) -> tuple[dict[str, float], Stages]:
    """Of a training step of so many layers, nothing known before; and the stages that it takes."""
    parts: dict[str, float] = {}
    start = time.process_time()

    def lap(name: str) -> None:
        nonlocal start
        parts[name] = time.process_time() - start
        start = time.process_time()

    params, x = layers(depth)
    zeros = tj.tree.map(np.zeros_like, params)
    start = time.process_time()
    graph = training.lower(params, zeros, zeros, 1.0, x).graph
    lap("trace")
    stages = Stages(graph, this_machine())
    with uncollected():
        for name, stage in STAGES:
            getattr(stages, stage)
            lap(name)
    objects.forget()
    start = time.process_time()
    compile_graph(graph)
    lap("compile, in all")
    return parts, stages


def import_table(repeats: int) -> Table:
    table = Table("", "ms", title="import")
    for module in ("numpy", "tracejit"):
        table.add_row(module, f"{least(repeats, partial(import_seconds, module)) * 1e3:.0f}")
    return table


def trace_table(repeats: int) -> Table:
    table = Table("", "operations", "µs per operation", title="tracing")
    for name, args, function in (
        ("elementwise", (np.ones(8, "f4"),), elementwise),
        ("gradient of 100 layers", layers(100), descent),
    ):
        nodes = len(tj.jit(function).lower(*args).graph.nodes())
        seconds = least(repeats, partial(traced_seconds, function, *args))
        table.add_row(name, str(nodes), f"{seconds / nodes * 1e6:.1f}")
    return table


def depth_table(repeats: int) -> Table:
    table = Table(title="a step of so many layers [ms]")
    for depth in (10, 100, 1000):
        runs = [compile_seconds(depth) for _ in range(repeats)]
        parts = {name: min(parts[name] for parts, _ in runs) for name in runs[0][0]}
        stages = runs[0][1]
        if not table.columns:
            for column in ("layers", "nodes", "kernel calls", "kernels", *parts, "per layer"):
                table.add_column(column)
        total = parts["trace"] + parts["compile, in all"]
        counts = len(stages.graph.nodes()), len(stages.plan.launches), len(stages.kernels)
        shown = (f"{seconds * 1e3:.0f}" for seconds in parts.values())
        table.add_row(str(depth), *map(str, counts), *shown, f"{total / depth * 1e3:.2f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compile_time", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    os.environ["TRACEJIT_CACHE"] = "0"
    warnings.simplefilter("ignore", tj.errors.UnrolledLoopWarning)
    console = Console(width=140)
    for make in (import_table, trace_table, depth_table):
        console.print(make(options.repeats))


if __name__ == "__main__":
    main()
