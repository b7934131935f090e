"""Where a worker of the team runs when it is woken up: not on the CPU of the thread that wakes it.

The scheduler may put it there, and then the two wait for each other though another CPU stands idle;
with both of them hot, it leaves them so for some tens of milliseconds. So a worker may run where
its caller may, but not where the caller is at that moment. On Linux; elsewhere nothing is done.
"""

from __future__ import annotations

import ctypes
import sys

from tracejit.codegen.runtime import native

CPU_WORDS = 128  # of a set of CPUs: 8,192 of them

LINUX = f"""
declare i32 @sched_getaffinity(i32, i64, ptr)
declare i32 @sched_setaffinity(i32, i64, ptr)
declare i32 @sched_getcpu()

define internal void @elsewhere(i64 %thread) {{
entry:
  %mask = alloca [{CPU_WORDS} x i64]
  %got = call i32 @sched_getaffinity(i32 0, i64 {8 * CPU_WORDS}, ptr %mask)
  %known = icmp eq i32 %got, 0
  %here = call i32 @sched_getcpu()
  %cpu = zext i32 %here to i64
  %within = icmp ult i64 %cpu, {64 * CPU_WORDS}
  %fine = and i1 %known, %within
  br i1 %fine, label %leave, label %out
leave:
  %at = lshr i64 %cpu, 6
  %word.at = getelementptr i64, ptr %mask, i64 %at
  %word = load i64, ptr %word.at
  %place = and i64 %cpu, 63
  %bit = shl i64 1, %place
  %others = xor i64 %bit, -1
  %left = and i64 %word, %others
  store i64 %left, ptr %word.at
  br label %each
each:
  %n = phi i64 [ 0, %leave ], [ %n.next, %more ]
  %end = icmp uge i64 %n, {CPU_WORDS}
  br i1 %end, label %out, label %look
look:
  %some.at = getelementptr i64, ptr %mask, i64 %n
  %some = load i64, ptr %some.at
  %any = icmp ne i64 %some, 0
  br i1 %any, label %move, label %more
more:
  %n.next = add i64 %n, 1
  br label %each
move:
  %id = trunc i64 %thread to i32
  %ignored = call i32 @sched_setaffinity(i32 %id, i64 {8 * CPU_WORDS}, ptr %mask)
  br label %out
out:
  ret void
}}
"""
ANYWHERE = "define internal void @elsewhere(i64 %thread) { ret void }\n"


def text() -> str:
    """The function `@elsewhere`, given the thread as the operating system has it."""
    return LINUX if sys.platform == "linux" else ANYWHERE


def imports() -> dict[str, int]:
    if sys.platform != "linux":
        return {}
    libc = ctypes.CDLL(None)
    names = ("sched_getaffinity", "sched_setaffinity", "sched_getcpu")
    return {name: native.address_of(getattr(libc, name)) for name in names}
