"""From a fused graph to native code: loop nests, schedules, LLVM IR, program and runtime."""

# The forms of a graph on its way to code, after "traced"; codegen/stages.py computes them.
STAGES = ("optimized", "fused", "loops", "scheduled", "program", "llvm", "asm", "numba")
