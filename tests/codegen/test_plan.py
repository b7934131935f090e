"""Plans: order, memory and barriers, checked anew from what each kernel reads and writes.

And donation: whatever an output takes over, the results are those of the graph without donation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.codegen.nest_interpreter import interpret
from tests.codegen.plan_checks import check, follow
from tests.codegen.running import USUAL, Runner, fault_in, planned
from tests.fuzz.generate import random_graph
from tests.fuzz.inputs import random_inputs
from tracejit.codegen.column_sums import column_sums
from tracejit.codegen.launches import Launch, Plan
from tracejit.codegen.plan import lower_all
from tracejit.ir import ops
from tracejit.ir.fusion import fuse
from tracejit.ir.graph import Array, Builder, Graph, Node
from tracejit.ir.text import parse
from tracejit.ir.types import F32, I32, TensorType


def checked(graph: Graph) -> Plan:
    """The plan of the graph as it stands, after all checks that need no run."""
    fused = fuse(graph)
    made = planned(graph, passes=False)
    check(made)
    lowered = column_sums(lower_all(fused), fused.graph, USUAL)
    names = dict(zip(fused.graph.nodes(), made.graph.nodes(), strict=True))
    follow(made, [replace(low, nodes=tuple(names.get(n, n) for n in low.nodes)) for low in lowered])
    return made


# Any graph


@pytest.mark.parametrize("start", range(0, 300, 60))
def test_plans_of_random_graphs(start: int) -> None:
    for seed in range(start, start + 60):
        checked(random_graph(seed))


@pytest.mark.parametrize("n", [3, 120])
def test_plans_of_host_calls(n: int) -> None:
    """Alone or with the team: no value is overwritten, and calls come before all updates."""
    made = checked(
        parse(f"""
func f(%x: f64[{n},{n}], %w: f64[{n},{n}]):
  %0: f64[{n}] = host_call %x callee="linalg.svdvals"
  %1: f64[] = reduce_max %0 axes=(0,)
  %2: f64[{n},{n}] = exp %x
  %3: f64[{n}] = reduce_sum %2 axes=(0,)
  %4: f64[{n},{n}] = host_call %2 callee="linalg.inv"
  %5: f64[{n}] = reduce_sum %4 axes=(1,)
  %6: f64[{n}] = add %5, %3
  %7: f64[{n},{n}] = add %w, %x
  return %1, %6, %7 -> %w, %0
""")
    )
    assert made.parallel == (n > 3)
    calls = [k for k, launch in enumerate(made.launches) if launch.kernel.kind == "host"]
    updates = [
        k
        for k, launch in enumerate(made.launches)
        for slot, buffer in zip(launch.slots, launch.kernel.buffers, strict=False)
        if slot.place == "input" and buffer.role != "in"
    ]
    assert len(calls) == 2 and updates and max(calls) < min(updates)
    if made.parallel:
        waves = [made.launches[k].wave for k in calls]
        assert max(waves) < min(made.launches[k].wave for k in updates)


STATE = TensorType((5, 5), F32)
WIDE = TensorType((70, 70), F32)


def random_update(seed: int, type: TensorType) -> Graph:
    """New states from old ones, each taking over the memory of any of them."""
    rng = np.random.default_rng(seed)
    builder = Builder()
    inputs = [builder.input(f"s{n}", type) for n in range(int(rng.integers(1, 5)))]
    pool = list(inputs)

    def pick() -> Node:
        return pool[int(len(pool) * rng.random() ** 0.7)]

    for _ in range(int(rng.integers(1, 9))):
        x, y = pick(), pick()
        pool.append(_STEPS[int(rng.integers(len(_STEPS)))](x, y))
    count = int(rng.integers(1, len(inputs) + 2))
    outputs = tuple(pool[int(rng.integers(len(pool)))] for _ in range(count))
    donors = list(rng.permutation(len(inputs)))
    donated = tuple(int(donors.pop()) if donors and rng.random() < 0.8 else None for _ in outputs)
    return Graph("update", tuple(inputs), outputs, donated)


def _matmul(x: Node, y: Node) -> Node:
    return ops.dot_general(x, y, ((1,), (0,)))


def _rows(change: Callable[[Node, Node, Node], Node]) -> Callable[[Node, Node], Node]:
    """A step that changes some rows of x by the first of y, one of them twice."""

    def step(x: Node, y: Node) -> Node:
        index = ops.abs(ops.iota(x.builder, (4,), 0, I32) * 2 - 3)
        return change(x, index, ops.slice(y, (0, 0), (4, y.shape[1])))

    return step


_STEPS = (
    lambda x, y: x + y,
    lambda x, y: x * 0.5,
    lambda x, y: ops.transpose(x, (1, 0)),
    lambda x, y: ops.reverse(x, (0,)) - y,
    lambda x, y: _matmul(x, y) * 0.25,
    lambda x, y: _matmul(x, ops.transpose(x, (1, 0))) * 0.125 + y,
    lambda x, y: x - ops.unreduce(ops.reduce_max(x, (1,)), x.shape, (1,)),
    lambda x, y: y + ops.unreduce(ops.reduce_sum(x, (0,)), x.shape, (0,)) * 0.1,
    lambda x, y: x * ops.broadcast(ops.reduce_max(ops.abs(y), (0, 1)), x.shape, ()) * 0.25,
    lambda x, y: ops.tanh(x),
    _rows(ops.scatter_rows),
    _rows(lambda x, index, y: ops.scatter_add_rows(x, index, y * 0.5)),
    lambda x, y: ops.pad(ops.slice(x, (1, 0), x.shape), 0.5, (0, 0), (1, 0)),
)


def without_donation(graph: Graph) -> Graph:
    return Graph(graph.name, graph.inputs, graph.outputs)


@pytest.mark.parametrize(("type", "start"), [(STATE, 0), (STATE, 60), (STATE, 120), (WIDE, 200)])
def test_donation_never_changes_a_result(type: TensorType, start: int) -> None:
    """The wide states make programs long enough for a team, with barriers."""
    graphs = [random_update(seed, type) for seed in range(start, start + 60)]
    plans = [checked(graph) for graph in graphs]
    runner = Runner(plans)
    for n, (graph, plan) in enumerate(zip(graphs, plans, strict=True)):
        rng = np.random.default_rng(n)
        arrays = [rng.normal(size=type.shape).astype("f4") for _ in graph.inputs]
        wanted = without_donation(graph)
        for threads in (1, 3):
            fault = fault_in(wanted, arrays, runner.run(plan, arrays, threads, n))
            assert fault is None, f"seed {start + n}, {threads} threads: {fault}\n{graph}\n{plan}"


def test_donation_in_random_graphs() -> None:
    donating = (g for g in map(random_graph, range(300, 420)) if set(g.donated) != {None})
    graphs = list(donating)
    plans = [planned(graph) for graph in graphs]
    runner = Runner(plans)
    for n, (graph, plan) in enumerate(zip(graphs, plans, strict=True)):
        check(plan)
        arrays = random_inputs(graph, n)
        got = runner.run(plan, arrays, 2, n)
        fault = fault_in(graph, arrays, got)
        assert fault is None, f"{fault}\n{graph}\n{plan}"


# Cases of donation


def update(body: str) -> Graph:
    """Of states %a and %b: f32[6,6]; b is donated to the output only where `body` says so."""
    return parse(f"func f(%a: f32[6,6], %b: f32[6,6]):\n{body}\n")


HAZARDS = {
    "swap": "  return %b -> %a, %a -> %b",
    "swap with work": """
      %0: f32[6,6] = exp %a
      %1: f32[6,6] = exp %b
      return %1 -> %a, %0 -> %b""",
    "rotation through a transpose": """
      %0: f32[6,6] = transpose %a perm=(1,0)
      %1: f32[6,6] = add %0, %b
      return %1 -> %a, %0 -> %b""",
    "read at another place in the same kernel": """
      %0: f32[6,6] = transpose %a perm=(1,0)
      %1: f32[6,6] = add %a, %0
      return %1 -> %a""",
    "read backwards in the same kernel": """
      %0: f32[6,6] = reverse %a axes=(1,)
      %1: f32[6,6] = add %a, %0
      return %1 -> %a""",
    "a weight used in its own product": """
      %0: f32[6,6] = dot_general %a, %b contract=((1,),(0,)) batch=((),())
      %1: f32[6,6] = add %a, %0
      return %1 -> %a""",
    "a weight used on the other side of its own product": """
      %0: f32[6,6] = dot_general %b, %a contract=((1,),(0,)) batch=((),())
      %1: f32[6,6] = add %a, %0
      return %1 -> %a""",
    "a weight read by a later kernel": """
      %0: f32[6,6] = dot_general %b, %b contract=((1,),(0,)) batch=((),())
      %1: f32[6,6] = sub %a, %0
      %2: f32[6,6] = dot_general %1, %a contract=((1,),(0,)) batch=((),())
      return %1 -> %a, %2""",
    "a weight read by a kernel beside": """
      %0: f32[6,6] = dot_general %b, %b contract=((1,),(0,)) batch=((),())
      %1: f32[6,6] = sub %a, %0
      %2: f32[6,6] = dot_general %a, %b contract=((1,),(0,)) batch=((),())
      return %1 -> %a, %2""",
    "a row normalised in place": """
      %0: f32[6] = reduce_max %a axes=(1,)
      %1: f32[6,6] = broadcast %0 shape=(6,6) axes=(0,)
      %2: f32[6,6] = sub %a, %1
      return %2 -> %a""",
    "a row of which the first pass stores": """
      %0: f32[6,6] = exp %a
      %1: f32[6] = reduce_sum %0 axes=(1,)
      %2: f32[6,6] = broadcast %1 shape=(6,6) axes=(0,)
      %3: f32[6,6] = div %a, %2
      return %0 -> %a, %3""",
    "a chain of updates": """
      %0: f32[6,6] = add %a, %b
      %1: f32[6,6] = transpose %0 perm=(1,0)
      %2: f32[6,6] = mul %1, %b
      %3: f32[6,6] = reverse %2 axes=(0,)
      %4: f32[6,6] = sub %3, %2
      return %0 -> %a, %4 -> %b""",
    "two readers, one of which writes": """
      %0: f32[6,6] = neg %a
      %1: f32[6,6] = transpose %a perm=(1,0)
      %2: f32[6,6] = exp %1
      return %0 -> %a, %2 -> %b""",
    "padding over what it pads": """
      %0: f32[5,6] = slice %a start=(1,0) stop=(6,6) step=(1,1)
      %1: f32[6,6] = pad %0 value=0.0 low=(0,0) high=(1,0) interior=(0,0)
      return %1 -> %a""",
    "parts put together over themselves": """
      %0: f32[3,6] = slice %a start=(0,0) stop=(3,6) step=(1,1)
      %1: f32[3,6] = slice %a start=(3,0) stop=(6,6) step=(1,1)
      %2: f32[6,6] = concatenate %1, %0 axis=0
      return %2 -> %a""",
    "the same output twice": """
      %0: f32[6,6] = neg %a
      return %0 -> %b, %0 -> %a""",
    "an input given back as another": "  return %a -> %b",
    "an input given back as itself and as another": "  return %a -> %a, %a -> %b",
    "nothing to do": "  return %a -> %a, %b -> %b",
}


@pytest.mark.parametrize("name", HAZARDS)
def test_hazards(name: str) -> None:
    graph = update(HAZARDS[name])
    plan = checked(graph)
    runner = Runner([plan])
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=(6, 6)).astype("f4") for _ in graph.inputs]
    for threads in (1, 2, 5):
        got = runner.run(plan, arrays, threads, threads)
        assert fault_in(without_donation(graph), arrays, got) is None, str(plan)


@pytest.mark.parametrize("name", HAZARDS)
def test_kernels_in_place_mean_the_same_in_any_order(name: str) -> None:
    """The loops as lowered, on memory that is really shared, iterations in any order."""
    graph = update(HAZARDS[name])
    plan = checked(graph)
    rng = np.random.default_rng(2)
    arrays = [rng.normal(size=(6, 6)).astype("f4") for _ in graph.inputs]
    for seed in range(3):
        got = _interpreted(plan, arrays, seed)
        assert fault_in(without_donation(graph), arrays, got) is None, str(plan)


def _interpreted(plan: Plan, arrays: Sequence[Array], seed: int) -> list[Array]:
    inputs = [a.copy().reshape(-1) for a in arrays]
    outputs = [np.empty(plan.graph.outputs[p].type.size, "f4") for p in plan.fresh]
    arena = np.empty(plan.arena_bytes, np.uint8)

    def buffers(launch: Launch) -> Iterator[Array]:
        for slot, buffer in zip(launch.slots, launch.plain.buffers, strict=False):
            if slot.place == "arena":
                stop = slot.at + buffer.size * buffer.dtype.itemsize
                yield arena[slot.at : stop].view(buffer.dtype)
            else:
                yield (inputs if slot.place == "input" else outputs)[slot.at]

    for launch in plan.launches:
        interpret(launch.plain, list(buffers(launch)), seed)
    fresh = iter(outputs)
    donated = zip(plan.graph.outputs, plan.graph.donated, strict=True)
    return [
        (next(fresh) if donor is None else inputs[donor]).reshape(node.shape)
        for node, donor in donated
    ]


def test_an_update_in_place_needs_no_copy_and_no_arena() -> None:
    graph = update("""
      %0: f32[6,6] = dot_general %b, %b contract=((1,),(0,)) batch=((),())
      %1: f32[6,6] = sub %a, %0
      return %1 -> %a""")
    plan = checked(graph)
    assert [launch.kernel.kind for launch in plan.launches] == ["contraction"]
    assert plan.arena_bytes == 0


# Lines before and behind `%1 = scatter_rows TABLE, %n, %u`, what is returned, and the copies made.
ROWS_CHANGED = {
    "of a temporary": ("%0: f32[6,6] = exp %a", "", "%1", 0),
    "of what is read before": (
        "%0: f32[6,6] = exp %a", "%2: f32[6] = reduce_sum %0 axes=(0,)", "%1, %2", 0,
    ),
    "of what is given back too": ("%0: f32[6,6] = exp %a", "", "%1, %0", 1),
    "of what is read together with them": (
        "%0: f32[6,6] = exp %a", "%2: f32[6,6] = mul %0, %1", "%2", 1,
    ),
    "of an input": ("%0: f32[6,6] = reshape %a shape=(6,6)", "", "%1", 1),
    "of an input that is donated": ("%0: f32[6,6] = reshape %a shape=(6,6)", "", "%1 -> %a", 0),
    "of an input, and again": (
        "%0: f32[6,6] = reshape %a shape=(6,6)", "%2: f32[6,6] = scatter_rows %1, %n, %u",
        "%2 -> %a", 0,
    ),
    "twice of one": (
        "%0: f32[6,6] = exp %a", "%2: f32[6,6] = scatter_add_rows %0, %n, %u", "%1, %2", 1,
    ),
    "and once more": (
        "%0: f32[6,6] = exp %a", "%2: f32[6,6] = scatter_add_rows %1, %n, %u", "%2", 0,
    ),
    "by what is read of them": (
        "%0: f32[6,6] = exp %a", "%2: f32[2,6] = slice %1 start=(0,0) stop=(2,6) step=(1,1)\n"
        "%3: f32[6,6] = scatter_rows %1, %n, %2", "%3", 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS_CHANGED)
def test_rows_are_changed_where_they_lie(name: str) -> None:
    before, behind, results, copies = ROWS_CHANGED[name]
    graph = parse(f"""
func f(%a: f32[6,6], %n: i32[2], %u: f32[2,6]):
  {before}
  %1: f32[6,6] = scatter_rows %0, %n, %u
  {behind}
  return {results}
""")
    plan = checked(graph)
    names = [launch.kernel.name for launch in plan.launches]
    assert sum(name.endswith("init") for name in names) == copies, str(plan)
    rng = np.random.default_rng(3)
    arrays = [rng.normal(size=(6, 6)), np.array([5, -6]), rng.normal(size=(2, 6))]
    arrays = [a.astype(n.dtype) for a, n in zip(arrays, graph.inputs, strict=True)]
    for threads in (1, 3):
        got = Runner([plan]).run(plan, arrays, threads, threads)
        assert fault_in(without_donation(graph), arrays, got) is None, str(plan)


def test_a_kernel_that_may_not_work_in_place_is_copied_back() -> None:
    plan = checked(update(HAZARDS["read at another place in the same kernel"]))
    assert [launch.kernel.name for launch in plan.launches] == ["k0", "k1copy"]


def test_readers_of_what_is_taken_over_run_first() -> None:
    plan = checked(update(HAZARDS["two readers, one of which writes"]))
    assert [launch.kernel.name for launch in plan.launches] == ["k1", "k0"]


# The arena


def test_values_that_do_not_meet_share_memory() -> None:
    """A chain needs two buffers, however long it is."""
    text = ["func f(%x: f32[8,8]):"]
    last = "x"
    for n in range(6):
        operands = f"%{last}, %{last} contract=((1,),(0,)) batch=((),())"
        text.append(f"  %{n}: f32[8,8] = dot_general {operands}")
        last = str(n)
    plan = checked(parse("\n".join([*text, f"  return %{last}", ""])))
    assert plan.arena_bytes == 2 * 8 * 8 * 4


def test_empty_values_have_a_place() -> None:
    graph = parse("""
      func f(%x: f32[0,4]):
        %0: f32[0,4] = exp %x
        %1: f32[4,0] = transpose %0 perm=(1,0)
        %2: f32[4,4] = dot_general %1, %0 contract=((1,),(0,)) batch=((),())
        return %2
    """)
    plan = checked(graph)
    (got,) = Runner([plan]).run(plan, [np.empty((0, 4), "f4")])
    np.testing.assert_array_equal(got, np.zeros((4, 4), "f4"))


def test_a_short_program_runs_on_one_thread() -> None:
    graph = parse("func f(%x: f32[8]):\n  %0: f32[8] = exp %x\n  return %0\n")
    plan = checked(graph)
    assert not plan.parallel and plan.barriers == 0
    assert "one thread" in str(plan)


def test_a_long_program_has_barriers_where_threads_exchange_values() -> None:
    graph = parse("""
      func f(%x: f32[128,128]):
        %0: f32[128,128] = dot_general %x, %x contract=((1,),(0,)) batch=((),())
        %1: f32[128,128] = exp %x
        %2: f32[128,128] = dot_general %0, %1 contract=((1,),(0,)) batch=((),())
        return %2
    """)
    plan = checked(graph)
    assert plan.parallel and plan.barriers == 1
    assert [launch.wave for launch in plan.launches] == [0, 0, 1]
    assert str(plan).count("barrier") == 1


def test_a_missing_barrier_would_be_seen() -> None:
    """The test of the test."""
    graph = parse("""
      func f(%x: f32[128,128]):
        %0: f32[128,128] = dot_general %x, %x contract=((1,),(0,)) batch=((),())
        %1: f32[128,128] = dot_general %0, %0 contract=((1,),(0,)) batch=((),())
        return %1
    """)
    plan = checked(graph)
    flat = replace(plan, launches=tuple(replace(u, wave=0) for u in plan.launches))
    with pytest.raises(AssertionError, match="no barrier between"):
        check(flat)
    arrays = [np.random.default_rng(0).normal(size=(128, 128)).astype("f4") / 12]
    runner = Runner([plan])
    assert fault_in(graph, arrays, runner.run(plan, arrays, 3)) is None
    assert fault_in(graph, arrays, runner.run(flat, arrays, 3)) is not None
