"""Every primitive through every backend against its eval, on arrays however they lie in memory.

All samples of a primitive and dtype are outputs of one graph, so that each costs one compilation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from tests.emitters.accuracy import allowed_ulps, operands, ulps
from tests.fuzz.check import compare_outputs
from tests.samples import ALL, CONTROL, CORE, OPS, Sample, dtypes_of, samples
from tracejit.codegen.compile import Program, compile_graph
from tracejit.codegen.numba_program import run_program
from tracejit.ir.graph import PRIMITIVES, Array, Builder, Graph, Node
from tracejit.ir.types import DType, dtype_name, type_of

LAYOUTS: dict[str, Callable[[Array], Array]] = {}


def layout(rule: Callable[[Array], Array]) -> Callable[[Array], Array]:
    LAYOUTS[rule.__name__] = rule
    return rule


@layout
def contiguous(x: Array) -> Array:
    return np.ascontiguousarray(x).reshape(x.shape)


@layout
def transposed(x: Array) -> Array:
    return np.asarray(x.T, order="C").copy().T


@layout
def negative_strides(x: Array) -> Array:
    flipped = tuple(slice(None, None, -1) for _ in x.shape)
    return np.asarray(x[flipped]).copy()[flipped]


@layout
def misaligned(x: Array) -> Array:
    raw = np.zeros(x.nbytes + 1, np.uint8)
    view = raw[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


@layout
def read_only(x: Array) -> Array:
    copy = x.copy()
    copy.flags.writeable = False
    return copy


@layout
def strided(x: Array) -> Array:
    """Every second element of a larger array, along each axis."""
    larger = np.zeros([2 * s for s in x.shape], x.dtype)
    view = np.asarray(larger[tuple(slice(None, None, 2) for _ in x.shape)])
    view[...] = x
    return view.reshape(x.shape) if view.shape != x.shape else view


def graph_of(group: Sequence[Sample]) -> Graph:
    """One output for each sample, each on inputs of its own."""
    builder = Builder()
    inputs: list[Node] = []
    outputs: list[Node] = []
    for n, sample in enumerate(group):
        own = [builder.input(f"s{n}_{i}", type_of(a)) for i, a in enumerate(sample.arrays)]
        inputs += own
        outputs.append(builder.emit(PRIMITIVES[sample.op], *own, **sample.attrs))
    return Graph("samples", tuple(inputs), tuple(outputs))


def check(group: Sequence[Sample], got: Sequence[Array], backend: str) -> None:
    graph = graph_of(group)
    arrays = [a for sample in group for a in sample.arrays]
    if not PRIMITIVES[group[0].op].elementwise:
        fault = compare_outputs(graph, arrays, got)
        assert fault is None, f"{backend}: {fault}"
        return
    for sample, result in zip(group, got, strict=True):
        want = PRIMITIVES[sample.op].eval(*sample.arrays, **sample.attrs)
        off = ulps(result, np.asarray(want))
        assert off <= allowed_ulps(sample.op, want.dtype), f"{backend}: {sample}: {off} ulp"


def groups(op: str, dtypes: tuple[DType, ...]) -> list[list[Sample]]:
    return [found for d in dtypes if (found := list(samples(op, (d,))))]


def test_every_primitive_has_samples() -> None:
    assert set(OPS) == set(PRIMITIVES) - {"input"} - CONTROL


@pytest.mark.parametrize("op", OPS)
def test_backends_agree_with_eval(op: str) -> None:
    """Native code on every layout, and the printed program as plain Python."""
    for group in groups(op, CORE if op != "random_bits" else CORE[:1]):
        program = compile_graph(graph_of(group))
        arrays = [a for sample in group for a in sample.arrays]
        for name, rule in LAYOUTS.items():
            check(group, program.run([rule(a) for a in arrays]), f"llvm, {name}")
        check(group, run_program(program.plan, arrays, use_numba=False), "numba source")


@pytest.mark.parametrize("op", [op for op in OPS if PRIMITIVES[op].elementwise])
def test_special_values_in_every_dtype(op: str) -> None:
    """Zeros, infinities, nan, denormals and integer limits in all pairs, natively."""
    for dtype in dtypes_of(op):
        if dtype not in ALL or op == "cast":
            continue
        sample = next(iter(samples(op, (dtype,))))
        columns = operands(dtype, len(sample.arrays))
        if op == "select":
            columns[0] = np.arange(len(columns[1])) % 3 == 0
        group = [Sample(op, dtype, tuple(columns), sample.attrs)]
        check(group, compile_graph(graph_of(group)).run(columns), f"llvm, {dtype_name(dtype)}")


def test_inputs_that_broadcast_memory() -> None:
    """A stride of 0: the same element everywhere."""
    builder = Builder()
    x = np.broadcast_to(np.arange(5, dtype=np.float32), (7, 5))
    node = builder.input("x", type_of(x))
    graph = Graph("f", (node,), (builder.emit(PRIMITIVES["neg"], node),))
    assert np.array_equal(compile_graph(graph).run([x])[0], -x)


# Real Numba: about half a second for each kernel.
COMPILED = ("dot_general", "gather_rows", "scatter_add_rows", "conv")


def test_printed_programs_under_numba() -> None:
    group_of = {op: groups(op, CORE[:1])[0][-2:-1] for op in COMPILED}
    group = [sample for picked in group_of.values() for sample in picked]
    program: Program = compile_graph(graph_of(group))
    arrays = [a for sample in group for a in sample.arrays]
    results = iter(run_program(program.plan, arrays, use_numba=True))
    for picked in group_of.values():
        check(picked, [next(results) for _ in picked], "numba")
