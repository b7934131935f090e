"""What keeps first calls short, in counts. Times are in benchmarks/compile_time.py."""

import gc
import subprocess
import sys

import numpy as np
import pytest

import tracejit as tj
from benchmarks.compile_time import descent, layers
from tracejit.codegen.machine import this_machine
from tracejit.codegen.objects import SYMBOL
from tracejit.codegen.stages import Stages

LATER = ("numba", "llvmlite", "tracejit.codegen.plan", "tracejit.nn", "tracejit.optim")


def modules_after(code: str) -> set[str]:
    """Of LATER, those that a fresh process has imported after `code`."""
    code += f"\nimport sys\nprint(*(m for m in {LATER} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_brings_no_compiler() -> None:
    assert modules_after("import tracejit") == set()


def test_a_call_brings_no_numba() -> None:
    code = "import numpy as np, tracejit as tj\ntj.jit(np.tanh)(np.ones(3, 'f4'))"
    assert modules_after(code) == {"llvmlite", "tracejit.codegen.plan"}


def staged(depth: int) -> Stages:
    return Stages(tj.jit(descent).lower(*layers(depth)).graph, this_machine())


def statements(stages: Stages) -> int:
    """Lines of the program, which grow with it, and of all kernels."""
    return sum(stages.module(s).count("\n") for s in (*stages.kernels, SYMBOL))


def test_equal_layers_share_their_kernels_and_all_else_is_linear() -> None:
    shallow, middle, deep = staged(6), staged(12), staged(18)
    assert len(shallow.kernels) == len(middle.kernels) == len(deep.kernels)
    for count in (
        lambda s: len(s.graph.nodes()),
        lambda s: len(s.optimized.nodes()),
        lambda s: len(s.fused.groups),
        lambda s: len(s.plan.launches),
        statements,
    ):
        assert count(deep) - count(middle) == count(middle) - count(shallow) > 0


def recurrent(w, x):
    """Of the steps x[:, t]: an unrolled loop, also backwards along an axis."""
    h = np.zeros((len(x), w.shape[1]), np.float32)
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ w + h + x[:, t, ::-1].sum(-1, keepdims=True))
    return np.sum(h * h)


def test_steps_of_an_unrolled_loop_share_their_kernels() -> None:
    """They read one slice each; their code does not say which."""
    rng = np.random.default_rng(0)
    w = rng.standard_normal((6, 20), "f4") / 4
    step = tj.jit(tj.value_and_grad(recurrent))
    kernels = []
    for length in (5, 9):
        x = rng.standard_normal((3, length, 6), "f4") / 4
        stages = Stages(step.lower(w, x).graph, this_machine())
        kernels.append(len(stages.kernels))
        loss, slope = step(w, x)
        np.testing.assert_allclose(loss, recurrent(w, x), rtol=1e-5)
        ends = [recurrent(w + np.float32(side) * w, x) for side in (1e-2, -1e-2)]
        np.testing.assert_allclose((slope * w).sum(), (ends[0] - ends[1]) / 2e-2, rtol=1e-2)
    assert kernels[0] == kernels[1]


def test_the_collector_rests_during_a_trace_and_is_left_as_it_was() -> None:
    seen = []

    @tj.jit
    def step(x, fails=False):
        seen.append(gc.isenabled())
        if fails:
            raise KeyError("the user's")
        return x + 1

    step(np.ones(3, "f4"))
    with pytest.raises(KeyError, match="user's"):
        tj.jit(lambda x: step.__wrapped__(x, True))(np.ones(3, "f4"))
    assert seen == [False, False] and gc.isenabled()
    gc.disable()
    try:
        step(np.ones(4, "f4"))
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_depth_meets_no_limit_of_recursion() -> None:
    """Each of 1,100 steps reads the one before it, and so do their gradients."""

    def chain(x):
        for _ in range(1100):
            x = x + np.float32(1e-3) * np.sin(x)
        return np.sum(x)

    x = np.linspace(-1, 1, 5, dtype=np.float32)
    loss, slope = tj.jit(tj.value_and_grad(chain))(x)
    np.testing.assert_allclose(loss, chain(x), atol=1e-3)
    step = np.float32(1e-2)
    ends = (chain(x + step * side) for side in (1, -1))
    np.testing.assert_allclose(slope.sum(), (next(ends) - next(ends)) / (2 * step), rtol=1e-2)
