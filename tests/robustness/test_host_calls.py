"""Host calls from compiled steps: what they raise, from which threads, after forks, from disk."""

import os
import threading
from dataclasses import replace

import numpy as np
import pytest

from tracejit.codegen.compile import compile_graph
from tracejit.ir.host.table import HOST
from tracejit.ir.interpreter import evaluate
from tracejit.ir.text import parse

# One with the team, its workers waiting at a barrier while Python runs, and one on this thread. The
# systems are small in both: LAPACK has threads of its own for large ones.
WIDE, NARROW = 20_000, 3
SOLVE = """
func solve(%a: f64[3,3], %b: f64[3,2], %w: f64[{n},2]):
  %0: f64[3,3] = add %a, %a
  %1: f64[3,3] = transpose %0 perm=(1,0)
  %2: f64[3,2] = host_call %1, %b callee="linalg.solve"
  %3: f64[2] = reduce_sum %2 axes=(0,)
  %4: f64[{n},2] = broadcast %3 shape=({n},2) axes=(1,)
  %5: f64[{n},2] = sin %w
  %6: f64[{n},2] = add %5, %4
  %7: f64[2] = reduce_max %6 axes=(0,)
  %8: f64[3,2] = broadcast %7 shape=(3,2) axes=(1,)
  %9: f64[3,2] = host_call %0, %8 callee="linalg.solve"
  return %6 -> %w, %9, %8
"""
SIZES = pytest.mark.parametrize("n", [WIDE, NARROW], ids=["team", "alone"])
posix = pytest.mark.skipif(os.name != "posix", reason="fork and signals")


def operands(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (3, 3)) + 3 * np.eye(3), rng.random((3, 2)), rng.random((n, 2))


def program_of(text, n):
    graph = parse(text.format(n=n))
    return graph, compile_graph(graph)


@pytest.fixture
def broken(monkeypatch):
    """Makes `linalg.solve` do something else, for programs compiled from here on."""

    def replaced(function):
        monkeypatch.setitem(HOST, "linalg.solve", replace(HOST["linalg.solve"], eval=function))

    return replaced


@SIZES
def test_results_are_those_of_the_interpreter(n):
    graph, program = program_of(SOLVE, n)
    assert program.plan.parallel == (n == WIDE)
    for seed in range(3):
        a, b, w = operands(n, seed)
        expected = evaluate(graph, [a, b, w])
        for got, want in zip(program.run([a, b, w]), expected, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-9)


@SIZES
@pytest.mark.parametrize("second", [False, True], ids=["first call", "second call"])
def test_what_it_raises_reaches_the_user_and_nothing_is_updated(n, second, broken):
    if second:
        solve = np.linalg.solve
        calls = []

        def fails_in_the_end(a, b):
            calls.append(1)
            if len(calls) == 2:
                raise np.linalg.LinAlgError("Singular matrix")
            return (solve(a, b),)

        broken(fails_in_the_end)
    _, program = program_of(SOLVE, n)
    a, b, w = operands(n)
    before = w.copy()
    with pytest.raises(np.linalg.LinAlgError, match=r"^Singular matrix$"):
        program.run([a if second else np.ones((3, 3)), b, w])
    assert np.array_equal(w, before), "a call that raises leaves donated arrays as they were"
    program.run([a, b, w])
    assert not np.array_equal(w, before), "and the next one runs"


@SIZES
def test_nothing_runs_behind_a_failure(n, broken):
    calls = []

    def fails(a, b):
        calls.append(1)
        raise KeyError("first")

    broken(fails)
    _, program = program_of(SOLVE, n)
    with pytest.raises(KeyError, match="first"):
        program.run(list(operands(n)))
    assert calls == [1]


@SIZES
def test_several_threads_at_once(n):
    graph, program = program_of(SOLVE, n)
    expected = [evaluate(graph, list(operands(n, seed))) for seed in range(4)]
    wrong = []

    def work(seed):
        for _ in range(3):
            got = program.run(list(operands(n, seed)))
            same = all(map(np.allclose, got, expected[seed]))
            try:
                program.run([np.ones((3, 3)), *operands(n)[1:]])
                same = False
            except np.linalg.LinAlgError:
                pass
            if not same:
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    assert not wrong


def test_operands_cannot_be_changed(broken):
    def careless(a, b):
        b += 1
        return (b,)

    broken(careless)
    _, program = program_of(SOLVE, NARROW)
    with pytest.raises(ValueError, match="read-only"):
        program.run(list(operands(NARROW)))


def test_empty_operands():
    text = """
func f(%a: f32[0,0], %b: f32[0,3]):
  %0: f32[0,3] = host_call %a, %b callee="linalg.solve"
  return %0
"""
    (got,) = compile_graph(parse(text)).run([np.ones((0, 0), "f4"), np.ones((0, 3), "f4")])
    assert got.shape == (0, 3)


SCRIPT = f"""
import os, signal, time
from dataclasses import replace
import numpy as np
from tracejit.codegen.compile import compile_graph
from tracejit.ir.host.table import HOST
from tracejit.ir.text import parse
SOLVE = '''{SOLVE}'''
rng = np.random.default_rng(0)
def operands(n): return rng.random((3, 3)) + 3 * np.eye(3), rng.random((3, 2)), rng.random((n, 2))
"""


@posix
@SIZES
def test_interrupts(run, n):
    """Ctrl-C inside the call is a KeyboardInterrupt of the step, and the team goes on."""
    done = run(
        SCRIPT
        + f"""
n = {n}
solve = HOST["linalg.solve"]
slow = True
def eval(a, b):
    if slow:
        signal.raise_signal(signal.SIGINT)
        time.sleep(30)
    return solve.eval(a, b)
HOST["linalg.solve"] = replace(solve, eval=eval)
program = compile_graph(parse(SOLVE.format(n=n)))
for _ in range(5):
    start = time.time()
    try:
        program.run(operands(n))
        print("not interrupted")
    except KeyboardInterrupt:
        assert time.time() - start < 20
slow = False
program.run(operands(n))
print("done")
"""
    )
    assert (done.code, done.out, done.err) == (0, "done\n", "")


@posix
def test_after_a_fork(run):
    done = run(
        SCRIPT
        + f"""
for n in ({WIDE}, {NARROW}):
    program = compile_graph(parse(SOLVE.format(n=n)))
    program.run(operands(n))
    child = os.fork()
    if child == 0:
        program.run(operands(n))
        try:
            program.run([np.ones((3, 3)), *operands(n)[1:]])
        except np.linalg.LinAlgError:
            os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    program.run(operands(n))
print("done")
"""
    )
    assert (done.code, done.out, done.err) == (0, "done\n", "")


def test_a_program_from_disk_is_bound_anew(run, tmp_path):
    """The second process compiles nothing, and calls its own function of that name."""
    source = (
        SCRIPT
        + """
from tracejit.codegen.runtime import toolchain
if os.environ.get("SECOND"):
    def refuse(*a, **k): raise AssertionError("compiled")
    toolchain._emit = refuse
    HOST["linalg.solve"] = replace(HOST["linalg.solve"], eval=lambda a, b: (2 * b,))
program = compile_graph(parse(SOLVE.format(n=3)))
_, last, right = program.run(operands(3))
print(np.allclose(last, 2 * right))
"""
    )
    first = run(source, TRACEJIT_CACHE_DIR=str(tmp_path))
    assert (first.code, first.out) == (0, "False\n"), first.err
    second = run(source, TRACEJIT_CACHE_DIR=str(tmp_path), SECOND="1")
    assert (second.code, second.out) == (0, "True\n"), second.err
