"""Entries called from several threads, from inside a run, and on both sides of a fork."""

import ctypes
import sys
import threading

import numpy as np
import pytest

from tests.runtime.entries import F32, I64, VECTOR, X, f32
from tracejit.codegen.runtime.entry import FreshOut


@pytest.mark.parametrize("release_gil", [False, True])
@pytest.mark.parametrize("nthreads", [1, 2])
def test_two_threads_call_one_entry(entry, nthreads, release_gil):
    add = entry(
        "add", [VECTOR, VECTOR], [FreshOut((4,), F32)], nthreads=nthreads, release_gil=release_gil
    )
    mistakes, before = [], sys.getswitchinterval()

    def calls(k):
        held = []
        for n in range(300):
            y = f32(k, n, k * n, 1)
            held.append((y, add(X, y)[0]))
            if len(held) > 5:
                held.pop(0)
            mistakes.extend(y for y, out in held if (out != X + y).any())

    threads = [threading.Thread(target=calls, args=(k,)) for k in range(3)]
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert not mistakes


@pytest.mark.parametrize("nthreads", [1, 2])
def test_runs_of_one_entry_do_not_overlap(entry, nthreads, programs):
    table = np.zeros(2, I64)
    captured = [table.ctypes.data, programs["alone"]]
    call = entry("on_captured", [], captured=captured, nthreads=nthreads, release_gil=True)

    def calls():
        for _ in range(40):
            call()

    threads = [threading.Thread(target=calls) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert table.tolist() == [0, 0]


@pytest.mark.parametrize("nthreads", [1, 3])
def test_barriers(entry, nthreads, programs):
    table = np.zeros(8, I64)
    captured = [table.ctypes.data, programs["rounds"]]
    call = entry("on_captured", [], captured=captured, nthreads=nthreads)
    for _ in range(3):
        call()
    assert table[0] == 0 and (table[1 : 1 + nthreads] == 2000).all()


def test_a_step_inside_itself_is_an_error(entry):
    errors = []

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
    def program(table, tid, nthreads, team):
        try:
            calls[0]()
        except RuntimeError as error:
            errors.append(str(error))

    address = ctypes.cast(program, ctypes.c_void_p).value
    calls = [entry(address, [])]
    assert calls[0]() == ()
    assert calls[0]() == ()
    assert len(errors) == 2 and all("inside a run" in error for error in errors)


FORK = """
import os, sys, threading
import numpy as np
import conftest
from tracejit.codegen.runtime import layout, toolchain
layout.layout_ok = lambda: KIND == "native"
from tracejit.codegen.runtime.entry import ArrayArg, FreshOut, make_entry
text = "define void @f(ptr %table, i64 %tid, i64 %n, ptr %team) {\\n ret void\\n}"
linked = toolchain.link(toolchain.compile_ir([text]), ["f"], {})
f32 = np.dtype("f4")
x = np.zeros(3, f32)
calls = [make_entry(linked.address("f"), [ArrayArg((3,), f32)], [FreshOut((3,), f32)], [], 64,
                    nthreads, release, print, linked).call
         for nthreads in (1, 2, 3) for release in (False, True)]
going = True
def keep_calling():
    while going:
        for call in calls:
            call(x)
thread = threading.Thread(target=keep_calling)
thread.start()
for _ in range(5):
    child = os.fork()
    if child == 0:
        for call in calls:
            for _ in range(10):
                assert call(x)[0].shape == (3,)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    for call in calls:
        call(x)
going = False
thread.join()
print("done")
"""


@pytest.mark.parametrize("kind", ["native", "python"])
def test_fork(run_script, kind):
    assert run_script(f"KIND = {kind!r}\n" + FORK) == "done\n"
