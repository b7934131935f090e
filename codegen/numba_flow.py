"""Loops and choices in printed programs: plain Python around functions for their bodies.

The function of a body takes flat arrays: its inputs, then its fresh outputs, then its arena.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tracejit.codegen.flow import work_area
from tracejit.codegen.launches import Launch, Plan, Slot
from tracejit.codegen.nest import Buffer, Flow

Where = Callable[[Slot, Buffer], str]


def body_name(launch: Launch, n: int) -> str:
    return f"{launch.plain.name}_{n}"


def body_where(view: Where) -> Where:
    """The text of a flat buffer inside the function of a body."""

    def where(slot: Slot, buffer: Buffer) -> str:
        if slot.place == "arena":
            return view(slot, buffer)
        return f"{'given' if slot.place == 'input' else 'fresh'}{slot.at}"

    return where


def body_head(plan: Plan, name: str) -> str:
    inputs = [f"given{n}" for n in range(len(plan.graph.inputs))]
    fresh = [f"fresh{n}" for n in range(len(plan.fresh))]
    return f"def {name}({', '.join([*inputs, *fresh, 'arena'])}):"


class FlowLines:
    """The lines that run one loop or choice."""

    def __init__(self, launch: Launch, where: Where, view: Where) -> None:
        flow = launch.flow
        assert flow is not None
        self.launch = launch
        self.flow: Flow = flow
        self.area = work_area(flow)
        buffers = launch.plain.buffers
        at = {b.name: where(slot, b) for b, slot in zip(buffers, launch.slots, strict=True)}
        self.sizes = {b.name: b.size for b in buffers}
        self.given = [at[name] for name in flow.operands]
        self.found = [at[name] for name in flow.results]
        by_name = {b.name: b for b in buffers}
        self.second = {
            n: view(Slot("arena", launch.work + offset), by_name[flow.results[n]])
            for n, offset in self.area.seconds.items()
        }

    def lines(self) -> Iterator[str]:
        how = {"scan": self._scan, "while_loop": self._while, "cond": self._cond}
        yield from (f"    {line}" for line in how[self.flow.op]())

    def _arena(self, n: int) -> str:
        start = self.launch.work + self.area.arenas[n]
        return f"arena[{start}:{start + self.flow.plans[n].arena_bytes}]"

    def _call(self, n: int, inputs: list[str], outputs: dict[int, str]) -> str:
        """A call of body n. outputs: by position, those that are in place left out."""
        fresh = [outputs[position] for position in self.flow.plans[n].fresh]
        return f"{body_name(self.launch, n)}({', '.join([*inputs, *fresh, self._arena(n)])})"

    def _now(self) -> list[str]:
        """Where each carry is."""
        return [f"now{n}" if n in self.second else self.found[n] for n in range(self.flow.carries)]

    def _element(self, base: str, size: int) -> str:
        each = size // max(self.flow.turns, 1)
        return f"{base}[t * {each}:(t + 1) * {each}]"

    def _starts(self) -> Iterator[str]:
        for n in self.second:
            yield f"now{n} = {self.given[self.flow.consts + n]}"

    def _moves(self) -> Iterator[str]:
        for n in self.second:
            yield f"    {self.found[n]}[:] = {self.second[n]}"
            yield f"    now{n} = {self.found[n]}"

    def _scan(self) -> Iterator[str]:
        flow, consts = self.flow, self.given[: self.flow.consts]
        xs = [
            self._element(text, self.sizes[name])
            for text, name in zip(self.given, flow.operands, strict=True)
        ][flow.consts + flow.carries :]
        outputs = dict(self.second)
        for n in range(flow.carries, len(flow.results)):
            outputs[n] = self._element(self.found[n], self.sizes[flow.results[n]])
        yield from self._starts()
        order = f"range({flow.turns})"
        yield f"for t in {f'reversed({order})' if flow.reverse else order}:"
        yield f"    {self._call(0, [*consts, *self._now(), *xs], outputs)}"
        yield from self._moves()
        yield from self._settled()

    def _settled(self) -> Iterator[str]:
        """A loop that never turned has its carries where they started."""
        for n in self.second:
            yield f"{self.found[n]}[:] = now{n}"

    def _while(self) -> Iterator[str]:
        consts = self.given[: self.flow.consts]
        yield from self._starts()
        yield "goes = np.empty(1, np.bool_)"
        yield "while True:"
        inputs = [*consts, *self._now()]
        yield f"    {self._call(0, inputs, {0: 'goes'})}"
        yield "    if not goes[0]:"
        yield "        break"
        yield f"    {self._call(1, inputs, self.second)}"
        yield from self._moves()
        yield from self._settled()

    def _cond(self) -> Iterator[str]:
        last = len(self.flow.plans) - 1
        yield f"index = min(max(int({self.given[0]}[0]), 0), {last})"
        outputs = dict(enumerate(self.found))
        for n in range(len(self.flow.plans)):
            yield f"if index == {n}:"
            yield f"    {self._call(n, self.given[1:], outputs)}"
