"""Random NumPy programs; `python -m tests.fuzz.numpy_fuzz` runs more of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.fuzz.numpy_fuzz import Shares, fault_of, faults
from tests.fuzz.numpy_programs import Value, attempt, random_program
from tests.fuzz.numpy_steps import STEPS, Step
from tracejit.elementwise import UFUNCS
from tracejit.ir.graph import Node


def test_programs_run_as_in_numpy() -> None:
    found = list(faults(range(40), Shares(native=20)))
    assert found == [], str(found[0])


def test_programs_are_of_all_kinds() -> None:
    """Most steps are met in 1500 programs, and most results are not empty."""
    used: set[str] = set()
    sizes = []
    for seed in range(300):
        program = random_program(seed)
        used |= {line.split(" = ", 1)[1] for line in program.lines}
        sizes += [v.array.size for v in program.results]
    assert len(used) > 600
    assert np.mean(np.array(sizes) > 0) > 0.75


def test_exact_steps_keep_exact_values_and_errors_grow() -> None:
    x = Value("x0", np.arange(6.0).reshape(2, 3))
    exact = attempt("v0", Step("np.flip(a0)", True), "np.flip(x0)", [x], ["f8"])
    rounded = attempt("v1", Step("np.sin(f0)", False), "np.sin(x0)", [x], ["f8"])
    assert exact is not None and exact.error is None
    assert rounded is not None and np.all(rounded.error > 0)
    steep = attempt("v2", Step("n0 * n1", True), "v1 * 1000", [rounded], ["f8"])
    assert steep is not None and steep.error.max() > 100 * rounded.error.max()
    assert not rounded.has_kind("F") and exact.has_kind("F")
    assert attempt("v3", Step("n0 @ n1", False), "x0 @ x0", [x], ["f8"]) is None
    assert all(step.operands for step in STEPS)


def test_a_planted_fault_is_found_with_its_reproducer(monkeypatch: pytest.MonkeyPatch) -> None:
    right: Any = UFUNCS[np.tanh]

    def wrong(x: Node) -> Node:
        return right(x) + 1

    programs = [p for p in map(random_program, range(80)) if "np.tanh(" in p.source]
    quick = Shares(0, 0, 0)
    assert [p.seed for p in programs if fault_of(p.seed, quick)] == []
    monkeypatch.setitem(UFUNCS, np.tanh, wrong)
    fault = next(f for f in (fault_of(p.seed, quick) for p in programs) if f is not None)
    monkeypatch.undo()
    assert "tj.jit(f)" in fault.program.reproducer
    exec(fault.program.reproducer, {})
