"""Control flow in a program: where a loop or a choice keeps what it works on.

A carry is updated in place if the body can do that; it is then copied from its start beforehand.
Any other has two places, its result and one in the work area, which turns write alternately.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tracejit.codegen.launches import Plan
from tracejit.codegen.nest import Flow

ALIGNMENT = 64  # bytes
# How many threads share the turns of a loop that has no carries; each has an arena of its own.
MAX_STRANDS = 32
# A body with more temporaries than this [bytes] leaves L2 where several threads are in it at once,
# and is big enough to be shared itself. With fewer turns than this some threads have none to take.
MAX_STRAND_BYTES = 1 << 20
MIN_STRAND_TURNS = 8


def aligned(nbytes: int) -> int:
    """A size in whole cache lines, at least one."""
    return -(-max(nbytes, 1) // ALIGNMENT) * ALIGNMENT


def may_run_apart(flow: Flow) -> bool:
    """Whether no turn of it needs another, and there are enough of them."""
    return flow.op == "scan" and not flow.carries and flow.turns >= MIN_STRAND_TURNS


def fits_strand(body: Plan) -> bool:
    """Whether several threads may be in a body at once, each with an arena of its own."""
    return not body.calls_host and body.arena_bytes <= MAX_STRAND_BYTES


def in_place(flow: Flow) -> list[int]:
    """The carries that the body updates where they lie."""
    if flow.op == "cond":
        return []
    fresh = set(flow.plans[-1].fresh)
    return [n for n in range(flow.carries) if n not in fresh]


@dataclass(frozen=True, slots=True)
class WorkArea:
    """Byte offsets of the arena of each body, the second place of carries, and the condition.

    Branches share the memory of their arenas: one of them runs. strands: how many threads have an
    arena where turns run apart; strand: how far it is from one to the next.
    """

    arenas: tuple[int, ...]
    seconds: Mapping[int, int]
    goes: int
    size: int
    strands: int = 1
    strand: int = 0


def work_area(flow: Flow) -> WorkArea:
    if flow.apart:
        strand = aligned(flow.plans[0].arena_bytes)
        strands = min(MAX_STRANDS, flow.turns)
        return WorkArea((0,), {}, 0, strand * strands, strands, strand)
    arenas, at = [], 0
    for plan in flow.plans:
        arenas.append(0 if flow.op == "cond" else at)
        end = arenas[-1] + aligned(plan.arena_bytes)
        at = max(at, end)
    seconds = {}
    if flow.op != "cond":
        replaced = set(in_place(flow))
        for n in range(flow.carries):
            if n not in replaced:
                seconds[n] = at
                at += aligned(flow.types[len(flow.operands) + n].nbytes)
    return WorkArea(tuple(arenas), seconds, at, at + ALIGNMENT)
