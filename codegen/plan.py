"""The plan of a program: the order of its kernels, its barriers, and where every buffer lies.

Here, and only here, values become memory. A host call may fail: so it runs before every kernel that
writes to an input, and a call that raises leaves all inputs as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from tracejit.codegen.arena import Span, offsets
from tracejit.codegen.blocking import block_sums
from tracejit.codegen.column_sums import column_sums
from tracejit.codegen.cost import seconds
from tracejit.codegen.dealing import dealt, turns
from tracejit.codegen.dependencies import Dependencies
from tracejit.codegen.flow import (
    ALIGNMENT,
    aligned,
    fits_strand,
    in_place,
    may_run_apart,
    work_area,
)
from tracejit.codegen.launches import Launch, Plan, Slot, Turn
from tracejit.codegen.lower import copied
from tracejit.codegen.machine import Machine
from tracejit.codegen.nest import Flow, Kernel
from tracejit.codegen.nest_builder import Lowered
from tracejit.codegen.packing import pack_columns
from tracejit.codegen.per_body import PerBody
from tracejit.codegen.places import Places
from tracejit.codegen.schedule import schedule
from tracejit.codegen.splitting import split_sums
from tracejit.codegen.twins import PartsOnce, Twins
from tracejit.ir.fusion import Fused
from tracejit.ir.graph import Graph, Node

# A kernel that one thread finishes in this time gains less from the others than a barrier costs.
ALONE_SECONDS = 1.5e-6
# A program shorter than this is over before other threads have woken up.
SERIAL_SECONDS = 8e-6
# A body of a loop that takes less gains less from the other threads than its barriers cost.
INNER_SERIAL_SECONDS = 2e-6


def lower_all(fused: Fused, prefix: str = "k") -> list[Lowered]:
    """Every group as loop nests, in order. prefix: of the names of kernels."""
    # What a later group stores is not there yet: it may be a copy, and is read through until then.
    stored = set(fused.graph.inputs)
    lowered: list[Lowered] = []
    twins = Twins()
    for n, group in enumerate(fused.groups):
        stored.update(group.outputs)
        lowered += twins.lowered(group, stored, f"{prefix}{n}")
    return [low for low in lowered if low.kernel.body]


def plan(
    fused: Fused,
    lowered: Sequence[Lowered],
    machine: Machine,
    inner: bool = False,
    single: bool = False,
) -> Plan:
    """Orders and places the kernels of a graph.

    inner: of a body. Its threads run already; and a carry that cannot be replaced in place is a
    fresh output, for which the loop has a second place. single: for one thread.
    """
    cut = PartsOnce(lambda low: _parts(low, machine, single))
    summed = column_sums(lowered, fused.graph, machine)
    parts = [part for low in summed for part in cut(low)]
    return _Planner(fused.graph, parts, machine, inner, single).plan()


def _parts(low: Lowered, machine: Machine, single: bool) -> list[Lowered]:
    """The kernels that one is cut into, control flow with its bodies planned."""
    first = low.kernel.body[0]
    if isinstance(first, Flow):
        return _flow(low, first, machine, single)
    split = (p for part in pack_columns(low, machine) for p in split_sums(part))
    return [block_sums(part, machine) for part in split]


def _flow(low: Lowered, flow: Flow, machine: Machine, single: bool) -> list[Lowered]:
    """Copies of the carries that are updated in place, then the loop or choice itself, which begins
    with them."""
    name = low.kernel.name
    planned = _planned(name, flow, machine, single)
    node_of = dict(zip((b.name for b in low.kernel.buffers), low.nodes, strict=True))
    operands, copies, inout = list(flow.operands), [], set()
    for n in in_place(planned):
        source, target = operands[flow.consts + n], flow.results[n]
        copies.append(copied(f"{name}init{n}", node_of[source], node_of[target]))
        operands[flow.consts + n] = target
        inout.add(target)
    buffers = tuple(
        replace(b, role="inout") if b.name in inout else b
        for b in low.kernel.buffers
        if b.name in (*operands, *flow.results)
    )
    planned = replace(planned, operands=tuple(operands))
    kernel = Kernel(name, low.kernel.kind, buffers, (planned,))
    nodes = tuple(node_of[b.name] for b in buffers)
    return [*copies, Lowered(kernel, nodes, kernel, low.members)]


def _planned(name: str, flow: Flow, machine: Machine, single: bool) -> Flow:
    """Control flow with its bodies planned: for one thread where turns run apart, else for all."""

    def plans(single: bool) -> tuple[Plan, ...]:
        return tuple(
            plan(body, lower_all(body, f"{name}_{n}k"), machine, inner=True, single=single)
            for n, body in enumerate(flow.bodies)
        )

    if not single and may_run_apart(flow):
        apart = replace(flow, plans=plans(single=True), apart=True)
        if all(map(fits_strand, apart.plans)):
            return apart
    return replace(flow, plans=plans(single))


class _Planner:
    def __init__(
        self, graph: Graph, lowered: list[Lowered], machine: Machine, inner: bool, single: bool
    ) -> None:
        self.graph = graph
        self.inner = inner
        self.single = single
        self.machine = machine
        self.deps = Dependencies(lowered)
        self.hosts = {k for k, low in enumerate(lowered) if _may_fail(low.kernel)}
        self.scheduled = {
            in_place: PerBody(partial(schedule, machine=machine, in_place=in_place))
            for in_place in (False, True)
        }
        self.places = Places(graph, self.deps, self.hosts, inner)
        self.lowered = lowered
        self.slots = self.places.slots
        self.work: dict[int, int] = {}
        self.rank: dict[int, int] = {}

    def plan(self) -> Plan:
        idle, estimate = self.deps.idle, PerBody(seconds)
        times = [0.0 if k in idle else estimate(low.plain) for k, low in enumerate(self.lowered)]
        parallel = self._is_parallel(times)
        alone = [
            not parallel or t < ALONE_SECONDS or k in self.hosts or _on_one_thread(low.kernel)
            for k, (t, low) in enumerate(zip(times, self.lowered, strict=True))
        ]
        waves, turn_of = (
            self._dealt_out(alone, times) if parallel else (self._waves(alone, set()), {})
        )
        order = sorted(self.deps.at_work(), key=lambda k: (waves[k], self.rank[k]))
        # On one thread each kernel is over before the next, with no barrier needed.
        arena = self._place(waves if parallel else [self.rank[k] for k in range(len(waves))])
        launches = [self._launch(k, alone[k], waves[k], turn_of.get(k)) for k in order]
        failure = arena if self.hosts else None
        arena += ALIGNMENT if self.hosts else 0
        fresh = tuple(self.places.fresh)
        return Plan(self.graph, tuple(launches), fresh, arena, parallel, failure)

    def _is_parallel(self, times: Sequence[float]) -> bool:
        """Host calls gain nothing from threads; a body that makes one runs on one thread whole."""
        if self.single:
            return False
        if self.inner:
            return not self.hosts and sum(times) > INNER_SERIAL_SECONDS
        return sum(t for k, t in enumerate(times) if k not in self.hosts) > SERIAL_SECONDS

    # Order and memory

    def _dealt_out(
        self, alone: Sequence[bool], times: Sequence[float]
    ) -> tuple[list[int], dict[int, Turn]]:
        """The wave of each kernel, and whose turn the small ones are that are dealt out."""
        waves = self._waves(alone, self.hosts)
        kinds = [low.kernel.kind for low in self.lowered]
        order = sorted(self.deps.at_work(), key=lambda k: self.rank[k])
        small = [k for k in order if alone[k] and kinds[k] not in ("host", "control")]
        chosen = dealt(small, waves, self.deps.before, times, ALONE_SECONDS)
        if chosen:
            waves = self._waves([a and k not in chosen for k, a in enumerate(alone)], self.hosts)
        return waves, turns(chosen, waves, times)

    def _waves(self, alone: Sequence[bool], last: set[int]) -> list[int]:
        """The wave of each kernel: the least number of barriers, each kernel as early as can be.

        last: kernels with a barrier behind them whoever reads what they store: host calls, whose
        failure is seen there.
        """
        waves: dict[int, int] = {}
        for k in self._topological():
            earliest = (
                waves[d] + (d in last or not (alone[d] and alone[k])) for d in self.deps.before[k]
            )
            waves[k] = max(earliest, default=0)
        self.rank = {k: n for n, k in enumerate(waves)}
        return [waves[k] for k in range(len(self.lowered))]

    def _topological(self) -> list[int]:
        order: list[int] = []
        done: set[int] = set()
        for root in range(len(self.lowered)):
            stack = [root]
            while stack:
                k = stack[-1]
                missing = sorted(self.deps.before[k] - done) if k not in done else []
                if missing:
                    stack.extend(missing[::-1])
                    continue
                stack.pop()
                if k not in done:
                    done.add(k)
                    order.append(k)
        return order

    def _place(self, times: Sequence[int]) -> int:
        """Gives each temporary an arena offset that no value alive at the same times has."""
        users: dict[Node, list[int]] = {}
        for node, writers in self.deps.writers.items():
            if node not in self.slots:
                mine = users.setdefault(self.places.root(node), [])
                mine += [times[k] for k in (*writers, *self.deps.readers.get(node, ()))]
        owners: list[Node | int] = list(users)
        spans = [Span(aligned(n.type.nbytes), min(at), max(at)) for n, at in users.items()]
        for k, low in enumerate(self.lowered):
            if isinstance(flow := low.kernel.body[0], Flow):
                owners.append(k)
                spans.append(Span(work_area(flow).size, times[k], times[k]))
        found, size = offsets(spans)
        for owner, offset in zip(owners, found, strict=True):
            if isinstance(owner, int):
                self.work[owner] = offset
            else:
                self.slots[owner] = Slot("arena", offset)
        for node in self.deps.writers:
            self.slots[node] = self.slots[self.places.root(node)]
        return size

    def _launch(self, k: int, alone: bool, wave: int, turn: Turn | None) -> Launch:
        low = self.lowered[k]
        slots = tuple(self.slots[node] for node in low.nodes)
        sides = list(zip(low.kernel.buffers, slots, strict=False))
        stored = {slot for buffer, slot in sides if buffer.role != "in"}
        in_place = any(slot in stored for buffer, slot in sides if buffer.role in ("in", "inout"))
        scheduled = self.scheduled[in_place](low.kernel)
        kernel = replace(scheduled, name=low.kernel.name)
        return Launch(kernel, low.plain, slots, alone, wave, self.work.get(k, 0), turn)


def _may_fail(kernel: Kernel) -> bool:
    """Whether it calls Python, itself or in a body."""
    first = kernel.body[0]
    inside = isinstance(first, Flow) and any(p.calls_host for p in first.plans)
    return inside or kernel.kind == "host"


def _on_one_thread(kernel: Kernel) -> bool:
    """Whether it is control flow whose bodies are too short to share."""
    first = kernel.body[0]
    if not isinstance(first, Flow) or first.apart:
        return False
    return not any(p.parallel for p in first.plans)
