"""Every host function: samples, infer against eval, derivatives, lanes, and compiled code."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.host_samples import HOST_EXAMPLES, SYMMETRIC, WITHOUT_DERIVATIVE
from tests.ir.test_batching import patterns
from tests.ir.test_gradients import check_gradients, weighted
from tests.samples import Example
from tracejit.codegen.compile import compile_graph
from tracejit.codegen.numba_program import run_program
from tracejit.ir import ops
from tracejit.ir.batching import batched, in_lanes
from tracejit.ir.graph import Array, Builder, Graph, Node
from tracejit.ir.host.matrices import symmetric
from tracejit.ir.host.table import HOST
from tracejit.ir.interpreter import EagerBuilder, evaluate
from tracejit.ir.text import equal, parse
from tracejit.ir.types import F64, is_float, type_of

NAMES = sorted(HOST_EXAMPLES)


def examples(name: str, wanted: np.dtype[np.generic] | None = None) -> Iterator[Example]:
    dtypes, rows = HOST_EXAMPLES[name]
    rng = np.random.default_rng([*name.encode()])
    for dtype in dtypes:
        if wanted is None or wanted == dtype:
            yield from rows(rng, dtype)


def close(got: Array, want: Array, message: str) -> None:
    if is_float(want.dtype):
        tolerance = 1e-9 if want.dtype == F64 else 1e-3
        np.testing.assert_allclose(got, want, tolerance, tolerance, err_msg=message)
    else:
        np.testing.assert_array_equal(got, want, err_msg=message)


def test_every_host_function_has_examples() -> None:
    apart = ("custom.", "debug.")  # the user's, and text: they have tests of their own
    assert set(HOST_EXAMPLES) == {name for name in HOST if not name.startswith(apart)}


@pytest.mark.parametrize("name", NAMES)
def test_infer_agrees_with_eval(name: str) -> None:
    for arrays, attrs in examples(name):
        inferred = HOST[name].infer(*map(type_of, arrays), **attrs)
        results = HOST[name].eval(*arrays, **attrs)
        assert tuple(map(type_of, results)) == inferred, f"{name} {attrs}"


@pytest.mark.parametrize("name", NAMES)
def test_derivatives(name: str) -> None:
    """First and second order; of a matrix that counts as symmetric, along symmetric directions."""
    if name in WITHOUT_DERIVATIVE:
        assert HOST[name].vjp is None
        return
    for arrays, attrs in examples(name, F64):
        points = [a for a in arrays if is_float(a.dtype)]
        rng = np.random.default_rng(1)
        results = HOST[name].eval(*arrays, **attrs)
        weights = [rng.uniform(-1, 1, r.shape) for r in results]

        def fn(builder: EagerBuilder, xs: list[Node]) -> Node:
            floats = iter(xs)
            operands = [
                next(floats) if is_float(a.dtype) else builder.input("i", type_of(a), a)
                for a in arrays  # noqa: B023
            ]
            if name in SYMMETRIC:
                operands = [symmetric(x) for x in operands]
            found = ops.host_call(name, *operands, **attrs)  # noqa: B023
            pairs = [p for p in zip(found, weights, strict=True) if is_float(p[0].dtype)]  # noqa: B023
            return weighted(builder, [r for r, _ in pairs], [w for _, w in pairs])

        check_gradients(fn, points, order=2)


@pytest.mark.parametrize("name", NAMES)
def test_lanes_equal_a_loop(name: str) -> None:
    for arrays, attrs in examples(name, F64):
        for has in patterns(len(arrays)):
            check_lanes(name, arrays, attrs, has)


def check_lanes(name: str, arrays: tuple[Array, ...], attrs: dict, has: tuple[bool, ...]) -> None:
    builder, size = EagerBuilder(), 2
    lanes: dict[Node, Node] = {}
    operands = []
    values = [
        np.stack([a, 1.5 * a]).astype(a.dtype) if h else a for a, h in zip(arrays, has, strict=True)
    ]
    for array, value, h in zip(arrays, values, has, strict=True):
        node = builder.input("x", type_of(value), value)
        if h:
            one = builder.placeholder("one", type_of(array))
            lanes[one] = node
            node = one
        operands.append(node)
    outs = ops.host_call(name, *operands, **attrs)
    known = batched(outs, lanes, size)
    for lane in range(size):
        own = [v[lane] if h else v for v, h in zip(values, has, strict=True)]
        for out, want in zip(outs, HOST[name].eval(*own, **attrs), strict=True):
            got = builder.values[in_lanes(out, known, size)][lane]
            close(got, want, f"{name} {attrs} {has}")


def graph_of(rows: list[Example], name: str) -> tuple[Graph, list[Array]]:
    """All results of all examples; every second operand is a transpose that nobody stored."""
    builder = Builder()
    inputs, outputs, arrays = [], [], []
    for n, (given, attrs) in enumerate(rows):
        operands = []
        for i, array in enumerate(given):
            turn = n % 2 == 1 and array.ndim > 1
            array = np.ascontiguousarray(array.T) if turn else array
            node = builder.input(f"x{n}_{i}", type_of(array))
            inputs.append(node)
            arrays.append(array)
            operands.append(ops.transpose(node, range(array.ndim)[::-1]) if turn else node)
        outputs += ops.host_call(name, *operands, **attrs)
    return Graph("host", tuple(inputs), tuple(outputs)), arrays


@pytest.mark.parametrize("name", NAMES)
def test_compiled_and_printed_programs(name: str) -> None:
    graph, arrays = graph_of(list(examples(name)), name)
    assert equal(graph, parse(str(graph)))
    want = evaluate(graph, arrays)
    program = compile_graph(graph)
    for got in (program.run(arrays), run_program(program.plan, arrays, use_numba=False)):
        for mine, theirs in zip(got, want, strict=True):
            close(mine, theirs, name)
    calls = [launch for launch in program.plan.launches if launch.kernel.kind == "host"]
    assert len(calls) == len(list(examples(name))), "one call, whatever the number of results"


@pytest.mark.parametrize("dtype", ["f4", "i8"])
def test_argsort_of_many_is_stable(dtype: str) -> None:
    """Few equals, many of them, nan; rows and columns."""
    rng = np.random.default_rng(0)
    for shape, axis in (((5000,), 0), ((70, 80), 0), ((2, 50, 60), 1)):
        for values in (3, 100, 10**6):
            x = rng.integers(0, values, shape).astype(dtype)
            if dtype == "f4":
                x[rng.random(shape) < 0.05] = np.nan
            (order,) = HOST["argsort"].eval(x, axis=axis)
            np.testing.assert_array_equal(order, np.argsort(x, axis, "stable"))
