"""The program: one native function that every thread runs from top to end.

    void program(ptr table, i64 tid, i64 nthreads, ptr team)

table: the addresses of the inputs, the fresh outputs and the arena, in that order. Each kernel
takes its share of the tiles from (tid, nthreads); between waves all threads meet at a barrier.

A host call is made by thread 0. One that fails notes its wave; every thread looks at the note after
the barrier behind that wave, and ends. A thread that looks late may see the note of a later wave,
which it takes for none: so all threads leave at the same barrier.
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
    calls = {launch.wave for launch in plan.launches if is_call(launch)}
    for number, (launch, symbol) in enumerate(zip(plan.launches, symbols, strict=True)):
        if launch.wave != wave and plan.parallel:
            lines.append("  call void @tj_barrier(ptr %team, i64 %nt)")
            lines += _leave(wave, pointers) if wave in calls else []
        wave = launch.wave
        args = [f"ptr {pointers.of(slot)}" for slot in launch.slots]
        if is_call(launch):
            lines += _host_call(number, launch, symbol, pointers)
            lines += [] if plan.parallel else _leave(wave, pointers, number)
            continue
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
    if calls:
        declared.append("declare i1 @tj_host(ptr, ptr)")
        pointers.loads += [
            "  br i1 %first, label %clear, label %run\nclear:",
            f"  store i64 0, ptr {pointers.failure}",
            "  br label %run\nrun:",
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
            *(["  br label %end", "end:"] if calls else []),
            "  ret void",
            "}",
            "",
        ]
    )


def is_call(launch: Launch) -> bool:
    """Whether Python runs it: its symbol is then that of a callable, bound when linking."""
    return launch.kernel.kind == "host"


def _host_call(number: int, launch: Launch, symbol: str, pointers: _Pointers) -> list[str]:
    """Thread 0 calls; its frame holds the addresses of the buffers."""
    frame = f"%frame{number}"
    pointers.loads.append(f"  {frame} = alloca ptr, i64 {len(launch.slots)}")
    stores = []
    for n, slot in enumerate(launch.slots):
        stores.append(f"  {frame}.{n} = getelementptr ptr, ptr {frame}, i64 {n}")
        stores.append(f"  store ptr {pointers.of(slot)}, ptr {frame}.{n}")
    return [
        f"  br i1 %first, label %call{number}, label %called{number}",
        f"call{number}:",
        *stores,
        f"  %fine{number} = call i1 @tj_host(ptr @{symbol}, ptr {frame})",
        f"  br i1 %fine{number}, label %called{number}, label %failed{number}",
        f"failed{number}:",
        f"  store i64 {launch.wave + 1}, ptr {pointers.failure}",
        f"  br label %called{number}",
        f"called{number}:",
    ]


def _leave(wave: int, pointers: _Pointers, number: int = -1) -> list[str]:
    """Ends the program if a host call of this wave, or of one before, has failed."""
    name = f"{wave}_{number + 1}"
    return [
        f"  %note{name} = load i64, ptr {pointers.failure}",
        f"  %noted{name} = sub i64 %note{name}, 1  ; none is the largest of all",
        f"  %over{name} = icmp ule i64 %noted{name}, {wave}",
        f"  br i1 %over{name}, label %end, label %go{name}",
        f"go{name}:",
    ]


def _declaration(launch: Launch, symbol: str) -> str:
    if is_call(launch):
        return f"@{symbol} = external global i8"
    parameters = ["ptr"] * len(launch.slots) + ["i64", "i64"]
    return f"declare void @{symbol}({', '.join(parameters)})"


class _Pointers:
    """The address of each slot, read from the table once, at the start."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.loads: list[str] = []
        self._known: dict[Slot | None, str] = {}

    @property
    def failure(self) -> str:
        """The word that a failed host call is noted in."""
        assert self.plan.failure is not None
        return self.of(Slot("arena", self.plan.failure))

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
