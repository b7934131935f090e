"""The program: one native function that every thread runs from top to end.

    void program(ptr table, i64 tid, i64 nthreads, ptr team)

table: the addresses of the inputs, the fresh outputs and the arena, in that order. Each kernel
takes its share of the tiles from (tid, nthreads); between waves all threads meet at a barrier.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.codegen.objects import SYMBOL
from tracejit.codegen.plan import Launch, Plan, Slot


def emit_program(plan: Plan, symbols: Sequence[str]) -> str:
    """LLVM IR of the program; symbols: the function of each launch's kernel."""
    lines: list[str] = []
    pointers = _Pointers(plan)
    wave = plan.launches[0].wave if plan.launches else 0
    for number, (launch, symbol) in enumerate(zip(plan.launches, symbols, strict=True)):
        if launch.wave != wave and plan.parallel:
            lines.append("  call void @tj_barrier(ptr %team, i64 %nt)")
        wave = launch.wave
        args = [f"ptr {pointers.of(slot)}" for slot in launch.slots]
        if not (launch.alone and plan.parallel):
            share = "i64 %tid, i64 %nt"
            lines.append(f"  call void @{symbol}({', '.join([*args, share])})")
            continue
        call = f"  call void @{symbol}({', '.join([*args, 'i64 0, i64 1'])})"
        lines += [
            f"  br i1 %first, label %alone{number}, label %done{number}",
            f"alone{number}:",
            call,
            f"  br label %done{number}",
            f"done{number}:",
        ]
    declared = [
        _declaration(launch, symbol)
        for symbol, launch in dict(zip(symbols, plan.launches, strict=True)).items()
    ]
    head = f"define void @{SYMBOL}(ptr %table, i64 %tid, i64 %nt, ptr %team) nounwind {{"
    first = "  %first = icmp eq i64 %tid, 0"
    return "\n".join(
        [
            *declared,
            "declare void @tj_barrier(ptr, i64)",
            head,
            "entry:",
            first,
            *pointers.loads,
            *lines,
            "  ret void",
            "}",
            "",
        ]
    )


def _declaration(launch: Launch, symbol: str) -> str:
    parameters = ["ptr"] * len(launch.slots) + ["i64", "i64"]
    return f"declare void @{symbol}({', '.join(parameters)})"


class _Pointers:
    """The address of each slot, read from the table once, at the start."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.loads: list[str] = []
        self._known: dict[Slot | None, str] = {}

    def of(self, slot: Slot) -> str:
        if slot not in self._known:
            self._known[slot] = self._read(slot)
        return self._known[slot]

    def _read(self, slot: Slot) -> str:
        inputs = len(self.plan.graph.inputs)
        if slot.place == "arena":
            if None not in self._known:
                self._known[None] = self._entry(inputs + len(self.plan.fresh), "%arena")
            name = f"%arena_{slot.at}"
            self.loads.append(f"  {name} = getelementptr i8, ptr %arena, i64 {slot.at}")
            return name
        position = slot.at + (inputs if slot.place == "output" else 0)
        return self._entry(position, f"%{slot.place}_{slot.at}")

    def _entry(self, position: int, name: str) -> str:
        self.loads.append(f"  {name}.at = getelementptr ptr, ptr %table, i64 {position}")
        self.loads.append(f"  {name} = load ptr, ptr {name}.at")
        return name
