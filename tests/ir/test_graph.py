"""Types, interning, the builder, rebuilding, settings."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tracejit.ir import config, ops
from tracejit.ir.copying import rebuild
from tracejit.ir.graph import PRIMITIVES, Builder, Graph, Loc, Node, primitive
from tracejit.ir.order import topological
from tracejit.ir.text import equal
from tracejit.ir.types import (
    BF16,
    BOOL,
    DTYPES,
    F16,
    F32,
    F64,
    I8,
    I32,
    U8,
    DTypeError,
    TensorType,
    dtype_name,
    parse_type,
    type_of,
)

VECTOR = TensorType((3,), F32)


@pytest.mark.parametrize("name", DTYPES)
def test_types_print_and_parse(name: str) -> None:
    for shape in ((), (0,), (64, 128)):
        type = TensorType(shape, DTYPES[name])
        assert parse_type(str(type)) == type
    assert str(TensorType((64, 128), DTYPES[name])) == f"{name}[64,128]"


def test_sizes() -> None:
    type = TensorType((3, 5), BF16)
    assert (type.size, type.nbytes, type.ndim) == (15, 30, 2)
    assert TensorType((), F64).size == 1
    assert TensorType((0, 4), F64).nbytes == 0


def test_unsupported_dtypes() -> None:
    with pytest.raises(DTypeError, match="complex64 is not supported; use one of bool, i8"):
        dtype_name(np.dtype(np.complex64))
    with pytest.raises(DTypeError, match="is not supported"):
        type_of(np.array(["text"]))
    with pytest.raises(ValueError, match="not a tensor type: 'f32'"):
        parse_type("f32")


def test_equal_operations_are_one_node() -> None:
    builder = Builder()
    x, y = builder.input("x", VECTOR), builder.input("x", VECTOR)
    assert x is not y
    assert ops.exp(x) is ops.exp(x)
    assert ops.exp(x) is not ops.exp(y)
    assert x + y is x + y
    assert x + y is not y + x
    assert ops.reduce_sum(x, (0,)) is ops.reduce_sum(x, [np.int64(0)])
    assert builder.mark(x) is not builder.mark(x)


def test_constants_are_told_apart_by_bits_and_type() -> None:
    builder = Builder()

    def full(value: float, type: TensorType = VECTOR) -> Node:
        return builder.full(value, type)

    assert full(0.0) is not full(-0.0)
    assert full(math.nan) is full(math.nan)
    assert full(1) is full(1.0)
    assert full(1) is not full(1, TensorType((3,), I32))
    assert full(1, TensorType((), BOOL)).scalar() is True
    assert full(0.1).scalar() == float(np.float32(0.1))


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [(1e300, F32, math.inf), (70000.0, F16, math.inf), (-1, U8, 255), (300, I8, 44), (2.9, I32, 2)],
)
def test_constants_are_converted_quietly(
    value: float, dtype: np.dtype[np.generic], expected: float
) -> None:
    assert Builder().full(value, TensorType((), dtype)).scalar() == expected


def test_operators_take_numbers_on_either_side() -> None:
    builder = Builder()
    x = builder.input("x", VECTOR)
    two = ops.full_like(x, 2)
    assert x - 2 is ops.sub(x, two)
    assert 2 - x is ops.sub(two, x)
    assert x / 2 is ops.div(x, two)
    assert 2 / x is ops.div(two, x)
    assert 2 + x is ops.add(two, x)
    assert 2 * x is ops.mul(two, x)
    assert -x is ops.neg(x)


def test_operands_of_another_builder_are_refused() -> None:
    x, y = Builder().input("x", VECTOR), Builder().input("y", VECTOR)
    with pytest.raises(AssertionError, match="of another graph"):
        ops.add(x, y)


def test_primitives_have_names_of_their_own() -> None:
    row = PRIMITIVES["exp"]
    with pytest.raises(ValueError, match="'exp' is defined twice"):
        primitive("exp", row.infer, row.eval, None)


def test_locations_are_not_part_of_identity() -> None:
    builder = Builder()
    x = builder.input("x", VECTOR)
    with builder.at(Loc("a.py", 1)):
        first = ops.exp(x)
        with builder.at(Loc("a.py", 2)):
            assert ops.exp(x) is first
            assert str(ops.sin(x).loc) == "a.py:2"
        assert str(ops.cos(x).loc) == "a.py:1"
    assert first.loc == Loc("a.py", 1)
    assert str(first.loc.backward()) == "grad of a.py:1"


def test_order_and_uses() -> None:
    builder = Builder()
    x, unused = builder.input("x", VECTOR), builder.input("unused", VECTOR)
    a = ops.exp(x)
    b = a * a
    graph = Graph("f", (x, unused), (b, a))
    assert graph.nodes() == [x, unused, a, b]
    uses = graph.uses()
    assert uses[a] == [b, b]
    assert uses[unused] == []
    assert topological((a,)) == [x, a]
    assert graph.donated == (None, None)


def test_rebuild_keeps_what_the_rewrite_keeps() -> None:
    builder = Builder()
    x = builder.input("x", VECTOR)
    with builder.at(Loc("a.py", 5)):
        y = ops.exp(x) + x
    graph = Graph("f", (x,), (y, x), (0, None))

    def keep(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node:
        return builder.emit(node.prim, *inputs, **node.attrs)

    again = rebuild(graph, keep)
    assert equal(again, graph)
    assert again.outputs[0].loc == Loc("a.py", 5)
    assert again.outputs[0].builder is not builder

    def wrong(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node:
        return ops.cast(inputs[0], F64)

    with pytest.raises(AssertionError, match="exp: rewritten to another type"):
        rebuild(graph, wrong)


def test_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "_values", {})  # what other tests have set in this process
    monkeypatch.setenv("TRACEJIT_CACHE", "off")
    assert config.get("cache") is False
    monkeypatch.setenv("TRACEJIT_LOG", "passes,retrace")
    assert config.logging("retrace")
    assert not config.logging("trace")
    with config.override("log", ""):
        assert not config.logging("retrace")
        with config.override("log", "trace"):
            assert config.logging("trace")
        assert not config.logging("trace")
    assert config.logging("passes")
    with pytest.raises(KeyError, match="no setting 'lgo'; known: log, "):
        config.update("lgo", "x")
    monkeypatch.delenv("TRACEJIT_NUM_THREADS", raising=False)
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    assert config.get("num_threads") == 3
