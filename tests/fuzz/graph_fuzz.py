"""Random graphs: the interpreter against every backend. Prints a reproducer for each fault.

python -m tests.fuzz.graph_fuzz --count 2000 --seed 0 [--backend llvm ...]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence

from tests.fuzz.backends import BACKENDS, takes
from tests.fuzz.check import Mismatch, compare, shrink
from tests.fuzz.generate import random_graph


def faults(seeds: Iterable[int], backends: Sequence[str]) -> Iterator[Mismatch]:
    """The shrunk faults of these seeds, as they are found."""
    for seed in seeds:
        graph = random_graph(seed)
        for name in backends:
            if takes(name, graph):
                fault = compare(graph, seed, name, BACKENDS[name])
                if fault is not None:
                    yield shrink(fault, BACKENDS[name])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.graph_fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="how many graphs")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--backend", nargs="+", choices=list(BACKENDS), default=list(BACKENDS))
    parser.add_argument("--stop-after", type=int, default=20, help="stop after so many faults")
    options = parser.parse_args(arguments)
    start, found = time.perf_counter(), 0
    for fault in faults(range(options.seed, options.seed + options.count), options.backend):
        found += 1
        print(f"--- fault {found}\n{fault}", flush=True)
        if found >= options.stop_after:
            break
    seconds = time.perf_counter() - start
    print(f"{options.count} graphs, {', '.join(options.backend)}: {found} faults, {seconds:.0f} s")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
