"""What a peer's process measures, and the line of JSON in which it tells."""

import argparse
import gc
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import SupportsFloat

from benchmarks.workloads import WORKLOADS, Floats, Work, call_arrays

LOSSES = 5
CALLS = (10, 50)
CALL_REPEATS = 2000

# Runs one whole training step, waits until it is done, and returns the loss.
Step = Callable[[], SupportsFloat]
# Calls a step of n arrays that does next to nothing.
Call = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Timing:
    """One process. Seconds; step times are of single steps, after the first `LOSSES`.

    peak_bytes: how far the memory of the process rose above what it held, with its imports and the
    workload's weights and batch, before the step was made.
    """

    first_call: float = 0.0
    step_median: float = 0.0
    step_min: float = 0.0
    steps: int = 0
    peak_bytes: int = 0
    losses: list[float] = field(default_factory=list)
    calls: dict[str, float] = field(default_factory=dict)
    version: str = ""


def _memory(peak: bool) -> int:
    """Bytes of this process in memory: now, or the most so far, where the system tells them apart.

    Linux's ru_maxrss would do for the peak, but starts at that of the process that started us.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most << 10
    field = "VmHWM:" if peak else "VmRSS:"
    return int(status.partition(field)[2].split()[0]) << 10


def _time_step(make_step: Callable[[Work], Step], work: Work, seconds: float) -> Timing:
    before = _memory(peak=False)
    step = make_step(work)
    # Of what the imports left: it takes 12 ms, and would fall due in one call or another.
    gc.collect()
    start = time.perf_counter()
    first_loss = step()
    first_call = time.perf_counter() - start
    losses = [float(first_loss)] + [float(step()) for _ in range(LOSSES - 1)]
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < 10 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    rise = _memory(peak=True) - before
    return Timing(first_call, median(times), min(times), len(times), rise, losses)


def _time_calls(make_call: Callable[[list[Floats]], Call]) -> dict[str, float]:
    """The median seconds of a call for each count of arrays."""
    medians = {}
    for count in CALLS:
        call, times = make_call(call_arrays(count)), []
        call()
        for _ in range(CALL_REPEATS):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        medians[str(count)] = median(times)
    return medians


def main(
    make_step: Callable[[Work], Step],
    version: str,
    make_call: Callable[[list[Floats]], Call] | None = None,
) -> None:
    """A peer's command line: `WORKLOAD --seconds S`, or `calls`; prints a Timing as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("workload", choices=[*WORKLOADS, "calls"])
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    if options.workload == "calls":
        assert make_call is not None
        timing = Timing(calls=_time_calls(make_call))
    else:
        timing = _time_step(make_step, WORKLOADS[options.workload](), options.seconds)
    print(json.dumps(asdict(timing) | {"version": version}))
