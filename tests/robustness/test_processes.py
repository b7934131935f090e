"""Forks, interrupts and exits around compiled steps, each in a process of its own."""

import os

import pytest

posix = pytest.mark.skipif(os.name != "posix", reason="fork and signals")

SETUP = """
import json, os, signal, sys, threading, time
import training
from training import NARROW, WIDE, jitted, losses
step = jitted()
first = losses(step, WIDE)
"""


def test_a_plain_run(run, expected, close):
    """What the others are compared with."""
    done = run(SETUP + "print(json.dumps(first))")
    assert done.err == ""
    close(done.losses(), expected)


@posix
def test_fork_then_call_in_the_child_and_in_the_parent(run, expected, close):
    done = run(
        SETUP
        + """
narrow = losses(jitted(), NARROW)
for _ in range(3):
    child = os.fork()
    if child == 0:
        ok = losses(step, WIDE) == first  # a step that was compiled before the fork
        ok = ok and losses(jitted(donate=True), NARROW) == narrow  # and one of the child's own
        os._exit(7 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert losses(step, WIDE) == first
print(json.dumps(losses(step, WIDE)))
"""
    )
    close(done.losses(), expected)
    assert done.err == ""


@posix
def test_fork_while_another_thread_is_in_a_step(run, expected, close):
    done = run(
        """
import warnings
# Python from 3.12 on warns of a fork beside threads; here that is the point.
warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)
"""
        + SETUP
        + """
going, wrong = True, []
def keep_training():
    while going:
        if losses(step, WIDE) != first:
            wrong.append(1)
thread = threading.Thread(target=keep_training)
thread.start()
for _ in range(5):
    child = os.fork()
    if child == 0:
        os._exit(7 if losses(step, WIDE) == first else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
going = False
thread.join()
assert not wrong
print(json.dumps(losses(step, WIDE)))
"""
    )
    close(done.losses(), expected)


@posix
def test_fork_before_anything_was_compiled(run, expected, close):
    done = run("""
import os, training
child = os.fork()
if child == 0:
    training.main()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
training.main()
""")
    close(done.losses(), expected)


@posix
def test_keyboard_interrupts_in_a_loop_of_steps(run, expected, close):
    """Each is raised as KeyboardInterrupt; the next call is right."""
    done = run(
        SETUP
        + """
seen = 0
while seen < 20:
    timer = threading.Timer(0.002, os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        while True:
            losses(step, WIDE)
    except KeyboardInterrupt:
        seen += 1
    timer.join()
    assert losses(step, WIDE) == first
print(json.dumps(first))
"""
    )
    close(done.losses(), expected)
    assert done.err == ""


@posix
def test_an_interrupt_ends_a_script_as_usual(run):
    done = run(
        SETUP
        + """
threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
while True:
    losses(step, WIDE)
"""
    )
    assert done.code == -2 and done.err.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.parametrize(
    "end",
    [
        "",
        "time.sleep(0.05)",  # the team's threads have parked
        "sys.exit(0)",
        "time.sleep(0.02); losses(step, WIDE); sys.exit(0)",
        "threading.Thread(target=losses, args=(step, WIDE, 300)).start()",
        "import atexit; atexit.register(losses, step, WIDE)",
    ],
)
def test_the_process_ends_when_the_script_does(run, end):
    done = run(SETUP + end)
    assert (done.code, done.out, done.err) == (0, "", "")


def test_exit_while_a_daemon_thread_is_in_a_step(run):
    done = run(
        SETUP
        + """
def for_ever():
    while True:
        losses(step, WIDE)
for _ in range(2):
    threading.Thread(target=for_ever, daemon=True).start()
time.sleep(0.05)
print("leaving")
"""
    )
    assert (done.code, done.out) == (0, "leaving\n"), done.err
    assert "Fatal" not in done.err


def test_more_threads_than_cpus(run, expected, close):
    done = run("import training; training.main()", TRACEJIT_NUM_THREADS="9")
    close(done.losses(), expected)
    done = run("import training; training.main()", TRACEJIT_NUM_THREADS="1")
    close(done.losses(), expected)


@posix
def test_an_interrupted_compile_is_done_again(run, expected, close):
    """Wherever in tracing, compiling or linking the interrupt falls."""
    done = run(
        """
import json, os, signal, threading
from tracejit.codegen import objects
from training import WIDE, jitted, losses
interrupted = 0
for n in range(12):
    objects.forget()  # so that each is compiled anew
    step = jitted()
    try:
        timer = threading.Timer(0.003 * 1.5**n, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        losses(step, WIDE)
        timer.join()
    except KeyboardInterrupt:
        interrupted += 1
    found = losses(step, WIDE)
    assert step.cache_info().entries == 1
assert interrupted
print(json.dumps(found))
""",
        TRACEJIT_CACHE="0",
    )
    close(done.losses(), expected)
