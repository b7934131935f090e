"""Locks that native code takes without the interpreter lock, and who holds them."""

from __future__ import annotations

from tracejit.codegen.runtime.team_block import CELL

TEXT = f"""
{CELL.declaration}

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
