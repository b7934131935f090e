"""The native half of the thread team: the workers' loop, and how a run is launched.

A worker waits for its mailbox's `posted` to change, runs the program that the block names, and
counts itself out of `running`, for which the caller waits.
"""

from __future__ import annotations

import ctypes
import sys

from tracejit.codegen.runtime import lock_ir, native, placing_ir, toolchain, waiting_ir
from tracejit.codegen.runtime.team_block import BLOCK, MAILBOX

STOP = -1  # posted to a worker that shall return to Python
NESTED = 1  # what tj_call returns when its lock is this thread's already

RUNNING = f"""
; The life of a worker. Its mailbox was cleared before its thread began.
define void @tj_worker(ptr %team, i64 %tid) {{
entry:
  %box = call ptr @mailbox(ptr %team, i64 %tid)
  {MAILBOX.address("%posted.at", "%box", "posted")}
  {MAILBOX.address("%native_id.at", "%box", "native_id")}
  %native_id = call i64 @PyThread_get_thread_native_id()
  store i64 %native_id, ptr %native_id.at
  {MAILBOX.address("%ready.at", "%box", "ready")}
  store atomic i64 1, ptr %ready.at release, align 8
  br label %idle
idle:
  %last = phi i64 [ 0, %entry ], [ %posted, %finish ]
  {BLOCK.load("%spins", "%team", "spins")}
  {BLOCK.load("%yields", "%team", "yields")}
  %came = call i1 @wait(ptr %posted.at, i64 %last, i1 false, i64 %spins, i64 %yields)
  br i1 %came, label %work, label %park
park:
  call void @park(ptr %box, ptr %posted.at, i64 %last)
  br label %work
work:
  %posted = load atomic i64, ptr %posted.at acquire, align 8
  %stop = icmp eq i64 %posted, {STOP}
  br i1 %stop, label %out, label %run
run:
  {BLOCK.load("%program", "%team", "program")}
  {BLOCK.load("%table", "%team", "table")}
  {BLOCK.load("%nthreads", "%team", "nthreads")}
  call void %program(ptr %table, i64 %tid, i64 %nthreads, ptr %team)
  br label %finish
finish:
  {BLOCK.address("%running.at", "%team", "running")}
  %left = atomicrmw sub ptr %running.at, i64 1 release, align 8
  br label %idle
out:
  store atomic i64 0, ptr %ready.at release, align 8
  ret void
}}

define internal void @post(ptr %team, i64 %tid, i64 %value) {{
  %box = call ptr @mailbox(ptr %team, i64 %tid)
  {MAILBOX.address("%posted.at", "%box", "posted")}
  store atomic i64 %value, ptr %posted.at seq_cst, align 8
  call void @wake_up(ptr %team, i64 %tid, i1 true)
  ret void
}}

; Runs a program on up to %wanted threads, as many as there are. The team's lock must be held
; unless %wanted is 1.
define void @tj_run(ptr %team, ptr %program, ptr %table, i64 %wanted) {{
entry:
  {BLOCK.load("%size", "%team", "size")}
  %n = call i64 @llvm.umin.i64(i64 %wanted, i64 %size)
  %together = icmp ugt i64 %n, 1
  br i1 %together, label %publish, label %alone
alone:
  call void %program(ptr %table, i64 0, i64 1, ptr %team)
  ret void
publish:
  {BLOCK.address("%program.at", "%team", "program")}
  store ptr %program, ptr %program.at
  {BLOCK.address("%table.at", "%team", "table")}
  store ptr %table, ptr %table.at
  {BLOCK.address("%nthreads.at", "%team", "nthreads")}
  store i64 %n, ptr %nthreads.at
  %workers = sub i64 %n, 1
  {BLOCK.address("%running.at", "%team", "running")}
  store atomic i64 %workers, ptr %running.at monotonic, align 8
  br label %each
each:
  %tid = phi i64 [ 1, %publish ], [ %tid.next, %each ]
  %box = call ptr @mailbox(ptr %team, i64 %tid)
  {MAILBOX.load("%run", "%box", "posted")}
  %run.next = add i64 %run, 1
  call void @post(ptr %team, i64 %tid, i64 %run.next)
  %tid.next = add i64 %tid, 1
  %more = icmp ult i64 %tid.next, %n
  br i1 %more, label %each, label %go
go:
  call void %program(ptr %table, i64 0, i64 %n, ptr %team)
  {BLOCK.load("%spins", "%team", "spins")}
  %came = call i1 @wait(ptr %running.at, i64 0, i1 true, i64 %spins, i64 -1)
  ret void
}}

; tj_run under a lock that it waits for: 0, or {NESTED} if this thread holds that lock already.
; Called with the GIL, which it gives up. What a host call of the program raised is set after it.
define i32 @tj_call(ptr %cell, ptr %team, ptr %program, ptr %table, i64 %wanted) {{
  %held = call i32 @tj_is_mine(ptr %cell)
  %nested = icmp ne i32 %held, 0
  br i1 %nested, label %refuse, label %lock
refuse:
  ret i32 {NESTED}
lock:
  %state = call ptr @PyEval_SaveThread()
  %got = call i32 @tj_lock(ptr %cell, i64 -1)
  call void @tj_run(ptr %team, ptr %program, ptr %table, i64 %wanted)
  call void @tj_unlock(ptr %cell)
  call void @PyEval_RestoreThread(ptr %state)
  ret i32 0
}}

; Sends all workers back to Python, once no run is under way: 1, or 0 if that took too long.
define i32 @tj_stop(ptr %team, i64 %microseconds) {{
entry:
  {BLOCK.address("%cell", "%team", "cell")}
  %got = call i32 @tj_lock(ptr %cell, i64 %microseconds)
  %idle = icmp eq i32 %got, 1
  br i1 %idle, label %count, label %busy
count:
  {BLOCK.address("%size.at", "%team", "size")}
  %size = load i64, ptr %size.at
  store i64 1, ptr %size.at
  br label %check
check:
  %tid = phi i64 [ 1, %count ], [ %tid.next, %each ]
  %more = icmp ult i64 %tid, %size
  br i1 %more, label %each, label %out
each:
  call void @post(ptr %team, i64 %tid, i64 {STOP})
  %tid.next = add i64 %tid, 1
  br label %check
out:
  call void @tj_unlock(ptr %cell)
  ret i32 1
busy:
  ret i32 0
}}
declare i64 @llvm.umin.i64(i64, i64)
declare i64 @PyThread_get_thread_native_id()
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
"""

EXPORTS = (
    *("tj_try_lock", "tj_lock", "tj_unlock", "tj_is_mine", "tj_pause", "tj_barrier"),
    *("tj_worker", "tj_run", "tj_call", "tj_stop"),
)


def text() -> str:
    """The team's module for this host. The same on every run: it holds no addresses."""
    whole = lock_ir.TEXT + waiting_ir.TEXT + RUNNING + placing_ir.text()
    triple = toolchain.host().triple
    if triple.startswith(("x86_64", "i386", "i686")):
        pause = "call void @llvm.x86.sse2.pause()"
        whole += "declare void @llvm.x86.sse2.pause()\n"
    elif triple.startswith(("aarch64", "arm64")):
        pause = "call void @llvm.aarch64.hint(i32 1)  ; yield"
        whole += "declare void @llvm.aarch64.hint(i32)\n"
    else:
        pause = 'call void asm sideeffect "", ""()'
    return whole.replace("PAUSE", pause)


def imports() -> dict[str, int]:
    """What the module needs from outside."""
    os_yield = (
        ctypes.CDLL("kernel32").SwitchToThread
        if sys.platform == "win32"
        else ctypes.CDLL(None).sched_yield
    )
    python = native.python_symbols(
        "PyThread_acquire_lock",
        "PyThread_acquire_lock_timed",
        "PyThread_release_lock",
        "PyThread_get_thread_ident",
        "PyThread_get_thread_native_id",
        "PyEval_SaveThread",
        "PyEval_RestoreThread",
    )
    return {**python, **placing_ir.imports(), "tj_os_yield": native.address_of(os_yield)}
