"""From a fused graph to native code: loop nests, schedules, LLVM IR, the program and its runtime."""
