"""Coalescing: two nested loops that every access walks as one become one loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tracejit.codegen.nest import (
    Fold,
    For,
    IndexValue,
    Kernel,
    Load,
    Loop,
    Offset,
    Stmt,
    Store,
    Within,
    loops_of,
    walk,
)
from tracejit.ir.affine import ZERO, Affine, affine, axis_index


def coalesce(kernel: Kernel) -> Kernel:
    """Merges each perfectly nested pair of loops whose axes are contiguous in every access."""
    return replace(kernel, body=_block(kernel.body))


def _block(body: Sequence[Stmt]) -> tuple[Stmt, ...]:
    done: list[Stmt] = []
    for stmt in body:
        match stmt:
            case For():
                done.append(_for(stmt))
            case Fold():
                done.append(_fold(replace(stmt, body=_block(stmt.body))))
            case _:
                done.append(stmt)
    return tuple(done)


def _for(outer: For) -> For:
    body = _block(outer.body)
    if len(body) == 1 and isinstance(inner := body[0], For):
        same = outer.loop.parallel == inner.loop.parallel
        if same and _contiguous(outer.loop, inner.loop, inner.body):
            extent = outer.loop.extent * inner.loop.extent
            loop = replace(inner.loop, extent=extent)
            return For(loop, _without(inner.body, outer.loop.axis))
    return replace(outer, body=body)


def _fold(fold: Fold) -> Fold:
    loops = list(fold.loops)
    body = fold.body
    at = len(loops) - 2
    while at >= 0:
        outer, inner = loops[at], loops[at + 1]
        if _contiguous(outer, inner, body) and _bounded_as_one(outer, inner):
            extent = outer.extent * inner.extent
            within = _within(outer, inner) if outer.within else None
            loops[at : at + 2] = [replace(inner, extent=extent, within=within)]
            body = _without(body, outer.axis)
        at -= 1
    return replace(fold, loops=tuple(loops), body=body)


def _bounded_as_one(outer: Loop, inner: Loop) -> bool:
    """Whether what bounds two loops of a fold bounds the one that they become."""
    if inner.within is not None:
        return False
    return outer.within is None or outer.within.at.coefficient(outer.axis) == 1


def _within(outer: Loop, inner: Loop) -> Within:
    """Bounds of `outer` for both as one: rounds of `inner` are inside as a whole."""
    assert outer.within is not None
    rest = outer.within.at.substitute({outer.axis: ZERO})
    return Within(rest * inner.extent + axis_index(inner.axis), outer.within.size * inner.extent)


def accesses(body: Sequence[Stmt]) -> list[Affine]:
    """Every affine expression in a block and the blocks inside it."""
    found = [loop.within.at for loop in loops_of(body) if loop.within]
    for stmt in walk(body):
        if isinstance(stmt, Load | Store):
            found.append(stmt.index.affine)
        elif isinstance(stmt, IndexValue):
            found.append(stmt.index)
    return found


def _contiguous(outer: Loop, inner: Loop, body: Sequence[Stmt]) -> bool:
    return all(
        a.coefficient(outer.axis) == a.coefficient(inner.axis) * inner.extent
        for a in accesses(body)
    )


def _without(body: Sequence[Stmt], axis: str) -> tuple[Stmt, ...]:
    """The block with `axis` taken out of every access: the merged axis covers it."""

    def drop(a: Affine) -> Affine:
        return affine({name: c for name, c in a.terms if name != axis}, a.const)

    done: list[Stmt] = []
    for stmt in body:
        match stmt:
            case For():
                done.append(replace(stmt, body=_without(stmt.body, axis)))
            case Fold(loops, inner):
                loops = tuple(
                    replace(x, within=Within(drop(x.within.at), x.within.size)) if x.within else x
                    for x in loops
                )
                done.append(replace(stmt, loops=loops, body=_without(inner, axis)))
            case Load() | Store():
                moved = Offset(drop(stmt.index.affine), stmt.index.dynamic)
                done.append(replace(stmt, index=moved))
            case IndexValue():
                done.append(replace(stmt, index=drop(stmt.index)))
            case _:
                done.append(stmt)
    return tuple(done)
