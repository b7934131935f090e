"""Distributions that are a function of uniform numbers."""

from __future__ import annotations

from math import pi, prod
from typing import Any

import numpy as np

from tracejit.ir.types import F32, F64, Shape
from tracejit.random.keys import uniform
from tracejit.trace import default_float


def float_dtype(dtype: Any) -> Any:
    """The dtype asked for, or the default."""
    return default_float() if dtype is None else np.dtype(dtype)


def working_dtype(dtype: Any) -> Any:
    """The dtype computed in: halves in f32."""
    return F64 if dtype == F64 else F32


def open_uniform(key: Any, shape: Shape, dtype: Any) -> Any:
    """In (0, 1): the middle of each interval that `uniform` gives the lower end of."""
    u = uniform(key, shape, dtype)
    return u + 2.0 ** (-54 if dtype == F64 else -25)


def normal(key: Any, shape: Shape = (), dtype: Any = None) -> Any:
    """Mean 0, variance 1. Source: Box & Muller 1958; both of each pair are used."""
    wanted = float_dtype(dtype)
    size = prod(shape)
    half = (size + 1) // 2
    u = uniform(key, (2, half), working_dtype(wanted))
    # 1 - u is in (0, 1], where the logarithm is finite.
    radius, angle = np.sqrt(-2.0 * np.log1p(-u[0])), u[1] * (2 * pi)
    both = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    return np.astype(np.reshape(both[:size], shape), wanted)


def exponential(key: Any, shape: Shape = (), dtype: Any = None) -> Any:
    """Mean 1: -log(1 - u)."""
    wanted = float_dtype(dtype)
    return np.astype(-np.log1p(-uniform(key, shape, working_dtype(wanted))), wanted)


def gumbel(key: Any, shape: Shape = (), dtype: Any = None) -> Any:
    """-log(-log u), as standard in extreme values and in `categorical`."""
    wanted = float_dtype(dtype)
    u = open_uniform(key, shape, working_dtype(wanted))
    return np.astype(-np.log(-np.log(u)), wanted)


def laplace(key: Any, shape: Shape = (), dtype: Any = None) -> Any:
    """Mean 0, scale 1: an exponential of either sign."""
    wanted = float_dtype(dtype)
    u = open_uniform(key, shape, working_dtype(wanted)) * 2 - 1
    return np.astype(-np.sign(u) * np.log1p(-np.abs(u)), wanted)


def logistic(key: Any, shape: Shape = (), dtype: Any = None) -> Any:
    """Mean 0, scale 1: log(u / (1 - u))."""
    wanted = float_dtype(dtype)
    u = open_uniform(key, shape, working_dtype(wanted))
    return np.astype(np.log(u) - np.log1p(-u), wanted)


def cauchy(key: Any, shape: Shape = (), dtype: Any = None) -> Any:
    """tan(pi (u - 1/2))."""
    wanted = float_dtype(dtype)
    u = open_uniform(key, shape, working_dtype(wanted))
    return np.astype(np.tan((u - 0.5) * pi), wanted)


def multivariate_normal(
    key: Any, mean: Any, cov: Any, shape: Shape | None = None, dtype: Any = None
) -> Any:
    """mean [..., n], cov [..., n, n], positive definite: mean + L z with L L^T = cov."""
    wanted = float_dtype(dtype)
    size = np.shape(mean)[-1]
    lead = np.broadcast_shapes(np.shape(mean)[:-1], np.shape(cov)[:-2])
    z = normal(key, (*(lead if shape is None else shape), size), working_dtype(wanted))
    lower = np.linalg.cholesky(cov)
    return np.astype(mean + np.squeeze(np.matmul(lower, z[..., None]), -1), wanted)


def truncated_normal(
    key: Any, lower: Any, upper: Any, shape: Shape | None = None, dtype: Any = None
) -> Any:
    """A normal number between lower and upper, by the inverse of the distribution function.

    In f64. Where both bounds are more than 8 deviations off, it is the nearer of them.
    """
    sizes = np.broadcast_shapes(np.shape(lower), np.shape(upper)) if shape is None else shape
    low, high = (np.astype(np.asarray(b) if plain(b) else b, F64) for b in (lower, upper))
    # Bounds above 0 are turned over: the distribution function has its digits below.
    turned = low > 0
    first = cumulative(np.where(turned, -high, low))
    last = cumulative(np.where(turned, -low, high))
    x = inverse_cumulative(first + open_uniform(key, sizes, F64) * (last - first))
    return np.astype(np.clip(np.where(turned, -x, x), low, high), float_dtype(dtype))


def plain(value: Any) -> bool:
    return isinstance(value, int | float | list | tuple)


def cumulative(x: Any) -> Any:
    """The normal distribution function, in f64."""
    from tracejit.nn.activations import primitive

    return 0.5 * (1 + primitive("erf", x * 0.5**0.5))


# Source: Wichura 1988, "Algorithm AS 241: the percentage points of the normal distribution",
# PPND16: quotients of polynomials for the middle, the sides and the tails. Highest power first.
_MIDDLE = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4,
     4.5921953931549871457e4, 1.3731693765509461125e4, 1.9715909503065514427e3,
     1.3314166789178437745e2, 3.3871328727963666080),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4,
     2.1213794301586595867e4, 5.3941960214247511077e3, 6.8718700749205790830e2,
     4.2313330701600911252e1, 1.0),
)  # fmt: skip
_SIDE = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
     1.27045825245236838258, 3.64784832476320460504, 5.76949722146069140550,
     4.63033784615654529590, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
     1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940,
     2.05319162663775882187, 1.0),
)  # fmt: skip
_TAIL = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
     2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580,
     5.46378491116411436990, 6.65790464350110377720),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5,
     7.86869131145613259100e-4, 1.48753612908506148525e-2, 1.36929880922735805310e-1,
     5.99832206555887937690e-1, 1.0),
)  # fmt: skip


def _quotient(x: Any, polynomials: tuple[tuple[float, ...], tuple[float, ...]]) -> Any:
    above, below = (np.polyval(np.array(p), x) for p in polynomials)
    return above / below


def inverse_cumulative(p: Any) -> Any:
    """The x at which the normal distribution function is p in (0, 1), in f64."""
    q = p - 0.5
    middle = q * _quotient(0.180625 - q * q, _MIDDLE)
    r = np.sqrt(-np.log(np.maximum(np.minimum(p, 1 - p), 1e-300)))
    outer = np.where(r <= 5, _quotient(r - 1.6, _SIDE), _quotient(r - 5, _TAIL))
    return np.where(np.abs(q) <= 0.425, middle, np.sign(q) * outer)
