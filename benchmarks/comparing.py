"""`--compare BASE`: which figures are worse than those of BASE, beyond the noise of the run itself.

BASE is a JSON file that an earlier run wrote with `--json`, or a git revision: that is checked out
into a temporary folder and measured in turns with this one, by the benchmarks of this one.
"""

import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.rounds import OURS, ROOT, Peer
from benchmarks.tables import Sheet, milliseconds

# A difference that nobody would look into, however little noise there is.
LEAST = 0.03
# With more noise than this, a figure that is not worse may still hide a regression.
UNCLEAR = 0.2

Samples = Mapping[str, Sequence[float]]  # by figure, seconds of each process


class CompareError(ValueError):
    """BASE cannot be compared with; the message says why."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One figure. base, now: the least of all processes [s]. noise: a part of the figure."""

    base: float
    now: float
    noise: float

    @property
    def ratio(self) -> float:
        return self.now / self.base

    @property
    def slower(self) -> bool:
        return self.ratio > (1 + self.noise) * (1 + LEAST)

    @property
    def faster(self) -> bool:
        return self.ratio * (1 + self.noise) * (1 + LEAST) < 1

    def __str__(self) -> str:
        if self.slower or self.faster:
            return "slower" if self.slower else "faster"
        return "unclear" if self.noise > UNCLEAR else "same"


def noise(samples: Sequence[float]) -> float:
    """How far the faster half of the processes lies apart, as a part of the fastest.

    The slower half met a busy machine; the faster half, were there no noise, would agree.
    Raises CompareError for a single process, which cannot tell.
    """
    if len(samples) < 2:
        raise CompareError("one process of a kind cannot tell its noise; give --rounds 2 or more")
    ordered = sorted(samples)
    return ordered[max(1, (len(ordered) - 1) // 2)] / ordered[0] - 1


def judge(base: Sequence[float], now: Sequence[float]) -> Verdict:
    """The noise of either side counts: the one that is noisier decides what can be told."""
    return Verdict(min(base), min(now), max(noise(base), noise(now)))


def verdicts(base: Samples, now: Samples) -> dict[str, Verdict]:
    """Of each figure that both sides have."""
    return {name: judge(base[name], now[name]) for name in now if name in base}


def compare_sheet(name: str, found: Mapping[str, Mapping[str, Verdict]]) -> Sheet:
    """found: by workload and figure. Times in ms."""
    rows = [
        [
            f"{workload}: {figure}",
            milliseconds(verdict.base),
            milliseconds(verdict.now),
            f"{verdict.ratio:.3f}",
            f"{verdict.noise:.3f}",
            str(verdict),
        ]
        for workload, figures in found.items()
        for figure, verdict in figures.items()
    ]
    return Sheet(f"against {name}", ("base", "now", "ratio", "noise", ""), rows)


def recorded(path: Path, machine: str) -> dict[str, Samples]:
    """tracejit's samples by workload, as `--json` wrote them. Raises CompareError."""
    try:
        content = json.loads(path.read_text())
        workloads, measured_on = content["workloads"], content["machine"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CompareError(f"{path} is no file of --json: {error!r}") from None
    if measured_on != machine:
        raise CompareError(f"{path} was measured on {measured_on}; this is {machine}")
    return {
        workload: peers[OURS.name]["samples"]
        for workload, peers in workloads.items()
        if "samples" in peers.get(OURS.name, {})
    }


@contextmanager
def checked_out(revision: str) -> Iterator[Peer]:
    """tracejit as of a git revision, as a peer. Raises CompareError for what git does not know."""
    done = subprocess.run(["git", "archive", revision, "--"], cwd=ROOT, capture_output=True)
    if done.returncode:
        raise CompareError(
            f"BASE {revision!r} is neither a file nor a git revision: "
            f"{done.stderr.decode(errors='replace').strip()}"
        )
    with TemporaryDirectory() as folder:
        root = Path(folder)
        with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
            archive.extractall(root, filter="data")
        # Both sides are measured by the same code, on the same workloads.
        shutil.rmtree(root / "benchmarks", ignore_errors=True)
        shutil.copytree(ROOT / "benchmarks", root / "benchmarks")
        yield replace(OURS, name=f"tracejit at {revision}", root=root)
