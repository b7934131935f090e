"""Loops and choices in the LLVM IR of a program: what calls the functions of their bodies.

Every thread runs the loop, and waits for the others at the end of each turn. A body too short to be
shared is run by thread 0; where that holds for all bodies, thread 0 runs the whole loop alone. Of a
loop whose turns run apart every thread runs its share of the turns, and waits for nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracejit.codegen.flow import WorkArea, work_area
from tracejit.codegen.launches import Launch, Plan, Slot
from tracejit.codegen.nest import Flow
from tracejit.codegen.program_lines import BARRIER, on_first_thread, put

if TYPE_CHECKING:
    from tracejit.codegen.program import Function


def emit(function: Function, number: int, launch: Launch) -> list[str]:
    """The lines of a launch that is control flow."""
    flow = launch.flow
    assert flow is not None
    alone = launch.alone or (flow.apart and function.module.timed)
    team = function.team and not alone
    code = _Code(function, number, launch, flow, team)
    lines = {"scan": code.scan, "while_loop": code.while_loop, "cond": code.cond}[flow.op]()
    if any(plan.calls_host for plan in flow.plans):
        lines += [f"  %failed{number} = load i1, ptr {code.failed}", *function.note(number, launch)]
    if not (alone and function.team):
        return lines
    return on_first_thread(f"{number}", lines)


class _Code:
    """One loop or choice in the making. team: whether several threads run it, each turn together.

    apart: whether several run it, each some of the turns.
    """

    def __init__(
        self, function: Function, number: int, launch: Launch, flow: Flow, team: bool
    ) -> None:
        self.function = function
        self.number = number
        self.flow = flow
        self.apart = team and flow.apart
        self.team = team and not flow.apart
        self.area: WorkArea = work_area(flow)
        slots = dict(zip((b.name for b in launch.kernel.buffers), launch.slots, strict=True))
        of = function.pointers.of
        self.given = [of(slots[name]) for name in flow.operands]
        self.found = [of(slots[name]) for name in flow.results]
        self.work = launch.work
        self.tables = [self._table(n, plan) for n, plan in enumerate(flow.plans)]
        self.bodies = [function.module.body(plan, self.team) for plan in flow.plans]
        if any(plan.calls_host for plan in flow.plans):
            self.failed = f"%fails{number}"
            function.pointers.loads.append(f"  {self.failed} = alloca i1")

    # Names and memory

    def name(self, what: str) -> str:
        return f"%{what}{self.number}"

    def label(self, what: str) -> str:
        return f"{what}{self.number}"

    def place(self, offset: int) -> str:
        """The address of a byte of the work area."""
        return self.function.pointers.of(Slot("arena", self.work + offset))

    def _table(self, n: int, plan: Plan) -> str:
        entries = len(plan.graph.inputs) + len(plan.fresh) + 1
        table = f"%table{self.number}_{n}"
        self.function.pointers.loads.append(f"  {table} = alloca ptr, i64 {entries}")
        return table

    def put(self, n: int, at: int, pointer: str, mark: str) -> list[str]:
        """Stores a pointer into a table. mark: makes the name unique."""
        return put(pointer, self.tables[n], at, f"{self.tables[n]}.{mark}{at}")

    def put_arena(self, n: int) -> list[str]:
        plan = self.flow.plans[n]
        last = len(plan.graph.inputs) + len(plan.fresh)
        arena = self.place(self.area.arenas[n])
        if not self.apart:
            return self.put(n, last, arena, "a")
        far, own = self.name("far"), self.name("own")
        return [
            f"  {far} = mul i64 %tid, {self.area.strand}",
            f"  {own} = getelementptr i8, ptr {arena}, i64 {far}",
            *self.put(n, last, own, "a"),
        ]

    def run(self, n: int) -> list[str]:
        """Calls body n; it is left by way of `over` if a host call in it failed."""
        plan, mark = self.flow.plans[n], f"{self.number}_{n}"
        shared = self.team and plan.parallel
        share = "i64 %tid, i64 %nt" if shared or not self.function.team else "i64 0, i64 1"
        args = f"ptr {self.tables[n]}, {share}, ptr %team"
        call = f"  %fails{mark} = call i1 {self.bodies[n]}({args})"
        if self.team and not shared:
            return on_first_thread(mark, [call])
        if not plan.calls_host:
            return [call]
        return [
            call,
            f"  br i1 %fails{mark}, label %{self.label('over')}, label %goes{mark}",
            f"goes{mark}:",
        ]

    def meet(self) -> list[str]:
        return [BARRIER] if self.team else []

    def ended(self) -> list[str]:
        """The end of a loop, `over` where a host call in it failed."""
        done, over = self.label("ended"), self.label("over")
        if not any(plan.calls_host for plan in self.flow.plans):
            return [f"{done}:"]
        after = self.label("after")
        return [
            f"{done}:",
            f"  store i1 false, ptr {self.failed}",
            f"  br label %{after}",
            f"{over}:",
            f"  store i1 true, ptr {self.failed}",
            f"  br label %{after}",
            f"{after}:",
        ]

    # Carries

    def carries(self) -> list[int]:
        """Those with two places."""
        return list(self.area.seconds)

    def phis(self, before: str, latch: str, first_in_result: bool) -> list[str]:
        """The places of each carry: where it is, where it goes, and the other of the two."""
        lines = []
        for c in self.carries():
            result, second = self.found[c], self.place(self.area.seconds[c])
            there, other = (result, second) if first_in_result else (second, result)
            now, new, old = (f"%{part}{self.number}_{c}" for part in ("now", "new", "old"))
            start = self.given[self.flow.consts + c]
            for name, begin, later in ((now, start, new), (new, there, old), (old, other, new)):
                lines.append(f"  {name} = phi ptr [ {begin}, %{before} ], [ {later}, %{latch} ]")
        return lines

    def put_carries(self, n: int, mark: str, outputs: bool = True) -> list[str]:
        """The carries into the table of body n, and where it writes them."""
        flow, plan, lines = self.flow, self.flow.plans[n], []
        position = {output: k for k, output in enumerate(plan.fresh)}
        inputs = len(plan.graph.inputs)
        for c in range(flow.carries):
            moves = c in self.area.seconds
            now = f"%now{self.number}_{c}" if moves else self.found[c]
            lines += self.put(n, flow.consts + c, now, f"{mark}c")
            if moves and outputs:
                new = f"%new{self.number}_{c}"
                lines += self.put(n, inputs + position[c], new, f"{mark}n")
        return lines

    def settled(self) -> list[str]:
        """Copies carries that ended elsewhere, where they started perhaps, into the result."""
        lines = []
        for c in self.carries():
            mark = f"{self.number}_{c}"
            nbytes = self.flow.types[len(self.flow.operands) + c].nbytes
            copy = [
                f"  %home{mark} = icmp eq ptr %now{mark}, {self.found[c]}",
                f"  br i1 %home{mark}, label %kept{mark}, label %move{mark}",
                f"move{mark}:",
                *_copied(mark, f"%now{mark}", self.found[c], nbytes),
                f"  br label %kept{mark}",
                f"kept{mark}:",
            ]
            lines += self.by_one(f"copy{mark}", copy)
        return lines

    def by_one(self, name: str, lines: list[str]) -> list[str]:
        if not self.team:
            return lines

        return on_first_thread(name, lines)

    # The three

    def scan(self) -> list[str]:
        flow, plan = self.flow, self.flow.plans[0]
        head, ended = self.label("turn"), self.label("ended")
        lines = [*self.put_arena(0), *self._constants(0)]
        before, latch = self.label("before"), self.label("latch")
        if not flow.turns:
            return [*lines, *self._unturned(), f"  br label %{ended}", *self.ended()]
        t, following, more = (self.name(part) for part in ("t", "t.next", "more"))
        first, end = "0", f"{flow.turns}"
        if self.apart:
            first, end = self.name("from"), self.name("upto")
            lines += self._share(first, end)
        any_turn = self.name("any")
        lines += [
            f"  {any_turn} = icmp ult i64 {first}, {end}",
            f"  br i1 {any_turn}, label %{before}, label %{ended}",
            f"{before}:",
            f"  br label %{head}",
            f"{head}:",
            f"  {t} = phi i64 [ {first}, %{before} ], [ {following}, %{latch} ]",
            *self.phis(before, latch, flow.turns % 2 == 1),
            *self.put_carries(0, ""),
            *self._elements(plan, t),
            *self.run(0),
            *self.meet(),
            f"  br label %{latch}",
            f"{latch}:",
            f"  {following} = add nuw nsw i64 {t}, 1",
            f"  {more} = icmp ult i64 {following}, {end}",
            f"  br i1 {more}, label %{head}, label %{ended}",
            *self.ended(),
        ]
        return lines

    def _share(self, first: str, end: str) -> list[str]:
        """The turns of this thread; none for threads beyond the last strand."""
        turns, strands = self.flow.turns, self.name("strands")
        lines = _least(strands, "%nt", self.area.strands)
        following = self.name("tid.next")
        lines.append(f"  {following} = add i64 %tid, 1")
        for name, tid in ((first, "%tid"), (end, following)):
            lines += [
                f"  {name}.all = mul i64 {tid}, {turns}",
                f"  {name}.of = udiv i64 {name}.all, {strands}",
                *_least(name, f"{name}.of", turns),
            ]
        return lines

    def _unturned(self) -> list[str]:
        """The carries of a loop that never turns."""
        lines = []
        for c in self.carries():
            nbytes = self.flow.types[len(self.flow.operands) + c].nbytes
            mark = f"{self.number}_{c}"
            start = self.given[self.flow.consts + c]
            copy = _copied(mark, start, self.found[c], nbytes)
            lines += self.by_one(f"copy{mark}", copy)
        return lines

    def _constants(self, n: int) -> list[str]:
        lines = []
        for c in range(self.flow.consts):
            lines += self.put(n, c, self.given[c], "k")
        return lines

    def _elements(self, plan: Plan, t: str) -> list[str]:
        """The element of each x and y whose turn it is."""
        flow, lines = self.flow, []
        at = self.name("at")
        last = flow.turns - 1
        turn = f"sub i64 {last}, {t}" if flow.reverse else f"add i64 {t}, 0"
        lines.append(f"  {at} = {turn}")
        first = flow.consts + flow.carries
        for n in range(first, len(flow.operands)):
            lines += self._element(n, self.given[n], flow.types[n].nbytes, n, "x", at)
        position = {output: k for k, output in enumerate(plan.fresh)}
        for n in range(flow.carries, len(flow.results)):
            nbytes = flow.types[len(flow.operands) + n].nbytes
            entry = len(plan.graph.inputs) + position[n]
            lines += self._element(n, self.found[n], nbytes, entry, "y", at)
        return lines

    def _element(self, n: int, base: str, nbytes: int, entry: int, what: str, at: str) -> list[str]:
        mark = f"{what}{self.number}_{n}"
        return [
            f"  %{mark}.far = mul i64 {at}, {nbytes // max(self.flow.turns, 1)}",
            f"  %{mark} = getelementptr i8, ptr {base}, i64 %{mark}.far",
            *self.put(0, entry, f"%{mark}", what),
        ]

    def while_loop(self) -> list[str]:
        head, turn, latch = self.label("head"), self.label("turn"), self.label("latch")
        before = self.label("before")
        flag, go, goes = self.place(self.area.goes), self.name("go"), self.name("goes")
        test = len(self.flow.plans[0].graph.inputs)
        return [
            *self.put_arena(0),
            *self.put_arena(1),
            *self._constants(0),
            *self._constants(1),
            *self.put(0, test, flag, "f"),
            f"  br label %{before}",
            f"{before}:",
            f"  br label %{head}",
            f"{head}:",
            *self.phis(before, latch, True),
            *self.put_carries(0, "t", outputs=False),
            *self.run(0),
            *self.meet(),
            f"  {go} = load i8, ptr {flag}",
            f"  {goes} = icmp ne i8 {go}, 0",
            f"  br i1 {goes}, label %{turn}, label %{self.label('ended')}",
            f"{turn}:",
            *self.put_carries(1, "b"),
            *self.run(1),
            *self.meet(),
            f"  br label %{latch}",
            f"{latch}:",
            f"  br label %{head}",
            *self.ended(),
            *self.settled(),
        ]

    def cond(self) -> list[str]:
        index, chosen = self.name("index"), self.name("chosen")
        ended = self.label("ended")
        count = len(self.flow.plans)
        targets = " ".join(f"i32 {n}, label %{self.label('branch')}_{n}" for n in range(1, count))
        low = self.name("low")
        lines = [
            f"  {index} = load i32, ptr {self.given[0]}",
            f"  {low} = icmp slt i32 {index}, {count - 1}",
            f"  {chosen} = select i1 {low}, i32 {index}, i32 {count - 1}",
            f"  switch i32 {chosen}, label %{self.label('branch')}_0 [ {targets} ]",
        ]
        for n, plan in enumerate(self.flow.plans):
            lines.append(f"{self.label('branch')}_{n}:")
            lines += self.put_arena(n)
            for k, pointer in enumerate(self.given[1:]):
                lines += self.put(n, k, pointer, "x")
            inputs = len(plan.graph.inputs)
            for k, output in enumerate(plan.fresh):
                lines += self.put(n, inputs + k, self.found[output], "y")
            lines += [*self.run(n), f"  br label %{ended}"]
        return [*lines, *self.ended()]


def _least(name: str, value: str, bound: int) -> list[str]:
    return [
        f"  {name}.in = icmp ult i64 {value}, {bound}",
        f"  {name} = select i1 {name}.in, i64 {value}, i64 {bound}",
    ]


def _copied(mark: str, source: str, target: str, nbytes: int) -> list[str]:
    """A loop that copies bytes, words first."""
    lines: list[str] = []
    for part, width, start, count in (
        ("words", 8, 0, nbytes // 8),
        ("rest", 1, nbytes // 8 * 8, nbytes % 8),
    ):
        if count:
            lines += _copy_loop(f"{part}{mark}", source, target, width, start, count)
    return lines


def _copy_loop(
    name: str, source: str, target: str, width: int, start: int, count: int
) -> list[str]:
    kind = f"i{8 * width}"
    return [
        f"  br label %{name}.in",
        f"{name}.in:",
        f"  br label %{name}",
        f"{name}:",
        f"  %{name}.n = phi i64 [ 0, %{name}.in ], [ %{name}.next, %{name} ]",
        f"  %{name}.far = mul i64 %{name}.n, {width}",
        f"  %{name}.at = add i64 %{name}.far, {start}",
        f"  %{name}.from = getelementptr i8, ptr {source}, i64 %{name}.at",
        f"  %{name}.to = getelementptr i8, ptr {target}, i64 %{name}.at",
        f"  %{name}.value = load {kind}, ptr %{name}.from, align 1",
        f"  store {kind} %{name}.value, ptr %{name}.to, align 1",
        f"  %{name}.next = add nuw nsw i64 %{name}.n, 1",
        f"  %{name}.more = icmp ult i64 %{name}.next, {count}",
        f"  br i1 %{name}.more, label %{name}, label %{name}.out",
        f"{name}.out:",
    ]
