"""An independent reading of a plan: what each kernel touches, and what must hold of that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from tracejit.codegen.launches import Launch, Plan, Slot
from tracejit.codegen.lower import is_copy
from tracejit.codegen.nest_builder import Lowered
from tracejit.ir.graph import Node


@dataclass(frozen=True)
class Touch:
    """A stretch of memory that a kernel reads or writes, some of it or all: bytes of one place."""

    place: str
    start: int
    stop: int
    reads: bool
    writes: bool
    part: bool = False

    def meets(self, other: Touch) -> bool:
        return self.place == other.place and self.start < other.stop and other.start < self.stop


def touches(launch: Launch) -> list[Touch]:
    found = []
    buffers = [b for b in launch.kernel.buffers if b.role != "scratch"]
    for slot, buffer in zip(launch.slots, buffers, strict=True):
        place, start = _place(slot)
        stop = start + max(buffer.size * buffer.dtype.itemsize, 1)
        reads, writes = buffer.role in ("in", "inout"), buffer.role != "in"
        found.append(Touch(place, start, stop, reads, writes, buffer.role == "part"))
    return found


def _place(slot: Slot) -> tuple[str, int]:
    return ("arena", slot.at) if slot.place == "arena" else (str(slot), 0)


def conflicts(first: Launch, second: Launch) -> bool:
    """Whether the order of two kernels matters."""
    pairs = ((a, b) for a in touches(first) for b in touches(second))
    # A border may fill what others store parts into.
    apart = "border" not in (first.kernel.kind, second.kernel.kind)
    meeting = (pair for pair in pairs if pair[0].meets(pair[1]) and not (apart and parts(*pair)))
    return any(a.writes or b.writes for a, b in meeting)


def parts(a: Touch, b: Touch) -> bool:
    """Whether they are parts of one value, which no two kernels write to at the same places."""
    return a.part and b.part and (a.place, a.start, a.stop) == (b.place, b.start, b.stop)


def on_first(launch: Launch) -> bool:
    """Whether thread 0 runs it, however many there are."""
    return launch.alone and launch.turn is None


def check(plan: Plan) -> None:
    _check_barriers(plan)
    _check_arena(plan)
    _check_slots(plan)


def _check_barriers(plan: Plan) -> None:
    """Two kernels whose order matters run on one thread or have a barrier between them."""
    waves = [launch.wave for launch in plan.launches]
    assert waves == sorted(waves), "waves in order"
    for first, second in combinations(plan.launches, 2):
        ordered = on_first(first) and on_first(second)
        if plan.parallel and first.wave == second.wave and not ordered:
            message = f"no barrier between {first.kernel.name} and {second.kernel.name}:\n{plan}"
            assert not conflicts(first, second), message
    assert plan.barriers == (len(set(waves)) - 1 if plan.parallel and waves else 0)


def _check_arena(plan: Plan) -> None:
    for launch in plan.launches:
        for touch in touches(launch):
            if touch.place == "arena":
                assert touch.start % 64 == 0 and touch.stop <= plan.arena_bytes, str(plan)


def _check_slots(plan: Plan) -> None:
    """Inputs are written only where an output takes them over; each fresh output once or more."""
    donated = {d for d in plan.graph.donated if d is not None}
    written = set()
    for launch in plan.launches:
        for slot, buffer in zip(launch.slots, launch.kernel.buffers, strict=False):
            if buffer.role != "in":
                written.add(slot)
    assert {s.at for s in written if s.place == "input"} <= donated
    assert {s.at for s in written if s.place == "output"} == set(range(len(plan.fresh)))


def _left_out(plan: Plan, lowered: Sequence[Lowered]) -> dict[Node, Node]:
    """Of the copies that the plan leaves out, what each would have been a copy of."""
    run = {launch.plain.name for launch in plan.launches}
    idle = (low for low in lowered if low.kernel.name not in run)
    return {low.nodes[1]: low.nodes[0] for low in idle if is_copy(low)}


class _Memory:
    """Which value lies where. original: those that lie where another one lay before them."""

    def __init__(self, original: dict[Node, Node]) -> None:
        self.cells: dict[Touch, Node] = {}
        self.original = original

    def holds(self, touch: Touch) -> Node | None:
        return next((n for t, n in self.cells.items() if t == touch), None)

    def finds(self, touch: Touch, node: Node) -> bool:
        there = self.holds(touch)
        while there is not node and node in self.original:
            node = self.original[node]
        return there is node

    def put(self, touch: Touch, node: Node) -> None:
        for other in [t for t in self.cells if t.meets(touch)]:
            del self.cells[other]
        self.cells[touch] = node


def follow(plan: Plan, lowered: Sequence[Lowered]) -> None:
    """Runs the plan on names instead of numbers: each kernel must find the values that it wants.

    What a copy that is left out would have made is found where its original lies.
    """
    nodes = {low.kernel.name: low.nodes for low in lowered}
    memory = _Memory(_left_out(plan, lowered))
    parts = Counter(
        node
        for low in lowered
        for node, buffer in zip(low.nodes, low.kernel.buffers, strict=False)
        if buffer.role == "part"
    )

    for position, node in enumerate(plan.graph.inputs):
        memory.put(_whole(Slot("input", position), node), node)
    for launch in plan.launches:
        spots = [_span(touch) for touch in touches(launch)]
        wanted = nodes.get(launch.plain.name)
        if wanted is None:  # a copy, made by the plan: from the first buffer to the second
            source = memory.holds(spots[0])
            assert source is not None, f"{launch.kernel.name} copies nothing:\n{plan}"
            wanted = (source, source)
        for spot, touch, node in zip(spots, touches(launch), wanted, strict=True):
            if touch.reads:
                message = f"{launch.kernel.name} does not find {node}:\n{plan}"
                assert memory.finds(spot, node) and not parts[node], message
        buffers = launch.kernel.buffers
        for spot, touch, node, buffer in zip(spots, touches(launch), wanted, buffers, strict=False):
            if touch.writes:
                together = buffer.role != "part" or memory.holds(spot) is node
                assert together or node not in memory.cells.values(), "parts lie together"
                memory.put(spot, node)
            parts[node] -= buffer.role == "part"
    for position, node in enumerate(plan.graph.outputs):
        donor = plan.graph.donated[position]
        home = Slot("input", donor) if donor is not None else _fresh(plan, position)
        assert memory.finds(_whole(home, node), node) and not parts[node], (
            f"output {position} is not in {home}:\n{plan}"
        )


def _fresh(plan: Plan, position: int) -> Slot:
    return Slot("output", plan.fresh.index(position))


def _span(touch: Touch) -> Touch:
    return replace(touch, reads=False, writes=False, part=False)


def _whole(slot: Slot, node: Node) -> Touch:
    place, start = _place(slot)
    return Touch(place, start, start + max(node.type.nbytes, 1), False, False)
