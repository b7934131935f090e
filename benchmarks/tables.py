"""The figures as tables: on the terminal, or in Markdown for docs/performance.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from benchmarks.rounds import Result
from benchmarks.stopwatch import CALLS

REFERENCES = ("NumPy", "torch eager", "JAX")  # whose losses the others' are compared with
STEP_COLUMNS = (
    "step",
    "fastest step",
    "first call",
    "warm first call",
    "peak MB",
    "GFLOP/s",
    "of peak",
    "losses off by",
)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table. rows: the name of each, then its cells, which may be fewer than the columns."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def rich(self) -> Table:
        table = Table("", *self.columns, title=self.title)
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        lines = [f"### {self.title}", "", f"| | {' | '.join(self.columns)} |"]
        lines.append("|" + "---|" * (len(self.columns) + 1))
        width = len(self.columns) + 1
        lines += [f"| {' | '.join([*row, *[''] * (width - len(row))])} |" for row in self.rows]
        return "\n".join([*lines, ""])


def milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e3:.4g}"


def loss_difference(result: Result, reference: Result) -> float:
    """The largest over the first losses."""
    pairs = zip(result.losses, reference.losses, strict=True)
    return max(abs(ours - theirs) for ours, theirs in pairs)


def step_sheet(workload: str, results: Mapping[str, Result], flops: int, peak: float) -> Sheet:
    """flops: of a step. peak: what the machine can do [FLOP/s]."""
    # tracejit's losses are to be compared with another's, so it comes last.
    measured = [name for name in (*REFERENCES, *results) if name in results]
    reference = next((results[name] for name in measured if not results[name].error), Result())
    rows = []
    for name, result in results.items():
        if result.error:
            rows.append([name, "failed"])
            continue
        rate = flops / result.step
        rows.append(
            [
                name,
                milliseconds(result.step),
                milliseconds(result.step_min),
                milliseconds(result.first_call),
                milliseconds(result.warm_first_call),
                f"{result.peak_bytes / 1e6:.0f}",
                f"{rate / 1e9:.3g}",
                f"{rate / peak:.2f}",
                f"{loss_difference(result, reference):.0e}",
            ]
        )
    return Sheet(f"{workload}: {flops / 1e9:.3g} GFLOP", STEP_COLUMNS, rows)


def call_sheet(results: Mapping[str, Result]) -> Sheet:
    rows = []
    for name, result in results.items():
        cells = [f"{result.call(count) * 1e6:.3g}" for count in CALLS if not result.error]
        rows.append([name, *(cells or ["failed"])])
    return Sheet("one call, microseconds", [f"{count} arrays" for count in CALLS], rows)


def ratios(workload: str, results: Mapping[str, Result]) -> str:
    """tracejit's figures as parts of the best peer's step and of JAX's first call."""
    measured = {name: result for name, result in results.items() if not result.error}
    ours = measured.pop("tracejit", None)
    if ours is None or not measured:
        return ""
    best = min(measured, key=lambda name: measured[name].step)
    fastest = min(measured, key=lambda name: measured[name].step_min)
    line = f"{workload}: step {ours.step / measured[best].step:.2f} of the best peer's ({best})"
    line += f", fastest step {ours.step_min / measured[fastest].step_min:.2f} ({fastest})"
    if jax := measured.get("JAX"):
        line += f", step {ours.step / jax.step:.2f} of JAX's"
        line += f"; first call {ours.first_call / jax.first_call:.2f} of JAX's"
        if ours.warm_first_call is not None:
            line += f", warm {ours.warm_first_call / jax.first_call:.3f}"
    return line
