"""conv, conv_weight_grad and windows: against their sums written out, and their identities."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from tests.samples import (
    BF16,
    CONVOLUTIONS,
    F16,
    F64,
    I32,
    U8,
    Pairs,
    Shape,
    conv_attrs,
    draw,
    samples,
)
from tracejit.ir import ops
from tracejit.ir.autodiff import gradients
from tracejit.ir.convolution import conv_input_grad
from tracejit.ir.graph import PRIMITIVES, Array, Graph, Node
from tracejit.ir.interpreter import EagerBuilder
from tracejit.ir.types import DTypeError, ShapeError, parse_type, type_of

RNG = np.random.default_rng(5)


def places(shape: Shape) -> product[tuple[int, ...]]:
    return product(*map(range, shape))


def seen_at(at: list[int], k: list[int], how: tuple[Shape, ...], x: Array) -> Shape | None:
    """The place of x that tap k of window `at` meets; None on the padding."""
    axes = zip(at, k, *how, x.shape[1:-2], strict=True)
    seen = [(p * s + i * d - low, n) for p, i, s, d, low, n in axes]
    return tuple(i for i, _ in seen) if all(0 <= i < n for i, n in seen) else None


def conv_by_loops(
    x: Array, w: Array, strides: Shape, dilation: Shape, low: Shape, high: Shape
) -> Array:
    """The definition, term by term."""
    sizes = zip(low, x.shape[1:-2], high, w.shape, strides, dilation, strict=False)
    counts = tuple((a + n + b - (k - 1) * d - 1) // s + 1 for a, n, b, k, s, d in sizes)
    y = np.zeros((x.shape[0], *counts, x.shape[-2], w.shape[-1]), x.dtype)
    for n, *at, g, o in places(y.shape):
        for *k, c in places((*w.shape[:-3], w.shape[-2])):
            seen = seen_at(at, k, (strides, dilation, low), x)
            if seen is not None:
                y[(n, *at, g, o)] += x[(n, *seen, g, c)] * w[(*k, g, c, o)]
    return y


def weight_grad_by_loops(
    x: Array,
    dy: Array,
    strides: Shape,
    dilation: Shape,
    low: Shape,
    high: Shape,
    window: Shape,
) -> Array:
    dw = np.zeros((*window, *x.shape[-2:], dy.shape[-1]), x.dtype)
    for *k, g, c, o in places(dw.shape):
        for n, *at in places(dy.shape[:-2]):
            seen = seen_at(at, k, (strides, dilation, low), x)
            if seen is not None:
                dw[(*k, g, c, o)] += x[(n, *seen, g, c)] * dy[(n, *at, g, o)]
    return dw


def window_by_loops(fold: np.ufunc) -> Callable[..., Array]:
    def evaluate(x: Array, window: Shape, strides: Shape) -> Array:
        sizes = zip(x.shape, window, strides, strict=True)
        y = np.zeros(tuple((n - k) // s + 1 for n, k, s in sizes), x.dtype)
        for at in places(y.shape):
            spans = zip(at, window, strides, strict=True)
            seen = x[tuple(slice(p * s, p * s + k) for p, k, s in spans)]
            y[at] = fold.reduce(seen, axis=None, dtype=x.dtype)
        return y

    return evaluate


BY_LOOPS: dict[str, Callable[..., Array]] = {
    "conv": conv_by_loops,
    "conv_weight_grad": weight_grad_by_loops,
    "window_sum": window_by_loops(np.add),
    "window_max": window_by_loops(np.maximum),
}


@pytest.mark.parametrize("op", BY_LOOPS)
def test_eval_is_the_definition(op: str) -> None:
    for sample in samples(op, (F64, I32, U8)):
        with np.errstate(over="ignore"):  # unsigned bytes wrap
            expected = BY_LOOPS[op](*sample.arrays, **sample.attrs)
        result = PRIMITIVES[op].eval(*sample.arrays, **sample.attrs)
        assert result.dtype == expected.dtype
        np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-12, err_msg=str(sample))


@pytest.mark.parametrize("dtype", [F16, BF16])
def test_half_floats_accumulate_in_single(dtype: np.dtype[np.generic]) -> None:
    """1/1024 summed 2,000 times over window and channels: in the half type it would stay small."""
    x = np.full((1, 20, 1, 100), 1 / 1024, dtype)
    attrs = conv_attrs((1,), (1,), ((0, 0),))
    y = PRIMITIVES["conv"].eval(x, np.ones((20, 1, 100, 1), dtype), **attrs)
    assert float(y.item()) == pytest.approx(2000 / 1024, rel=1e-2)
    rows = np.full((1, 2000, 1, 1), 1 / 1024, dtype)
    dw = PRIMITIVES["conv_weight_grad"].eval(rows, np.ones_like(rows), **attrs, window=(1,))
    assert float(dw.item()) == pytest.approx(2000 / 1024, rel=1e-2)
    total = PRIMITIVES["window_sum"].eval(rows, (1, 2000, 1, 1), (1, 1, 1, 1))
    assert float(total.item()) == pytest.approx(2000 / 1024, rel=1e-2)


def input_grad(
    dy: Array, w: Array, size: Shape, strides: Shape, dilation: Shape, low: Shape | None = None
) -> Array:
    builder = EagerBuilder()
    nodes = [builder.input("x", type_of(a), a) for a in (dy, w)]
    return builder.values[conv_input_grad(*nodes, size, strides, dilation, low)]


@pytest.mark.parametrize(("x", "w", "strides", "dilation", "around"), CONVOLUTIONS)
def test_gradients_are_the_adjoints(
    x: Shape, w: Shape, strides: Shape, dilation: Shape, around: Pairs
) -> None:
    """<dy, conv(x, w)> is linear in x and in w: the three directions give one number."""
    image, weights = draw(RNG, F64, x), draw(RNG, F64, w)
    attrs = conv_attrs(strides, dilation, around)
    y = PRIMITIVES["conv"].eval(image, weights, **attrs)
    dy = draw(RNG, F64, y.shape)
    low = tuple(a for a, _ in around)
    dx = input_grad(dy, weights, x[1:-2], strides, dilation, low)
    dw = PRIMITIVES["conv_weight_grad"].eval(image, dy, **attrs, window=w[:-3])
    expected = np.vdot(dy, y)
    assert np.vdot(dx, image) == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert np.vdot(dw, weights) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_part_of_an_input_gradient_is_its_slice() -> None:
    """Any begin and size, also before the first and after the last place that a window covers."""
    for k, stride, dilation in ((3, 2, 1), (2, 3, 2), (1, 2, 1), (4, 1, 1)):
        dy, w = draw(RNG, F64, (2, 3, 1, 2)), draw(RNG, F64, (k, 1, 3, 2))
        whole = (3 - 1) * stride + (k - 1) * dilation + 1
        full = input_grad(dy, w, (whole + 4,), (stride,), (dilation,))
        for low in range(whole):
            for size in range(1, whole + 4 - low):
                part = input_grad(dy, w, (size,), (stride,), (dilation,), (low,))
                np.testing.assert_allclose(part, full[:, low : low + size], rtol=1e-12, atol=1e-14)


def test_padding_is_a_pad_with_zeros_before() -> None:
    """Values and derivatives of pad and conv apart, and no conv over more than x."""
    for around, strides in ((((1, 1), (2, 0)), (1, 1)), (((0, 3), (1, 2)), (2, 3))):
        builder = EagerBuilder()
        operands = [draw(RNG, F64, s) for s in ((2, 6, 5, 1, 2), (3, 3, 1, 2, 4))]
        x, w = (builder.input("x", type_of(a), a) for a in operands)
        low, high = zip(*around, strict=True)
        apart = ops.conv(ops.pad(x, 0, (0, *low, 0, 0), (0, *high, 0, 0)), w, strides, (1, 1))
        joint = ops.conv(x, w, strides, (1, 1), around)
        close = dict(rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(builder.values[joint], builder.values[apart], **close)
        g = builder.input("g", apart.type, draw(RNG, F64, apart.shape))
        sides = [gradients([y], [g], [x, w]) for y in (apart, joint)]
        for expected, got in zip(*sides, strict=True):
            np.testing.assert_allclose(builder.values[got], builder.values[expected], **close)
        made = Graph("g", (x, w, g), (sides[1][0],)).nodes()
        convs = [node for node in made if node.op == "conv"]
        assert sum(node.type.size for node in convs) <= 1.5 * x.type.size


def test_nothing_is_multiplied_on_the_padding() -> None:
    """Infinities reach the sums that name them, and no others."""
    attrs = conv_attrs((1,), (1,), ((1, 1),))
    x, w = np.ones((1, 3, 1, 1)), np.array([np.inf, 1, np.nan]).reshape(3, 1, 1, 1)
    y = PRIMITIVES["conv"].eval(x, w, **attrs)
    np.testing.assert_array_equal(y.ravel(), [np.nan, np.nan, np.inf])
    dy = np.array([np.inf, 1, 1]).reshape(1, 3, 1, 1)
    dw = PRIMITIVES["conv_weight_grad"].eval(x, dy, **attrs, window=(3,))
    np.testing.assert_array_equal(dw.ravel(), [2, np.inf, np.inf])


def test_gradients_stay_within_the_set() -> None:
    """Of any order, made of conv, conv_weight_grad and movement alone."""
    builder = EagerBuilder()
    operands = [draw(RNG, F64, s) for s in ((2, 7, 6, 2, 3), (3, 2, 2, 3, 4))]
    x, w = (builder.input("x", type_of(a), a) for a in operands)
    outputs: list[Node] = [ops.conv(x, w, (2, 1), (1, 2), ((1, 0), (0, 2)))]
    for _ in range(3):
        outputs = gradients(outputs, [ops.ones_like(y) for y in outputs], [x, w])
        made = {node.op for node in Graph("g", (x, w), tuple(outputs)).nodes()}
        allowed = {"input", "conv", "conv_weight_grad", "pad", "slice", "reverse", "transpose"}
        assert made <= allowed | {"full", "add", "concatenate", "reshape", "mark"}


def test_equal_maxima_share() -> None:
    builder = EagerBuilder()
    x = builder.input("x", parse_type("f64[5]"), np.array([1.0, 2.0, 2.0, 0.0, 2.0]))
    y = ops.window_max(x, (3,), (1,))
    assert builder.values[y].tolist() == [2, 2, 2]
    (g,) = gradients([y], [ops.ones_like(y)], [x])
    # Windows 1 2 2, 2 2 0 and 2 0 2: a half to each of two.
    assert builder.values[g].tolist() == [0, 1, 1.5, 0, 0.5]


def test_maxima_of_nan_are_nan_and_pass_no_cotangent() -> None:
    builder = EagerBuilder()
    x = builder.input("x", parse_type("f64[4]"), np.array([1.0, np.nan, 2.0, 3.0]))
    y = ops.window_max(x, (2,), (1,))
    np.testing.assert_array_equal(builder.values[y], [np.nan, np.nan, 3])
    (g,) = gradients([y], [ops.ones_like(y)], [x])
    assert builder.values[g].tolist() == [0, 0, 0, 1]


ONE = conv_attrs((1,), (1,), ((0, 0),))
BAD_TYPES = (
    ("conv", ("f32[2,8,1,3]", "f32[3,1,4,5]"), ONE, ShapeError, "channels 3 and 4 differ"),
    ("conv", ("f32[2,8,2,3]", "f32[3,1,3,5]"), ONE, ShapeError, "groups 2 and 1 differ"),
    ("conv", ("f32[2,8,1,3]", "f64[3,1,3,5]"), ONE, DTypeError, "dtypes differ; cast one"),
    ("conv", ("bool[2,8,1,3]", "bool[3,1,3,5]"), ONE, DTypeError, "takes numbers, not bool"),
    ("conv", ("f32[8,1,3]", "f32[1,3,5]"), ONE, ShapeError, "with 1 to 3 spatial axes"),
    ("conv", ("f32[2,8,8,1,3]", "f32[3,1,3,5]"), ONE, ShapeError, "with 1 to 3 spatial axes"),
    ("conv", ("f32[2,8,1,3]", "f32[3,1,3,5]"), ONE | {"strides": (0,)},
     ShapeError, r"strides=\(0,\) needs one positive number for each of 1 axes"),
    ("conv", ("f32[2,4,1,3]", "f32[3,1,3,5]"), ONE | {"dilation": (2,)},
     ShapeError, "a window of 3, 2 apart, covers 5 places of an axis of size 4; pad"),
    ("conv", ("f32[2,8,1,3]", "f32[3,1,3,5]"), ONE | {"low": (-1,)},
     ShapeError, r"low=\(-1,\) needs a number that is not negative for each of 1 axes"),
    ("conv_weight_grad", ("f32[2,8,1,3]", "f32[2,6,1,4]"), {**ONE, "high": (1, 1), "window": (3,)},
     ShapeError, r"high=\(1, 1\) needs a number that is not negative"),
    ("conv_weight_grad", ("f32[2,8,1,3]", "f32[2,5,1,4]"), {**ONE, "window": (3,)},
     ShapeError, r"\(6,\) windows fit, dy has \(5,\)"),
    ("conv_weight_grad", ("f32[2,8,1,3]", "f32[3,6,1,4]"), {**ONE, "window": (3,)},
     ShapeError, "batch 2 and 3 differ"),
    ("window_sum", ("f32[8,2]",), {"window": (3,), "strides": (1,)},
     ShapeError, "needs one positive number for each of 2 axes"),
    ("window_max", ("f32[2]",), {"window": (3,), "strides": (1,)},
     ShapeError, "a window of 3 covers 3 places of an axis of size 2"),
    ("window_max", ("bool[2]",), {"window": (1,), "strides": (1,)}, DTypeError, "takes numbers"),
)  # fmt: skip


@pytest.mark.parametrize(("op", "types", "attrs", "kind", "message"), BAD_TYPES)
def test_type_errors_say_what_is_wrong(
    op: str, types: tuple[str, ...], attrs: dict[str, Shape], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        PRIMITIVES[op].infer(*map(parse_type, types), **attrs)
