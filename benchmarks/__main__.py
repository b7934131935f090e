"""`python -m benchmarks`: one table a workload, every peer measured in the same run."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.rounds import PEERS, Effort, Peer, Result, measure, pythons
from benchmarks.stopwatch import CALLS
from benchmarks.workloads import WORKLOADS

Results = dict[str, dict[str, Result]]
REFERENCES = ("NumPy", "torch eager", "JAX")  # whose losses the others' are compared with


def milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e3:.4g}"


def loss_difference(result: Result, reference: Result) -> float:
    """The largest over the first losses."""
    pairs = zip(result.losses, reference.losses, strict=True)
    return max(abs(ours - theirs) for ours, theirs in pairs)


def step_table(workload: str, results: Mapping[str, Result]) -> Table:
    columns = ("step", "fastest step", "first call", "warm first call", "losses off by")
    table = Table("", *columns, title=workload)
    # tracejit's losses are to be compared with another's, so it comes last.
    measured = [name for name in (*REFERENCES, *results) if name in results]
    reference = next((results[name] for name in measured if not results[name].error), Result())
    for name, result in results.items():
        if result.error:
            table.add_row(name, "failed")
            continue
        table.add_row(
            name,
            milliseconds(result.step),
            milliseconds(result.step_min),
            milliseconds(result.first_call),
            milliseconds(result.warm_first_call),
            f"{loss_difference(result, reference):.0e}",
        )
    return table


def call_table(results: Mapping[str, Result]) -> Table:
    table = Table("", *(f"{count} arrays" for count in CALLS), title="one call, microseconds")
    for name, result in results.items():
        cells = [f"{result.call(count) * 1e6:.3g}" for count in CALLS if not result.error]
        table.add_row(name, *(cells or ["failed"]))
    return table


def ratios(workload: str, results: Mapping[str, Result]) -> str:
    """tracejit's figures as parts of the best peer's step and of JAX's first call."""
    measured = {name: result for name, result in results.items() if not result.error}
    ours = measured.pop("tracejit", None)
    if ours is None or not measured:
        return ""
    best = min(measured, key=lambda name: measured[name].step)
    line = f"{workload}: step {ours.step / measured[best].step:.2f} of the best peer's ({best})"
    if jax := measured.get("JAX"):
        line += f", {ours.step / jax.step:.2f} of JAX's"
        line += f"; first call {ours.first_call / jax.first_call:.2f} of JAX's"
        if ours.warm_first_call is not None:
            line += f", warm {ours.warm_first_call / jax.first_call:.3f}"
    return line


def parse_arguments() -> argparse.Namespace:
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--peer-python",
        default=sys.executable,
        metavar="PATH",
        help="the interpreter of the environment that has torch or JAX",
    )
    parser.add_argument("--rounds", type=int, default=3, help="processes of each kind")
    parser.add_argument("--seconds", type=float, default=1.0, help="of steps in each process")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds a process may take")
    parser.add_argument("--workload", action="append", choices=[*WORKLOADS, "calls"])
    parser.add_argument("--peer", action="append", choices=names, help="leave the others out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    return parser.parse_args()  # fmt: skip


def collect(
    interpreters: Mapping[Peer, str], options: argparse.Namespace, console: Console
) -> Results:
    """Runs the rounds, naming what is being measured."""
    workloads = options.workload or [*WORKLOADS, "calls"]
    results: Results = {}
    with console.status("measuring") as status:
        effort = Effort(options.rounds, options.seconds, options.limit)
        for workload, peer, result in measure(interpreters, workloads, effort):
            results.setdefault(workload, {})[peer.name] = result
            status.update(f"measured {peer.name} on {workload}")
    return results


def main() -> int:
    options, console = parse_arguments(), Console()
    interpreters = {
        peer: python
        for peer, python in pythons(options.peer_python).items()
        if not options.peer or peer.name in options.peer
    }
    results = collect(interpreters, options, console)
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    console.print(f"{machine}; {options.rounds} rounds; times in ms")
    for workload, by_peer in results.items():
        console.print(call_table(by_peer) if workload == "calls" else step_table(workload, by_peer))
    for workload, by_peer in results.items():
        if workload != "calls" and (line := ratios(workload, by_peer)):
            console.print(line)
    for workload, by_peer in results.items():
        for name, result in by_peer.items():
            if result.error:
                console.print(f"{name} on {workload} failed: {result.error}", markup=False)
    if options.json:
        figures = {
            workload: {name: result.summary() for name, result in by_peer.items()}
            for workload, by_peer in results.items()
        }
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    failed = any(result.error for by_peer in results.values() for result in by_peer.values())
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
