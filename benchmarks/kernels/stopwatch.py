"""What a process of one side measures, and the line of JSON in which it tells."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from benchmarks.kernels.cases import CASES, operands, probe

# Runs a kernel once and waits until it is done.
Run = Callable[[], object]
WARM_UP = 3


@dataclass(frozen=True, slots=True)
class Kernel:
    """A case made ready. result: what a `run` returned, in the layout of `cases.py`."""

    run: Run
    result: Callable[[Any], np.ndarray]


# Gets a case and its operands, as they lie in memory.
Make = Callable[..., Kernel]


def _times(run: Run, seconds: float) -> list[float]:
    """Of single calls; of runs of calls, divided, where one is too short for the clock."""
    for _ in range(WARM_UP):
        start = time.perf_counter()
        run()
        once = time.perf_counter() - start
    calls = max(1, int(20e-6 / max(once, 1e-9)))
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < 5 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        for _ in range(calls):
            run()
        times.append((time.perf_counter() - start) / calls)
    return times


def main(make: Make, peak: Callable[[], float] | None = None) -> None:
    """A side's command line: `KIND --seconds S`; prints median, least and probe of each case."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=CASES)
    parser.add_argument("--seconds", type=float, default=0.04)
    options = parser.parse_args()
    figures: dict[str, tuple[float, float, float]] = {}
    for case in CASES[options.kind]:
        kernel = make(case, *operands(case))
        out = probe(case, np.asarray(kernel.result(kernel.run())))
        times = _times(kernel.run, options.seconds)
        figures[case.name] = median(times), min(times), out
    print(json.dumps({"figures": figures, "peak": peak() if peak else 0.0}))
