"""Compiled convolutions and windows against the interpreter: sizes that kernels can go wrong at.

Forward and both gradients in one step, as a training step has them, with an epilogue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit import nn

Case = tuple[int, int, int, int, int, Any]

CHANNELS = (1, 3, 8, 17, 32)


def cases() -> Iterator[Case]:
    """(window, stride, channels, outputs, groups, padding): every window and stride, the others in
    turn; then groups and depthwise."""
    turn = 0
    for window in range(1, 8):
        for stride in (1, 2, 3):
            inputs, outputs = CHANNELS[turn % 5], CHANNELS[(turn // 5 + 2 * turn) % 5]
            yield window, stride, inputs, outputs, 1, ("same", "valid", 2)[turn % 3]
            turn += 1
    for window, stride, groups, each, outputs in (
        (3, 1, 2, 8, 8), (3, 2, 3, 1, 17), (2, 1, 4, 3, 1), (1, 1, 2, 17, 3), (5, 2, 2, 1, 32),
        (3, 1, 8, 1, 1), (3, 2, 17, 1, 1), (5, 1, 32, 1, 1), (3, 1, 3, 1, 8), (7, 1, 1, 1, 1),
    ):  # fmt: skip
        yield window, stride, groups * each, groups * outputs, groups, "same"


def agree(f: Callable[..., Any], *args: Any) -> None:
    """Norms of the difference, relative: sums are in another order."""
    compiled, exact = tj.jit(f)(*args), tj.jit(f, target="interpreter")(*args)
    for got, expected in zip(compiled, exact, strict=True):
        assert got.dtype == expected.dtype
        assert got.shape == expected.shape
        wide, reference = got.astype(np.float64), expected.astype(np.float64)
        scale = max(float(np.linalg.norm(reference)), 1.0)
        bound = {"f": 5e-6, "d": 1e-14}.get(got.dtype.char, 1e-2)
        assert np.linalg.norm(wide - reference) <= bound * scale


def normal(*shape: int, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def step(loss: Callable[..., Any], argnums: Any = 0) -> Callable[..., Any]:
    """The loss's value, an array, and the gradients of its sum of squares."""

    def f(*args: Any) -> Any:
        def total(*args: Any) -> Any:
            y = loss(*args)
            return (y * y).sum(), y

        gradients, y = tj.grad(total, argnums, has_aux=True)(*args)
        return (y, *gradients) if isinstance(gradients, tuple) else (y, gradients)

    return f


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_convolutions_and_gradients(case: Case) -> None:
    window, stride, inputs, outputs, groups, padding = case
    x = normal(2, 8 + window // 2, 11, inputs)
    w = normal(window, max(window - 1, 1), inputs // groups, outputs)
    b = normal(outputs)

    def layer(x: Any, w: Any, b: Any) -> Any:
        return nn.relu(nn.conv2d(x, w, stride, padding, groups=groups) + b)

    agree(step(layer, (0, 1, 2)), x, w, b)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, "bfloat16", np.int32], ids=str)
def test_dtypes(dtype: Any) -> None:
    import ml_dtypes

    own = np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)
    x, w = (3 * normal(2, 9, 8, 3)).astype(own), (3 * normal(3, 3, 3, 17)).astype(own)
    layers: list[Callable[..., Any]] = [
        lambda x, w: nn.conv2d(x, w, 2),
        lambda x, w: nn.max_pool2d(x, 3, 2, "same"),
        lambda x, w: nn.avg_pool2d(x, 3, 2, "same"),
    ]
    for layer in layers:
        agree(lambda x, w, f=layer: (f(x, w),) if own.kind == "i" else step(f, (0, 1))(x, w), x, w)


@pytest.mark.parametrize("dilation", [2, 3, (1, 4)], ids=str)
def test_dilation(dilation: Any) -> None:
    agree(
        step(lambda x, w: nn.conv2d(x, w, (1, 2), dilation=dilation), (0, 1)),
        normal(1, 13, 12, 8),
        normal(3, 3, 8, 17),
    )


@pytest.mark.parametrize("axes", [1, 3])
def test_one_and_three_dimensions(axes: int) -> None:
    function = nn.conv1d if axes == 1 else nn.conv3d
    x, w = normal(2, *(7, 6, 8)[:axes], 3), normal(*(3, 2, 3)[:axes], 3, 8)
    for stride in (1, 2):
        agree(step(lambda x, w, s=stride: function(x, w, s), (0, 1)), x, w)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_transposed(stride: int) -> None:
    for window in (2, 4, 5):
        x, w = normal(2, 4, 5, 8), normal(window, window, 17, 8)
        agree(step(lambda x, w, s=stride: nn.conv_transpose2d(x, w, s), (0, 1)), x, w)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("window", [2, 3, (1, 4), 7], ids=str)
def test_pools_and_gradients(window: Any, stride: int) -> None:
    for channels in (1, 17):
        x = normal(2, 9, 10, channels)
        for function in (nn.max_pool2d, nn.avg_pool2d):
            for padding in ("valid", "same"):
                agree(step(lambda x, f=function, p=padding: f(x, window, stride, p)), x)


def test_a_small_network_of_them() -> None:
    """Convolutions, biases, pooling and a loss in one step, fused as they come."""
    images, labels = normal(4, 12, 12, 1), np.arange(4) % 3
    weights = [normal(5, 5, 1, 6), normal(6), normal(3, 3, 6, 16), normal(16), normal(144, 3)]

    def loss(*weights: Any) -> Any:
        a, b, c, d, e = weights
        x = nn.max_pool2d(nn.relu(nn.conv2d(images, a) + b))
        x = nn.avg_pool2d(np.tanh(nn.conv2d(x, c) + d))
        return nn.softmax_cross_entropy(nn.flatten(x) @ e, labels)

    agree(step(loss, tuple(range(5))), *weights)
