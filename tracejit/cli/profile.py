"""Where the time of compiled steps went: a table of kernels for each step."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tracejit.dumps import write_profile

if TYPE_CHECKING:
    from tracejit.codegen.profile import ProfiledProgram, Timed
    from tracejit.lowered import Lowered

SHOWN = 40  # kernels of a step; the rest are told together

LEGEND = """\
# least: of all runs [us]; roofline: the time that its FLOPs or its bytes would take at the peak,
# whichever is longer, as a part of that"""


def show_profile(steps: Sequence[tuple[str, Lowered, ProfiledProgram]]) -> None:
    """Prints the kernels of each program, those that took longest first."""
    from tracejit.codegen.peak import peak_bytes, peak_flops

    sys.stdout.flush()
    if not steps:
        print("# profile: no step was compiled", flush=True)
        return
    rates = peak_flops(), peak_bytes()
    print(f"# profile: peak {rates[0] / 1e9:.0f} GFLOP/s in f32, {rates[1] / 1e9:.0f} GB/s")
    print(LEGEND)
    for title, step, program in steps:
        text = "\n".join(profile_lines(title, program.times(), *rates))
        print(text, flush=True)
        write_profile(step, f"{LEGEND}\n{text}\n")


def profile_lines(title: str, times: Sequence[Timed], flops: float, moved: float) -> list[str]:
    """The table of one step. flops, moved: what the machine can do [FLOP/s, bytes/s]."""
    total = sum(timed.total for timed in times)
    # Kernels in loops run more often than the step.
    runs = min((timed.runs for timed in times if timed.runs), default=0)
    if not runs:
        return [f"\n# {title}: never ran"]
    lines = [
        f"\n# {title}: {len(times)} kernels, {runs} runs, {total / runs * 1e3:.3f} ms each",
        f"{'kernel':<10} {'kind':<12} {'part':>6} {'least':>9} {'MFLOP':>9} {'MB':>8} "
        f"{'GFLOP/s':>8} {'GB/s':>6} {'roofline':>8}  line",
    ]
    ordered = sorted(times, key=lambda timed: -timed.total)
    for timed in ordered[:SHOWN]:
        lines.append(_row(timed, total, flops, moved))
    if rest := ordered[SHOWN:]:
        part = sum(timed.total for timed in rest) / total
        lines.append(f"{len(rest)} more {'':<16} {part:6.1%}")
    return lines


def _row(timed: Timed, total: float, flops: float, moved: float) -> str:
    kernel, least = timed.launch.kernel, max(timed.least, 1e-9)
    bound = max(timed.flops / flops, timed.bytes / moved) / least
    return (
        f"{kernel.name:<10} {kernel.kind:<12} {timed.total / total:6.1%} {least * 1e6:9.2f} "
        f"{timed.flops / 1e6:9.3f} {timed.bytes / 1e6:8.3f} {timed.flops / least / 1e9:8.1f} "
        f"{timed.bytes / least / 1e9:6.1f} {bound:8.2f}  {timed.loc}"
    ).rstrip()
