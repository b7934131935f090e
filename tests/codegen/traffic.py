"""What a scheduled contraction costs, by its loops alone: work on edges of tiles, bytes moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from tracejit.codegen.cost import terms
from tracejit.codegen.nest import Fold, For, Kernel, Load, Loop, Stmt, Store


@dataclass(frozen=True, slots=True)
class Nest:
    """The loops around and of a contraction's sum, outermost first, and what its body accesses.

    terms: what bounds leave of the sum, on average.
    """

    loops: tuple[Loop, ...]
    summed: tuple[Loop, ...]
    terms: float
    accesses: tuple[Load | Store, ...]


def contractions(kernel: Kernel) -> list[Nest]:
    """The nests of the kernel that multiply: one, or those of parts of the columns."""
    found = [nest for stmt in kernel.body if (nest := _find((stmt,), ())) is not None]
    assert found, f"{kernel.name} has no sum"
    return found


def _find(body: Sequence[Stmt], loops: tuple[Loop, ...]) -> Nest | None:
    for stmt in body:
        if isinstance(stmt, Fold):
            stores = [s for s in body if isinstance(s, Load | Store)]
            loads = [s for s in stmt.body if isinstance(s, Load)]
            extents = {loop.axis: loop.extent for loop in loops}
            return Nest(loops, stmt.loops, float(terms(stmt, extents)), (*loads, *stores))
        if isinstance(stmt, For) and (found := _find(stmt.body, (*loops, stmt.loop))):
            return found
    return None


def waste(nest: Nest) -> float:
    """Multiply-adds done for each that is needed. Half vectors count as half."""
    done = 1.0
    for loop in (*nest.loops, *nest.summed):
        done *= sum(t.count * _computed(t.width, loop) for t in loop.runs()) / max(loop.extent, 1)
    return done


def edge(nest: Nest) -> float:
    """What of that vectors alone cause: the axis along them is filled up to half of one."""
    vector = (x for x in (*nest.loops, *nest.summed) if x.lanes > 1)
    return next((_computed(x.extent, x) / x.extent for x in vector), 1.0)


def _computed(width: int, loop: Loop) -> float:
    if loop.lanes == 1:
        return width
    half = loop.lanes // 2 if loop.parallel else loop.lanes
    return -(-width // half) * half


def moved(nest: Nest, cache: int) -> int:
    """About how many bytes come from beyond a cache of this size, were it used for this alone.

    From the loop on inside which all that is touched fits, everything comes in once. What the next
    loops outwards do not change stays.
    """
    loops = (*nest.loops, *nest.summed)
    depth = next(d for d in range(len(loops) + 1) if _footprint(nest, loops, d) <= cache)
    total = 0
    for access in nest.accesses:
        outer = list(loops[:depth])
        while outer and not access.index.affine.coefficient(outer[-1].axis):
            outer.pop()
        times = prod(loop.steps() for loop in outer)
        total += times * _touched(access, _extents(loops, depth))
    return total


def pages(nest: Nest, size: int = 4096) -> int:
    """How many pages one walk along the sum is over, in a tile, on both sides of the product."""
    within = _extents((*nest.loops, *nest.summed), len(nest.loops))
    within |= {x.axis: x.extent for x in nest.summed}
    loads = nest.accesses[:2]
    return sum(_pages(access, within, size) for access in loads)


def _pages(access: Load | Store, extents: Mapping[str, int], size: int) -> int:
    """One for each stretch of memory that lies apart, or as many as it fills."""
    terms = [(abs(c) * access.dtype.itemsize, extents[a]) for a, c in access.index.affine.terms]
    count, reach = 1, access.dtype.itemsize
    for step, extent in sorted(terms):
        if step > max(reach, size):
            count *= extent
        else:
            reach += step * (extent - 1)
    return count * -(-reach // size)


def least(nest: Nest) -> int:
    """Bytes of everything that is accessed, once."""
    return _footprint(nest, (*nest.loops, *nest.summed), 0)


def multiply_adds(nest: Nest) -> float:
    return prod(loop.extent for loop in nest.loops) * nest.terms


def _extents(loops: Sequence[Loop], depth: int) -> dict[str, int]:
    """How many values each axis takes inside the first `depth` loops."""
    tiles = {x.axis: max(t.width for t in x.runs()) for x in loops[:depth]}
    return tiles | {x.axis: x.extent for x in loops[depth:]}


def _footprint(nest: Nest, loops: Sequence[Loop], depth: int) -> int:
    extents = _extents(loops, depth)
    return sum(_touched(access, extents) for access in nest.accesses)


def _touched(access: Load | Store, extents: Mapping[str, int]) -> int:
    terms = [(abs(c), extents[a]) for a, c in access.index.affine.terms]
    reach = 1 + sum(c * (n - 1) for c, n in terms)
    size = access.dtype.itemsize if isinstance(access, Load) else 4
    return min(reach, prod(n for _, n in terms)) * size
