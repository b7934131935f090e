"""What a peer's process measures, and the line of JSON in which it tells."""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
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
    """One process. Seconds, all; step times are of single steps, after the first `LOSSES`."""

    first_call: float = 0.0
    step_median: float = 0.0
    step_min: float = 0.0
    steps: int = 0
    losses: list[float] = field(default_factory=list)
    calls: dict[str, float] = field(default_factory=dict)
    version: str = ""


def _time_step(step: Step, seconds: float) -> Timing:
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
    return Timing(first_call, median(times), min(times), len(times), losses)


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
        timing = _time_step(make_step(WORKLOADS[options.workload]()), options.seconds)
    print(json.dumps(asdict(timing) | {"version": version}))
