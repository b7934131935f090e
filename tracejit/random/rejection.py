"""Distributions by rejection: proposals are drawn until every element has one that is accepted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.ir.types import Shape
from tracejit.random.continuous import float_dtype, normal, open_uniform, plain, working_dtype
from tracejit.random.implicit import gamma_sample
from tracejit.random.keys import fold_in, split
from tracejit.transform import stop_gradient

Proposal = Callable[[Any], tuple[Any, Any]]  # key -> candidates, and which of them are accepted


def first_accepted(key: Any, shape: Shape, dtype: Any, propose: Proposal) -> Any:
    """For each element the first candidate that is accepted; round i draws with fold_in(key, i)."""
    from tracejit.control import while_loop

    def waiting(state: Any) -> Any:
        return np.logical_not(np.all(state[1]))

    def turn(state: Any) -> Any:
        number, done, value = state
        candidate, accepted = propose(fold_in(key, number))
        candidate = np.astype(np.where(done, value, candidate), dtype)
        return number + np.uint32(1), np.logical_or(done, accepted), candidate

    start = (np.uint32(0), np.zeros(shape, bool), np.zeros(shape, dtype))
    return while_loop(waiting, turn, start)[2]


def operand(value: Any, dtype: Any) -> Any:
    """A parameter of a distribution: an array of that dtype, a constant to differentiation."""
    return stop_gradient(np.astype(np.asarray(value) if plain(value) else value, dtype))


def gamma(key: Any, a: Any, shape: Shape | None = None, dtype: Any = None) -> Any:
    """Shape a > 0, scale 1; differentiable in a, once (`random.implicit`), and what is made of it.

    Source: Marsaglia & Tsang 2000; below 1 by a power of a uniform.
    """
    wanted = float_dtype(dtype)
    work = working_dtype(wanted)
    alpha = np.astype(np.asarray(a) if plain(a) else a, work)
    sizes = np.shape(alpha) if shape is None else tuple(shape)
    alpha = np.broadcast_to(alpha, sizes)
    return np.astype(gamma_sample(alpha, _gamma(key, stop_gradient(alpha), sizes, work)), wanted)


def _gamma(key: Any, alpha: Any, sizes: Shape, work: Any) -> Any:
    below = alpha < 1
    d = np.where(below, alpha + 1, alpha) - 1 / 3
    c = 1 / np.sqrt(9 * d)
    first, second = split(key)

    def propose(k: Any) -> tuple[Any, Any]:
        one, two = split(k)
        x = normal(one, sizes, work)
        base = np.maximum(1 + c * x, 0)
        v = base * base * base
        u = open_uniform(two, sizes, work)
        safe = np.where(v > 0, v, 1)
        bound = 0.5 * x * x + d - d * v + d * np.log(safe)
        return d * v, np.logical_and(v > 0, np.log(u) < bound)

    value = first_accepted(first, sizes, work, propose)
    power = np.where(below, 1 / np.where(below, alpha, 1), 0)
    lowered = np.exp(np.log(open_uniform(second, sizes, work)) * power)
    return np.where(below, value * lowered, value)


def beta(key: Any, a: Any, b: Any, shape: Shape | None = None, dtype: Any = None) -> Any:
    """On (0, 1): X / (X + Y) of gammas with shapes a and b."""
    first, second = split(key)
    sizes = np.broadcast_shapes(np.shape(a), np.shape(b)) if shape is None else shape
    x, y = gamma(first, a, sizes, dtype), gamma(second, b, sizes, dtype)
    return x / (x + y)


def dirichlet(key: Any, alpha: Any, shape: Shape | None = None, dtype: Any = None) -> Any:
    """alpha [..., n]: points [*shape, n] whose elements are positive and add up to 1."""
    lead = np.shape(alpha)[:-1] if shape is None else tuple(shape)
    x = gamma(key, alpha, (*lead, np.shape(alpha)[-1]), dtype)
    return x / np.sum(x, axis=-1, keepdims=True)


def chisquare(key: Any, df: Any, shape: Shape | None = None, dtype: Any = None) -> Any:
    """df degrees of freedom: twice a gamma of df / 2."""
    half = np.astype(np.asarray(df) if plain(df) else df, float_dtype(dtype)) / 2
    return gamma(key, half, shape, dtype) * 2


def t(key: Any, df: Any, shape: Shape | None = None, dtype: Any = None) -> Any:
    """Student's, with df degrees of freedom: a normal over the root of a chi-square's mean."""
    first, second = split(key)
    wide = chisquare(second, df, shape, dtype)
    z = normal(first, np.shape(wide), wide.dtype)
    return z / np.sqrt(wide / np.astype(np.asarray(df) if plain(df) else df, wide.dtype))
