"""The plan of a program: the order of its kernels, its barriers, and where every buffer lies.

Here, and only here, values become memory. An output takes over the buffer of the input it donates
from when the kernel that writes it reads that input at the same places only, and every other reader
can run before; else it is computed in the arena and copied at the end. So a loop over donated state
works where that lies: the copy into the loop's result, with which it begins, is none. A host call
may fail: so it runs before every kernel that writes to an input, and a call that raises leaves all
inputs as they were.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from tracejit.codegen.arena import Span, offsets
from tracejit.codegen.blocking import block_sums
from tracejit.codegen.cost import seconds
from tracejit.codegen.dealing import dealt, turns
from tracejit.codegen.flow import (
    ALIGNMENT,
    aligned,
    fits_strand,
    in_place,
    may_run_apart,
    work_area,
)
from tracejit.codegen.launches import Launch, Plan, Slot, Turn
from tracejit.codegen.lower import copied, is_copy
from tracejit.codegen.machine import Machine
from tracejit.codegen.nest import Call, Flow, For, Kernel, Load, Offset, Stmt, Store, walk
from tracejit.codegen.nest_builder import Lowered
from tracejit.codegen.packing import pack_columns
from tracejit.codegen.per_body import PerBody
from tracejit.codegen.schedule import schedule
from tracejit.codegen.splitting import split_sums
from tracejit.codegen.twins import PartsOnce, Twins
from tracejit.ir.fusion import Fused
from tracejit.ir.graph import Graph, Node
from tracejit.ir.precedence import Precedence

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
    parts = [part for low in lowered for part in cut(low)]
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
        self.lowered = lowered
        self.machine = machine
        self.readers: dict[Node, list[int]] = {}
        self.writers: dict[Node, list[int]] = {}
        self.borders: dict[Node, list[int]] = {}
        for k, low in enumerate(lowered):
            self._note(k, low)
        self.deps: list[set[int]] = [self._data_deps(k) for k in range(len(lowered))]
        self.order = Precedence(self.deps.__getitem__, range(len(lowered)))
        self.hosts = {k for k, low in enumerate(lowered) if _may_fail(low.kernel)}
        self.idle: set[int] = set()  # copies of what lies there already
        self.scheduled = {
            in_place: PerBody(partial(schedule, machine=machine, in_place=in_place))
            for in_place in (False, True)
        }
        self.work: dict[int, int] = {}
        self.rank: dict[int, int] = {}
        self.slots: dict[Node, Slot] = {n: Slot("input", i) for i, n in enumerate(graph.inputs)}

    def _note(self, k: int, low: Lowered) -> None:
        for node, buffer in zip(low.nodes, low.kernel.buffers, strict=False):
            if buffer.role in ("in", "inout"):
                self.readers.setdefault(node, []).append(k)
            if buffer.role != "in":
                self.writers.setdefault(node, []).append(k)
            if low.kernel.kind == "border":
                self.borders.setdefault(node, []).append(k)

    def _data_deps(self, k: int) -> set[int]:
        """Who writes what k reads or writes. Parts of one value are apart, in whatever order, but
        for the border, which is filled first: between elements that have gaps it fills all."""
        low = self.lowered[k]
        found: set[int] = set()
        for node, buffer in zip(low.nodes, low.kernel.buffers, strict=False):
            writers = (self.borders if buffer.role == "part" else self.writers).get(node, ())
            found.update(writers[: bisect_left(writers, k)])
        return found

    def plan(self) -> Plan:
        fresh: list[int] = []
        for position, (node, donor) in enumerate(
            zip(self.graph.outputs, self.graph.donated, strict=True)
        ):
            own = donor is not None and node is self.graph.inputs[donor]
            if donor is None or not (own or self._donate(node, donor)):
                self.slots[node] = Slot("output", len(fresh))
                fresh.append(position)
        self._pass_by_idle()
        estimate = PerBody(seconds)
        times = [
            0.0 if k in self.idle else estimate(low.plain) for k, low in enumerate(self.lowered)
        ]
        parallel = self._is_parallel(times)
        alone = [
            not parallel or t < ALONE_SECONDS or k in self.hosts or _on_one_thread(low.kernel)
            for k, (t, low) in enumerate(zip(times, self.lowered, strict=True))
        ]
        waves, turn_of = (
            self._dealt_out(alone, times) if parallel else (self._waves(alone, set()), {})
        )
        order = sorted(self._at_work(), key=lambda k: (waves[k], self.rank[k]))
        # On one thread each kernel is over before the next, with no barrier needed.
        arena = self._place(waves if parallel else [self.rank[k] for k in range(len(waves))])
        launches = [self._launch(k, alone[k], waves[k], turn_of.get(k)) for k in order]
        failure = arena if self.hosts else None
        arena += ALIGNMENT if self.hosts else 0
        return Plan(self.graph, tuple(launches), tuple(fresh), arena, parallel, failure)

    def _is_parallel(self, times: Sequence[float]) -> bool:
        """Host calls gain nothing from threads; a body that makes one runs on one thread whole."""
        if self.single:
            return False
        if self.inner:
            return not self.hosts and sum(times) > INNER_SERIAL_SECONDS
        return sum(t for k, t in enumerate(times) if k not in self.hosts) > SERIAL_SECONDS

    # Donation

    def _donate(self, node: Node, donor: int) -> bool:
        """Gives an output the buffer of an input, in place if that is safe. Says if it has."""
        taken = self.graph.inputs[donor]
        writers = self.writers[node]
        first = {*self.readers.get(taken, ()), *self.hosts}
        before = sorted(first.difference(writers))
        own = [w for w in writers if w in self.readers.get(taken, ())]
        blocked = any(
            w in self.hosts or self.order.is_needed(w, by=r) for w in writers for r in before
        )
        if not blocked and self._same_places(own, writers, taken, node):
            self.slots[node] = Slot("input", donor)
            for writer in writers:
                self.deps[writer].update(before)
                for reader in before:
                    self.order.put_before(reader, writer)
            self.idle.update(w for w in own if is_copy(self.lowered[w]))
            return True
        if not self.inner:
            self._copy_back(node, donor)
        return not self.inner

    def _same_places(self, own: list[int], writers: list[int], taken: Node, node: Node) -> bool:
        """Whether the kernel that reads `taken` and writes `node`, before all that only write it,
        reads each element before it stores there, and no other element afterwards."""
        if not own:
            return True
        if len(own) > 1 or not all(self.order.is_needed(own[0], by=w) for w in writers):
            return False
        low = self.lowered[own[0]]
        names = dict(zip(low.nodes, (b.name for b in low.kernel.buffers), strict=False))
        body = low.kernel.body
        if isinstance(body[0], Call | Flow):
            return False  # it reads where it likes
        apart = all(isinstance(stmt, For) and stmt.loop.parallel for stmt in body)
        nests = [walk((stmt,)) for stmt in body] if apart else [walk(body)]
        return all(_own_places(nest, names[taken], names[node]) for nest in nests)

    def _copy_back(self, node: Node, donor: int) -> None:
        """Adds a kernel that copies an output into the donated buffer when all else is done."""
        taken = self.graph.inputs[donor]
        k = len(self.lowered)
        self.lowered.append(copied(f"k{k}copy", node, taken))
        self.order.append(k)
        self.deps.append({*self.writers[node], *self.readers.get(taken, ()), *self.hosts})
        self.readers.setdefault(node, []).append(k)

    def _at_work(self) -> list[int]:
        return [k for k in range(len(self.lowered)) if k not in self.idle]

    def _pass_by_idle(self) -> None:
        """Who waits for a kernel that is not run waits for what that would have waited for."""
        for k in sorted(self.idle, key=self.order.place.__getitem__):
            for deps in self.deps:
                if k in deps:
                    deps.remove(k)
                    deps.update(self.deps[k])

    # Order and memory

    def _dealt_out(
        self, alone: Sequence[bool], times: Sequence[float]
    ) -> tuple[list[int], dict[int, Turn]]:
        """The wave of each kernel, and whose turn the small ones are that are dealt out."""
        waves = self._waves(alone, self.hosts)
        kinds = [low.kernel.kind for low in self.lowered]
        order = sorted(self._at_work(), key=lambda k: self.rank[k])
        small = [k for k in order if alone[k] and kinds[k] not in ("host", "control")]
        chosen = dealt(small, waves, self.deps, times, ALONE_SECONDS)
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
            earliest = (waves[d] + (d in last or not (alone[d] and alone[k])) for d in self.deps[k])
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
                missing = sorted(self.deps[k] - done) if k not in done else []
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
        owners: list[Node | int] = []
        spans: list[Span] = []
        for node, writers in self.writers.items():
            if node not in self.slots:
                users = [times[k] for k in (*writers, *self.readers.get(node, ()))]
                owners.append(node)
                spans.append(Span(aligned(node.type.nbytes), min(users), max(users)))
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


def _own_places(nest: Iterable[Stmt], source: str, target: str) -> bool:
    """Whether a nest stores to `target` once, where it has loaded from `source`, if it does either.

    No two nests of a kernel store to one place.
    """
    stored: Offset | None = None
    indices: set[Offset | None] = set()
    for stmt in nest:
        if isinstance(stmt, Load) and stmt.buffer == source:
            if stored is not None:
                return False
            indices.add(stmt.index)
        elif isinstance(stmt, Store) and stmt.buffer == target:
            if stored is not None:
                return False
            stored = stmt.index
    return indices <= {stored}


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
