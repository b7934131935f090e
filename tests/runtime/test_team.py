"""The thread team: every thread runs once, barriers hold, callers queue; fork, exit, interrupts."""

import ctypes
import os
import re
import sys
import threading
import time

import numpy as np
import pytest

from tracejit.codegen.runtime import team as module
from tracejit.codegen.runtime.team import num_threads, set_num_threads, team
from tracejit.ir import config

SETUP = """
import ctypes, os, signal, threading, time
import numpy as np
import conftest
from tracejit.codegen.runtime import toolchain
from tracejit.codegen.runtime.team import team, num_threads
linked = toolchain.link(toolchain.compile_ir([conftest.PROGRAMS]), ["count", "rounds", "alone"],
                        {"tj_barrier": team().symbols["tj_barrier"]})
table = np.zeros(300, "i8")
def run(name, nthreads, table=table):
    team().run(linked.address(name), table.ctypes.data, nthreads)
"""


@pytest.mark.parametrize("nthreads", [1, 2, 3, 8, 2, 1])
def test_every_thread_runs_once(programs, nthreads):
    table = np.zeros(300, "i8")
    for _ in range(50):
        team().run(programs["count"], table.ctypes.data, nthreads)
    assert table[:nthreads].tolist() == [50] * nthreads
    assert not table[nthreads:].any()


@pytest.mark.parametrize("nthreads", [1, 2, 3, 5])
def test_barrier(programs, nthreads):
    table = np.zeros(300, "i8")
    team().run(programs["rounds"], table.ctypes.data, nthreads)
    assert table[0] == 0
    assert (table[1 : nthreads + 1] == 2000).all()


@pytest.fixture
def impatient():
    """A team whose threads park at once wherever they wait."""
    team().ensure(4)
    block = team()._block
    before = block.spins, block.yields, block.barrier_yields
    block.spins, block.yields, block.barrier_yields = 0, 0, 0
    yield
    block.spins, block.yields, block.barrier_yields = before


@pytest.mark.parametrize("nthreads", [2, 4])
def test_barriers_of_threads_that_park(programs, impatient, nthreads):
    table = np.zeros(300, "i8")
    for _ in range(3):
        team().run(programs["rounds"], table.ctypes.data, nthreads)
    assert table[0] == 0
    assert (table[1 : nthreads + 1] == 2000).all()


def test_who_waits_long_at_a_barrier_parks():
    """Workers during what thread 0 does alone, such as a host call; and thread 0, too."""
    barrier = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(
        team().symbols["tj_barrier"]
    )
    parked = []

    def until_parked(others):
        end = time.monotonic() + 30
        while not all(team()._mailbox(t).parked for t in others) and time.monotonic() < end:
            time.sleep(0.001)
        parked.append([team()._mailbox(t).parked for t in range(3)])

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
    def program(table, tid, nthreads, block):
        for last in (0, 2):
            if tid == last:
                until_parked({0, 1, 2} - {last})
            barrier(block, tid, nthreads)

    team().run(ctypes.cast(program, ctypes.c_void_p).value, 0, 3)
    assert parked == [[0, 1, 1], [1, 1, 0]]


def test_parked_workers_wake_up(programs):
    table = np.zeros(300, "i8")
    parked = threading.Event()
    for _ in range(20):
        team().run(programs["count"], table.ctypes.data, 3)
        parked.wait(0.002)  # far longer than a worker spins
    assert table[:3].tolist() == [20] * 3


def test_calls_of_several_threads_queue(programs):
    table = np.zeros(2, "i8")

    def calls():
        for _ in range(50):
            team().run(programs["alone"], table.ctypes.data, 2)

    threads = [threading.Thread(target=calls) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert table.tolist() == [0, 0]


def test_stopped_team_starts_again(programs):
    table = np.zeros(300, "i8")
    team().run(programs["count"], table.ctypes.data, 3)
    team().stop()
    assert team().size == 1
    team().run(programs["count"], table.ctypes.data, 3)
    assert table[:3].tolist() == [2, 2, 2]


def test_a_crowded_team_yields(programs, monkeypatch):
    monkeypatch.setattr(module, "available_cpus", lambda: 1)
    team().stop()
    table = np.zeros(300, "i8")
    team().run(programs["rounds"], table.ctypes.data, 2)
    assert team()._block.spins == 0
    assert table[0] == 0
    team().stop()
    monkeypatch.setattr(module, "available_cpus", lambda: 2)
    team().run(programs["rounds"], table.ctypes.data, 2)
    assert team()._block.spins > 0


def test_a_system_without_threads_runs_on_fewer(run_script):
    script = (
        SETUP
        + """
import warnings
def no_thread(self):
    if self.name.startswith("tracejit"):
        raise RuntimeError("can't start new thread")
    start(self)
start, threading.Thread.start = threading.Thread.start, no_thread
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    run("rounds", 4)
    run("rounds", 4)
print(table[0], table[1], team().size, len(caught), caught[0].message)
"""
    )
    assert run_script(script).startswith("0 2000 1 1 only 1 of 4 threads could be started")


def test_nested_run_is_refused(run_script):
    script = (
        SETUP
        + """
Program = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
@Program
def nested(table, tid, nthreads, team):
    if tid == 0:
        try:
            run("count", 2)
        except RuntimeError as error:
            print(error)
team().run(ctypes.cast(nested, ctypes.c_void_p).value, 0, 2)
"""
    )
    assert "inside a run" in run_script(script)


def test_num_threads(monkeypatch):
    monkeypatch.setattr(config, "_values", {})
    monkeypatch.delenv("TRACEJIT_NUM_THREADS", raising=False)
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    assert num_threads() == module.available_cpus()
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    assert num_threads() == 3
    monkeypatch.setenv("TRACEJIT_NUM_THREADS", "5")
    assert num_threads() == 5
    set_num_threads(7)
    assert num_threads() == 7
    set_num_threads(0)
    assert num_threads() == module.available_cpus()


@pytest.mark.parametrize("text", ["many", "-1", "100000"])
def test_bad_number_of_threads(monkeypatch, text):
    monkeypatch.setattr(config, "_values", {})
    monkeypatch.setenv("TRACEJIT_NUM_THREADS", text)
    with pytest.raises(ValueError, match="TRACEJIT_NUM_THREADS"):
        num_threads()


def test_set_bad_number_of_threads():
    with pytest.raises(ValueError, match="-3 threads"):
        set_num_threads(-3)


def test_fork(run_script):
    script = (
        SETUP
        + """
run("rounds", 3)
for _ in range(5):
    child = os.fork()
    if child == 0:
        assert team().size == 1
        run("rounds", 3)
        assert team().size == 3
        os._exit(int(table[0]) + 7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    run("rounds", 3)
print(table[0])
"""
    )
    assert run_script(script) == "0\n"


def test_fork_while_another_thread_runs(run_script):
    script = (
        SETUP
        + """
going = True
other = np.zeros(300, "i8")
def keep_running():
    while going:
        run("rounds", 2, other)
thread = threading.Thread(target=keep_running)
thread.start()
for _ in range(5):
    child = os.fork()
    if child == 0:
        run("rounds", 2)
        os._exit(int(table[0]) + 7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
going = False
thread.join()
print(other[0])
"""
    )
    assert run_script(script) == "0\n"


def test_import_run_exit(run_script):
    assert run_script("import tracejit.codegen.runtime.team") == ""
    assert run_script(SETUP) == ""
    assert run_script(SETUP + "run('rounds', 4); print(table[0])") == "0\n"
    assert run_script(SETUP + "run('rounds', 4); time.sleep(0.01); print(table[0])") == "0\n"


def test_exit_while_a_daemon_thread_runs(run_script):
    script = (
        SETUP
        + """
def for_ever():
    while True:
        run("rounds", 2)
threading.Thread(target=for_ever, daemon=True).start()
time.sleep(0.05)
print("leaving")
"""
    )
    assert run_script(script) == "leaving\n"


def test_exit_runs_atexit_callbacks_that_run_programs(run_script):
    script = (
        SETUP
        + """
import atexit
run("rounds", 2)
def last():
    run("count", 2)
    print(team().size)
import tracejit.codegen.runtime.team as module
atexit.unregister(team().close)
atexit.register(last)
atexit.register(team().close)
"""
    )
    assert run_script(script) == "1\n"


def test_keyboard_interrupt(run_script):
    script = (
        SETUP
        + """
seen = 0
end = time.monotonic() + 1.0
while seen < 20:
    assert time.monotonic() < end + 30
    try:
        threading.Timer(0.002, os.kill, (os.getpid(), signal.SIGINT)).start()
        while True:
            team().stop()
            run("rounds", 2)
    except KeyboardInterrupt:
        seen += 1
run("rounds", 2)
print(seen, table[0])
"""
    )
    assert run_script(script) == "20 0\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only there are workers placed")
@pytest.mark.skipif(module.available_cpus() < 2, reason="there is but one CPU")
def test_a_worker_that_wakes_up_leaves_the_callers_cpu_to_it():
    import tracejit as tj

    a = np.ones((256, 256), np.float32)
    product = tj.jit(lambda a: a @ a)
    for _ in range(4):
        product(a)
        time.sleep(0.02)  # by then it has parked
    product(a)
    workers = [t for t in threading.enumerate() if re.fullmatch(r"tracejit-\d+", t.name)]
    assert workers
    for worker in workers:
        assert os.sched_getaffinity(worker.native_id) < os.sched_getaffinity(0)
