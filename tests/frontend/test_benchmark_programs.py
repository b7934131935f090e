"""The programs of benchmarks/numpy_programs.py give NumPy's results when they are jitted."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from benchmarks.numpy_programs import PROGRAMS


@pytest.mark.parametrize("name", PROGRAMS)
def test_program_equals_numpy(name: str, target: str) -> None:
    row = PROGRAMS[name]
    args = row.inputs(np.random.default_rng(3), 0)
    want = tj.tree.leaves(row.f(*args))
    got = tj.tree.leaves(tj.jit(row.f, target=target)(*args))
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert a.shape == np.shape(b)
        assert a.dtype == np.asarray(b).dtype
        tolerance = 2e-5 if a.dtype == np.float32 else 1e-10
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
