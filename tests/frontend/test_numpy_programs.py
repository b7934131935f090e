"""Programs in NumPy's words give NumPy's values and dtypes when they are traced."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tests.frontend.program import Program, operands
from tests.frontend.programs import PROGRAMS


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_traced_program_equals_numpy(program: Program, target: str) -> None:
    args = operands(program)
    with np.errstate(all="ignore"):
        expected = program.f(*[a.copy() for a in args])
    got = tj.jit(program.f, target=target)(*args)
    leaves, structure = tj.tree.flatten(got)
    wanted, expected_structure = tj.tree.flatten(expected)
    assert structure == expected_structure
    for a, b in zip(leaves, wanted, strict=True):
        b = np.asarray(b)
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        tolerance = 2e-6 if b.dtype == np.float32 else 1e-3 if b.dtype == np.float16 else 1e-12
        np.testing.assert_allclose(
            a.astype(np.float64), b.astype(np.float64), rtol=tolerance, atol=tolerance
        )
