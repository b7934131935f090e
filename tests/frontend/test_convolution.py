"""nn's convolutions and pooling against their definitions written with NumPy, and their errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tracejit as tj
from tests.frontend.test_grad import numeric
from tracejit import nn
from tracejit.errors import DTypeError, ShapeError

Ints = tuple[int, ...]
Pairs = list[tuple[int, int]]


def normal(*shape: int, dtype: Any = np.float64) -> Any:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(dtype)


def around(padding: Any, sizes: Ints, spans: Ints, strides: Ints) -> Pairs:
    """The rule for SAME as TensorFlow's documentation states it, by size modulo stride."""
    if padding == "valid":
        return [(0, 0)] * len(sizes)
    if padding == "causal":
        return [(span - 1, 0) for span in spans]
    if padding != "same":
        each = [padding] * len(sizes) if isinstance(padding, int) else padding
        return [(p, p) if isinstance(p, int) else p for p in each]
    pairs = []
    for size, span, stride in zip(sizes, spans, strides, strict=True):
        total = max(span - (size % stride or stride), 0)
        pairs.append((total // 2, total - total // 2))
    return pairs


def conv_by_numpy(
    x: Any, w: Any, strides: Ints, padding: Any, dilation: Ints, groups: int = 1
) -> Any:
    """Each output place is its own product of a patch and the weights, group by group."""
    spans = tuple((k - 1) * d + 1 for k, d in zip(w.shape, dilation, strict=False))
    x = np.pad(x, [(0, 0), *around(padding, x.shape[1:-1], spans, strides), (0, 0)])
    spaces = zip(x.shape[1:-1], spans, strides, strict=True)
    out = tuple((n - span) // s + 1 for n, span, s in spaces)
    y = np.zeros((x.shape[0], *out, w.shape[-1]), x.dtype)
    inputs, outputs = w.shape[-2], w.shape[-1] // groups
    for at in np.ndindex(out):
        places = zip(at, spans, strides, dilation, strict=True)
        patch = x[(slice(None), *(slice(p * s, p * s + n, d) for p, n, s, d in places))]
        for g in range(groups):
            own = slice(g * outputs, (g + 1) * outputs)
            seen = patch[..., g * inputs : (g + 1) * inputs]
            y[(slice(None), *at, own)] = np.tensordot(seen, w[..., own], len(out) + 1)
    return y


def transposed_by_numpy(x: Any, w: Any, strides: Ints, padding: Any, dilation: Ints) -> Any:
    """Each input place adds its multiple of the weights to the places it is spread to."""
    window, sizes = w.shape[:-2], x.shape[1:-1]
    spans = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    spaces = list(zip(sizes, spans, strides, strict=True))
    whole = [(n - 1) * s + max(span, s) for n, span, s in spaces]
    if padding == "same":
        out = [n * s for n, _, s in spaces]
        low = [max(span - s, 0) // 2 for _, span, s in spaces]
    else:
        exact = [(n - 1) * s + span for n, span, s in spaces]
        pairs = around(padding, sizes, tuple(spans), strides)
        low = [a for a, _ in pairs]
        out = [n - a - b for n, (a, b) in zip(exact, pairs, strict=True)]
        out = whole if padding == "valid" else out
    y = np.zeros((x.shape[0], *(n + 20 for n in whole), w.shape[-2]), x.dtype)
    for at in np.ndindex(*sizes):
        for k in np.ndindex(*window):
            steps = zip(at, strides, k, dilation, strict=True)
            to = (slice(None), *(p * s + i * d for p, s, i, d in steps))
            y[to] += x[(slice(None), *at)] @ w[k].T
    return y[(slice(None), *(slice(a, a + n) for a, n in zip(low, out, strict=True)))]


def pool_by_numpy(fold: Any, x: Any, window: Ints, strides: Ints, padding: Any) -> Any:
    """Each window by itself, of those of its places that are in x."""
    pairs = around(padding, x.shape[1:-1], window, strides)
    spaces = zip(x.shape[1:-1], window, strides, pairs, strict=True)
    out = tuple((n + sum(pair) - k) // s + 1 for n, k, s, pair in spaces)
    y = np.zeros((x.shape[0], *out, x.shape[-1]), x.dtype)
    for at in np.ndindex(out):
        begin = [p * s - low for p, s, (low, _) in zip(at, strides, pairs, strict=True)]
        own = [slice(max(b, 0), b + k) for b, k in zip(begin, window, strict=True)]
        y[(slice(None), *at)] = fold(x[(slice(None), *own)], axis=tuple(range(1, x.ndim - 1)))
    return y


# name, x: channels last, w, then keywords of the function
CONVOLUTIONS: list[tuple[str, Ints, Ints, dict[str, Any]]] = [
    ("conv1d", (2, 9, 3), (3, 3, 4), {}),
    ("conv1d", (1, 8, 4), (2, 2, 6), {"strides": 2, "groups": 2, "dilation": 2}),
    ("conv1d", (2, 7, 1), (3, 1, 2), {"padding": "causal", "dilation": 2}),
    ("conv2d", (1, 1, 1, 1), (1, 1, 1, 1), {}),
    ("conv2d", (2, 5, 6, 3), (3, 3, 3, 8), {}),
    ("conv2d", (2, 5, 6, 3), (1, 1, 3, 17), {}),
    ("conv2d", (2, 5, 6, 3), (1, 1, 3, 4), {"strides": 2}),
    ("conv2d", (1, 8, 7, 8), (2, 4, 8, 3), {}),
    ("conv2d", (1, 8, 7, 8), (2, 4, 8, 3), {"strides": 2}),
    ("conv2d", (2, 11, 9, 1), (7, 7, 1, 17), {"strides": (2, 3)}),
    ("conv2d", (1, 5, 6, 3), (5, 5, 3, 2), {"padding": "valid", "dilation": 1}),
    ("conv2d", (1, 9, 9, 2), (3, 2, 2, 3), {"padding": 2, "dilation": (2, 3)}),
    ("conv2d", (1, 5, 6, 2), (3, 3, 2, 2), {"padding": (0, 2)}),
    ("conv2d", (1, 5, 6, 2), (3, 3, 2, 2), {"padding": ((0, 1), (2, 0)), "strides": (1, 3)}),
    ("conv2d", (1, 5, 6, 6), (3, 3, 2, 9), {"groups": 3}),
    ("conv2d", (1, 5, 6, 32), (3, 3, 1, 32), {"groups": 32, "strides": 2}),
    ("conv2d", (2, 6, 5, 32), (3, 3, 32, 17), {"strides": 3}),
    ("conv3d", (1, 4, 5, 3, 2), (2, 3, 1, 2, 3), {}),
    ("conv3d", (1, 5, 4, 6, 4), (3, 3, 3, 2, 2), {"strides": (1, 2, 3), "groups": 2}),
]
TRANSPOSED: list[tuple[str, Ints, Ints, dict[str, Any]]] = [
    ("conv_transpose1d", (2, 4, 3), (3, 5, 3), {"strides": 2}),
    ("conv_transpose2d", (2, 4, 5, 3), (4, 4, 2, 3), {"strides": 2}),
    ("conv_transpose2d", (2, 3, 4, 3), (3, 2, 2, 3), {}),
    ("conv_transpose2d", (1, 3, 2, 2), (2, 3, 1, 2), {"strides": 3, "padding": "valid"}),
    ("conv_transpose2d", (1, 3, 4, 2), (1, 2, 3, 2), {"strides": 4}),
    ("conv_transpose2d", (1, 4, 4, 2), (4, 4, 3, 2), {"strides": 2, "padding": 1}),
    ("conv_transpose2d", (1, 4, 4, 2), (2, 3, 3, 2), {"strides": 1, "padding": ((2, 0), (1, 3))}),
    ("conv_transpose2d", (1, 3, 3, 2), (3, 2, 2, 2), {"dilation": 2, "strides": (1, 2)}),
    ("conv_transpose3d", (1, 2, 3, 2, 2), (2, 2, 3, 2, 2), {"strides": (2, 1, 2)}),
]
# name, x, window, strides, padding
POOLS: list[tuple[str, Ints, Any, Any, Any]] = [
    ("pool1d", (2, 7, 3), 2, None, "valid"),
    ("pool1d", (2, 7, 3), 3, 1, "same"),
    ("pool2d", (2, 8, 6, 3), 2, None, "valid"),
    ("pool2d", (2, 7, 5, 3), 2, None, "same"),
    ("pool2d", (1, 7, 9, 2), (2, 3), None, "valid"),
    ("pool2d", (2, 7, 8, 3), 3, 2, "same"),
    ("pool2d", (2, 7, 8, 3), 3, 2, "valid"),
    ("pool2d", (2, 7, 8, 17), 3, 2, 1),
    ("pool2d", (1, 7, 8, 1), (2, 3), (1, 3), ((0, 1), (2, 0))),
    ("pool2d", (1, 7, 8, 2), 1, 2, "valid"),
    ("pool2d", (1, 6, 7, 2), 2, 3, "valid"),
    ("pool2d", (2, 4, 5, 3), (4, 5), 1, "valid"),
    ("pool3d", (1, 4, 5, 6, 2), 2, None, "valid"),
    ("pool3d", (1, 4, 5, 6, 2), 3, 2, "same"),
]


def name_of(row: Any) -> str:
    return " ".join(map(str, row)) if isinstance(row, tuple) else str(row)


def spatial(value: Any, axes: int) -> Ints:
    return (value,) * axes if isinstance(value, int) else tuple(value)


def expected_of(name: str, x: Any, w: Any, options: dict[str, Any]) -> Any:
    axes = x.ndim - 2
    strides = spatial(options.get("strides", 1), axes)
    dilation = spatial(options.get("dilation", 1), axes)
    padding = options.get("padding", "same")
    if "transpose" in name:
        return transposed_by_numpy(x, w, strides, padding, dilation)
    return conv_by_numpy(x, w, strides, padding, dilation, options.get("groups", 1))


def close(result: Any, expected: Any) -> None:
    assert result.dtype == expected.dtype
    tolerance = 2e-5 if expected.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("row", [*CONVOLUTIONS, *TRANSPOSED], ids=name_of)
def test_convolution_is_its_definition(row: Any, target: str) -> None:
    name, x_shape, w_shape, options = row
    x, w = normal(*x_shape, dtype=np.float32), normal(*w_shape, dtype=np.float32)
    function = getattr(nn, name)
    expected = expected_of(name, x, w, options)
    close(tj.jit(lambda x, w: function(x, w, **options), target=target)(x, w), expected)
    if target == "interpreter":
        close(function(x, w, **options), expected)


@pytest.mark.parametrize("row", [*CONVOLUTIONS, *TRANSPOSED], ids=name_of)
def test_gradients_of_a_convolution(row: Any, target: str) -> None:
    """By x and w, of a loss that is not linear; the derivative in one direction by differences."""
    name, x_shape, w_shape, options = row
    x, w = normal(*x_shape), normal(*w_shape)
    function = getattr(nn, name)

    def loss(x: Any, w: Any) -> Any:
        return (function(x, w, **options) ** 2).sum()

    dx, dw = tj.jit(tj.grad(loss, argnums=(0, 1)), target=target)(x, w)
    u, v, h = normal(*x_shape) + 0.5, normal(*w_shape) - 0.5, 1e-5

    def square(x: Any, w: Any) -> float:
        return float((expected_of(name, x, w, options) ** 2).sum())

    by_x = (square(x + h * u, w) - square(x - h * u, w)) / (2 * h)
    by_w = (square(x, w + h * v) - square(x, w - h * v)) / (2 * h)
    assert np.vdot(dx, u) == pytest.approx(by_x, rel=1e-6, abs=1e-5)
    assert np.vdot(dw, v) == pytest.approx(by_w, rel=1e-6, abs=1e-5)


def test_second_derivatives(target: str) -> None:
    """The gradient of a gradient's norm, through both operands: what a gradient penalty needs."""
    w = normal(3, 2, 2, 3)

    def penalty(x: Any) -> Any:
        inner = tj.grad(lambda z: np.tanh(nn.conv2d(z, w, strides=(2, 1))).sum())
        return (inner(x) ** 2).sum()

    x = normal(1, 5, 4, 2)
    got = tj.jit(tj.grad(penalty), target=target)(x)
    np.testing.assert_allclose(got, numeric(penalty, x), rtol=1e-6, atol=1e-8)


def test_depthwise_is_each_channel_by_itself(target: str) -> None:
    for strides, padding, dilation in ((1, "same", 1), ((2, 1), "valid", 1), (1, 1, (1, 2))):
        x, w = normal(2, 6, 7, 3), normal(3, 2, 3, 4)

        def depthwise(x: Any, w: Any, s: Any = strides, p: Any = padding, d: Any = dilation) -> Any:
            return nn.depthwise_conv2d(x, w, strides=s, padding=p, dilation=d)

        steps, gaps = spatial(strides, 2), spatial(dilation, 2)
        parts = [
            conv_by_numpy(x[..., c : c + 1], w[:, :, c : c + 1], steps, padding, gaps)
            for c in range(3)
        ]
        close(tj.jit(depthwise, target=target)(x, w), np.concatenate(parts, -1))


# Pooling


@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize("row", POOLS, ids=name_of)
def test_pool_is_its_definition(row: Any, kind: str, target: str) -> None:
    name, shape, window, strides, padding = row
    function, fold = getattr(nn, f"{kind}_{name}"), {"max": np.max, "avg": np.mean}[kind]
    axes = len(shape) - 2
    size = spatial(window, axes)
    x = normal(*shape, dtype=np.float32)
    steps = size if strides is None else spatial(strides, axes)
    expected = pool_by_numpy(fold, x, size, steps, padding)

    def pool(x: Any) -> Any:
        return function(x, window, strides, padding)

    close(tj.jit(pool, target=target)(x), expected)
    if target == "interpreter":
        close(pool(x), expected)


@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize("row", POOLS, ids=name_of)
def test_gradient_of_a_pool(row: Any, kind: str, target: str) -> None:
    name, shape, window, strides, padding = row
    function = getattr(nn, f"{kind}_{name}")
    x = normal(*shape[:-1], min(shape[-1], 2))

    def loss(x: Any) -> Any:
        return (function(x, window, strides, padding) ** 2).sum()

    got = tj.jit(tj.grad(loss), target=target)(x)
    u, h = normal(*x.shape) + 0.5, 1e-7
    by_x = (loss(x + h * u) - loss(x - h * u)) / (2 * h)
    assert np.vdot(got, u) == pytest.approx(by_x, rel=1e-6, abs=1e-6)
    assert np.count_nonzero(got) <= x.size


def test_global_pools(target: str) -> None:
    x = normal(2, 3, 4, 5)
    for function, fold in ((nn.global_max_pool, np.max), (nn.global_avg_pool, np.mean)):
        close(tj.jit(function, target=target)(x), fold(x, axis=(1, 2)))
        first = function(x, data_format="channels_first", keepdims=True)
        close(first, fold(x, axis=(2, 3), keepdims=True))


def test_equal_maxima_share_whether_windows_meet_or_not(target: str) -> None:
    x = np.zeros((1, 4, 1))

    def gradient(strides: int) -> Any:
        f = tj.grad(lambda x: nn.max_pool1d(x, 2, strides).sum())
        return tj.jit(f, target=target)(x)[0, :, 0].tolist()

    assert gradient(2) == [0.5, 0.5, 0.5, 0.5]
    assert gradient(1) == [0.5, 1.0, 1.0, 0.5]


def test_halves_and_integers() -> None:
    big = np.full((1, 4, 1), 60000, np.float16)
    assert nn.avg_pool1d(big, 4).item() == 60000  # the sum alone would overflow
    whole = np.arange(-4, 4).reshape(1, 8, 1)
    assert nn.max_pool1d(whole, 3, 2, "same")[0, :, 0].tolist() == [-2, 0, 2, 3]
    assert nn.max_pool1d(-whole.astype(np.int8) - 120, 3, 1, 1)[0, 0, 0] == -116
    mean = nn.avg_pool1d(whole, 3, 2, "same")
    assert mean.dtype == np.float64
    assert mean[0, :, 0].tolist() == [-3, -1, 1, 2.5]


# Memory formats, promotion, random shapes


def test_channels_first_is_a_transpose(target: str) -> None:
    x, w = normal(2, 5, 6, 3), normal(3, 3, 3, 4)
    functions: list[Callable[..., Any]] = [
        lambda x, **f: nn.conv2d(x, w, strides=2, **f),
        lambda x, **f: nn.depthwise_conv2d(x, w, **f),
        lambda x, **f: nn.conv_transpose2d(x, w.swapaxes(2, 3), strides=2, **f),
        lambda x, **f: nn.max_pool2d(x, 3, 2, "same", **f),
        lambda x, **f: nn.avg_pool2d(x, 2, **f),
    ]
    for function in functions:
        last = function(x)
        first = tj.jit(lambda z, f=function: f(z, data_format="channels_first"), target=target)
        close(first(np.ascontiguousarray(x.transpose(0, 3, 1, 2))), last.transpose(0, 3, 1, 2))


def test_operands_are_promoted_and_variables_read() -> None:
    x = np.arange(12).reshape(1, 4, 3, 1)
    w = tj.Variable(np.ones((2, 2, 1, 1), np.float32), name="w")
    result = nn.conv2d(x, w, padding="valid")
    assert result.dtype == np.float64  # int64 meets float32
    assert result[0, :, :, 0].tolist() == [[8, 12], [20, 24], [32, 36]]
    gradient = tj.grad(lambda: nn.conv2d(x * 1.0, w).sum(), wrt=[w])()
    assert gradient[0].shape == (2, 2, 1, 1)
    whole = nn.conv1d(np.ones((1, 3, 1), np.int32), np.ones((3, 1, 1), np.int32))
    assert whole.dtype == np.int32
    assert whole[0, :, 0].tolist() == [2, 3, 2]


@given(st.data())
def test_random_convolutions(data: st.DataObject) -> None:
    axes = data.draw(st.integers(1, 3))

    def each(low: int, high: int) -> Ints:
        return tuple(data.draw(st.integers(low, high)) for _ in range(axes))

    window, strides, dilation = each(1, 4), each(1, 3), each(1, 2)
    groups, inputs, outputs = (data.draw(st.integers(1, 3)) for _ in range(3))
    spans = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    sizes = tuple(data.draw(st.integers(span, span + 4)) for span in spans)
    pairs = tuple((data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))) for _ in sizes)
    padding = data.draw(st.sampled_from(["same", "valid", pairs]))
    x = normal(2, *sizes, groups * inputs)
    w = normal(*window, inputs, groups * outputs)
    function = (nn.conv1d, nn.conv2d, nn.conv3d)[axes - 1]
    result = function(x, w, strides, padding, dilation, groups)
    close(result, conv_by_numpy(x, w, strides, padding, dilation, groups))
    back = (nn.conv_transpose1d, nn.conv_transpose2d, nn.conv_transpose3d)[axes - 1]
    if padding in ("same", "valid"):
        w = normal(*window, outputs, groups * inputs)
        close(
            back(x, w, strides, padding, dilation),
            transposed_by_numpy(x, w, strides, padding, dilation),
        )


# Errors

IMAGE, WEIGHTS = np.ones((2, 5, 5, 3)), np.ones((3, 3, 3, 4))
BAD_CALLS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: nn.conv2d(IMAGE[0], WEIGHTS), ShapeError, r"conv2d: x is \[N, H, W, C\], not f64\[5"),
    (lambda: nn.conv1d(IMAGE, WEIGHTS), ShapeError, r"conv1d: x is \[N, L, C\]"),
    (lambda: nn.conv2d(IMAGE, WEIGHTS[0]), ShapeError, "takes weights of 4 axes"),
    (lambda: nn.conv2d(IMAGE, WEIGHTS[:, :, :2]), ShapeError, "has 3 channels, w .* takes 2"),
    (lambda: nn.conv2d(IMAGE, WEIGHTS[:, :, :1], groups=3), ShapeError, "a multiple of groups"),
    (lambda: nn.conv2d(IMAGE, WEIGHTS, strides=0), ShapeError, "strides=0 must be a positive int"),
    (lambda: nn.conv2d(IMAGE, WEIGHTS, strides=(1, 2, 3)), ShapeError, "one for each of 2 axes"),
    (lambda: nn.conv2d(IMAGE, WEIGHTS, padding="some"), ShapeError, "padding='some' must be"),
    (lambda: nn.conv2d(IMAGE, WEIGHTS, padding=-1), ShapeError, "padding=-1 must be"),
    (lambda: nn.conv2d(IMAGE, WEIGHTS, padding=1.5), ShapeError, "padding=1.5 must be"),
    (lambda: nn.conv2d(IMAGE, WEIGHTS, padding=((1, 2, 3), 1)), ShapeError, "an int or a pair"),
    (lambda: nn.conv2d(IMAGE, WEIGHTS[:0]), ShapeError, "is empty"),
    (lambda: nn.conv2d(IMAGE, WEIGHTS, data_format="NCHW"), ShapeError, "'channels_first', not"),
    (lambda: nn.conv2d(IMAGE, WEIGHTS, padding="valid", dilation=3), ShapeError, "covers 7 places"),
    (lambda: nn.conv2d(IMAGE > 0, WEIGHTS > 0), DTypeError, "takes numbers, not bool"),
    (lambda: nn.depthwise_conv2d(IMAGE, WEIGHTS[:, :, :2]), ShapeError, r"w is \[KH, KW, 3, M\]"),
    (lambda: nn.conv_transpose2d(IMAGE, WEIGHTS), ShapeError, r"w is \[\*K, O, 3\]"),
    (lambda: nn.conv_transpose2d(IMAGE, WEIGHTS.swapaxes(2, 3), padding=9), ShapeError, "leaves"),
    (lambda: nn.max_pool2d(IMAGE, 6), ShapeError, "max_pool2d: .* a window of 6 covers 6 places"),
    (lambda: nn.max_pool2d(IMAGE, 2, padding=2), ShapeError, "must be less than the window"),
    (lambda: nn.avg_pool2d(IMAGE, (2,)), ShapeError, r"window=\(2,\) must be a positive int"),
    (lambda: nn.max_pool2d(IMAGE > 0), DTypeError, "max_pool2d: takes numbers, not bool"),
    (lambda: nn.global_avg_pool(IMAGE, "NCHW"), ShapeError, "data_format='NCHW'"),
]


@pytest.mark.parametrize(("call", "kind", "message"), BAD_CALLS, ids=[m for _, _, m in BAD_CALLS])
def test_errors_say_what_to_do_and_where(
    call: Callable[[], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=rf"(?s){message}.*\(test_convolution.py:\d+\)"):
        call()
