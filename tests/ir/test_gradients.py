"""Derivatives against central differences in f64, first and second order, from the sample table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.samples import OPS, Sample, samples
from tracejit.ir import ops
from tracejit.ir.autodiff import gradients
from tracejit.ir.graph import PRIMITIVES, Array, Attr, Builder, Graph, Loc, Node, Primitive
from tracejit.ir.interpreter import EagerBuilder, evaluate
from tracejit.ir.types import F32, F64, TensorType, is_float, type_of

# Constant wherever they are continuous, or without float operands: a missing row is an error.
WITHOUT_DERIVATIVE = {
    "sign", "floor", "ceil", "round", "floor_divide", "not", "and", "or", "xor",
    "shift_left", "shift_right", "eq", "ne", "lt", "le", "gt", "ge",
    "full", "iota", "stop_gradient", "random_bits",
}  # fmt: skip

STEP = 1e-5
Function = Callable[[EagerBuilder, list[Node]], Node]


def weighted(builder: EagerBuilder, xs: Sequence[Node], weights: Sequence[Array]) -> Node:
    """The sum of all elements of `xs`, each times its weight."""
    total = builder.full(0.0, TensorType((), F64))
    for x, weight in zip(xs, weights, strict=True):
        w = builder.input("w", x.type, weight)
        total = total + ops.sum(x * w)
    return total


def check_gradients(fn: Function, points: list[Array], order: int, seed: int = 0) -> None:
    """fn gives a scalar; its derivative along two random directions must be the differences'.

    Then, if order > 1, the same for that derivative as a function.
    """
    rng = np.random.default_rng(seed)
    for _ in range(2):
        direction = [rng.uniform(-1, 1, p.shape) for p in points]

        def along(
            builder: EagerBuilder, xs: list[Node], direction: list[Array] = direction
        ) -> Node:
            y = fn(builder, xs)
            return weighted(builder, gradients([y], [ops.ones_like(y)], xs), direction)

        exact = _value(along, points)
        ahead, behind = (
            _value(fn, [p + s * d for p, d in zip(points, direction, strict=True)])
            for s in (STEP, -STEP)
        )
        difference = (ahead - behind) / (2 * STEP)
        assert abs(exact - difference) <= 2e-7 * max(1.0, abs(exact), abs(ahead)), (
            f"derivative of order {order} from the last: {exact}, by differences {difference}"
        )
        if order > 1:
            check_gradients(along, points, order - 1, seed + 1)


def _value(fn: Function, points: list[Array]) -> float:
    builder = EagerBuilder()
    xs = [builder.input("x", type_of(p), p) for p in points]
    return float(builder.values[fn(builder, xs)].item())


def as_function(prim: Primitive, sample: Sample) -> tuple[Function, list[Array]]:
    """The sample as a scalar function of its float operands, and the point to check it at."""
    points = [a for a in sample.arrays if is_float(a.dtype)]
    out = prim.infer(*sample.types, **sample.attrs)
    weights = np.random.default_rng(1).uniform(-1, 1, out.shape)

    def fn(builder: EagerBuilder, xs: list[Node]) -> Node:
        floats = iter(xs)
        operands = [
            next(floats) if is_float(a.dtype) else builder.input("i", type_of(a), a)
            for a in sample.arrays
        ]
        return weighted(builder, [builder.emit(prim, *operands, **sample.attrs)], [weights])

    return fn, points


def smooth_samples(op: str) -> list[Sample]:
    rows = samples(op, (F64,))
    return [s for s in rows if s.attrs.get("dtype", F64) == F64 and s.arrays]


DIFFERENTIABLE = [op for op in OPS if op not in WITHOUT_DERIVATIVE]


def test_each_primitive_has_a_derivative_or_is_listed() -> None:
    without = {name for name, prim in PRIMITIVES.items() if prim.vjp is None}
    assert without == {*WITHOUT_DERIVATIVE, "input"}


@pytest.mark.parametrize("op", DIFFERENTIABLE)
def test_first_and_second_order(op: str) -> None:
    rows = smooth_samples(op)
    assert rows
    for sample in rows:
        fn, points = as_function(PRIMITIVES[op], sample)
        check_gradients(fn, points, order=2)


@pytest.mark.parametrize("op", ["sign", "floor", "ceil", "round", "floor_divide"])
def test_steps_have_no_slope(op: str) -> None:
    for sample in smooth_samples(op):
        fn, points = as_function(PRIMITIVES[op], sample)
        check_gradients(fn, points, order=1)


# Tests of the test: planted wrong rules must be found


def _wrong(op: str) -> list[Primitive]:
    right = PRIMITIVES[op]

    def scaled(factor: float) -> Primitive:
        def vjp(g: Node, *rest: Node, **attrs: Attr) -> tuple[Node | None, ...]:
            assert right.vjp is not None
            return tuple(part and part * factor for part in right.vjp(g, *rest, **attrs))

        return replace(right, vjp=vjp)

    return [scaled(1.001), scaled(-1.0), replace(right, vjp=None)]


@pytest.mark.parametrize("op", DIFFERENTIABLE)
def test_planted_wrong_rule_is_caught(op: str) -> None:
    sample = max(smooth_samples(op), key=lambda s: sum(a.size for a in s.arrays))
    for wrong in _wrong(op):
        fn, points = as_function(wrong, sample)
        with pytest.raises(AssertionError, match="derivative of order 1"):
            check_gradients(fn, points, order=1)


def test_rule_wrong_only_at_second_order_is_caught() -> None:
    frozen = replace(PRIMITIVES["exp"], vjp=lambda g, y, x: (g * ops.stop_gradient(y),))
    sample = smooth_samples("exp")[-2]
    fn, points = as_function(frozen, sample)
    check_gradients(fn, points, order=1)
    with pytest.raises(AssertionError, match="derivative of order 1"):
        check_gradients(fn, points, order=2)


# Kinks and special points


def slope(fn: Callable[..., Node], *points: object, order: int = 1) -> list[list[float]]:
    """d^order sum(fn) / dx^order, elementwise, of each argument."""
    builder = EagerBuilder()
    arrays = [np.asarray(p, F64) for p in points]
    xs = [builder.input("x", type_of(a), a) for a in arrays]
    results = [fn(*xs)] * len(xs)
    for _ in range(order):
        results = [
            gradients([y], [ops.ones_like(y)], [x])[0] for y, x in zip(results, xs, strict=True)
        ]
    return [builder.values[r].tolist() for r in results]


def test_kinks_have_the_subgradients_of_jax() -> None:
    assert slope(ops.maximum, [1.0, 2.0, 3.0], [1.0, 3.0, 2.0]) == [[0.5, 0, 1], [0.5, 1, 0]]
    assert slope(ops.minimum, [1.0, 2.0, 3.0], [1.0, 3.0, 2.0]) == [[0.5, 1, 0], [0.5, 0, 1]]
    assert slope(ops.abs, [0.0, -2.0, 3.0]) == [[0, -1, 1]]
    assert slope(lambda x: ops.reduce_max(x, (0,)), [2.0, 1.0, 2.0]) == [[0.5, 0, 0.5]]
    assert slope(lambda x: ops.reduce_min(x, (0,)), [2.0, 2.0, 3.0]) == [[0.5, 0.5, 0]]


def test_power_at_zero() -> None:
    two, zero = [2.0, 2.0], [0.0, 0.0]
    assert slope(ops.pow, [0.0, 3.0], two)[0] == [0, 6]
    assert slope(ops.pow, [0.0, 3.0], two, order=2)[0] == [2, 2]
    assert slope(ops.pow, [0.0, 3.0], zero)[0] == [0, 0]
    assert slope(ops.pow, [0.0, 1.0], two)[1] == [0, 0]
    negative = slope(ops.pow, [-2.0, -1.0], [3.0, 2.0])[0]
    assert negative == [12, -2]


def test_product_with_zeros() -> None:
    """The derivative of a product is finite however many factors are 0; so is its own."""
    for point in ([0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0], [1.0, 2.0, 3.0]):
        array = np.asarray(point)

        def fn(builder: EagerBuilder, xs: list[Node]) -> Node:
            return ops.reduce_prod(xs[0], (0,))

        check_gradients(fn, [array], order=3)
    assert slope(lambda x: ops.reduce_prod(x, (0,)), [0.0, 2.0, 3.0]) == [[6, 0, 0]]


def test_select_lets_no_nan_through() -> None:
    def guarded(x: Node) -> Node:
        positive = ops.gt(x, ops.zeros_like(x))
        safe = ops.select(positive, x, ops.ones_like(x))
        return ops.select(positive, ops.log(safe), ops.zeros_like(x))

    assert slope(guarded, [0.0, -1.0, 2.0]) == [[0, 0, 0.5]]
    assert slope(guarded, [0.0, -1.0, 2.0], order=2) == [[0, 0, -0.25]]
    # Nor one of a slope that is nan on the side that is not taken.
    assert slope(lambda x: ops.select(ops.ge(x, x), x, x * np.nan), [1.0]) == [[1.0]]
    picked = slope(lambda x, y: ops.select(ops.ge(x, x), x, y), [1.0], [np.nan])
    assert picked == [[1.0], [0.0]]


# The sweep itself


def test_only_the_path_is_visited() -> None:
    builder = Builder()
    x, w = (builder.input(n, TensorType((3,), F32)) for n in "xw")
    aside = ops.exp(ops.sin(x))
    y = ops.sum(w * aside)
    (g,) = gradients([y], [ops.ones_like(y)], [w])
    graph = Graph("f", (x, w), (g,))
    assert [n.op for n in graph.nodes()].count("cos") == 0
    data = np.array([0.1, 0.2, 0.3], F32)
    np.testing.assert_allclose(evaluate(graph, [data, data])[0], np.exp(np.sin(data)), rtol=1e-6)


def test_no_path_gives_zeros() -> None:
    builder = Builder()
    x, w = (builder.input(n, TensorType((3,), F32)) for n in "xw")
    cut = ops.sum(ops.stop_gradient(w) * x)
    zero, one = gradients([cut], [ops.ones_like(cut)], [w, x])
    assert zero.scalar() == 0.0
    assert one.scalar() is None
    through = ops.sum(ops.cast(ops.cast(w, np.dtype(np.int32)), F32))
    assert gradients([through], [ops.ones_like(through)], [w])[0].scalar() == 0.0


def test_several_outputs_accumulate() -> None:
    builder = Builder()
    x = builder.input("x", TensorType((), F64))
    outputs = [x * x, x, ops.exp(x)]
    (g,) = gradients(outputs, [builder.full(c, x.type) for c in (1.0, 10.0, 100.0)], [x])
    value = evaluate(Graph("f", (x,), (g,)), [np.array(3.0)])[0]
    assert value == pytest.approx(6 + 10 + 100 * np.exp(3))


def test_intermediate_nodes_and_marks() -> None:
    """d/dh at an inner node counts all that lies after it, and a mark splits equal values."""
    builder = Builder()
    x = builder.input("x", TensorType((), F64))
    h = ops.sin(x)
    y = h * h
    dh, dx = gradients([y], [ops.ones_like(y)], [h, x])
    left, right = builder.mark(x), builder.mark(x)
    assert left is not right
    (dl,) = gradients([left * right * right], [ops.ones_like(x)], [left])
    values = evaluate(Graph("f", (x,), (dh, dx, dl)), [np.array(0.7)])
    expected = [2 * np.sin(0.7), 2 * np.sin(0.7) * np.cos(0.7), 0.49]
    np.testing.assert_allclose([float(v) for v in values], expected, rtol=1e-12)


def test_backward_nodes_name_the_forward_line() -> None:
    builder = Builder()
    x = builder.input("x", TensorType((), F64))
    with builder.at(Loc("model.py", 7)):
        y = ops.tanh(x)
    (g,) = gradients([y], [ops.ones_like(y)], [x])
    assert str(g.loc) == "grad of model.py:7"
    assert builder.loc is None


def test_deep_chains_need_no_stack() -> None:
    builder = Builder()
    x = node = builder.input("x", TensorType((), F64))
    for _ in range(5000):
        node = ops.sin(node)
    graph = Graph("deep", (x,), (node,))
    order = graph.nodes()
    position = {n: i for i, n in enumerate(order)}
    assert len(order) == 5001
    assert all(position[i] < position[n] for n in order for i in n.inputs)
    (g,) = gradients([node], [ops.ones_like(node)], [x])
    with_gradient = Graph("deep", (x,), (node, g))
    value, derivative = evaluate(with_gradient, [np.array(0.5)])
    assert 0 < value < 0.5
    assert 0 < derivative < 1


def test_independent_variables_although_one_is_computed_from_another() -> None:
    builder = EagerBuilder()
    w = builder.input("w", TensorType((), F64), np.asarray(3.0))
    x = w * w
    y = x * w
    whole = gradients([y], [ops.ones_like(y)], [w, x])
    parts = gradients([y], [ops.ones_like(y)], [w, x], independent=True)
    assert [builder.values[g] for g in whole] == [27.0, 3.0]
    assert [builder.values[g] for g in parts] == [9.0, 3.0]
