"""The native half of the thread team: its shared block, the workers' loop, launch and barrier.

A worker waits for its mailbox's `posted` to change: it spins, then parks on its `wake` lock.
Parking and posting are Dekker's handshake: the worker sets `parked` and looks at `posted` again,
the launcher sets `posted` and then looks at `parked`; so one of them always sees the other.
"""

from __future__ import annotations

import ctypes
import sys

from tracejit.codegen.runtime import native, placing_ir, toolchain

MAX_THREADS = 256
STOP = -1  # posted to a worker that shall return to Python
LINE = 128  # bytes: two cache lines, as CPUs fetch neighbours together
NESTED = 1  # what tj_call returns when its lock is this thread's already


def _padding(used: int) -> type[ctypes.Array[ctypes.c_char]]:
    return ctypes.c_char * (LINE - used)


class LockCell(ctypes.Structure):
    """A lock that needs no GIL, and the thread that holds it.

    Native code keeps the address of the cell: after a fork the lock in it is replaced.
    """

    _fields_ = (("lock", ctypes.c_void_p), ("owner", ctypes.c_int64))


class Block(ctypes.Structure):
    """What the members of a team share; the mailboxes follow it. Fields apart share no line."""

    _fields_ = (
        ("program", ctypes.c_void_p),
        ("table", ctypes.c_void_p),
        ("nthreads", ctypes.c_int64),  # of this run
        ("size", ctypes.c_int64),  # members, the caller's thread included
        ("spins", ctypes.c_int64),  # pauses before a waiting thread yields its CPU
        ("yields", ctypes.c_int64),  # yields before an idle worker parks
        ("cell", LockCell),
        ("padding0", _padding(64)),
        ("running", ctypes.c_int64),  # workers that have not finished this run
        ("padding1", _padding(8)),
        ("arrived", ctypes.c_int64),  # threads at the barrier
        ("padding2", _padding(8)),
        ("epoch", ctypes.c_int64),  # barriers passed
        ("padding3", _padding(8)),
    )


class Mailbox(ctypes.Structure):
    """One worker's. `wake` is locked whenever the worker has no reason to wake up."""

    _fields_ = (
        ("posted", ctypes.c_int64),  # runs posted so far, or STOP
        ("parked", ctypes.c_int64),
        ("ready", ctypes.c_int64),  # 1 while a worker is in its loop, where it needs no GIL
        ("wake", ctypes.c_void_p),
        ("native_id", ctypes.c_int64),  # the worker's, as the operating system has it
        ("padding", _padding(40)),
    )


BLOCK = native.Fields("Block", Block)
MAILBOX = native.Fields("Mailbox", Mailbox)
CELL = native.Fields("LockCell", LockCell)

LOCKS = f"""
{CELL.declaration}
{BLOCK.declaration}
{MAILBOX.declaration}

declare i32 @PyThread_acquire_lock(ptr, i32)
declare i32 @PyThread_acquire_lock_timed(ptr, i64, i32)
declare void @PyThread_release_lock(ptr)
declare i64 @PyThread_get_thread_ident()

; Takes the lock if it is open: 1, else 0.
define i32 @tj_try_lock(ptr %cell) {{
  {CELL.load("%lock", "%cell", "lock")}
  %got = call i32 @PyThread_acquire_lock(ptr %lock, i32 0)
  %is_mine = icmp ne i32 %got, 0
  br i1 %is_mine, label %sign, label %out
sign:
  call void @own(ptr %cell)
  br label %out
out:
  ret i32 %got
}}

; Waits for the lock, at most so long [us], or for ever if that is negative: 1, else 0.
define i32 @tj_lock(ptr %cell, i64 %microseconds) {{
  {CELL.load("%lock", "%cell", "lock")}
  %got = call i32 @PyThread_acquire_lock_timed(ptr %lock, i64 %microseconds, i32 0)
  %is_mine = icmp eq i32 %got, 1
  br i1 %is_mine, label %sign, label %late
sign:
  call void @own(ptr %cell)
  ret i32 1
late:
  ret i32 0
}}

define void @tj_unlock(ptr %cell) {{
  {CELL.address("%owner", "%cell", "owner")}
  store atomic i64 0, ptr %owner monotonic, align 8
  {CELL.load("%lock", "%cell", "lock")}
  call void @PyThread_release_lock(ptr %lock)
  ret void
}}

; Whether this very thread holds the lock.
define i32 @tj_is_mine(ptr %cell) {{
  {CELL.address("%owner", "%cell", "owner")}
  %who = load atomic i64, ptr %owner monotonic, align 8
  %me = call i64 @PyThread_get_thread_ident()
  %same = icmp eq i64 %who, %me
  %result = zext i1 %same to i32
  ret i32 %result
}}

define internal void @own(ptr %cell) {{
  {CELL.address("%owner", "%cell", "owner")}
  %me = call i64 @PyThread_get_thread_ident()
  store atomic i64 %me, ptr %owner monotonic, align 8
  ret void
}}
"""

WAITING = f"""
declare i32 @tj_os_yield()

define void @tj_pause(i64 %times) {{
entry:
  br label %next
next:
  %i = phi i64 [ 0, %entry ], [ %i.next, %next ]
  PAUSE
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %times
  br i1 %more, label %next, label %out
out:
  ret void
}}

; Waits until the word at %at is (%until_equal) or is not %value: spins, then yields the CPU, at
; most %yields times (for ever if negative). Returns whether it came so.
define internal i1 @wait(ptr %at, i64 %value, i1 %until_equal, i64 %spins, i64 %yields) {{
entry:
  br label %look
look:
  %i = phi i64 [ 0, %entry ], [ %i.next, %pause ], [ %i.next, %yield ]
  %now = load atomic i64, ptr %at acquire, align 8
  %equal = icmp eq i64 %now, %value
  %done = icmp eq i1 %equal, %until_equal
  br i1 %done, label %came, label %count
count:
  %i.next = add i64 %i, 1
  %spin = icmp slt i64 %i, %spins
  br i1 %spin, label %pause, label %patience
pause:
  PAUSE
  br label %look
patience:
  %end = add i64 %spins, %yields
  %bounded = icmp sge i64 %yields, 0
  %spent = icmp sge i64 %i, %end
  %give_up = and i1 %bounded, %spent
  br i1 %give_up, label %late, label %yield
yield:
  %ignored = call i32 @tj_os_yield()
  br label %look
came:
  ret i1 true
late:
  ret i1 false
}}

define void @tj_barrier(ptr %team, i64 %nthreads) {{
  %alone = icmp ule i64 %nthreads, 1
  br i1 %alone, label %out, label %meet
meet:
  {BLOCK.address("%epoch.at", "%team", "epoch")}
  %epoch = load atomic i64, ptr %epoch.at acquire, align 8
  {BLOCK.address("%arrived.at", "%team", "arrived")}
  %before = atomicrmw add ptr %arrived.at, i64 1 acq_rel, align 8
  %now = add i64 %before, 1
  %last = icmp eq i64 %now, %nthreads
  br i1 %last, label %open, label %others
open:
  store atomic i64 0, ptr %arrived.at monotonic, align 8
  %epoch.next = add i64 %epoch, 1
  store atomic i64 %epoch.next, ptr %epoch.at release, align 8
  ret void
others:
  {BLOCK.load("%spins", "%team", "spins")}
  %came = call i1 @wait(ptr %epoch.at, i64 %epoch, i1 false, i64 %spins, i64 -1)
  br label %out
out:
  ret void
}}
"""

RUNNING = f"""
define internal ptr @mailbox(ptr %team, i64 %tid) {{
  %boxes = getelementptr %Block, ptr %team, i64 1
  %box = getelementptr %Mailbox, ptr %boxes, i64 %tid
  ret ptr %box
}}

; The life of a worker. Its mailbox was cleared before its thread began.
define void @tj_worker(ptr %team, i64 %tid) {{
entry:
  %box = call ptr @mailbox(ptr %team, i64 %tid)
  {MAILBOX.address("%posted.at", "%box", "posted")}
  {MAILBOX.address("%parked.at", "%box", "parked")}
  {MAILBOX.load("%wake", "%box", "wake")}
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
  store atomic i64 1, ptr %parked.at seq_cst, align 8
  %again = load atomic i64, ptr %posted.at seq_cst, align 8
  %quiet = icmp eq i64 %again, %last
  br i1 %quiet, label %sleep, label %unpark
unpark:
  ; Work came in between. If the launcher saw `parked`, its wake-up must be taken, too.
  %was = atomicrmw xchg ptr %parked.at, i64 0 seq_cst, align 8
  %unseen = icmp eq i64 %was, 1
  br i1 %unseen, label %work, label %sleep
sleep:
  %ignored = call i32 @PyThread_acquire_lock(ptr %wake, i32 1)
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
  {MAILBOX.address("%parked.at", "%box", "parked")}
  %parked = load atomic i64, ptr %parked.at seq_cst, align 8
  %sleeps = icmp eq i64 %parked, 1
  br i1 %sleeps, label %claim, label %out
claim:
  %was = atomicrmw xchg ptr %parked.at, i64 0 seq_cst, align 8
  %mine = icmp eq i64 %was, 1
  br i1 %mine, label %wake_up, label %out
wake_up:
  {MAILBOX.load("%native_id", "%box", "native_id")}
  call void @elsewhere(i64 %native_id)
  {MAILBOX.load("%wake", "%box", "wake")}
  call void @PyThread_release_lock(ptr %wake)
  br label %out
out:
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
    whole = LOCKS + WAITING + RUNNING + placing_ir.text()
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
