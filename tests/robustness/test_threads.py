"""Python threads that call steps at the same time."""

import sys
import threading

import numpy as np
import pytest
import training

import tracejit as tj

CALLS = 60


@pytest.fixture(autouse=True)
def _switching():
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(*works):
    """Runs each in a thread of its own, all starting at once; their results."""
    gate = threading.Barrier(len(works))
    results: list = [None] * len(works)

    def call(i, work):
        gate.wait(60)
        try:
            results[i] = work()
        except BaseException as error:
            results[i] = error

    threads = [threading.Thread(target=call, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    return results


def train(step, sizes, seed):
    return lambda: training.losses(step, sizes, CALLS, seed)


def test_the_steps_are_what_these_tests_need():
    """One runs on the team, and so without the GIL; the other alone."""
    for sizes, on_team in ((training.WIDE, True), (training.NARROW, False)):
        cost = training.jitted().lower(*training.state(sizes)).cost()
        assert (cost.barriers > 0) == on_team


@pytest.mark.parametrize("donate", [False, True], ids=["kept", "donated"])
@pytest.mark.parametrize("sizes", [training.WIDE, training.NARROW], ids=["team", "alone"])
def test_two_threads_call_one_step(sizes, donate):
    step = training.jitted(donate=donate)
    alone = [train(step, sizes, seed)() for seed in (1, 2, 3)]
    assert len({tuple(losses) for losses in alone}) == 3
    for _ in range(3):
        assert together(*(train(step, sizes, seed) for seed in (1, 2, 3))) == alone


def test_two_threads_call_two_steps():
    wide, narrow = training.jitted(), training.jitted()
    alone = [train(wide, training.WIDE, 1)(), train(narrow, training.NARROW, 2)()]
    works = train(wide, training.WIDE, 1), train(narrow, training.NARROW, 2)
    for _ in range(3):
        assert together(*works) == alone


def test_two_steps_of_the_team():
    steps = training.jitted(), training.jitted(donate=True)
    alone = [train(step, training.WIDE, 5)() for step in steps]
    for _ in range(3):
        assert together(*(train(step, training.WIDE, 5) for step in steps)) == alone


def test_a_first_call_from_many_threads_compiles_once():
    step = training.jitted()
    alone = training.losses(training.jitted(), training.NARROW, 3)
    found = together(*[lambda: training.losses(step, training.NARROW, 3)] * 4)
    assert found == [alone] * 4
    info = step.cache_info()
    assert (info.entries, info.misses, info.hits + info.misses) == (1, 1, 12)


def test_different_shapes_from_two_threads_compile_each():
    step = tj.jit(lambda x: np.tanh(x).sum(0) * 2)
    arrays = [np.ones((n, 3), "f4") for n in range(1, 9)]
    expected = [np.tanh(a).sum(0) * 2 for a in arrays]

    def all_of(order):
        return lambda: [step(arrays[i]) for i in order]

    found = together(all_of(range(8)), all_of(range(7, -1, -1)))
    np.testing.assert_allclose(found[0], expected, rtol=1e-6)
    np.testing.assert_allclose(found[1][::-1], expected, rtol=1e-6)
    assert step.cache_info().entries == 8


@pytest.mark.parametrize("shape", [(), (300, 400)], ids=["alone", "team"])
def test_no_update_of_a_captured_variable_is_lost(shape):
    total = tj.Variable(np.zeros(shape, "f4"))

    @tj.jit
    def add(x):
        total.assign(total + np.tanh(x) * 0 + 1)

    x = np.ones(shape, "f4")
    add(x)

    def call():
        for _ in range(CALLS):
            add(x)

    assert together(call, call, call) == [None] * 3
    assert np.all(total.numpy() == 3 * CALLS + 1)


def test_steps_with_host_calls_from_two_threads():
    """Workers wait, and park, while thread 0 sorts with the interpreter lock."""
    x = np.random.default_rng(0).standard_normal((300, 300)).astype("f4")
    step = tj.jit(lambda x: np.tanh(np.sort(np.tanh(x @ x), axis=0) @ x).sum(0))
    assert step.lower(x).cost().barriers >= 2
    expected = step(x)

    def calls():
        return [step(x) for _ in range(CALLS)]

    for found in together(calls, calls):
        assert len(found) == CALLS
        assert all(np.array_equal(f, expected) for f in found)


def test_a_host_call_that_raises_while_workers_wait():
    x = np.eye(200, dtype="f4")
    step = tj.jit(lambda x: np.linalg.inv(np.tanh(x @ x)) @ x)
    singular = np.zeros_like(x)

    def calls():
        raised = 0
        for _ in range(CALLS // 4):
            step(x)
            try:
                step(singular)
            except np.linalg.LinAlgError:
                raised += 1
        return raised

    assert together(calls, calls) == [CALLS // 4] * 2
