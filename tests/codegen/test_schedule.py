"""Schedules: every iteration once, vectors along one axis, the tiles that a machine calls for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.codegen.running import MACHINES
from tests.fuzz.generate import random_graph
from tracejit.codegen.coalesce import coalesce
from tracejit.codegen.hoist import hoist
from tracejit.codegen.machine import Machine
from tracejit.codegen.nest import (
    Call,
    Each,
    Flow,
    Fold,
    For,
    Kernel,
    Load,
    Loop,
    Stmt,
    Store,
    loops_of,
    walk,
)
from tracejit.codegen.plan import lower_all
from tracejit.codegen.schedule import schedule
from tracejit.codegen.tiles import cut, even
from tracejit.ir.fusion import fuse
from tracejit.ir.passes import optimize
from tracejit.ir.text import parse
from tracejit.ir.types import BF16, BOOL, F16, F32, F64, I8, I32, I64


def kernel_of(text: str) -> Kernel:
    (lowered,) = lower_all(fuse(parse(text)))
    return lowered.kernel


def check(before: Kernel, after: Kernel) -> None:
    """`after` has the loops of `before`, tiled so that each iteration is there once.

    Under an `Each` a tile may reach over its neighbour: there what was done is left out.
    """
    plain = sorted((loop.axis, loop.extent) for loop in loops_of(hoist(coalesce(before)).body))
    assert sorted((loop.axis, loop.extent) for loop in loops_of(after.body)) == plain
    left_out = {s.axis for s in walk(after.body) if isinstance(s, Each)}
    for loop in loops_of(after.body):
        covers(loop, overlap=loop.axis in left_out)
    _one_vector_axis(after.body, None)


def covers(loop: Loop, overlap: bool = False) -> None:
    """The tiles make up the extent, a tile's last vector alone is partial, tails come last."""
    if overlap:
        (run,) = loop.runs()
        assert (run.count - 1) * run.width < loop.extent <= run.count * run.width, str(loop)
        return
    assert sum(t.count * t.width for t in loop.runs()) == loop.extent, str(loop)
    assert len(loop.runs()) <= 2, f"{loop}: the emitter knows full tiles and a tail"
    assert all(t.width >= 1 and t.count >= 0 for t in loop.runs()), str(loop)
    if len(loop.runs()) == 2:
        full, tail = loop.runs()
        assert tail.width < full.width and full.count and tail.count, str(loop)
    if loop.lanes > 1:
        assert loop.lanes & (loop.lanes - 1) == 0, f"{loop}: lanes are a power of two"
        assert all(t.width % loop.lanes == 0 for t in loop.tiles[:-1]), str(loop)


def _one_vector_axis(body: Sequence[Stmt], vector: str | None) -> None:
    """On no path are there two vector axes, and nothing parallel lies inside something serial."""
    for stmt in body:
        loops = [stmt.loop] if isinstance(stmt, For) else list(getattr(stmt, "loops", ()))
        mine = [loop.axis for loop in loops if loop.lanes > 1]
        assert len(mine) + (vector is not None) <= 1, f"{mine} inside {vector}"
        if isinstance(stmt, For | Fold | Each):
            _one_vector_axis(stmt.body, mine[0] if mine else vector)


# Cutting


@given(st.integers(0, 1000), st.integers(1, 128))
def test_cut_covers_the_extent(extent: int, width: int) -> None:
    covers(Loop("i", extent, tiles=cut(extent, width)))


@given(st.integers(0, 1000), st.integers(1, 16))
def test_even_tiles_cover_the_extent_and_leave_no_small_one(extent: int, width: int) -> None:
    tiles = even(extent, width)
    covers(Loop("i", extent, tiles=tiles))
    if extent > width * width:
        assert min(t.width for t in tiles) >= width - 1


# The machine model


@pytest.mark.parametrize(
    ("dtypes", "lanes"),
    [
        ([F32], 8), ([F64], 4), ([F32, F64], 4), ([I32], 8), ([F32, I64], 8), ([I64], 4),
        ([I8], 16), ([F16], 16), ([BF16], 16), ([F16, F32], 8), ([BOOL], 16), ([], 16),
    ],
)  # fmt: skip
def test_lanes(dtypes: list[object], lanes: int) -> None:
    assert MACHINES["256x16"].lanes(dtypes) == lanes  # type: ignore[arg-type]


# Any kernel


@pytest.mark.parametrize("name", MACHINES)
def test_schedules_of_random_kernels(name: str) -> None:
    start = 1000 + 100 * list(MACHINES).index(name)
    for seed in range(start, start + 60):
        for lowered in lower_all(fuse(optimize(random_graph(seed)))):
            check(lowered.kernel, schedule(lowered.kernel, MACHINES[name]))


MATMUL = """
func f(%a: f32[{a}], %b: f32[{b}]):
  %0: f32[{m},{n}] = dot_general %a, %b contract=(({i},),({j},)) batch=((),())
  return %0
"""
LAYOUTS = {"NN": (1, 0), "NT": (1, 1), "TN": (0, 0), "TT": (0, 1)}


def matmul(layout: str, m: int, n: int, k: int) -> str:
    i, j = LAYOUTS[layout]
    a = f"{m},{k}" if i else f"{k},{m}"
    b = f"{n},{k}" if j else f"{k},{n}"
    return MATMUL.format(a=a, b=b, m=m, n=n, i=i, j=j)


@given(
    st.sampled_from(sorted(LAYOUTS)),
    st.sampled_from(sorted(MACHINES)),
    st.tuples(*[st.integers(0, 70)] * 3),
)
def test_schedules_of_products(layout: str, name: str, sizes: tuple[int, int, int]) -> None:
    kernel = kernel_of(matmul(layout, *sizes))
    check(kernel, schedule(kernel, MACHINES[name]))


@given(
    st.sampled_from(sorted(MACHINES)),
    st.sampled_from(["(0,)", "(1,)", "(2,)", "(0,2)", "(1,2)", "(0,1)", "(0,1,2)"]),
    st.tuples(*[st.integers(0, 70)] * 3),
)
def test_schedules_of_reductions(name: str, axes: str, sizes: tuple[int, int, int]) -> None:
    shape = ",".join(map(str, sizes))
    kept = ",".join(str(n) for d, n in enumerate(sizes) if str(d) not in axes)
    kernel = kernel_of(
        f"func f(%x: f32[{shape}]):\n  %0: f32[{kept}] = reduce_sum %x axes={axes}\n  return %0\n"
    )
    check(kernel, schedule(kernel, MACHINES[name]))


# What a machine calls for


def loops(text: str, machine: Machine) -> list[str]:
    return [str(loop) for loop in loops_of(schedule(kernel_of(text), machine).body)]


def accumulators(kernel: Kernel) -> int:
    """Vectors that a contraction's innermost tile keeps in registers."""
    product = 1
    for loop in loops_of(kernel.body):
        width = max(t.width for t in loop.runs())
        product *= -(-width // loop.lanes)
    return product


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", MACHINES)
def test_a_product_fills_the_registers_and_does_not_spill(layout: str, name: str) -> None:
    machine = MACHINES[name]
    kernel = schedule(kernel_of(matmul(layout, 96, 96, 96)), machine)
    assert machine.registers // 2 <= accumulators(kernel) < machine.registers


def test_tiles_of_a_large_product() -> None:
    *outer, last = loops(matmul("NN", 96, 96, 96), MACHINES["256x16"])
    assert sorted(outer) == ["parallel i0 in 96 tiles 16x6", "parallel i1 in 96 tiles 6x16 lanes 8"]
    assert last == "r0 in 96"
    *outer, last = loops(matmul("NN", 96, 96, 96), MACHINES["512x32"])
    assert sorted(outer) == [
        "parallel i0 in 96 tiles 12x8",
        "parallel i1 in 96 tiles 2x48 lanes 16",
    ]
    assert last == "r0 in 96"


def test_a_product_of_transposed_rows_is_summed_in_vectors_along_them() -> None:
    assert loops(matmul("NT", 8, 6, 96), MACHINES["256x16"]) == [
        "parallel i1 in 6 tiles 2x3",
        "parallel i0 in 8 tiles 3x3",
        "r0 in 96 tiles 12x8 lanes 8",
    ]


def test_rows_of_a_softmax_are_vectors() -> None:
    text = """
    func f(%x: f32[6,40]):
      %0: f32[6] = reduce_max %x axes=(1,)
      %1: f32[6,40] = broadcast %0 shape=(6,40) axes=(0,)
      %2: f32[6,40] = sub %x, %1
      %3: f32[6,40] = exp %2
      %4: f32[6] = reduce_sum %3 axes=(1,)
      return %4, %3
    """
    kernel = schedule(kernel_of(text), MACHINES["256x16"])
    assert [loop.axis for loop in loops_of(kernel.body) if loop.lanes > 1] == ["r0", "r0"]


def test_columns_are_summed_in_vectors_of_columns() -> None:
    text = "func f(%x: f32[30,40]):\n  %0: f32[40] = reduce_sum %x axes=(0,)\n  return %0\n"
    outer, inner = loops_of(schedule(kernel_of(text), MACHINES["256x16"]).body)
    assert outer.parallel and outer.lanes == 8 and inner.lanes == 1


def test_a_transposed_copy_has_vectors_along_one_side() -> None:
    text = """
    func f(%x: f32[30,40]):
      %0: f32[40,30] = transpose %x perm=(1,0)
      %1: f32[40,30] = neg %0
      return %1
    """
    scheduled = schedule(kernel_of(text), MACHINES["256x16"])
    assert sum(loop.lanes > 1 for loop in loops_of(scheduled.body)) == 1


def test_every_statement_of_the_loop_ir_is_met_by_random_kernels() -> None:
    """Else the properties above would hold of little."""
    met: set[type] = set()
    for seed in range(60):
        for lowered in lower_all(fuse(optimize(random_graph(seed)))):
            scheduled = schedule(lowered.kernel, MACHINES["256x16"])
            met |= {type(s) for s in walk(scheduled.body)}
    assert met == set(get_args(Stmt)) - {Call, Flow}  # those have no schedule
    assert {Load, Store} <= met
