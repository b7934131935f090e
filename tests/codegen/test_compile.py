"""Programs as they are called: on the team of threads, from caches, on any arrays."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.codegen.running import fault_in
from tests.fuzz.generate import random_graph
from tests.fuzz.inputs import random_inputs
from tracejit.codegen import STAGES, objects
from tracejit.codegen.compile import Program, compile_graph
from tracejit.codegen.runtime.team import num_threads, set_num_threads
from tracejit.ir.graph import Graph
from tracejit.ir.text import parse

# Long enough for a team: products, a softmax, sums over columns, an update in place.
STEP = """
func step(%w: f32[96,80], %x: f32[64,96], %y: f32[64,80]):
  %0: f32[64,80] = dot_general %x, %w contract=((1,),(0,)) batch=((),())
  %1: f32[64] = reduce_max %0 axes=(1,)
  %2: f32[64,80] = broadcast %1 shape=(64,80) axes=(0,)
  %3: f32[64,80] = sub %0, %2
  %4: f32[64,80] = exp %3
  %5: f32[64] = reduce_sum %4 axes=(1,)
  %6: f32[64,80] = broadcast %5 shape=(64,80) axes=(0,)
  %7: f32[64,80] = div %4, %6
  %8: f32[64,80] = sub %7, %y
  %9: f32[96,80] = dot_general %x, %8 contract=((0,),(0,)) batch=((),())
  %10: f32[96,80] = sub %w, %9
  %11: f32[80] = reduce_sum %8 axes=(0,)
  return %10 -> %w, %7, %11
"""


@pytest.fixture
def threads() -> Iterator[None]:
    before = num_threads()
    yield
    set_num_threads(before)


def step_arrays() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [(rng.normal(size=node.shape) / 8).astype("f4") for node in parse(STEP).inputs]


def undonated(graph: Graph) -> Graph:
    return Graph(graph.name, graph.inputs, graph.outputs)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_team_of_any_size_gives_the_same_bits(count: int, threads: None) -> None:
    graph = parse(STEP)
    program = compile_graph(graph)
    assert program.plan.parallel and program.plan.barriers >= 2
    set_num_threads(1)
    first = program.run([a.copy() for a in step_arrays()])
    assert fault_in(undonated(graph), step_arrays(), first) is None
    set_num_threads(count)
    for _ in range(5):
        for a, b in zip(first, program.run([a.copy() for a in step_arrays()]), strict=True):
            np.testing.assert_array_equal(a, b)


def test_random_graphs_through_the_native_entry(threads: None) -> None:
    for seed in range(500, 515):
        set_num_threads(1 + seed % 3)
        graph = random_graph(seed)
        arrays = random_inputs(graph, seed)
        got = compile_graph(graph).run([a.copy() for a in arrays])
        assert fault_in(graph, arrays, got) is None, f"seed {seed}:\n{graph}"


def test_an_output_lies_where_the_donated_array_did() -> None:
    arrays = step_arrays()
    outputs = compile_graph(parse(STEP)).run(arrays)
    assert outputs[0].ctypes.data == arrays[0].ctypes.data
    assert not any(np.shares_memory(a, b) for a in outputs[1:] for b in arrays)


def test_arrays_of_any_layout_are_taken() -> None:
    text = """
    func f(%x: f32[6,5]):
      %0: f32[6,5] = exp %x
      return %0
    """
    program = compile_graph(parse(text))
    base = np.random.default_rng(0).normal(size=(6, 5)).astype("f4")
    bytes_ = np.zeros(base.nbytes + 1, np.uint8)
    misaligned = bytes_[1:].view("f4").reshape(6, 5)
    misaligned[...] = base
    wide = np.zeros((6, 11), "f4")
    wide[:, 1::2] = base
    frozen = base.copy()
    frozen.flags.writeable = False
    for array in (np.asfortranarray(base), base[::-1][::-1], misaligned, wide[:, 1::2], frozen,
                  base.astype(">f4")):  # fmt: skip
        (got,) = program.run([array])
        np.testing.assert_allclose(got, np.exp(base), rtol=1e-6)


def test_other_types_are_refused() -> None:
    program = compile_graph(parse("func f(%x: f32[3]):\n  %0: f32[3] = neg %x\n  return %0\n"))
    with pytest.raises(TypeError, match=r"f: arguments are not f32\[3\]"):
        program.run([np.zeros(3)])
    with pytest.raises(TypeError, match=r"f: arguments are not f32\[3\]"):
        program.run([np.zeros(4, "f4")])


# Stages


def test_every_stage_has_a_text() -> None:
    program = compile_graph(parse(STEP))
    texts = [program.dump(stage) for stage in STAGES]
    assert all(texts) and len(set(texts)) == len(texts)
    assert "define void @tj_program(" in program.dump("llvm")


def test_an_unknown_stage_is_an_error_that_lists_them() -> None:
    program = compile_graph(parse(STEP))
    with pytest.raises(ValueError, match="no stage 'graph'; there are traced, optimized, fused"):
        program.dump("graph")


def test_the_cost_is_that_of_the_program() -> None:
    cost = compile_graph(parse(STEP)).cost()
    product = 2 * 64 * 96 * 80
    assert 2 * product < cost.flops < 2 * product + 64 * 80 * 10 + 96 * 80 * 2
    assert cost.kernels == len(compile_graph(parse(STEP)).plan.launches)


# Caches


def test_equal_kernels_are_compiled_once() -> None:
    """Layers of one shape: three products, one code."""
    lines = ["func f(%x: f32[8,8], %a: f32[8,8], %b: f32[8,8], %c: f32[8,8]):"]
    last = "x"
    for n, w in enumerate("abc"):
        operands = f"%{last}, %{w} contract=((1,),(0,)) batch=((),())"
        lines.append(f"  %{n}: f32[8,8] = dot_general {operands}")
        last = str(n)
    program = compile_graph(parse("\n".join([*lines, f"  return %{last}", ""])))
    assert len(program.plan.launches) == 3
    assert len(program.artifact.symbols) == 1


def _nothing_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(texts: object) -> list[bytes]:
        raise AssertionError("compiled again")

    monkeypatch.setattr(objects, "compile_ir", refuse)


def test_a_known_program_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_graph(parse(STEP))
    _nothing_compiles(monkeypatch)
    assert compile_graph(parse(STEP)).run(step_arrays())


def test_a_program_on_disk_needs_no_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_graph(parse(STEP))
    _nothing_compiles(monkeypatch)
    objects.forget()
    program = Program(parse(STEP))
    assert "stages" not in vars(program), "no pass, no schedule, no line of IR"
    got = program.run(step_arrays())
    assert fault_in(undonated(parse(STEP)), step_arrays(), got) is None


@pytest.mark.parametrize("flaw", [b"", b"{", b"[]", b'{"symbols": 3}', b"\xff\xfe", b"null"])
def test_a_damaged_artifact_is_a_miss(flaw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    from tracejit.codegen import artifact
    from tracejit.codegen.runtime.cache import disk_cache

    compile_graph(parse(STEP))
    disk = disk_cache()
    assert disk is not None
    key = artifact.artifact_key(parse(STEP))
    disk.put(key, flaw, {})
    program = Program(parse(STEP))
    got = program.run(step_arrays())
    assert fault_in(undonated(parse(STEP)), step_arrays(), got) is None
