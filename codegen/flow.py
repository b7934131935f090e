"""Flow flow in a program: where a loop or a choice keeps what it works on.

A carry is updated in place if the body can do that; it is then copied from its start beforehand.
Every other has two places, its result and one in the work area, which turns write alternately.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tracejit.codegen.nest import Flow

ALIGNMENT = 64  # bytes


def aligned(nbytes: int) -> int:
    """A size in whole cache lines, at least one."""
    return -(-max(nbytes, 1) // ALIGNMENT) * ALIGNMENT


def in_place(flow: Flow) -> list[int]:
    """The carries that the body updates where they lie."""
    if flow.op == "cond":
        return []
    fresh = set(flow.plans[-1].fresh)
    return [n for n in range(flow.carries) if n not in fresh]


@dataclass(frozen=True, slots=True)
class WorkArea:
    """Byte offsets of the arena of each body, the second place of carries, and the condition.

    Branches share the memory of their arenas: one of them runs.
    """

    arenas: tuple[int, ...]
    seconds: Mapping[int, int]
    goes: int
    size: int


def work_area(flow: Flow) -> WorkArea:
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
