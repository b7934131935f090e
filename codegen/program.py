"""The program: one native function that every thread runs from top to end.

    void program(ptr table, i64 tid, i64 nthreads, ptr team)

table: the addresses of the inputs, the fresh outputs and the arena, in that order. Each kernel
takes its share of the tiles from (tid, nthreads); between waves all threads meet at a barrier.

The body of a loop or a branch is a program of its own, an internal function that also says whether
a host call in it failed (`codegen/program_flow.py` calls them).

A host call is made by thread 0. One that fails notes its wave; every thread looks at the note after
the barrier behind that wave, and ends. A thread that looks late may see the note of a later wave,
which it takes for none: so all threads leave at the same barrier.
"""

from __future__ import annotations

from collections.abc import Mapping

from tracejit.codegen import program_flow
from tracejit.codegen.launches import Launch, Plan, Slot
from tracejit.codegen.objects import SYMBOL
from tracejit.codegen.per_body import PerBody
from tracejit.codegen.program_lines import (
    BARRIER,
    DECLARE_BARRIER,
    on_first_thread,
    on_one_thread,
    put,
)
from tracejit.codegen.sharing import size_of, starts


def emit_program(plan: Plan, symbols: Mapping[Launch, str], timed: bool = False) -> str:
    """LLVM IR of the program; symbols: the function of each launch that is no control flow.

    timed: call `tj_stamp` with -1 at the start, and with a launch's number among these behind it.
    """
    module = Module(symbols, timed)
    main = module.emitted(plan, f"void @{SYMBOL}", plan.parallel)
    launches = {symbol: launch for launch, symbol in symbols.items()}
    declared = {symbol: module.declaration(launch, symbol) for symbol, launch in launches.items()}
    if plan.calls_host:
        declared["tj_host"] = "declare i1 @tj_host(ptr, ptr)"
    return "\n".join(
        [
            *declared.values(),
            DECLARE_BARRIER,
            *module.bodies,
            main,
            "",
        ]
    )


class Module:
    """The functions of a program: those of bodies, inner ones first."""

    def __init__(self, symbols: Mapping[Launch, str], timed: bool) -> None:
        self.symbols = symbols
        self.timed = timed
        self.starts, self.size_of = PerBody(starts), PerBody(size_of)
        self.numbers = {launch: n for n, launch in enumerate(symbols)} if timed else {}
        self.bodies: list[str] = []
        self._names: dict[int, str] = {}

    def body(self, plan: Plan, team: bool) -> str:
        """The function of a body, which gives true if a host call in it failed."""
        name = f"@body{len(self._names)}"
        self._names[id(plan)] = name
        text = self.emitted(plan, f"internal i1 {name}", team and plan.parallel)
        self.bodies.append(text)
        return name

    def emitted(self, plan: Plan, head: str, team: bool) -> str:
        return Function(self, plan, head, team).text()

    def declaration(self, launch: Launch, symbol: str) -> str:
        if is_call(launch):
            return f"@{symbol} = external global i8"
        sized = self.size_of(launch.kernel) is not None
        parameters = ["ptr"] * len(launch.slots) + ["i64"] * (2 + sized)
        return f"declare void @{symbol}({', '.join(parameters)})"


class Function:
    """One program in the making. team: whether several threads run it."""

    def __init__(self, module: Module, plan: Plan, head: str, team: bool) -> None:
        self.module = module
        self.plan = plan
        self.head = head
        self.team = team
        self.pointers = Pointers(plan)
        self.lines: list[str] = []

    def text(self) -> str:
        plan, lines = self.plan, self.lines
        wave = plan.launches[0].wave if plan.launches else 0
        failing = {launch.wave for launch in plan.launches if may_fail(launch)}
        inner = self.head.startswith("internal")
        lines += [self._stamp(-1)] if self.module.numbers and not inner else []
        for number, launch in enumerate(plan.launches):
            if launch.wave != wave and self.team:
                lines.append(BARRIER)
                lines += self._leave(wave) if wave in failing else []
            wave = launch.wave
            self._launch(number, launch)
            if launch in self.module.numbers:
                lines.append(self._stamp(self.module.numbers[launch]))
            if may_fail(launch) and not self.team:
                lines += self._leave(wave, number)
        done = "  ret i1 false" if inner else "  ret void"
        over = ["end:", "  ret i1 true" if inner else "  ret void"]
        entry = self._cleared() if failing else []
        return "\n".join(
            [
                f"define {self.head}(ptr %table, i64 %tid, i64 %nt, ptr %team) nounwind {{",
                "entry:",
                "  %first = icmp eq i64 %tid, 0",
                *self.pointers.loads,
                *entry,
                *lines,
                done,
                *(over if failing else []),
                "}",
            ]
        )

    def _stamp(self, number: int) -> str:
        threads = "%nt" if self.team else "1"
        return f"  call void @tj_stamp(i64 %tid, i64 {threads}, ptr %team, i64 {number})"

    def _launch(self, number: int, launch: Launch) -> None:
        if launch.flow is not None:
            self.lines += program_flow.emit(self, number, launch)
            return
        symbol = self.module.symbols[launch]
        if is_call(launch):
            self.lines += self._host_call(number, launch, symbol)
            return
        args = [f"ptr {pointer}" for pointer in self._starts(number, launch)]
        alone = launch.alone and self.team
        share = "i64 0, i64 1" if alone else "i64 %tid, i64 %nt"
        size = self.module.size_of(launch.kernel)
        share += "" if size is None else f", i64 {size}"
        call = [f"  call void @{symbol}({', '.join([*args, share])})"]
        self.lines += self._on_one_thread(number, launch, call) if alone else call

    def _on_one_thread(self, number: int, launch: Launch, lines: list[str]) -> list[str]:
        turn = launch.turn
        if turn is None:
            return on_first_thread(f"{number}", lines)
        at, due = f"%at{number}", f"%due{number}"
        return [
            f"  {at}.nt = mul i64 %nt, {turn.middle}",
            f"  {at} = udiv i64 {at}.nt, {turn.total}",
            f"  {due} = icmp eq i64 {at}, %tid",
            *on_one_thread(f"{number}", lines, due),
        ]

    def _starts(self, number: int, launch: Launch) -> list[str]:
        """The addresses that the code of a kernel wants, which it shares with others."""
        found = []
        start_of = self.module.starts(launch.kernel)
        for n, (slot, buffer) in enumerate(zip(launch.slots, launch.kernel.buffers, strict=False)):
            pointer = self.pointers.of(slot)
            if start := start_of[buffer.name] * buffer.dtype.itemsize:
                name = f"%start{number}.{n}"
                self.lines.append(f"  {name} = getelementptr i8, ptr {pointer}, i64 {start}")
                pointer = name
            found.append(pointer)
        return found

    def _host_call(self, number: int, launch: Launch, symbol: str) -> list[str]:
        """Thread 0 calls; its frame holds the addresses of the buffers."""
        frame = f"%frame{number}"
        self.pointers.loads.append(f"  {frame} = alloca ptr, i64 {len(launch.slots)}")
        stores = []
        for n, slot in enumerate(launch.slots):
            stores += put(self.pointers.of(slot), frame, n, f"{frame}.{n}")
        fine = f"%fine{number}"
        call = [*stores, f"  {fine} = call i1 @tj_host(ptr @{symbol}, ptr {frame})"]
        failed = f"%failed{number}"
        return on_first_thread(
            f"{number}", [*call, f"  {failed} = xor i1 {fine}, true", *self.note(number, launch)]
        )

    def note(self, number: int, launch: Launch) -> list[str]:
        """Notes the wave of a launch if `%failed` is set."""
        return [
            f"  br i1 %failed{number}, label %bad{number}, label %well{number}",
            f"bad{number}:",
            f"  store i64 {launch.wave + 1}, ptr {self.pointers.failure}",
            f"  br label %well{number}",
            f"well{number}:",
        ]

    def _cleared(self) -> list[str]:
        """No host call has failed yet."""
        return [
            "  br i1 %first, label %clear, label %run",
            "clear:",
            f"  store i64 0, ptr {self.pointers.failure}",
            "  br label %run",
            "run:",
        ]

    def _leave(self, wave: int, number: int = -1) -> list[str]:
        """Ends the program if a host call of this wave, or of one before, has failed."""
        name = f"{wave}_{number + 1}"
        return [
            f"  %note{name} = load i64, ptr {self.pointers.failure}",
            f"  %noted{name} = sub i64 %note{name}, 1  ; none is the largest of all",
            f"  %over{name} = icmp ule i64 %noted{name}, {wave}",
            f"  br i1 %over{name}, label %end, label %go{name}",
            f"go{name}:",
        ]


def is_call(launch: Launch) -> bool:
    """Whether Python runs it: its symbol is then that of a callable, bound when linking."""
    return launch.kernel.kind == "host"


def may_fail(launch: Launch) -> bool:
    """Whether it is a host call, or control flow with one in it."""
    flow = launch.flow
    return is_call(launch) or (flow is not None and any(p.calls_host for p in flow.plans))


class Pointers:
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
