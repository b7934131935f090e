"""Runs the peers, each in fresh processes, one after the other and that several times over."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.stopwatch import CALLS, Timing
from benchmarks.workloads import CNNS, MLPS

ROOT = Path(__file__).parent.parent
# Settings that make some BLAS builds run the kernels of another CPU, which would flatter us; and
# the one that keeps a checkout from having bytecode, which installed peers have.
UNSET = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "PYTHONDONTWRITEBYTECODE")


class PeerError(RuntimeError):
    """A peer's process failed; the message is its last line."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is measured.

    needs: the package that its interpreter must have. cache: the variable that names the folder of
    its compile cache, if any, by `cache_value`. only: the workloads that it runs; all where none is
    named. root: the checkout that it runs in.
    """

    name: str
    module: str
    needs: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    cache: str = ""
    cache_value: str = "{}"
    caches_by_default: bool = True
    times_calls: bool = False
    only: tuple[str, ...] = ()
    root: Path = ROOT

    def runs(self, workload: str) -> bool:
        if workload == "calls":
            return self.times_calls
        return not self.only or workload in self.only


TORCH_COMPILE = (("TORCH_COMPILE", "1"), ("TORCH_CHANNELS_LAST", "1"))
OURS = Peer("tracejit", "tracejit_peer", cache="TRACEJIT_CACHE_DIR", times_calls=True)
PEERS = (
    OURS,
    Peer("NumPy", "numpy_peer", only=MLPS),
    Peer("torch eager", "torch_peer", needs="torch"),
    Peer("torch eager, channels last", "torch_peer", needs="torch",
         environment=(("TORCH_CHANNELS_LAST", "1"),), only=CNNS),
    Peer("torch.compile", "torch_peer", needs="torch",
         environment=TORCH_COMPILE, cache="TORCHINDUCTOR_CACHE_DIR"),
    Peer("JAX", "jax_peer", needs="jax", cache="JAX_COMPILATION_CACHE_DIR",
         caches_by_default=False, times_calls=True),
    Peer("PyTensor", "pytensor_peer", needs="pytensor", cache="PYTENSOR_FLAGS",
         cache_value="base_compiledir={}", only=MLPS),
)  # fmt: skip


@dataclass(slots=True)
class Result:
    """What the rounds gave for one peer and one workload. Seconds."""

    cold: list[Timing] = field(default_factory=list)
    warm: list[Timing] = field(default_factory=list)
    error: str = ""

    @property
    def step(self) -> float:
        """The best process's median: what the code can do when the machine is left alone."""
        return min(timing.step_median for timing in self.cold + self.warm)

    @property
    def step_min(self) -> float:
        """The fastest single step of any process."""
        return min(timing.step_min for timing in self.cold + self.warm)

    @property
    def first_call(self) -> float:
        return median(timing.first_call for timing in self.cold)

    @property
    def warm_first_call(self) -> float | None:
        return median(timing.first_call for timing in self.warm) if self.warm else None

    @property
    def losses(self) -> list[float]:
        return self.cold[0].losses

    @property
    def peak_bytes(self) -> float:
        """Of the processes with nothing cached: compilers take memory too."""
        return median(timing.peak_bytes for timing in self.cold)

    def call(self, arrays: int) -> float:
        """Of a step with so many arrays that does next to nothing."""
        return min(timing.calls[str(arrays)] for timing in self.cold)

    def samples(self) -> dict[str, list[float]]:
        """Seconds of each figure, one of each process."""
        if self.error:
            return {}
        if self.cold[0].calls:
            return {f"{n} arrays": [t.calls[str(n)] for t in self.cold] for n in CALLS}
        times = {
            "step": [t.step_median for t in self.cold + self.warm],
            "first call": [t.first_call for t in self.cold],
            "warm first call": [t.first_call for t in self.warm],
        }
        return {figure: found for figure, found in times.items() if found}

    def summary(self) -> dict[str, object]:
        """For JSON."""
        if self.error:
            return {"error": self.error}
        if self.cold[0].calls:
            return {"samples": self.samples()}
        return {
            "version": self.cold[0].version,
            "step": self.step,
            "step_min": self.step_min,
            "first_call": self.first_call,
            "warm_first_call": self.warm_first_call,
            "peak_bytes": self.peak_bytes,
            "losses": self.losses,
            "samples": self.samples(),
        }


@dataclass(frozen=True, slots=True)
class Effort:
    """rounds: processes of each kind; seconds: of steps in each; limit: what each may take [s]."""

    rounds: int
    seconds: float
    limit: float


def run(
    peer: Peer, python: str, arguments: Sequence[str], cached: Mapping[str, str], limit: float
) -> Timing:
    """One process of a peer, `cached` naming its cache folder. Raises PeerError."""
    environment = {name: value for name, value in os.environ.items() if name not in UNSET}
    environment |= {"PYTHONPATH": str(peer.root), **dict(peer.environment), **cached}
    command = [python, "-m", f"benchmarks.peers.{peer.module}", *arguments]
    try:
        done = subprocess.run(
            command, cwd=peer.root, env=environment, capture_output=True, text=True, timeout=limit
        )
    except subprocess.TimeoutExpired as error:
        raise PeerError(f"took longer than {limit:g} s") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise PeerError(lines[-1])
    return Timing(**json.loads(done.stdout.splitlines()[-1]))


def _measure(peer: Peer, python: str, workload: str, effort: Effort, result: Result) -> None:
    """One round: a process with nothing cached, then one with what an earlier process left."""

    def timed(cached: Mapping[str, str], seconds: float = effort.seconds) -> Timing:
        return run(peer, python, [workload, "--seconds", str(seconds)], cached, effort.limit)

    if workload == "calls":
        result.cold.append(run(peer, python, ["calls"], {}, effort.limit))
        return
    if not peer.cache:
        result.cold.append(timed({}))
        return
    with TemporaryDirectory() as folder:
        cached = {peer.cache: peer.cache_value.format(folder)}
        if peer.caches_by_default:
            result.cold.append(timed(cached))
        else:
            result.cold.append(timed({}))
            timed(cached, seconds=0)
        result.warm.append(timed(cached))


def importable(python: str, package: str) -> bool:
    """Whether that interpreter has the package; it is found, not imported."""
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    return subprocess.run([python, "-c", code], capture_output=True).returncode == 0


def pythons(peer_pythons: Sequence[str]) -> dict[Peer, str]:
    """The peers that can run here, each with the first interpreter that has what it needs."""
    chosen = {}
    for peer in PEERS:
        candidates = [*peer_pythons, sys.executable] if peer.needs else [sys.executable]
        for python in candidates:
            if not peer.needs or importable(python, peer.needs):
                chosen[peer] = python
                break
    return chosen


def measure(
    interpreters: Mapping[Peer, str], workloads: Sequence[str], effort: Effort
) -> Iterator[tuple[str, Peer, Result]]:
    """Every peer on every workload, interleaved, so that a busy minute falls on all of them.

    Yields each Result as it grows from round to round.
    """
    results: dict[tuple[str, str], Result] = {}
    for _ in range(effort.rounds):
        for workload in workloads:
            for peer, python in interpreters.items():
                result = results.setdefault((workload, peer.name), Result())
                if result.error or not peer.runs(workload):
                    continue
                try:
                    _measure(peer, python, workload, effort, result)
                except PeerError as error:
                    result.error = str(error)
                yield workload, peer, result
