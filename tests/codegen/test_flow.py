"""Loops and choices compiled: against the interpreter, on one thread and on a team."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ir.test_control import BACKWARD, CASES, case, loss_of
from tracejit.codegen.compile import compile_graph
from tracejit.codegen.launches import Plan
from tracejit.codegen.numba_program import run_program
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


def check(graph: Graph, arrays: list[Array], rtol: float = 1e-10) -> Plan:
    """The compiled program and its printed form, twice each, against the interpreter."""
    want = evaluate(graph, arrays)
    program = compile_graph(graph)
    printed = run_program(program.plan, [a.copy() for a in arrays], use_numba=False)
    for got in (program.run(arrays), program.run(arrays), printed):
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


def test_equal_bodies_share_their_kernels() -> None:
    graph, _ = case("scan")
    symbols = compile_graph(loss_of(graph)).stages.symbols
    assert len(set(symbols.values())) < len(symbols)
