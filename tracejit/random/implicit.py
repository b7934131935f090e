"""Gradients of samples that are drawn by rejection: implicit reparametrisation.

A sample moves with a parameter so that its distribution function F keeps its value:
dz/da = -(dF/da) / (dF/dz). Source: Figurnov, Mohamed & Mnih 2018, arXiv:1805.08498.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.custom import custom_vjp
from tracejit.errors import UnsupportedError
from tracejit.ir.types import F64
from tracejit.source import here

EPSILON = 1e-17  # terms below are lost in a sum that begins with 1, in f64
TINY = 1e-300
MAX_TURNS = 100_000  # ten times the root of the shape is enough: nobody draws beyond 10^8


@custom_vjp
def gamma_sample(alpha: Any, z: Any) -> Any:
    """z, drawn from the gamma distribution of shape alpha, as a function of alpha: [...]."""
    return z


def _forward(alpha: Any, z: Any) -> Any:
    return z, (alpha, z)


def _backward(kept: Any, g: Any) -> Any:
    alpha, z = kept
    slope = np.astype(gamma_slope(np.astype(alpha, F64), np.astype(z, F64)), g.dtype)
    return g * slope, np.zeros_like(z)


gamma_sample.defvjp(_forward, _backward)


@custom_vjp
def gamma_slope(a: Any, z: Any) -> Any:
    """dz/da of a gamma sample z of shape a, in f64; to about 1e-12 of it. Not differentiable."""
    return _slope(a, z)


def _once(kept: Any, g: Any) -> Any:
    raise UnsupportedError(
        f"random.gamma: a second derivative in its shape is not there{here()}; random.normal,"
        " uniform, exponential and what is made of them have all"
    )


gamma_slope.defvjp(lambda a, z: (_slope(a, z), ()), _once)


def _slope(a: Any, z: Any) -> Any:
    """F is p(z) z/a S of a series, or beyond a + 1 it is 1 - p(z) z C of a continued fraction."""
    z = np.maximum(z, TINY)
    level = np.log(z) - digamma(a)
    s, ds = _series(a, np.minimum(z, a + 1))
    c, dc = _fraction(a, np.maximum(z, a + 1))
    below = -(z / a) * (s * (level - 1 / a) + ds)
    above = z * (c * level + dc)
    return np.where(z < a + 1, below, above)


def _series(a: Any, z: Any) -> tuple[Any, Any]:
    """S = sum of z^k / ((a + 1) ... (a + k)) from k = 0, and dS/da."""
    from tracejit.control import while_loop

    def more(state: Any) -> Any:
        k, term, slope, s, ds = state
        left = np.any((term > EPSILON * s) | (np.abs(slope) > EPSILON * np.abs(ds)))
        return np.logical_and(left, k < MAX_TURNS)

    def turn(state: Any) -> Any:
        k, term, slope, s, ds = state
        ratio = z / (a + k)
        term, slope = term * ratio, ratio * (slope - term / (a + k))
        return k + 1, term, slope, s + term, ds + slope

    one, zero = np.ones_like(z), np.zeros_like(z)
    state = while_loop(more, turn, turn((np.float64(1), one, zero, one, zero)))
    return state[3], state[4]


def _fraction(a: Any, z: Any) -> tuple[Any, Any]:
    """C = 1/(z + 1 - a - 1 (1 - a)/(z + 3 - a - 2 (2 - a)/(z + 5 - a - ...))), and dC/da.

    Source: Lentz 1976, as modified by Thompson & Barnett 1986.
    """
    from tracejit.control import while_loop

    def more(state: Any) -> Any:
        k, change, slope = state[0], state[7], state[8]
        left = np.any((np.abs(change - 1) > 1e-15) | (np.abs(slope) > 1e-15))
        return np.logical_and(left, k < MAX_TURNS)

    def turn(state: Any) -> Any:
        k, c, dc, d, dd, h, dh, _, _ = state
        above, below = k * (a - k), z + 1 - a + 2 * k  # their slopes: k and -1
        dc, c = (k - above * dc / c) / c - 1, below + above / c
        dd = k * d + above * dd - 1
        d = 1 / (below + above * d)
        dd = -dd * d * d
        change, slope = c * d, dc * d + c * dd
        return k + 1, c, dc, d, dd, h * change, dh * change + h * slope, change, slope

    first = z + 1 - a
    zero = np.zeros_like(z)
    d, dd = 1 / first, 1 / (first * first)
    huge = np.full_like(z, 1 / TINY)
    state = while_loop(more, turn, (np.float64(1), huge, zero, d, dd, d, dd, zero, zero))
    return state[5], state[6]


def digamma(a: Any) -> Any:
    """The derivative of log gamma at a > 0, in f64: its asymptotic series at a + 10."""
    x = a + 10
    y = 1 / (x * x)
    tail = y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y / 132))))
    return np.log(x) - 0.5 / x - tail - sum(1 / (a + k) for k in range(10))
