"""nan, infinities, signed zeros, denormals: traced and compiled as NumPy has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracejit as tj
import tracejit.numpy as xp
from tests.standard.elementwise import BINARY, UNARY

VALUES = [
    *(np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, -3.0, 2.5, 1e-40),
    *(-1e-40, 1e30, -1e30, 7.0, 0.1),
]
UNARIES = [n for n, (takes, _) in UNARY.items() if "float32" in takes]
BINARIES = [n for n, (takes, _) in BINARY.items() if "float32" in takes]


def unary(x: Any) -> tuple[Any, ...]:
    return tuple(getattr(xp, n)(x) for n in UNARIES)


def binary(x: Any, y: Any) -> tuple[Any, ...]:
    return tuple(getattr(xp, n)(x, y) for n in BINARIES)


def differing(names: list[str], got: Any, want: Any) -> list[str]:
    """What differs, function by function."""
    found = []
    for name, a, b in zip(names, got, want, strict=True):
        try:
            check(name, a, b)
        except AssertionError as error:
            found.append(f"{name}: {error}")
    return found


def check(name: str, got: Any, want: Any) -> None:
    assert (got.dtype, got.shape) == (want.dtype, want.shape), name
    if want.dtype == bool:
        np.testing.assert_array_equal(got, want, err_msg=name)
        return
    eps = np.finfo(want.dtype).eps
    if name == "nextafter":
        np.testing.assert_array_equal(got, want)
    # Quotients of the largest and smallest may differ in whether a denormal result is reached.
    tiny = float(np.finfo(want.dtype).smallest_normal)
    np.testing.assert_allclose(got, want, rtol=8 * eps, atol=tiny, err_msg=name)
    zeros = (got == 0) & (want == 0) & (np.abs(want) == 0)
    np.testing.assert_array_equal(np.signbit(got[zeros]), np.signbit(want[zeros]), err_msg=name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unary(dtype: Any, target: str) -> None:
    x = np.array(VALUES, dtype)
    with np.errstate(all="ignore"):
        wanted = unary(x)
    assert differing(UNARIES, tj.jit(unary, target=target)(x), wanted) == []


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary(dtype: Any, target: str) -> None:
    x, y = (np.ascontiguousarray(v) for v in np.meshgrid(*2 * [np.array(VALUES, dtype)]))
    with np.errstate(all="ignore"):
        wanted = binary(x, y)
    assert differing(BINARIES, tj.jit(binary, target=target)(x, y), wanted) == []
