"""One file a peer: each runs in a process, and under an interpreter, of its own."""
