"""Programs that the tests of the entry run, and arguments for them."""

import numpy as np

from tracejit.codegen.runtime.entry import ArrayArg

F32, I64, U8 = np.dtype(np.float32), np.dtype(np.int64), np.dtype(np.uint8)

# add: out[0:4] = x[0:4] + y[0:4]. bump: x[0:4] += 1. copy_N: copies the N words of the table
# behind the first to where that points to. on_captured: runs the second captured on the first.
IR = """
define void @on_captured(ptr %table, i64 %tid, i64 %nthreads, ptr %team) {
  %program.at = getelementptr ptr, ptr %table, i64 1
  %program = load ptr, ptr %program.at
  %inner = load ptr, ptr %table
  call void %program(ptr %inner, i64 %tid, i64 %nthreads, ptr %team)
  ret void
}
define void @add(ptr %table, i64 %tid, i64 %nthreads, ptr %team) {
  %y.at = getelementptr ptr, ptr %table, i64 1
  %out.at = getelementptr ptr, ptr %table, i64 2
  %x.p = load ptr, ptr %table
  %y.p = load ptr, ptr %y.at
  %out.p = load ptr, ptr %out.at
  %x = load <4 x float>, ptr %x.p, align 4
  %y = load <4 x float>, ptr %y.p, align 4
  %sum = fadd <4 x float> %x, %y
  store <4 x float> %sum, ptr %out.p, align 4
  ret void
}
define void @bump(ptr %table, i64 %tid, i64 %nthreads, ptr %team) {
  %x.p = load ptr, ptr %table
  %x = load <4 x float>, ptr %x.p, align 4
  %y = fadd <4 x float> %x, splat (float 1.0)
  store <4 x float> %y, ptr %x.p, align 4
  ret void
}
define void @nothing(ptr %table, i64 %tid, i64 %nthreads, ptr %team) {
  ret void
}
"""
COPY = """
define void @copy_{n}(ptr %table, i64 %tid, i64 %nthreads, ptr %team) {{
  %to = load ptr, ptr %table
  %from = getelementptr ptr, ptr %table, i64 1
  {body}
  ret void
}}
"""
COPY_WORD = """
  %p{k} = getelementptr ptr, ptr %from, i64 {k}
  %v{k} = load ptr, ptr %p{k}
  %q{k} = getelementptr ptr, ptr %to, i64 {k}
  store ptr %v{k}, ptr %q{k}
"""
COUNTS = (1, 2, 5)


def f32(*values):
    return np.array(values, np.float32)


VECTOR = ArrayArg((4,), F32)
DONATED = ArrayArg((4,), F32, donated=True)
X, Y = f32(1, 2, 3, 4), f32(10, 20, 30, 40)


def is_slow(result):
    return isinstance(result, tuple) and len(result) == 2 and result[0] == "slow"
