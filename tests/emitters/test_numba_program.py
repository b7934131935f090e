"""Printed programs: they run on their own, update donated inputs, and share equal kernels."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from tracejit.codegen.compile import compile_graph
from tracejit.codegen.launches import Plan
from tracejit.codegen.numba_program import program_source, run_program
from tracejit.ir.interpreter import evaluate
from tracejit.ir.text import parse

STEP = """
func step(%w: f32[4,3], %class: f32[5,4], %scale: bf16[], %mask: bool[5,3]):
  # net.py:1
  %0: f32[5,3] = dot_general %class, %w contract=((1,),(0,)) batch=((),())
  # net.py:2
  %1: f32[5,3] = tanh %0
  %2: f32[5,3] = full value=0.0 shape=(5,3) dtype=f32
  %3: f32[5,3] = select %mask, %1, %2
  # net.py:3
  %4: f32[] = cast %scale dtype=f32
  %5: f32[4,3] = broadcast %4 shape=(4,3) axes=()
  %6: f32[4,3] = dot_general %class, %3 contract=((0,),(0,)) batch=((),())
  %7: f32[4,3] = mul %5, %6
  %8: f32[4,3] = add %w, %7
  %9: bf16[] = add %scale, %scale
  return %8 -> %w, %3, %9
"""

LAYERS = """
func layers(%x: f32[7,5]):
  %0: f32[7] = reduce_sum %x axes=(1,)
  %1: f32[7,5] = broadcast %0 shape=(7,5) axes=(0,)
  %2: f32[7] = reduce_sum %1 axes=(1,)
  %3: f32[7,5] = broadcast %2 shape=(7,5) axes=(0,)
  %4: f32[5,7] = transpose %3 perm=(1,0)
  %5: f32[5,7] = reverse %4 axes=(0,)
  %6: f32[7,7] = dot_general %3, %5 contract=((1,),(0,)) batch=((),())
  %7: f32[7,7] = dot_general %6, %6 contract=((1,),(0,)) batch=((),())
  %8: f32[7,7] = dot_general %7, %7 contract=((1,),(0,)) batch=((),())
  return %8
"""


def planned(text: str) -> Plan:
    return compile_graph(parse(text)).plan


def step_inputs() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    w, x = rng.normal(size=(4, 3)).astype(np.float32), rng.normal(size=(5, 4)).astype(np.float32)
    scale = np.array(0.5, parse(STEP).inputs[2].dtype)
    return [w, x, scale, rng.integers(0, 2, (5, 3)).astype(bool)]


def test_a_program_equals_the_interpreter_and_updates_in_place() -> None:
    wanted = evaluate(parse(STEP), step_inputs())
    for use_numba in (False, True):
        arrays = step_inputs()
        outputs = run_program(planned(STEP), arrays, use_numba=use_numba)
        assert outputs[0] is arrays[0]
        for got, want in zip(outputs, wanted, strict=True):
            assert got.dtype == want.dtype and got.shape == want.shape
            np.testing.assert_allclose(
                got.astype(np.float64), want.astype(np.float64), rtol=1e-5, atol=1e-6
            )


def test_the_file_runs_on_its_own(tmp_path: Path) -> None:
    """Without tracejit on the path, and with Numba hidden: in plain Python."""
    (tmp_path / "numba.py").write_text("raise ImportError('hidden')\n")
    file = tmp_path / "step.py"
    file.write_text(program_source(planned(STEP)))
    run = subprocess.run(
        [sys.executable, "-W", "error", str(file)],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, env={}, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert [line.rsplit(" ", 1)[0] for line in lines] == [
        "float32 (4, 3)", "float32 (5, 3)", "uint16 ()",
    ]  # fmt: skip
    assert all(np.isfinite(float(line.rsplit(" ", 1)[1])) for line in lines)


def test_the_file_names_sources_and_inputs() -> None:
    source = program_source(planned(STEP))
    assert "def program(w, class_, scale, mask):" in source
    assert "    # class_: f32[5,4]" in source
    for line in ("# net.py:1", "# net.py:2", "# net.py:3"):
        assert line in source
    assert source == program_source(planned(STEP)), "printing is deterministic"


def test_equal_kernels_are_printed_once() -> None:
    plan = planned(LAYERS)
    source = program_source(plan)
    assert source.count("\ndef k") < len(plan.launches)
    x = np.random.default_rng(1).uniform(0.1, 0.2, (7, 5)).astype(np.float32)
    (want,) = evaluate(parse(LAYERS), [x])
    (got,) = run_program(plan, [x], use_numba=False)
    np.testing.assert_allclose(got, want, rtol=1e-5)
