"""How threads of a team wait: they spin, then yield, then park; and the barrier where they meet.

A thread parks on the `wake` lock of its mailbox. Parking and changing the word that it waits for
are Dekker's handshake: the one sets `parked` and looks at the word again, the other sets the word
and then looks at `parked`; so one of them always sees the other.
"""

from __future__ import annotations

from tracejit.codegen.runtime.team_block import BLOCK, MAILBOX

LATE = 1 << 32  # in the count of those at the barrier: that somebody parks, or is about to

TEXT = f"""
{BLOCK.declaration}
{MAILBOX.declaration}

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

define internal ptr @mailbox(ptr %team, i64 %tid) {{
  %boxes = getelementptr %Block, ptr %team, i64 1
  %box = getelementptr %Mailbox, ptr %boxes, i64 %tid
  ret ptr %box
}}

; Sleeps until the word at %at is not %value. Who changes the word looks at `parked` after that.
define internal void @park(ptr %box, ptr %at, i64 %value) {{
entry:
  {MAILBOX.address("%parked.at", "%box", "parked")}
  {MAILBOX.load("%wake", "%box", "wake")}
  br label %look
look:
  store atomic i64 1, ptr %parked.at seq_cst, align 8
  %now = load atomic i64, ptr %at seq_cst, align 8
  %same = icmp eq i64 %now, %value
  br i1 %same, label %sleep, label %unpark
unpark:
  ; It changed in between. If the other thread saw `parked`, its wake-up must be taken, too.
  %was = atomicrmw xchg ptr %parked.at, i64 0 seq_cst, align 8
  %unseen = icmp eq i64 %was, 1
  br i1 %unseen, label %out, label %take
take:
  %taken = call i32 @PyThread_acquire_lock(ptr %wake, i32 1)
  br label %out
sleep:
  %slept = call i32 @PyThread_acquire_lock(ptr %wake, i32 1)
  ; The wake-up may be for a barrier that this thread had passed when it came.
  %then = load atomic i64, ptr %at acquire, align 8
  %still = icmp eq i64 %then, %value
  br i1 %still, label %look, label %out
out:
  ret void
}}

; Wakes a thread up if it is parked: on another CPU than this one if %move.
define internal void @wake_up(ptr %team, i64 %tid, i1 %move) {{
  %box = call ptr @mailbox(ptr %team, i64 %tid)
  {MAILBOX.address("%parked.at", "%box", "parked")}
  %parked = load atomic i64, ptr %parked.at seq_cst, align 8
  %sleeps = icmp eq i64 %parked, 1
  br i1 %sleeps, label %claim, label %out
claim:
  %was = atomicrmw xchg ptr %parked.at, i64 0 seq_cst, align 8
  %mine = icmp eq i64 %was, 1
  br i1 %mine, label %place, label %out
place:
  br i1 %move, label %elsewhere, label %wake
elsewhere:
  {MAILBOX.load("%native_id", "%box", "native_id")}
  call void @elsewhere(i64 %native_id)
  br label %wake
wake:
  {MAILBOX.load("%lock", "%box", "wake")}
  call void @PyThread_release_lock(ptr %lock)
  br label %out
out:
  ret void
}}

; Returns when all threads of the run are here. `arrived` counts them; one that gives up spinning
; adds LATE. So either the last to come finds that, and looks for whom to wake up, or the late one
; finds that the last has come: the count is full, or begins anew.
; Thread 0 alone moves others: where it may run, they may; their own sets of CPUs lack one.
define void @tj_barrier(ptr %team, i64 %tid, i64 %nthreads) {{
  %alone = icmp ule i64 %nthreads, 1
  br i1 %alone, label %out, label %meet
meet:
  {BLOCK.address("%epoch.at", "%team", "epoch")}
  %epoch = load atomic i64, ptr %epoch.at acquire, align 8
  {BLOCK.address("%arrived.at", "%team", "arrived")}
  %before = atomicrmw add ptr %arrived.at, i64 1 acq_rel, align 8
  %count = and i64 %before, {LATE - 1}
  %now = add i64 %count, 1
  %last = icmp eq i64 %now, %nthreads
  br i1 %last, label %open, label %others
open:
  store atomic i64 0, ptr %arrived.at monotonic, align 8
  %epoch.next = add i64 %epoch, 1
  %all.awake = icmp ult i64 %before, {LATE}
  br i1 %all.awake, label %quick, label %rouse
quick:
  store atomic i64 %epoch.next, ptr %epoch.at release, align 8
  ret void
rouse:
  store atomic i64 %epoch.next, ptr %epoch.at seq_cst, align 8
  %first = icmp eq i64 %tid, 0
  br label %each
each:
  %n = phi i64 [ 0, %rouse ], [ %n.next, %each ]
  %worker = icmp ne i64 %n, 0
  %move = and i1 %first, %worker
  call void @wake_up(ptr %team, i64 %n, i1 %move)
  %n.next = add i64 %n, 1
  %more = icmp ult i64 %n.next, %nthreads
  br i1 %more, label %each, label %out
others:
  {BLOCK.load("%spins", "%team", "spins")}
  {BLOCK.load("%yields", "%team", "barrier_yields")}
  %came = call i1 @wait(ptr %epoch.at, i64 %epoch, i1 false, i64 %spins, i64 %yields)
  br i1 %came, label %out, label %late
late:
  %then = atomicrmw add ptr %arrived.at, i64 {LATE} seq_cst, align 8
  %there = and i64 %then, {LATE - 1}
  %counting = icmp ne i64 %there, 0
  %wanting = icmp ult i64 %there, %nthreads
  %sleep = and i1 %counting, %wanting
  br i1 %sleep, label %park, label %opening
park:
  %box = call ptr @mailbox(ptr %team, i64 %tid)
  call void @park(ptr %box, ptr %epoch.at, i64 %epoch)
  br label %out
opening:
  %opened = call i1 @wait(ptr %epoch.at, i64 %epoch, i1 false, i64 %spins, i64 -1)
  br label %out
out:
  ret void
}}
"""
