"""NumPy's matmul into an array that is there already; no convolutions."""

import numpy as np

from benchmarks.kernels.cases import Case, Floats, Product
from benchmarks.kernels.stopwatch import Kernel, main


def make(case: Case, a: Floats, b: Floats) -> Kernel:
    assert isinstance(case, Product)
    if case.layout[0] == "T":
        a = a.swapaxes(-1, -2)
    if case.layout[1] == "T":
        b = b.swapaxes(-1, -2)
    out = np.empty(case.out, np.float32)
    return Kernel(lambda: np.matmul(a, b, out=out), lambda _: out)


if __name__ == "__main__":
    main(make)
