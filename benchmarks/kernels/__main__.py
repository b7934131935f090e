"""`python -m benchmarks.kernels`: each kernel's GFLOP/s, part of the peak, ratio to the best peer.

Every side runs in processes of its own, in turns. A figure is the median of one process, and of
these the least over all its processes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp, log
from pathlib import Path
from statistics import fmean

from rich.console import Console

from benchmarks.kernels.cases import CASES, ROUNDING
from benchmarks.rounds import ROOT, UNSET, importable
from benchmarks.tables import Sheet

OURS = "tracejit"
NEEDS = {OURS: "", "numpy": "", "torch": "torch", "jax": "jax"}
KINDS = {"numpy": ("products", "large products")}  # all where none is named
TOLERANCE = 1e-3  # of probes, which differ by about 1 where a result is wrong
ROUNDINGS = 8  # by so many of their dtype they differ where none is
WORST = 10


@dataclass(slots=True)
class Figures:
    """Seconds of one case by side, of every process: medians, least times; and what it computed."""

    medians: dict[str, list[float]] = field(default_factory=dict)
    least: dict[str, list[float]] = field(default_factory=dict)
    probes: dict[str, float] = field(default_factory=dict)

    def add(self, side: str, middle: float, fastest: float, probe: float) -> None:
        self.medians.setdefault(side, []).append(middle)
        self.least.setdefault(side, []).append(fastest)
        self.probes[side] = probe

    def best_peer(self) -> str | None:
        peers = [side for side in self.medians if side != OURS]
        return min(peers, key=lambda side: min(self.medians[side]), default=None)

    def ratio(self, fastest: bool = False) -> float | None:
        """The best peer's time through ours: above 1 where ours is faster."""
        times = self.least if fastest else self.medians
        peers = [min(times[side]) for side in times if side != OURS]
        return min(peers) / min(times[OURS]) if peers and OURS in times else None

    def disagreement(self) -> float:
        return max(self.probes.values()) - min(self.probes.values())


Results = dict[str, dict[str, Figures]]  # kind of case, name of case


def in_own_process(side: str, python: str, kind: str, options: argparse.Namespace) -> dict:
    environment = {name: value for name, value in os.environ.items() if name not in UNSET}
    environment["PYTHONPATH"] = str(ROOT)
    command = [python, "-m", f"benchmarks.kernels.{side}_side", kind]
    command += ["--seconds", str(options.seconds)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=options.limit,
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure(options: argparse.Namespace) -> tuple[Results, float]:
    """The rounds; and the peak, the best seen in any of them."""
    pythons = {side: options.peer_python if needs else sys.executable
               for side, needs in NEEDS.items()}  # fmt: skip
    sides = {side: python for side, python in pythons.items()
             if not NEEDS[side] or importable(python, NEEDS[side])}  # fmt: skip
    results: Results = {}
    peak = 0.0
    for _ in range(options.rounds):
        for kind in options.kind or CASES:
            for side, python in sides.items():
                if kind not in KINDS.get(side, (kind,)):
                    continue
                told = in_own_process(side, python, kind, options)
                peak = max(peak, told["peak"])
                for name, figures in told["figures"].items():
                    results.setdefault(kind, {}).setdefault(name, Figures()).add(side, *figures)
    return results, peak


COLUMNS = ("GFLOP/s", "of peak", "µs", "fastest µs", "best peer", "its µs", "fastest", "ratio")


def sheet(kind: str, cases: Mapping[str, Figures], peak: float) -> Sheet:
    rows = []
    flops = {case.name: case.flops for case in CASES[kind]}
    for name, figures in cases.items():
        ours, ratio, best = min(figures.medians[OURS]), figures.ratio(), figures.best_peer()
        rate = flops[name] / ours
        cells = [f"{rate / 1e9:.1f}", f"{rate / peak:.2f}", f"{ours * 1e6:.4g}"]
        cells.append(f"{min(figures.least[OURS]) * 1e6:.4g}")
        if best is not None and ratio is not None:
            cells += [best, f"{min(figures.medians[best]) * 1e6:.4g}"]
            cells += [f"{min(figures.least[best]) * 1e6:.4g}", f"{ratio:.2f}"]
        rows.append([name, *cells])
    return Sheet(kind, COLUMNS, rows)


def summary(kind: str, cases: Mapping[str, Figures]) -> str:
    rows = {name: ratio for name, figures in cases.items() if (ratio := figures.ratio())}
    if not rows:
        return f"{kind}: no peer"
    fastest = [ratio for figures in cases.values() if (ratio := figures.ratio(fastest=True))]
    mean, fastest_mean = (exp(fmean(map(log, ratios))) for ratios in (rows.values(), fastest))
    worst = sorted(rows, key=rows.__getitem__)[:WORST]
    below = sum(ratio < 0.6 for ratio in rows.values())
    slower = sum(ratio < 1 for ratio in rows.values())
    return "\n".join(
        [
            f"{kind}: geometric mean of the ratios {mean:.2f} ({fastest_mean:.2f} of the fastest "
            f"runs); {slower} of {len(rows)} below 1, {below} below 0.6; the worst:",
            *(f"  {rows[name]:.2f}  {name}" for name in worst),
        ]
    )


def saved(results: Results, peak: float) -> str:
    kinds = {
        kind: {
            name: {"medians": f.medians, "least": f.least, "probes": f.probes}
            for name, f in cases.items()
        }
        for kind, cases in results.items()
    }
    return json.dumps({"peak": peak, **kinds}, indent=1) + "\n"


def joined(results: Results, peak: float, file: Path) -> float:
    """Adds what an earlier run saved; returns the higher peak."""
    earlier = json.loads(file.read_text())
    peak = max(peak, earlier.pop("peak"))
    for kind, cases in earlier.items():
        for name, told in cases.items():
            figures = results.setdefault(kind, {}).setdefault(name, Figures())
            for side, medians in told["medians"].items():
                for pair in zip(medians, told["least"][side], strict=True):
                    figures.add(side, *pair, told["probes"][side])
    return peak


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description=__doc__)
    parser.add_argument(
        "--peer-python",
        default=sys.executable,
        metavar="PATH",
        help="the interpreter of the environment that has torch or JAX",
    )
    parser.add_argument("--rounds", type=int, default=3, help="processes of each kind")
    parser.add_argument("--seconds", type=float, default=0.2, help="of each case in a process")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds a process may take")
    parser.add_argument("--kind", action="append", choices=CASES, help="leave the other out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables there")
    parser.add_argument(
        "--join",
        type=Path,
        metavar="FILE",
        action="append",
        default=[],
        help="count what an earlier run wrote as more rounds",
    )
    return parser.parse_args()  # fmt: skip


def main() -> int:
    options, console = parse_arguments(), Console()
    results, peak = measure(options)
    for file in options.join:
        peak = joined(results, peak, file)
    console.print(f"peak {peak / 1e9:.1f} GFLOP/s, f32, all threads")
    for kind, cases in results.items():
        console.print(sheet(kind, cases, peak).rich())
        console.print(summary(kind, cases), highlight=False)
    if options.markdown:
        parts = [
            f"{sheet(kind, cases, peak).markdown()}\n{summary(kind, cases)}\n"
            for kind, cases in results.items()
        ]
        options.markdown.write_text("\n".join(parts), encoding="utf-8")
    if options.json:
        options.json.write_text(saved(results, peak))
    dtypes = {case.name: case.dtype for cases in CASES.values() for case in cases}
    most = {name: TOLERANCE + ROUNDINGS * ROUNDING[dtype] for name, dtype in dtypes.items()}
    wrong = [name for cases in results.values() for name, figures in cases.items()
             if figures.disagreement() > most[name]]  # fmt: skip
    for name in wrong:
        console.print(f"the sides do not agree about {name}", highlight=False)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
