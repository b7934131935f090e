"""The native entry: one routine for all steps, driven by the `Step` that `self` points to.

In order: scalars are converted; outputs are claimed (which may run Python); the lock is taken;
arguments are checked and the table filled; the program runs. Only the first two may run Python, so
nothing can change an argument between its check and its use, except a thread that the user lets.
A step that does not take these arguments hands them to `slow`, with nothing done.
"""

from __future__ import annotations

from collections.abc import Mapping

from tracejit.codegen.runtime import layout, native
from tracejit.codegen.runtime.entry_checks import CHECKS
from tracejit.codegen.runtime.entry_plan import WAYS
from tracejit.codegen.runtime.entry_step import ARGUMENT, ARRAY, FRESH, STEP, word
from tracejit.codegen.runtime.team_block import BLOCK

OUTPUTS = f"""
; A new reference to fresh output %k: one kept from before that nobody holds any more, else a new
; array. The count of its base tells of views, as a view's base is the base of what it views.
define internal ptr @claim(ptr %step, i64 %k) {{
entry:
  {STEP.load("%fresh", "%step", "fresh")}
  %want = getelementptr %Argument, ptr %fresh, i64 %k
  {STEP.load("%kept", "%step", "kept")}
  %first = mul i64 %k, {WAYS}
  %end = add i64 %first, {WAYS}
  br label %way
way:
  %w = phi i64 [ %first, %entry ], [ %w.next, %next ]
  %more = icmp slt i64 %w, %end
  br i1 %more, label %look, label %make
look:
  %object = call ptr @PyList_GetItem(ptr %kept, i64 %w)
  {word("%holders", "%object", layout.REFCOUNT, "i32")}
  %ours = icmp eq i32 %holders, 1
  br i1 %ours, label %form, label %next
form:
  %good = call i1 @fits(ptr %object, ptr %want)
  br i1 %good, label %views, label %next
views:
  {word("%base", "%object", layout.BASE)}
  {word("%viewers", "%base", layout.REFCOUNT, "i32")}
  %unseen = icmp eq i32 %viewers, 1
  br i1 %unseen, label %take, label %next
next:
  %w.next = add i64 %w, 1
  br label %way
take:
  call void @Py_IncRef(ptr %object)
  ret ptr %object
make:
  %number = call ptr @PyLong_FromLongLong(i64 %k)
  %args = alloca ptr
  store ptr %number, ptr %args
  {STEP.load("%maker", "%step", "make")}
  %new = call ptr @PyObject_Vectorcall(ptr %maker, ptr %args, i64 1, ptr null)
  call void @Py_DecRef(ptr %number)
  ret ptr %new
}}

; The tuple of results, with the fresh ones also at %arrays; null with an error set.
define internal ptr @claim_all(ptr %step, ptr %args, ptr %arrays) {{
entry:
  {STEP.load("%count", "%step", "nouts")}
  {STEP.load("%outs", "%step", "outs")}
  %tuple = call ptr @PyTuple_New(i64 %count)
  %got = icmp ne ptr %tuple, null
  br i1 %got, label %look, label %fail
look:
  %i = phi i64 [ 0, %entry ], [ %i.next, %put ]
  %k = phi i64 [ 0, %entry ], [ %k.next, %put ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %which, label %out
which:
  %arg.at = getelementptr i64, ptr %outs, i64 %i
  %arg = load i64, ptr %arg.at
  %is_fresh = icmp eq i64 %arg, {FRESH}
  br i1 %is_fresh, label %fresh, label %donated
donated:
  %object.at = getelementptr ptr, ptr %args, i64 %arg
  %object = load ptr, ptr %object.at
  call void @Py_IncRef(ptr %object)
  br label %put
fresh:
  %new = call ptr @claim(ptr %step, i64 %k)
  %made = icmp ne ptr %new, null
  br i1 %made, label %note, label %drop
note:
  %array.at = getelementptr ptr, ptr %arrays, i64 %k
  store ptr %new, ptr %array.at
  %k.more = add i64 %k, 1
  br label %put
put:
  %item = phi ptr [ %object, %donated ], [ %new, %note ]
  %k.next = phi i64 [ %k, %donated ], [ %k.more, %note ]
  %ignored = call i32 @PyTuple_SetItem(ptr %tuple, i64 %i, ptr %item)
  %i.next = add i64 %i, 1
  br label %look
out:
  ret ptr %tuple
drop:
  call void @Py_DecRef(ptr %tuple)
  br label %fail
fail:
  ret ptr null
}}
"""

FILLING = f"""
; Checks all arguments and puts their pointers into the table, under the step's lock. False: a miss.
define internal i1 @fill(ptr %step, ptr %args, ptr %cells, ptr %arrays) {{
entry:
  {STEP.load("%count", "%step", "nargs")}
  {STEP.load("%table", "%step", "table")}
  {STEP.load("%arguments", "%step", "arguments")}
  {STEP.load("%verified", "%step", "verified")}
  {STEP.address("%verified.set", "%step", "verified")}
  store i64 0, ptr %verified.set
  %first_time = icmp eq i64 %verified, 0
  %changed = alloca i64, i64 %count
  br label %look
look:
  %i = phi i64 [ 0, %entry ], [ %i.next, %next ]
  %c = phi i64 [ 0, %entry ], [ %c.next, %next ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %which, label %checked
which:
  %want = getelementptr %Argument, ptr %arguments, i64 %i
  %slot = getelementptr ptr, ptr %table, i64 %i
  {ARGUMENT.load("%kind", "%want", "kind")}
  %is_array = icmp eq i64 %kind, {ARRAY}
  br i1 %is_array, label %array, label %scalar
scalar:
  %cell = getelementptr i64, ptr %cells, i64 %i
  store ptr %cell, ptr %slot
  br label %next
array:
  %object.at = getelementptr ptr, ptr %args, i64 %i
  %object = load ptr, ptr %object.at
  %good = call i1 @fits(ptr %object, ptr %want)
  br i1 %good, label %store, label %miss
store:
  {word("%data", "%object", layout.DATA)}
  %old = load ptr, ptr %slot
  store ptr %data, ptr %slot
  %moved = icmp ne ptr %old, %data
  {ARGUMENT.load("%size", "%want", "nbytes")}
  %filled = icmp ne i64 %size, 0
  %news.0 = or i1 %moved, %first_time
  %news = and i1 %news.0, %filled
  %changed.at = getelementptr i64, ptr %changed, i64 %c
  store i64 %i, ptr %changed.at
  %one = zext i1 %news to i64
  %c.more = add i64 %c, %one
  br label %next
next:
  %c.next = phi i64 [ %c, %scalar ], [ %c.more, %store ]
  %i.next = add i64 %i, 1
  br label %look
checked:
  {STEP.load("%ndonated", "%step", "ndonated")}
  %any = icmp ne i64 %ndonated, 0
  br i1 %any, label %donation, label %outputs
donation:
  %d = phi i64 [ 0, %checked ], [ %d.next, %pair ]
  %d.more = icmp slt i64 %d, %c
  br i1 %d.more, label %pair, label %outputs
pair:
  %which.at = getelementptr i64, ptr %changed, i64 %d
  %which.i = load i64, ptr %which.at
  %fine = call i1 @apart(ptr %step, ptr %arguments, i64 %which.i)
  %d.next = add i64 %d, 1
  br i1 %fine, label %donation, label %miss
outputs:
  store i64 1, ptr %verified.set
  {STEP.load("%nranges", "%step", "nranges")}
  {STEP.load("%nfresh", "%step", "nfresh")}
  %places = getelementptr ptr, ptr %table, i64 %nranges
  br label %place
place:
  %k = phi i64 [ 0, %outputs ], [ %k.next, %put ]
  %k.more = icmp slt i64 %k, %nfresh
  br i1 %k.more, label %put, label %hit
put:
  %array.at = getelementptr ptr, ptr %arrays, i64 %k
  %out = load ptr, ptr %array.at
  {word("%out.data", "%out", layout.DATA)}
  %place.at = getelementptr ptr, ptr %places, i64 %k
  store ptr %out.data, ptr %place.at
  %k.next = add i64 %k, 1
  br label %place
hit:
  ret i1 true
miss:
  ret i1 false
}}
"""

ENTRY = f"""
@nested = private constant [55 x i8] c"a compiled step was called from inside a run of itself\\00"
@tj_runtime_error = external global i8

; METH_FASTCALL. %self: an array whose data is the Step.
define ptr @tj_entry(ptr %self, ptr %args, i64 %nargs) {{
entry:
  {word("%step", "%self", layout.DATA)}
  {STEP.load("%nargs.want", "%step", "nargs")}
  %right_count = icmp eq i64 %nargs, %nargs.want
  br i1 %right_count, label %scalars, label %slow
scalars:
  %cells = alloca i64, i64 %nargs
  {STEP.load("%arguments", "%step", "arguments")}
  {STEP.load("%nscalars", "%step", "nscalars")}
  {STEP.load("%positions", "%step", "scalars")}
  br label %scalar
scalar:
  %s = phi i64 [ 0, %scalars ], [ %s.next, %converting ]
  %s.more = icmp slt i64 %s, %nscalars
  br i1 %s.more, label %converting, label %outputs
converting:
  %position.at = getelementptr i64, ptr %positions, i64 %s
  %position = load i64, ptr %position.at
  %want = getelementptr %Argument, ptr %arguments, i64 %position
  %object.at = getelementptr ptr, ptr %args, i64 %position
  %object = load ptr, ptr %object.at
  %scalar.at = getelementptr i64, ptr %cells, i64 %position
  %converted = call i1 @convert(ptr %step, ptr %want, ptr %object, i64 %position, ptr %scalar.at)
  %s.next = add i64 %s, 1
  br i1 %converted, label %scalar, label %slow
outputs:
  {STEP.load("%nfresh", "%step", "nfresh")}
  %arrays = alloca ptr, i64 %nfresh
  %tuple = call ptr @claim_all(ptr %step, ptr %args, ptr %arrays)
  %claimed = icmp ne ptr %tuple, null
  br i1 %claimed, label %threads, label %fail
threads:
  {STEP.load("%nthreads", "%step", "nthreads")}
  {STEP.load("%team", "%step", "team")}
  {BLOCK.load("%size", "%team", "size")}
  %enough = icmp sge i64 %size, %nthreads
  br i1 %enough, label %lock, label %ensure
ensure:
  {STEP.load("%starter", "%step", "ensure")}
  %started = call ptr @PyObject_Vectorcall(ptr %starter, ptr null, i64 0, ptr null)
  %fine = icmp ne ptr %started, null
  br i1 %fine, label %ensured, label %drop
ensured:
  call void @Py_DecRef(ptr %started)
  br label %lock
lock:
  {STEP.load("%cell", "%step", "cell")}
  %got = call i32 @tj_try_lock(ptr %cell)
  %open = icmp ne i32 %got, 0
  br i1 %open, label %locked, label %taken
taken:
  %mine = call i32 @tj_is_mine(ptr %cell)
  %is_mine = icmp ne i32 %mine, 0
  br i1 %is_mine, label %refuse, label %queue
queue:  ; without the GIL, which who holds the lock may need
  %waiter = call ptr @PyEval_SaveThread()
  %ignored = call i32 @tj_lock(ptr %cell, i64 -1)
  call void @PyEval_RestoreThread(ptr %waiter)
  br label %locked
locked:
  %hit = call i1 @fill(ptr %step, ptr %args, ptr %cells, ptr %arrays)
  br i1 %hit, label %run, label %miss
run:
  {STEP.load("%program", "%step", "program")}
  {STEP.load("%table", "%step", "table")}
  {STEP.load("%release", "%step", "release_gil")}
  %keep = icmp eq i64 %release, 0
  br i1 %keep, label %run.held, label %run.free
run.held:
  call void @tj_run(ptr %team, ptr %program, ptr %table, i64 %nthreads)
  call void @tj_unlock(ptr %cell)
  br label %ran
run.free:
  %state = call ptr @PyEval_SaveThread()
  call void @tj_run(ptr %team, ptr %program, ptr %table, i64 %nthreads)
  call void @tj_unlock(ptr %cell)
  call void @PyEval_RestoreThread(ptr %state)
  br label %ran
ran:  ; what a host call raised stands since then
  %error = call ptr @PyErr_Occurred()
  %raised = icmp ne ptr %error, null
  br i1 %raised, label %drop, label %return
return:
  ret ptr %tuple
miss:
  call void @tj_unlock(ptr %cell)
  call void @Py_DecRef(ptr %tuple)
  br label %slow
slow:
  {STEP.load("%slow.callable", "%step", "slow")}
  %result = call ptr @PyObject_Vectorcall(ptr %slow.callable, ptr %args, i64 %nargs, ptr null)
  ret ptr %result
refuse:
  call void @PyErr_SetString(ptr @tj_runtime_error, ptr @nested)
  br label %drop
drop:
  call void @Py_DecRef(ptr %tuple)
  br label %fail
fail:
  ret ptr null
}}
"""

_PYTHON = """
declare ptr @PyErr_Occurred()
declare void @PyErr_Clear()
declare void @PyErr_SetString(ptr, ptr)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare double @PyFloat_AsDouble(ptr)
declare ptr @PyList_GetItem(ptr, i64)
declare i64 @PyLong_AsLongLongAndOverflow(ptr, ptr)
declare i64 @PyLong_AsUnsignedLongLong(ptr)
declare ptr @PyLong_FromLongLong(i64)
declare ptr @PyObject_Vectorcall(ptr, ptr, i64, ptr)
declare ptr @PyTuple_New(i64)
declare i32 @PyTuple_SetItem(ptr, i64, ptr)
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
"""

_TEAM = """
declare i32 @tj_try_lock(ptr)
declare i32 @tj_lock(ptr, i64)
declare i32 @tj_is_mine(ptr)
declare void @tj_unlock(ptr)
declare void @tj_run(ptr, ptr, ptr, i64)
"""


def text() -> str:
    """The entry's module: the same in every process, for one Python, NumPy and host."""
    types = [STEP.declaration, ARGUMENT.declaration, BLOCK.declaration]
    return "\n".join([*types, _PYTHON, _TEAM, CHECKS, OUTPUTS, FILLING, ENTRY])


def imports(team: Mapping[str, int]) -> dict[str, int]:
    """What the module needs; `team`: the symbols of the thread team."""
    declared = [line.partition("@")[2].partition("(")[0] for line in _PYTHON.split("\n") if line]
    ours = [line.partition("@")[2].partition("(")[0] for line in _TEAM.split("\n") if line]
    return {
        **native.python_symbols(*declared),
        **{name: team[name] for name in ours},
        "tj_runtime_error": id(RuntimeError),
    }
