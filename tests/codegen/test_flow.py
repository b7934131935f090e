"""Loops and choices compiled: against the interpreter, on one thread and on a team."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ir.test_control import BACKWARD, CASES, case, loss_of
from tracejit.codegen.compile import compile_graph
from tracejit.codegen.flow import aligned, work_area
from tracejit.codegen.launches import Plan, Slot
from tracejit.codegen.numba_program import run_program
from tracejit.codegen.runtime.team import num_threads, set_num_threads
from tracejit.ir.graph import Array, Graph
from tracejit.ir.interpreter import evaluate
from tracejit.ir.text import parse

# Bodies long enough for a team: a product each turn.
WIDE = """
func f(%w: f32[128,128], %h: f32[64,128], %xs: f32[TURNS,64,128]):
  %0: (f32[64,128], f32[TURNS,64]) = scan %w, %h, %xs body=@turn consts=1 carries=1 length=TURNS \
reverse=false
  %1: f32[64,128] = item %0 index=0
  %2: f32[TURNS,64] = item %0 index=1
  return %1, %2

func turn(%w: f32[128,128], %h: f32[64,128], %x: f32[64,128]):
  %0: f32[64,128] = dot_general %h, %w contract=((1,),(0,)) batch=((),())
  %1: f32[64,128] = add %0, %x
  %2: f32[64,128] = tanh %1
  %3: f32[64] = reduce_sum %2 axes=(1,)
  return %2, %3
"""
SWAP = """
func f(%a: f32[40], %b: f32[40], %n: i32[], %end: i32[]):
  %0: (f32[40], f32[40], i32[]) = while_loop %end, %a, %b, %n test=@more body=@turn consts=1
  %1: f32[40] = item %0 index=0
  %2: f32[40] = item %0 index=1
  return %1, %2

func more(%end: i32[], %a: f32[40], %b: f32[40], %n: i32[]):
  %0: bool[] = lt %n, %end
  return %0

func turn(%end: i32[], %a: f32[40], %b: f32[40], %n: i32[]):
  %0: i32[] = full value=1 shape=() dtype=i32
  %1: i32[] = add %n, %0
  return %b, %a, %1
"""


# Loops over state, which the last line donates.
STATE = """
func f(%a: f32[6,8], %b: f32[6,8], %xs: f32[TURNS,6,8]):
LINES

func turn(%a: f32[6,8], %b: f32[6,8], %x: f32[6,8]):
  %0: f32[6,8] = mul %b, %x
  %1: f32[6,8] = add %a, %0
  %2: f32[6,8] = sub %1, %b
  return %1, %2

func anchored(%c: f32[6,8], %a: f32[6,8], %b: f32[6,8], %x: f32[6,8]):
  %0: f32[6,8] = reverse %c axes=(1,)
  %1: f32[6,8] = add %a, %0
  %2: f32[6,8] = mul %b, %x
  return %1, %2

func crossed(%a: f32[6,8], %b: f32[6,8], %x: f32[6,8]):
  %0: f32[6,8] = add %a, %x
  return %b, %0

func outer(%a: f32[6,8], %b: f32[6,8], %x: f32[6,8]):
  %0: f32[2,6,8] = broadcast %x shape=(2,6,8) axes=(1,2)
  %1: (f32[6,8], f32[6,8]) = scan %a, %b, %0 body=@turn consts=0 carries=2 length=2 reverse=false
  %2: f32[6,8] = item %1 index=0
  %3: f32[6,8] = item %1 index=1
  return %2, %3
"""
LOOP = """  %0: (f32[6,8], f32[6,8]) = scan OPERANDS, %xs body=@BODY consts=CONSTS carries=2 \
length=TURNS reverse=false
  %1: f32[6,8] = item %0 index=0
  %2: f32[6,8] = item %0 index=1
"""
# name -> (operands, body, lines behind the loop); and the copies that its plan makes.
OVER_STATE: dict[str, tuple[str, str, str, list[str]]] = {
    "where it lies": ("%a, %b", "turn", "  return %1 -> %a, %2 -> %b", []),
    "a loop in a loop": ("%a, %b", "outer", "  return %1 -> %a, %2 -> %b", []),
    "the other's place": (
        *("%a, %b", "turn", "  return %1 -> %b, %2 -> %a"),
        ["init1", "init0", "copy"],
    ),
    "the start is read beside": (
        *("%a, %b", "turn", "  %3: f32[6,8] = exp %a\n  return %1 -> %a, %3, %2 -> %b"),
        [],
    ),
    "the start is read behind": (
        *("%a, %b", "turn", "  %3: f32[6,8] = sub %1, %a\n  return %1 -> %a, %3, %2 -> %b"),
        ["init0", "copy"],
    ),
    "the start is read in all turns": (
        *("%a, %a, %b", "anchored", "  return %1 -> %a, %2 -> %b"),
        ["init0", "copy"],
    ),
    "two start alike": ("%a, %a", "turn", "  return %1 -> %a, %2 -> %b", ["init1"]),
    "given twice": ("%a, %b", "turn", "  return %1 -> %a, %1 -> %b", ["init1"]),
    "one has two places": ("%a, %b", "crossed", "  return %1 -> %a, %2 -> %b", ["copy"]),
}


def check(graph: Graph, arrays: list[Array], rtol: float = 1e-10) -> Plan:
    """The compiled program and its printed form, twice each, against the interpreter."""
    want = evaluate(graph, arrays)
    program = compile_graph(graph)

    def fresh() -> list[Array]:
        return [a.copy() for a in arrays]

    printed = run_program(program.plan, fresh(), use_numba=False)
    for got in (program.run(fresh()), program.run(fresh()), printed):
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)
    return program.plan


@pytest.mark.parametrize("name", CASES)
def test_compiled_equals_interpreted(name: str) -> None:
    graph, arrays = case(name)
    check(graph, arrays)
    if name in BACKWARD:
        check(loss_of(graph), arrays)


@pytest.mark.parametrize("turns", [0, 1, 2, 5])
def test_a_team_turns_a_long_body_together(turns: int) -> None:
    rng = np.random.default_rng(turns)
    arrays = [
        (rng.normal(size=(128, 128)) / 12).astype(np.float32),
        rng.normal(size=(64, 128)).astype(np.float32),
        rng.normal(size=(turns, 64, 128)).astype(np.float32),
    ]
    plan = check(parse(WIDE.replace("TURNS", str(turns))), arrays, 1e-4)
    loops = [launch for launch in plan.launches if launch.flow is not None]
    assert len(loops) == (turns > 1)
    for loop in loops:
        assert loop.flow is not None and plan.parallel and not loop.alone
        # Before the loop w is packed. In a turn the sums wait for the product; then all wait for
        # the turn to end.
        assert loop.flow.plans[0].barriers == 1
        assert plan.barriers == 1 + turns * 2


@pytest.mark.parametrize("turns", range(4))
def test_carries_that_change_places(turns: int) -> None:
    a, b = np.arange(40, dtype=np.float32), -np.ones(40, np.float32)
    check(parse(SWAP), [a, b, np.asarray(np.int32(0)), np.asarray(np.int32(turns))])


def test_a_carry_is_updated_in_place_where_the_body_can() -> None:
    text = CASES["scan"][0]
    plan = check(parse(text), case("scan")[1])
    (loop,) = (launch.flow for launch in plan.launches if launch.flow is not None)
    assert 0 not in loop.plans[0].fresh
    assert [u.plain.name for u in plan.launches if u.plain.name.startswith("k0init")]


@pytest.mark.parametrize("turns", [2, 5])
@pytest.mark.parametrize("name", OVER_STATE)
def test_a_loop_over_donated_state(name: str, turns: int) -> None:
    """It works where the state lies, unless somebody else still needs that."""
    operands, body, rest, copies = OVER_STATE[name]
    loop = LOOP.replace("OPERANDS", operands).replace("BODY", body)
    loop = loop.replace("CONSTS", str(operands.count(",") - 1))
    graph = parse(STATE.replace("LINES", loop + rest).replace("TURNS", str(turns)))
    rng = np.random.default_rng(turns)
    arrays: list[Array] = [rng.normal(size=n.shape).astype(np.float32) for n in graph.inputs]
    plan = check(graph, arrays, 1e-5)
    found = [launch.plain.name.lstrip("k0123456789") for launch in plan.launches]
    assert [c for c in found if c] == copies, str(plan)
    if not copies:
        (loop_over,) = (launch for launch in plan.launches if launch.flow is not None)
        sides = zip(loop_over.kernel.buffers, loop_over.slots, strict=True)
        state = [slot for buffer, slot in sides if buffer.role == "inout"]
        assert state == [Slot("input", 0), Slot("input", 1)]
        assert plan.arena_bytes == work_area(loop_over.flow).size


# No turn needs another: a product and a sum of its own each.
APART = """
func f(%w: f32[24,40], %xs: f32[TURNS,16,24]):
  %0: (f32[TURNS,16,40], f32[TURNS,40]) = scan %w, %xs body=@turn consts=1 carries=0 length=TURNS \
reverse=REVERSE
  %1: f32[TURNS,16,40] = item %0 index=0
  %2: f32[TURNS,40] = item %0 index=1
  return %1, %2

func turn(%w: f32[24,40], %x: f32[16,24]):
  %0: f32[16,40] = dot_general %x, %w contract=((1,),(0,)) batch=((),())
  %1: f32[16,40] = tanh %0
  %2: f32[40] = reduce_sum %1 axes=(0,)
  return %1, %2
"""


@pytest.mark.parametrize("reverse", ["false", "true"])
@pytest.mark.parametrize("turns", [2, 7, 8, 41])
def test_threads_take_turns_for_themselves(turns: int, reverse: str) -> None:
    """From 8 turns on; with no barrier, each thread in an arena of its own."""
    rng = np.random.default_rng(turns)
    arrays = [rng.normal(size=s).astype(np.float32) for s in ((24, 40), (turns, 16, 24))]
    graph = parse(APART.replace("TURNS", str(turns)).replace("REVERSE", reverse))
    plan = check(graph, arrays, 1e-4)
    (loop,) = (launch.flow for launch in plan.launches if launch.flow is not None)
    assert loop.apart == (turns >= 8)
    if loop.apart:
        assert plan.barriers == 0 and not loop.plans[0].parallel
        assert work_area(loop).size == min(turns, 32) * aligned(loop.plans[0].arena_bytes)
    want = evaluate(graph, arrays)
    before = num_threads()
    try:
        for threads in (1, 3, 40):
            set_num_threads(threads)
            for got, right in zip(compile_graph(graph).run(arrays), want, strict=True):
                np.testing.assert_allclose(got, right, rtol=1e-4, atol=1e-4)
    finally:
        set_num_threads(before)


def test_a_body_that_fills_the_cache_is_shared_itself() -> None:
    """Its temporaries, 4 MB for each thread, would drive those of other threads out of L2."""
    text = """
func f(%w: f32[24,40], %xs: f32[9,25600,24]):
  %0: (f32[9,40]) = scan %w, %xs body=@turn consts=1 carries=0 length=9 reverse=false
  %1: f32[9,40] = item %0 index=0
  return %1

func turn(%w: f32[24,40], %x: f32[25600,24]):
  %0: f32[25600,40] = dot_general %x, %w contract=((1,),(0,)) batch=((),())
  %1: f32[25600,40] = tanh %0
  %2: f32[40] = reduce_max %1 axes=(0,)
  return %2
"""
    (loop,) = (u.flow for u in compile_graph(parse(text)).plan.launches if u.flow is not None)
    assert not loop.apart and loop.plans[0].parallel


def test_a_loop_in_a_turn_apart_runs_on_its_thread() -> None:
    inner = APART.replace("TURNS", "9").replace("REVERSE", "false")
    outer = """
func g(%w: f32[24,40], %xs: f32[8,9,16,24]):
  %0: (f32[8,9,16,40], f32[8,9,40]) = scan %w, %xs body=@f consts=1 carries=0 length=8 reverse=false
  %1: f32[8,9,16,40] = item %0 index=0
  return %1
"""
    rng = np.random.default_rng(5)
    arrays = [rng.normal(size=s).astype(np.float32) for s in ((24, 40), (8, 9, 16, 24))]
    plan = check(parse(outer + inner), arrays, 1e-4)
    (loop,) = (launch.flow for launch in plan.launches if launch.flow is not None)
    (within,) = (u.flow for u in loop.plans[0].launches if u.flow is not None)
    assert loop.apart and not within.apart and plan.barriers == 0


def test_equal_bodies_share_their_kernels() -> None:
    graph, _ = case("scan")
    symbols = compile_graph(loss_of(graph)).stages.symbols
    assert len(set(symbols.values())) < len(symbols)
