"""The native entry's looks at one argument: is it the array, the scalar, apart from the others?"""

from __future__ import annotations

from tracejit.codegen.runtime import layout
from tracejit.codegen.runtime.entry_step import (
    ARGUMENT,
    FLOAT32,
    FLOAT64,
    OTHER,
    STEP,
    UNSIGNED64,
    word,
)

CHECKS = f"""
; Whether an object is the array that the Argument describes.
define internal i1 @fits(ptr %object, ptr %want) {{
entry:
  {word("%type", "%object", layout.TYPE)}
  {ARGUMENT.load("%type.want", "%want", "type")}
  %type.same = icmp eq ptr %type, %type.want
  br i1 %type.same, label %array, label %no
array:
  {word("%ndim", "%object", layout.NDIM, "i32")}
  {ARGUMENT.load("%ndim.want", "%want", "ndim")}
  %ndim.same = icmp eq i32 %ndim, %ndim.want
  {word("%flags", "%object", layout.FLAGS, "i32")}
  {ARGUMENT.load("%flags.want", "%want", "flags")}
  %flags.both = and i32 %flags, %flags.want
  %flags.set = icmp eq i32 %flags.both, %flags.want
  %form = and i1 %ndim.same, %flags.set
  br i1 %form, label %element, label %no
element:
  {word("%dtype", "%object", layout.DTYPE)}
  {ARGUMENT.load("%dtype.want", "%want", "dtype")}
  %dtype.same = icmp eq ptr %dtype, %dtype.want
  br i1 %dtype.same, label %shape, label %equal
equal:  ; another object for the same dtype, as unpickled arrays have
  {word("%word.all", "%dtype", layout.DTYPE_WORD, "i64")}
  %word = and i64 %word.all, {layout.DTYPE_MASK}
  {ARGUMENT.load("%word.want", "%want", "word")}
  %word.same = icmp eq i64 %word, %word.want
  br i1 %word.same, label %shape, label %no
shape:
  {word("%dims", "%object", layout.DIMENSIONS)}
  {ARGUMENT.load("%dims.want", "%want", "dims")}
  br label %axis
axis:
  %k = phi i32 [ 0, %shape ], [ %k.next, %length ]
  %more = icmp slt i32 %k, %ndim
  br i1 %more, label %length, label %yes
length:
  %length.at = getelementptr i64, ptr %dims, i32 %k
  %n = load i64, ptr %length.at
  %want.at = getelementptr i64, ptr %dims.want, i32 %k
  %n.want = load i64, ptr %want.at
  %k.next = add i32 %k, 1
  %n.same = icmp eq i64 %n, %n.want
  br i1 %n.same, label %axis, label %no
yes:
  ret i1 true
no:
  ret i1 false
}}

; Whether argument %i, whose pointer changed, lies apart from all that donation forbids it to meet.
define internal i1 @apart(ptr %step, ptr %arguments, i64 %i) {{
entry:
  {STEP.load("%table", "%step", "table")}
  {STEP.load("%count", "%step", "nranges")}
  %mine = getelementptr %Argument, ptr %arguments, i64 %i
  {ARGUMENT.load("%size", "%mine", "nbytes")}
  {ARGUMENT.load("%donated", "%mine", "donated")}
  %start.at = getelementptr i64, ptr %table, i64 %i
  %start = load i64, ptr %start.at
  %end = add i64 %start, %size
  br label %look
look:
  %j = phi i64 [ 0, %entry ], [ %j.next, %next ]
  %more = icmp slt i64 %j, %count
  br i1 %more, label %other, label %yes
other:
  %their = getelementptr %Argument, ptr %arguments, i64 %j
  {ARGUMENT.load("%their.size", "%their", "nbytes")}
  %their.start.at = getelementptr i64, ptr %table, i64 %j
  %their.start = load i64, ptr %their.start.at
  %their.end = add i64 %their.start, %their.size
  %before = icmp ult i64 %start, %their.end
  %after = icmp ult i64 %their.start, %end
  %meets = and i1 %before, %after
  br i1 %meets, label %weigh, label %next
weigh:
  %another = icmp ne i64 %i, %j
  %filled = icmp ne i64 %their.size, 0
  {ARGUMENT.load("%their.donated", "%their", "donated")}
  %either = or i64 %donated, %their.donated
  %forbidden = icmp ne i64 %either, 0
  %bad.0 = and i1 %another, %filled
  %bad = and i1 %bad.0, %forbidden
  br i1 %bad, label %no, label %next
next:
  %j.next = add i64 %j, 1
  br label %look
yes:
  ret i1 true
no:
  ret i1 false
}}

; Converts a Python scalar of the right type into %cell. False: it has no such value.
define internal i1 @convert(ptr %step, ptr %want, ptr %object, i64 %position, ptr %cell) {{
entry:
  {word("%type", "%object", layout.TYPE)}
  {ARGUMENT.load("%type.want", "%want", "type")}
  %type.same = icmp eq ptr %type, %type.want
  br i1 %type.same, label %typed, label %no
typed:
  {ARGUMENT.load("%kind", "%want", "kind")}
  %is_other = icmp eq i64 %kind, {OTHER}
  br i1 %is_other, label %ask, label %plain
plain:
  %is_float = icmp sle i64 %kind, {FLOAT32}
  br i1 %is_float, label %float, label %integer
float:
  %double = call double @PyFloat_AsDouble(ptr %object)
  %suspect = fcmp oeq double %double, -1.0
  br i1 %suspect, label %float.check, label %float.store
float.check:
  %float.error = call ptr @PyErr_Occurred()
  %float.good = icmp eq ptr %float.error, null
  br i1 %float.good, label %float.store, label %clear
float.store:
  %is_double = icmp eq i64 %kind, {FLOAT64}
  br i1 %is_double, label %store.double, label %store.single
store.double:
  store double %double, ptr %cell
  ret i1 true
store.single:
  %single = fptrunc double %double to float
  store float %single, ptr %cell
  ret i1 true
integer:
  %overflow.at = alloca i32
  %int = call i64 @PyLong_AsLongLongAndOverflow(ptr %object, ptr %overflow.at)
  %overflow = load i32, ptr %overflow.at
  %is_long = icmp eq i32 %overflow, 0
  br i1 %is_long, label %range, label %long
range:
  {ARGUMENT.load("%low", "%want", "low")}
  {ARGUMENT.load("%high", "%want", "high")}
  %above = icmp sge i64 %int, %low
  %below = icmp sle i64 %int, %high
  %inside = and i1 %above, %below
  br i1 %inside, label %store.int, label %no
store.int:
  store i64 %int, ptr %cell
  ret i1 true
long:
  %is_unsigned = icmp eq i64 %kind, {UNSIGNED64}
  %positive = icmp sgt i32 %overflow, 0
  %may_fit = and i1 %is_unsigned, %positive
  br i1 %may_fit, label %unsigned, label %no
unsigned:
  %value = call i64 @PyLong_AsUnsignedLongLong(ptr %object)
  br label %finish
ask:
  %boxed = call ptr @PyLong_FromLongLong(i64 %position)
  %ask.args = alloca [2 x ptr]
  store ptr %boxed, ptr %ask.args
  %second = getelementptr ptr, ptr %ask.args, i64 1
  store ptr %object, ptr %second
  {STEP.load("%bits", "%step", "bits")}
  %answer = call ptr @PyObject_Vectorcall(ptr %bits, ptr %ask.args, i64 2, ptr null)
  call void @Py_DecRef(ptr %boxed)
  %answered = icmp ne ptr %answer, null
  br i1 %answered, label %unbox, label %clear
unbox:
  %word = call i64 @PyLong_AsUnsignedLongLong(ptr %answer)
  call void @Py_DecRef(ptr %answer)
  br label %finish
finish:
  %result = phi i64 [ %value, %unsigned ], [ %word, %unbox ]
  store i64 %result, ptr %cell
  %error = call ptr @PyErr_Occurred()
  %good = icmp eq ptr %error, null
  br i1 %good, label %yes, label %clear
clear:
  call void @PyErr_Clear()
  br label %no
yes:
  ret i1 true
no:
  ret i1 false
}}
"""
