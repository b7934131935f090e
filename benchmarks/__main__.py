"""`python -m benchmarks`: one table a workload, every peer measured in the same run."""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from benchmarks.comparing import (
    CompareError,
    Samples,
    checked_out,
    compare_sheet,
    recorded,
    verdicts,
)
from benchmarks.rounds import OURS, PEERS, ROOT, Effort, Peer, Result, measure, pythons
from benchmarks.tables import Sheet, call_sheet, ratios, step_sheet
from benchmarks.workloads import WORKLOADS
from tracejit.codegen.peak import peak_flops

Results = dict[str, dict[str, Result]]


def parse_arguments() -> argparse.Namespace:
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--peer-python",
        action="append",
        default=[],
        metavar="PATH",
        help="an interpreter of an environment that has torch, JAX or PyTensor; may be repeated",
    )
    parser.add_argument("--rounds", type=int, default=3, help="processes of each kind")
    parser.add_argument("--seconds", type=float, default=1.0, help="of steps in each process")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds a process may take")
    parser.add_argument("--workload", action="append", choices=[*WORKLOADS, "calls"])
    parser.add_argument("--peer", action="append", choices=names, help="leave the others out")
    parser.add_argument(
        "--compare",
        metavar="BASE",
        help="measure tracejit alone, against a git revision or a file of --json; fail if slower",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables there")
    return parser.parse_args()  # fmt: skip


def machine() -> str:
    """What figures of two runs must share to be compared."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{model}, {os.cpu_count()} CPUs, Python {platform.python_version()}"


def revision() -> str:
    """The commit that is measured, with a mark where files differ from it."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def collect(
    interpreters: Mapping[Peer, str],
    workloads: Sequence[str],
    options: argparse.Namespace,
    console: Console,
) -> Results:
    """Runs the rounds, naming what is being measured."""
    results: Results = {}
    with console.status("measuring") as status:
        effort = Effort(options.rounds, options.seconds, options.limit)
        for workload, peer, result in measure(interpreters, workloads, effort):
            results.setdefault(workload, {})[peer.name] = result
            status.update(f"measured {peer.name} on {workload}")
    return results


def sheets(results: Results, peak: float) -> list[Sheet]:
    found = []
    for workload, by_peer in results.items():
        if workload == "calls":
            found.append(call_sheet(by_peer))
        else:
            found.append(step_sheet(workload, by_peer, WORKLOADS[workload]().flops, peak))
    return found


def regressions(base: Mapping[str, Samples], results: Results, name: str, console: Console) -> bool:
    """Shows every figure against that of the base; whether one is slower."""
    now = {workload: by_peer[OURS.name].samples() for workload, by_peer in results.items()}
    found = {w: verdicts(base[w], samples) for w, samples in now.items() if base.get(w)}
    console.print(compare_sheet(name, found).rich())
    for workload in (w for w in now if w not in found):
        console.print(f"{workload}: not compared, {name} has no figures of it")
    return any(verdict.slower for figures in found.values() for verdict in figures.values())


def write(options: argparse.Namespace, results: Results, peak: float, tables: list[Sheet]) -> None:
    if options.json:
        workloads = {
            workload: {name: result.summary() for name, result in by_peer.items()}
            for workload, by_peer in results.items()
        }
        head = {"machine": machine(), "revision": revision(), "peak": peak}
        options.json.write_text(json.dumps(head | {"workloads": workloads}, indent=1) + "\n")
    if options.markdown:
        lines = [ratios(w, by_peer) for w, by_peer in results.items() if w != "calls"]
        text = "\n".join([*(sheet.markdown() for sheet in tables), *filter(None, lines), ""])
        options.markdown.write_text(text)


def report(results: Results, tables: list[Sheet], older: str, console: Console) -> bool:
    """Shows all there is; whether no process failed but such of `older`, who need not know all."""
    for sheet in tables:
        console.print(sheet.rich())
    for workload, by_peer in results.items():
        if workload != "calls" and (line := ratios(workload, by_peer)):
            console.print(line)
    failed = set()
    for workload, by_peer in results.items():
        for name, result in by_peer.items():
            if result.error:
                failed.add(name)
                console.print(f"{name} on {workload} failed: {result.error}", markup=False)
    return not failed - {older}


def run(options: argparse.Namespace, workloads: Sequence[str], console: Console) -> int:
    """Exit status: 1 where a process failed or a figure is worse than the base's."""
    interpreters = {
        peer: python
        for peer, python in pythons(options.peer_python).items()
        if not options.peer or peer.name in options.peer
    }
    base: Mapping[str, Samples] = {}
    with ExitStack() as stack:
        older: Peer | None = None
        if options.compare:
            interpreters = {OURS: sys.executable}
            if Path(options.compare).is_file():
                base = recorded(Path(options.compare), machine())
            else:
                older = stack.enter_context(checked_out(options.compare))
                interpreters[older] = sys.executable
        peak = peak_flops()
        results = collect(interpreters, workloads, options, console)
    peak = max(peak, peak_flops())
    console.print(f"{machine()}; {revision()}; peak {peak / 1e9:.4g} GFLOP/s in f32")
    console.print(f"{options.rounds} rounds; times in ms")
    tables = sheets(results, peak)
    fine = report(results, tables, older.name if older else "", console)
    write(options, results, peak, tables)
    if older is not None:
        base = {w: by_peer[older.name].samples() for w, by_peer in results.items()}
    if options.compare and regressions(base, results, options.compare, console):
        fine = False
    return 0 if fine else 1


def main(workloads: Sequence[str] = (*WORKLOADS, "calls")) -> int:
    options, console = parse_arguments(), Console()
    try:
        return run(options, options.workload or workloads, console)
    except CompareError as error:
        console.print(f"--compare: {error}", markup=False)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
