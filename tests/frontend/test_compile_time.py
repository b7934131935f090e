"""What keeps first calls short, in counts. Times are in benchmarks/compile_time.py."""

import gc
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType

import numpy as np
import pytest

import tracejit as tj
from benchmarks.compile_time import WIDTH, descent, layers
from tracejit.codegen.artifact import artifact_of
from tracejit.codegen.machine import this_machine
from tracejit.codegen.objects import SYMBOL
from tracejit.codegen.stages import Stages
from tracejit.ir import draft, fuser, grouping, recompute

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


def lines_run(work: Callable[[], object]) -> Counter[CodeType]:
    """How many lines of each function of tracejit run, turns of comprehensions included."""
    lines: Counter[CodeType] = Counter()
    package = str(Path(tj.__file__).parent)

    def inside(frame: FrameType, event: str, argument: object) -> object:
        lines[frame.f_code] += event == "line"
        return inside

    def entered(frame: FrameType, event: str, argument: object) -> object:
        return inside if frame.f_code.co_filename.startswith(package) else None

    before = sys.gettrace()
    sys.settrace(entered)
    try:
        work()
    finally:
        sys.settrace(before)
    return lines


def adam(loss, params, m, v, x):
    """A step whose updates wait for the norm of all gradients."""
    value, grads = tj.value_and_grad(loss)(params, x)
    norm = np.sqrt(sum(np.sum(g * g) for g in tj.tree.leaves(grads)))
    m = tj.tree.map(lambda m, g: 0.9 * m + 0.1 * g / np.maximum(norm, 1), m, grads)
    v = tj.tree.map(lambda v, g: 0.99 * v + 0.01 * g * g, v, grads)
    params = tj.tree.map(lambda p, m, v: p - 1e-3 * m / (np.sqrt(v) + 1e-8), params, m, v)
    return params, m, v, value


def summed_layers(params, x):
    """Of all layers' results, which are sums and squares of products."""
    total = x
    for w, b in zip(*params, strict=True):
        x = np.maximum(x @ w + b, 0)
        x = x / np.sqrt(np.mean(x * x, -1, keepdims=True) + 1)
        total = total + x
    return np.mean(total)


def recurrence(params, x):
    """Steps that read a slice of `x` each, and whose results are stored side by side."""
    h, found = np.zeros_like(x[0]), []
    for t in range(len(x)):
        h = np.tanh(x[t] @ params[0] + h @ params[1])
        found.append(h)
    return np.mean(np.stack(found) ** 2)


def unrolled(steps: int):
    rng = np.random.default_rng(0)
    params = [0.1 * rng.standard_normal((WIDTH, WIDTH), "f4") for _ in range(2)]
    return params, rng.standard_normal((steps, 2, WIDTH), "f4")


@pytest.mark.parametrize(("loss", "sized"), [(summed_layers, layers), (recurrence, unrolled)])
def test_every_function_runs_in_proportion_to_the_layers(loss, sized, monkeypatch) -> None:
    """From the trace to the program. What grows with their square adds more than twice as much."""
    # Bounds of what a function does at once, that these depths would not reach.
    monkeypatch.setattr(draft, "MAX_SEARCH", 2)
    for module in (fuser, grouping, recompute):
        monkeypatch.setattr(module, "MAX_MEMBERS", 24)

    def compiled(depth: int) -> None:
        params, x = sized(depth)
        state = tj.tree.map(np.zeros_like, params)
        step = tj.jit(adam, static_argnames="loss", donate_argnames=("params", "m", "v"))
        stages = Stages(step.lower(loss, params, state, state, x).graph, this_machine())
        artifact_of(stages.plan, stages.symbols, stages.program)

    compiled(4)
    shallow, middle, deep = (lines_run(lambda n=n: compiled(n)) for n in (5, 9, 17))
    quadratic = {
        f"{code.co_filename}: {code.co_qualname}": (shallow[code], middle[code], lines)
        for code, lines in deep.items()
        if lines - middle[code] > 2.1 * (middle[code] - shallow[code]) + 40
    }
    assert not quadratic


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
