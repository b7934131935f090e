"""Code that kernels share: it does not say where in its buffers it begins, nor how long they are.

The steps of an unrolled loop read one slice each of an array. Their kernels differ in a constant
that all accesses to the array have in common; the program adds it to the address instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tracejit.codegen.nest import Each, Fold, For, Kernel, Load, Offset, Stmt, Store, walk


def starts(kernel: Kernel) -> dict[str, int]:
    """For each buffer that is passed: what all indices into it have in common [elements]."""
    found: dict[str, int] = {}
    for stmt in walk(kernel.body):
        if isinstance(stmt, Load | Store):
            const = stmt.index.affine.const
            found[stmt.buffer] = min(found.get(stmt.buffer, const), const)
    return {b.name: found.get(b.name, 0) for b in kernel.buffers if b.role != "scratch"}


def shared_code(kernel: Kernel) -> Kernel:
    """The kernel as it is compiled, to be given the addresses of the elements at `starts`."""
    moved = starts(kernel)
    buffers = tuple(b if b.role == "scratch" else replace(b, size=0) for b in kernel.buffers)
    return replace(kernel, buffers=buffers, body=_moved(kernel.body, moved))


def _moved(body: Sequence[Stmt], by: dict[str, int]) -> tuple[Stmt, ...]:
    done: list[Stmt] = []
    for stmt in body:
        match stmt:
            case For() | Fold() | Each():
                done.append(replace(stmt, body=_moved(stmt.body, by)))
            case Load() | Store() if by.get(stmt.buffer):
                index = Offset(stmt.index.affine + -by[stmt.buffer], stmt.index.dynamic)
                done.append(replace(stmt, index=index))
            case _:
                done.append(stmt)
    return tuple(done)
