"""Hoisting: what does not change inside a loop is computed once, before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tracejit.codegen.nest import (
    Fold,
    For,
    IndexValue,
    Kernel,
    Let,
    Load,
    Stmt,
    loops_of,
    parallel_loops,
)


def hoist(kernel: Kernel) -> Kernel:
    """Moves loads and arithmetic out of the loops whose axes they do not depend on.

    Only what is read-only in this kernel is loaded early. Out of parallel loops a statement moves
    only if it moves out of all of them, so that they stay perfectly nested.
    """
    fixed = frozenset(b.name for b in kernel.buffers if b.role == "in")
    return replace(kernel, body=tuple(_outer(kernel.body, fixed)))


def _outer(body: Sequence[Stmt], fixed: frozenset[str]) -> list[Stmt]:
    """A block that every thread runs: nests of parallel loops, and loops around such nests."""
    done: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, For) and stmt.loop.parallel:
            done += _parallel(stmt, fixed)
        elif isinstance(stmt, For) and any(loop.parallel for loop in loops_of(stmt.body)):
            done.append(replace(stmt, body=tuple(_outer(stmt.body, fixed))))
        else:
            done += _inner(stmt, fixed)
    return done


def _parallel(nest: For, fixed: frozenset[str]) -> list[Stmt]:
    loops, body = parallel_loops((nest,))
    axes = {loop.axis for loop in loops}
    inner = [s for stmt in body for s in _inner(stmt, fixed)]
    before, inner = _split(inner, axes, fixed)
    for loop in reversed(loops):
        inner = [For(loop, tuple(inner))]
    return before + inner


def _inner(stmt: Stmt, fixed: frozenset[str]) -> list[Stmt]:
    """The statement, preceded by what could be moved out of it."""
    if not isinstance(stmt, For | Fold):
        return [stmt]
    axes = {loop.axis for loop in (stmt.loops if isinstance(stmt, Fold) else (stmt.loop,))}
    body = [s for inner in stmt.body for s in _inner(inner, fixed)]
    before, rest = _split(body, axes, fixed)
    return [*before, replace(stmt, body=tuple(rest))]


def _split(
    body: Sequence[Stmt], axes: set[str], fixed: frozenset[str]
) -> tuple[list[Stmt], list[Stmt]]:
    """What does not depend on `axes`, and the rest."""
    before: list[Stmt] = []
    rest: list[Stmt] = []
    varying: set[str] = set()
    for stmt in body:
        if _depends(stmt, axes, varying, fixed):
            rest.append(stmt)
            if isinstance(stmt, Let | Load | IndexValue):
                varying.add(stmt.name)
            elif isinstance(stmt, Fold):
                varying |= {acc.name for acc in stmt.accs}
        else:
            before.append(stmt)
    return before, rest


def _depends(stmt: Stmt, axes: set[str], varying: set[str], fixed: frozenset[str]) -> bool:
    match stmt:
        case Let():
            return any(arg in varying for arg in stmt.args if isinstance(arg, str))
        case IndexValue():
            return not axes.isdisjoint(stmt.index.axes())
        case Load():
            moving = any(value in varying for value, _ in stmt.index.dynamic)
            free = axes.isdisjoint(stmt.index.affine.axes())
            return moving or not free or stmt.buffer not in fixed
        case _:
            return True
