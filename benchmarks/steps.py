"""`python -m benchmarks.steps`: every training step, every peer, in one run.

The same command line as `python -m benchmarks`, which also times calls that do next to nothing.
"""

from benchmarks.__main__ import main
from benchmarks.workloads import WORKLOADS

if __name__ == "__main__":
    raise SystemExit(main([*WORKLOADS]))
