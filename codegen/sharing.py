"""Code that kernels share: it does not say where in its buffers it begins, nor how long they are.

The steps of an unrolled loop read one slice each of an array. Their kernels differ in a constant
that all accesses to the array have in common; the program adds it to the address instead.

Maps that walk along whole arrays differ in how far they go: the updates of all weights of a model.
Their code is one; the program tells it the size.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from tracejit.codegen.nest import (
    ANY,
    Each,
    Fold,
    For,
    IndexValue,
    Kernel,
    Let,
    Load,
    Offset,
    Stmt,
    Store,
    Tile,
    walk,
)
from tracejit.codegen.schedule import unrolled

# Bytes of the smallest elements that CPUs of every kind load and store under a mask.
MASKED_BYTES = 4


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
    body = _moved(kernel.body, moved)
    if size_of(kernel) is not None:
        body = tuple(_of_any_size(s) if isinstance(s, For) else s for s in body)
    return replace(kernel, buffers=buffers, body=body)


def size_of(kernel: Kernel) -> int | None:
    """The extent that the code of a kernel is told: of a map along whole arrays, else None.

    Its last vector is masked by what it is told; elements smaller than that of any CPU's masked
    accesses are left out.
    """
    loops = [s for s in kernel.body if isinstance(s, For)]
    if kernel.kind != "map" or len(loops) != 1 or kernel.body[-1] is not loops[0]:
        return None
    loop, body = loops[0].loop, loops[0].body
    if not loop.parallel or loop.lanes == 1:
        return None
    small = {b.name for b in kernel.buffers if b.dtype.itemsize < MASKED_BYTES}
    fine = all(_walks(s, loop.axis, small) for s in body)
    return loop.extent if fine else None


def _walks(stmt: Stmt, axis: str, small: Collection[str]) -> bool:
    """Whether a statement is about one element, and what it reads and stores lies side by side."""
    match stmt:
        case Load() | Store():
            step = stmt.index.affine.coefficient(axis)
            still = isinstance(stmt, Load) and step == 0
            walks = step == 1 and stmt.buffer not in small
            return not stmt.index.dynamic and (still or walks)
        case Let() | IndexValue():
            return True
        case _:
            return False


def _of_any_size(nest: For) -> For:
    width = unrolled(nest.body) * nest.loop.lanes
    return replace(nest, loop=replace(nest.loop, extent=ANY, tiles=(Tile(ANY, width),)))


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
