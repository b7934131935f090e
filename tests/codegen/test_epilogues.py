"""What follows a product or a convolution is done on its sums in registers: one kernel, not two."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit import nn
from tracejit.ir.fusion import fuse
from tracejit.ir.passes import optimize


def product(x: Any, w: Any) -> Any:
    return x @ w


def convolution(x: Any, w: Any, strides: int = 1) -> Any:
    conv = {3: nn.conv1d, 4: nn.conv2d}[x.ndim]
    return conv(x, w, strides=strides, padding="valid")


# The function, and the shapes of its operands. Awkward sizes: no tile divides them.
LINEAR: dict[str, tuple[Callable[..., Any], tuple[int, ...], tuple[int, ...]]] = {
    "x @ w": (product, (64, 48), (48, 32)),
    "awkward x @ w": (product, (67, 13), (13, 37)),
    "[batch, time] @ w": (product, (3, 5, 48), (48, 32)),
    "batched": (product, (4, 16, 8), (4, 8, 24)),
    "conv1d": (convolution, (4, 19, 8), (5, 8, 16)),
    "conv2d 3x3": (convolution, (2, 9, 9, 8), (3, 3, 8, 16)),
    "conv2d 1x1": (convolution, (2, 7, 7, 8), (1, 1, 8, 37)),
    "strided conv2d": (partial(convolution, strides=2), (2, 9, 9, 8), (3, 3, 8, 16)),
}


def adam(w: Any, m: Any, v: Any, g: Any) -> Any:
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    return w - 1e-3 * m / (np.sqrt(v) + 1e-8), m, v


# Of the result y, a bias b and a residual r as large as y.
EPILOGUES: dict[str, Callable[..., Any]] = {
    "bias": lambda y, b, r: y + b,
    "bias and relu": lambda y, b, r: np.maximum(y + b, 0),
    "bias, relu and its mask": lambda y, b, r: (np.maximum(y + b, 0), y + b > 0),
    "gelu": lambda y, b, r: nn.gelu(y + b),
    "residual": lambda y, b, r: np.maximum(y + b + r, 0),
    "scaling by columns and by all": lambda y, b, r: y * b * 0.125,
    "mask of an activation that is read": lambda y, b, r: np.where(r > 0, y, 0),
    "derivative of tanh": lambda y, b, r: y * (1 - r * r),
}


def groups(fn: Callable[..., Any], *args: Any) -> list[str]:
    fused = fuse(optimize(tj.jit(fn).lower(*args).graph))
    return [group.kind for group in fused.groups]


def zeros(*shape: int) -> Any:
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize("epilogue", EPILOGUES)
@pytest.mark.parametrize("name", LINEAR)
def test_elementwise_work_on_the_result(name: str, epilogue: str) -> None:
    linear, x, w = LINEAR[name]
    y = linear(zeros(*x), zeros(*w)).shape

    def whole(x: Any, w: Any, b: Any, r: Any) -> Any:
        return EPILOGUES[epilogue](linear(x, w), b, r)

    assert groups(whole, zeros(*x), zeros(*w), zeros(y[-1]), zeros(*y)) == ["contraction"]


@pytest.mark.parametrize("name", LINEAR)
def test_the_update_of_a_weight_on_its_gradient(name: str) -> None:
    linear, x, w = LINEAR[name]
    y = linear(zeros(*x), zeros(*w)).shape

    def updated(x: Any, w: Any, m: Any, v: Any, cotangent: Any) -> Any:
        (g,) = tj.vjp(lambda w: linear(x, w), w)[1](cotangent)
        return adam(w, m, v, g)

    state = [zeros(*w)] * 3
    assert groups(updated, zeros(*x), *state, zeros(*y)) == ["contraction"]


@pytest.mark.parametrize("name", [name for name in LINEAR if "strided" not in name])
def test_the_mask_of_the_activation_before_on_the_gradient_at_x(name: str) -> None:
    linear, x, w = LINEAR[name]
    y = linear(zeros(*x), zeros(*w)).shape

    def gradient(x: Any, w: Any, cotangent: Any) -> Any:
        return tj.vjp(lambda x: linear(np.maximum(x, 0), w), x)[1](cotangent)

    assert groups(gradient, zeros(*x), zeros(*w), zeros(*y)) == ["contraction"]
