"""What a kernel costs, counted from its loops: operations, bytes, and an estimate of time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import prod
from types import MappingProxyType

from tracejit.codegen.nest import (
    Flow,
    Fold,
    For,
    IndexValue,
    Kernel,
    Let,
    Load,
    Loop,
    Stmt,
    Store,
    Within,
    loops_of,
)
from tracejit.ir.affine import ZERO
from tracejit.ir.types import is_float

# Instructions of one vector of each op, roughly; 1 where nothing is said.
OP_COST = {
    "exp": 18, "expm1": 20, "log": 20, "log1p": 24, "tanh": 24, "sigmoid": 24, "erf": 30,
    "sin": 40, "cos": 40, "pow": 60, "div": 5, "sqrt": 6, "rsqrt": 10, "remainder": 20,
    "floor_divide": 20, "random_word": 80, "cast": 2,
}  # fmt: skip
# Seconds of one vector instruction, and elements in one, on the CPUs this is meant for. Only
# choices between one thread and the team hang on these, and those need the order of magnitude.
SECONDS_PER_INSTRUCTION = 0.25e-9
ELEMENTS = 8
SECONDS_PER_BYTE = 0.05e-9
NO_AXES: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one call of a program. flops: floating-point operations; bytes: read and written once
    per kernel; kernels and barriers of the program; arena_bytes: its working memory."""

    flops: int
    bytes: int
    kernels: int = 0
    barriers: int = 0
    arena_bytes: int = 0


def flops(kernel: Kernel) -> int:
    """Floating-point operations: one for each op of a `Let`, two for a multiply-add."""
    total = 0
    extents = {loop.axis: loop.extent for loop in loops_of(kernel.body)}
    for stmt, times in _counted(kernel.body, 1):
        if isinstance(stmt, Let) and is_float(stmt.dtype) and stmt.op not in ("cast", "select"):
            total += times
        elif isinstance(stmt, Fold):
            per = sum(2 if a.op == "fma" else 1 for a in stmt.accs if is_float(a.dtype))
            total += int(times * terms(stmt, extents) * per)
    return total


def moved(kernel: Kernel) -> int:
    """Bytes of all its buffers; those updated in place twice, of those in part what it stores."""
    (first, *_) = kernel.body
    if isinstance(first, Flow):
        inner = (moved(launch.plain) for plan in first.plans for launch in plan.launches)
        return first.turns * sum(inner)
    sizes = {b.name: b.size * b.dtype.itemsize for b in kernel.buffers if b.role != "scratch"}
    both = sum(sizes[b.name] for b in kernel.buffers if b.role == "inout")
    parts = {b.name: b.dtype.itemsize for b in kernel.buffers if b.role == "part"}
    stores = ((s, n) for s, n in _counted(kernel.body, 1) if isinstance(s, Store)) if parts else ()
    stored = sum(parts.get(store.buffer, 0) * times for store, times in stores)
    return sum(sizes.values()) + both - sum(sizes[name] for name in parts) + stored


def seconds(kernel: Kernel) -> float:
    """About how long one thread takes."""
    (first, *_) = kernel.body
    if isinstance(first, Flow):
        inside = (seconds(launch.plain) for plan in first.plans for launch in plan.launches)
        return first.turns * sum(inside)
    instructions = 0
    extents = {loop.axis: loop.extent for loop in loops_of(kernel.body)}
    for stmt, times in _counted(kernel.body, 1):
        if isinstance(stmt, Let):
            instructions += times * OP_COST.get(stmt.op, 1)
        elif isinstance(stmt, Fold):
            instructions += int(times * terms(stmt, extents) * len(stmt.accs))
        elif isinstance(stmt, Load | Store | IndexValue):
            instructions += times if kernel.kind != "contraction" else times // ELEMENTS
    arithmetic = instructions / ELEMENTS * SECONDS_PER_INSTRUCTION
    return max(arithmetic, moved(kernel) * SECONDS_PER_BYTE)


def terms(fold: Fold, extents: Mapping[str, int]) -> Fraction:
    """How many terms its sums have, on average over the axes around it, of these extents."""
    count = Fraction(1)
    for loop in fold.loops:
        count *= loop.extent
        if loop.within is not None and count:
            count *= _share(loop, loop.within, extents)
    return count


def _share(loop: Loop, within: Within, extents: Mapping[str, int]) -> Fraction:
    """The part of its iterations that are inside the bounds."""
    step = within.at.coefficient(loop.axis)
    rest = within.at.substitute({loop.axis: ZERO})
    spans = [range(extents[axis]) for axis in rest.axes()]
    inside = 0
    for at in product(*spans):
        here = rest.const + sum(c * i for (_, c), i in zip(rest.terms, at, strict=True))
        first, end = (-((here - place) // step) for place in (0, within.size))
        inside += min(max(end, 0), loop.extent) - min(max(first, 0), loop.extent)
    return Fraction(inside, loop.extent * max(prod(map(len, spans)), 1))


def _counted(
    body: Sequence[Stmt], times: int, around: Mapping[str, int] = NO_AXES
) -> Iterator[tuple[Stmt, int]]:
    """Each statement and how often it runs, inside loops over the axes `around`."""
    for stmt in body:
        yield stmt, times
        if isinstance(stmt, For):
            axes = {**around, stmt.loop.axis: stmt.loop.extent}
            yield from _counted(stmt.body, times * stmt.loop.extent, axes)
        elif isinstance(stmt, Fold):
            yield from _counted(stmt.body, int(times * terms(stmt, around)), around)
        elif isinstance(stmt, Flow):
            for launch in (u for plan in stmt.plans for u in plan.launches):
                yield from _counted(launch.plain.body, times * stmt.turns)
