"""Every program of the table under vmap, against a loop, and under jvp, against differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.frontend.program import Program, operands
from tests.frontend.programs import PROGRAMS
from tracejit.ir.types import parse_type

STEP = 1e-6


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_vmap_is_a_loop(program: Program) -> None:
    first = operands(program)
    lanes = [
        np.stack([np.roll(a.reshape(-1), i).reshape(a.shape) for i in range(3)]) for a in first
    ]
    got = tj.tree.leaves(tj.vmap(program.f)(*lanes))
    for i in range(3):
        with np.errstate(all="ignore"):
            want = tj.tree.leaves(program.f(*(a[i] for a in lanes)))
        assert len(got) == len(want)
        for a, b in zip(got, want, strict=True):
            b = np.asarray(b)
            tolerance = 2e-6 if b.dtype == np.float32 else 1e-3 if b.dtype == np.float16 else 1e-12
            assert a.shape == (3, *b.shape)
            np.testing.assert_allclose(
                a[i].astype(float), b.astype(float), rtol=tolerance, atol=tolerance
            )


# Programs whose points are not for differences, by how they start.
SINGULAR = (
    "np.arctan2([0.0",  # the origin and infinities, where the angle jumps
    "(np.arcsinh(x * 1e200)",  # a step of 1e-6 is lost
    "np.tan(x)",  # one point is 2e-4 from a pole
)
SMOOTH = [
    p
    for p in PROGRAMS
    if all(str(parse_type(t).dtype) == "float64" for t in p.types)
    and not p.name.startswith(SINGULAR)
]


def smooth_results(results: Any) -> list[Any]:
    return [np.asarray(r) for r in tj.tree.leaves(results) if np.asarray(r).dtype == np.float64]


@pytest.mark.parametrize("program", SMOOTH, ids=lambda p: p.name)
def test_jvp_equals_differences(program: Program) -> None:
    point = operands(program)
    rng = np.random.default_rng(2)
    way = [rng.standard_normal(a.shape) for a in point]
    _, slopes = tj.jvp(program.f, tuple(point), tuple(way))
    with np.errstate(all="ignore"):
        ahead, behind = (
            smooth_results(program.f(*(a + s * d for a, d in zip(point, way, strict=True))))
            for s in (STEP, -STEP)
        )
    for slope, up, down in zip(smooth_results(slopes), ahead, behind, strict=True):
        known = np.isfinite(up) & np.isfinite(down)
        expected = (up[known] - down[known]) / (2 * STEP)
        scale = 1 + np.abs(up[known]) + np.abs(expected)
        assert np.all(np.abs(slope[known] - expected) <= 1e-5 * scale)


def test_slopes_where_differences_do_not_reach() -> None:
    x = np.array([0.3, -1.1, 1.5706])
    np.testing.assert_allclose(tj.grad(lambda x: np.tan(x).sum())(x), 1 + np.tan(x) ** 2, rtol=1e-9)
    big = np.array([1e200, -3e170, 2.0])
    slope = tj.grad(lambda x: np.arcsinh(x).sum())(big)
    np.testing.assert_allclose(slope, [1e-200, 1 / 3e170, 1 / 5**0.5], rtol=1e-12)
    slope = tj.grad(lambda x: np.arccosh(x).sum())(np.abs(big))
    np.testing.assert_allclose(slope, [1e-200, 1 / 3e170, 1 / 3**0.5], rtol=1e-12)
    for r in (1e-200, 1.0, 1e200):
        by_y, by_x = tj.grad(np.arctan2, argnums=(0, 1))(np.float64(3 * r), np.float64(4 * r))
        np.testing.assert_allclose([by_y * r, by_x * r], [4 / 25, -3 / 25], rtol=1e-12)
