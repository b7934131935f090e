"""What compiled code needs to exist and run: LLVM, the disk cache, the thread team, the entry."""
