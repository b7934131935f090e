"""What a plan is: launches in order, and where each buffer lies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tracejit.codegen.nest import Flow, Kernel
from tracejit.ir.graph import Graph
from tracejit.ir.types import dtype_name


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a buffer lies: input `at` or fresh output `at` of the call, or the arena [bytes]."""

    place: str
    at: int

    def __str__(self) -> str:
        return f"{self.place}[{self.at}]"


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a small kernel lies in what those of its wave take together, one after another [ns].

    They are dealt out: of n threads, thread t runs those from t/n to (t + 1)/n of the total.
    """

    middle: int
    total: int

    def thread(self, threads: int) -> int:
        """Which one runs it."""
        return self.middle * threads // self.total

    def __str__(self) -> str:
        return f"on one thread (at {self.middle} of {self.total} ns)"


@dataclass(frozen=True, slots=True, eq=False)
class Launch:
    """One kernel of the program. wave: a barrier stands between waves.

    alone: one thread runs all of it, thread 0 or the one whose `turn` it is.
    work: where in the arena control flow keeps what its bodies need.
    """

    kernel: Kernel
    plain: Kernel
    slots: tuple[Slot, ...]
    alone: bool
    wave: int
    work: int = 0
    turn: Turn | None = None

    @property
    def flow(self) -> Flow | None:
        """What it does, if it is a loop or a choice."""
        first = self.kernel.body[0]
        return first if isinstance(first, Flow) else None


@dataclass(frozen=True, slots=True)
class Plan:
    """fresh: for each output that is a new array its position among the outputs.

    failure: where in the arena the program notes that a host call failed; None without such calls.
    """

    graph: Graph
    launches: tuple[Launch, ...]
    fresh: tuple[int, ...]
    arena_bytes: int
    parallel: bool
    failure: int | None = None

    @property
    def barriers(self) -> int:
        if not (self.parallel and self.launches):
            return 0
        flows = (u.flow for u in self.launches if u.flow is not None and not u.alone)
        loops = (flow for flow in flows if not flow.apart)
        inside = (c.turns * (sum(p.barriers for p in c.plans) + 1) for c in loops)
        return len({launch.wave for launch in self.launches}) - 1 + sum(inside)

    @property
    def calls_host(self) -> bool:
        """Whether something in it may fail."""
        return self.failure is not None

    def flat(self) -> Iterator[Launch]:
        """Every launch, in place of control flow those of its bodies."""
        for launch in self.launches:
            if launch.flow is None:
                yield launch
            else:
                for plan in launch.flow.plans:
                    yield from plan.flat()

    def __str__(self) -> str:
        return plan_text(self)


def _where(launch: Launch) -> str:
    if launch.alone:
        return f" {launch.turn or 'on thread 0'}"
    return " turns apart" if launch.flow is not None and launch.flow.apart else ""


def plan_text(plan: Plan) -> str:
    """The program stage: one line for each kernel call, `barrier` between waves.

    The programs of a loop or a choice stand behind the line that runs them.
    """
    threads = "team" if plan.parallel else "one thread"
    lines = [f"program {plan.graph.name} ({threads}, arena {plan.arena_bytes} bytes):"]
    for position, node in enumerate(plan.graph.inputs):
        lines.append(f"  input[{position}] = %{plan.graph.input_name(node)}: {node.type}")
    wave = 0
    for launch in plan.launches:
        if launch.wave != wave and plan.parallel:
            lines.append("  barrier")
        wave = launch.wave
        args = ", ".join(
            f"{b.name}={slot}: {dtype_name(b.dtype)}[{b.size}] {b.role}"
            for b, slot in zip(launch.kernel.buffers, launch.slots, strict=False)
        )
        where = _where(launch) if plan.parallel else ""
        what = launch.flow.op if launch.flow is not None else launch.kernel.kind
        lines.append(f"  {what} {launch.kernel.name}({args}){where}")
        if launch.flow is not None:
            inner = "\n".join(map(plan_text, launch.flow.plans))
            lines += [f"    {line}" for line in inner.split("\n")]
    for position, (node, donor) in enumerate(
        zip(plan.graph.outputs, plan.graph.donated, strict=True)
    ):
        fresh = position in plan.fresh
        home = f"output[{plan.fresh.index(position)}]" if fresh else f"input[{donor}]"
        lines.append(f"  return {home}: {node.type}")
    return "\n".join(lines)
