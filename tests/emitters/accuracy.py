"""How far results of backends may be from the oracle, and the operands on which they are asked."""

from __future__ import annotations

from itertools import product

import numpy as np

from tracejit.ir.graph import Array
from tracejit.ir.types import BOOL, DType, dtype_name, is_float

# Units in the last place. Operations not named here are exact.
TRANSCENDENTAL = ("expm1", "log1p", "tanh", "sigmoid", "erf", "sin", "cos", "pow", "rsqrt")
ULP = {
    "f32": {"exp": 1.1, "log": 1.1, **dict.fromkeys(TRANSCENDENTAL, 2.5)},
    "f64": {"exp": 2.0, "log": 2.0, **dict.fromkeys(TRANSCENDENTAL, 2.0)},
}
# The oracle is no more than this from the true result itself (NumPy's f32 functions: up to 4 ulp).
ORACLE_ULP = {"f32": 4.0, "f64": 2.0, "f16": 1.0, "bf16": 1.0}

FLOAT_SPECIALS = (0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1.5, 3.0, -7.0, 88.5, -104.0, 1e-30, 65519.0)
TWINS = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def specials(dtype: DType) -> Array:
    """Values at which implementations differ: zeros, infinities, nan, denormals, limits, halves."""
    if dtype == BOOL:
        return np.array([False, True])
    if is_float(dtype):
        bits = np.array([1, 2**8 + 1], TWINS[dtype.itemsize]).view(dtype)
        with np.errstate(all="ignore"):
            plain = np.array([*FLOAT_SPECIALS, np.inf, -np.inf, np.nan]).astype(dtype)
            largest = np.array(np.inf, dtype).view(TWINS[dtype.itemsize]) - 1
        return np.concatenate([plain, bits, -bits, np.atleast_1d(largest.view(dtype))])
    limits = np.iinfo(dtype.type)
    values = {0, 1, 2, 3, 7, 31, 32, 63, 64, limits.max, limits.max - 1, limits.min, limits.min + 1}
    values |= {-v for v in (1, 2, 3, 7, 33)} if dtype.kind == "i" else set()
    return np.array(sorted(values), dtype)


def operands(dtype: DType, count: int, seed: int = 0) -> list[Array]:
    """`count` flat operands: every combination of specials (of at most two), then random values."""
    rng = np.random.default_rng(seed)
    own = specials(dtype)
    grid = np.array(list(product(range(len(own)), repeat=min(count, 2)))).T
    columns = [own[grid[i % len(grid)]] for i in range(count)]
    return [np.concatenate([c, random_values(rng, dtype, 61)]) for c in columns]


def random_values(rng: np.random.Generator, dtype: DType, size: int | tuple[int, ...]) -> Array:
    """Random values of every dtype: floats of order 1, ints small enough to stay readable."""
    if dtype == BOOL:
        return rng.integers(0, 2, size).astype(bool)
    if is_float(dtype):
        return np.asarray(rng.normal(size=size) * 2).astype(dtype)
    return np.asarray(rng.integers(0 if dtype.kind == "u" else -9, 10, size)).astype(dtype)


def ulps(got: Array, want: Array) -> float:
    """The largest distance in units of the last place; nan equals nan, 0.0 equals -0.0."""
    assert got.dtype == want.dtype and got.shape == want.shape, (got.dtype, want.dtype, got.shape)
    if not is_float(want.dtype):
        return 0.0 if np.array_equal(got, want) else np.inf
    with np.errstate(all="ignore"):
        same = (got == want) | (np.isnan(got) & np.isnan(want))
        if same.all():
            return 0.0
        got, want = got[~same], want[~same]
        if np.isnan(got).any() or np.isnan(want).any():
            return np.inf
        return float(_steps(got, want).max())


def _steps(a: Array, b: Array) -> Array:
    """How many floats lie between a and b, in u64 so that nothing is rounded."""
    bits = a.dtype.itemsize * 8
    top = np.uint64(1 << (bits - 1))
    wide = [v.view(TWINS[a.dtype.itemsize]).astype(np.uint64) for v in (a, b)]
    size = [w & (top - np.uint64(1)) for w in wide]
    apart = np.maximum(*size) - np.minimum(*size)
    return np.where((wide[0] & top) == (wide[1] & top), apart, size[0] + size[1])


def allowed_ulps(op: str, dtype: DType) -> float:
    """How far a backend may be from the oracle on an elementwise operation; 0: the same bits."""
    short = dtype_name(dtype)
    if op not in ULP["f32"]:
        return 0.0
    return ULP.get(short, {}).get(op, 0.0) + ORACLE_ULP.get(short, 0.0)
