"""Lines of LLVM IR that programs and the loops in them are made of."""

from __future__ import annotations

# All threads of the run wait here for each other.
DECLARE_BARRIER = "declare void @tj_barrier(ptr, i64, i64)"
BARRIER = "  call void @tj_barrier(ptr %team, i64 %tid, i64 %nt)"


def on_first_thread(name: str, lines: list[str]) -> list[str]:
    """Code of thread 0 that the other threads pass by."""
    return on_one_thread(name, lines, "%first")


def on_one_thread(name: str, lines: list[str], condition: str) -> list[str]:
    """Code of the thread for which the condition holds; the others pass it by."""
    return [
        f"  br i1 {condition}, label %alone{name}, label %done{name}",
        f"alone{name}:",
        *lines,
        f"  br label %done{name}",
        f"done{name}:",
    ]


def put(pointer: str, table: str, at: int, name: str) -> list[str]:
    """Stores a pointer into entry `at` of a table."""
    return [
        f"  {name} = getelementptr ptr, ptr {table}, i64 {at}",
        f"  store ptr {pointer}, ptr {name}",
    ]
