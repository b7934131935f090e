"""From a fused graph to native code: loop nests, schedules, LLVM IR, program and runtime."""
