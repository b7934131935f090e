"""What is checked of a function of arrays: results, derivatives, lanes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tracejit as tj

STEP = 1e-6
Transformed = Callable[[Callable[..., Any]], Callable[..., Any]]  # a way to run a function


def alike(got: Any, want: Any, tolerance: float) -> None:
    ours, theirs = tj.tree.leaves(got), tj.tree.leaves(want)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        b = np.asarray(b)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, tolerance, tolerance)


def check_results(f: Callable[..., Any], given: list[Any], tolerance: float) -> None:
    """Compiled, and as one lane of a vmap: what NumPy gives."""
    want = tj.tree.map(np.asarray, f(*given))
    alike(tj.jit(f)(*given), want, tolerance)
    lanes = tj.vmap(f)(*(np.stack([g, g[::-1]]) if g.ndim else np.stack([g, g]) for g in given))
    alike(tj.tree.map(lambda a: a[0], lanes), want, tolerance)


def check_derivatives(f: Callable[..., Any], point: list[Any]) -> None:
    """The jvp, which is the transpose of the vjp, against differences; then of that jvp."""
    rng = np.random.default_rng(3)
    ways = [[rng.uniform(-1, 1, p.shape) for p in point] for _ in range(2)]

    def first(*xs: Any) -> Any:
        slopes = tj.jvp(f, xs, tuple(ways[0]))[1]
        return [r for r in tj.tree.leaves(slopes) if r is not None]

    for g, way in ((f, ways[0]), (first, ways[1])):
        slopes = tj.tree.leaves(tj.jvp(g, tuple(point), tuple(way))[1])
        ahead, behind = (
            tj.tree.leaves(g(*(p + s * w for p, w in zip(point, way, strict=True))))
            for s in (STEP, -STEP)
        )
        for a, b, c in zip(slopes, ahead, behind, strict=True):
            if np.asarray(b).dtype.kind == "f":
                difference = (np.asarray(b) - np.asarray(c)) / (2 * STEP)
                size = 1 + np.abs(difference).max(initial=0)
                np.testing.assert_allclose(a, difference, 1e-4, 1e-5 * size)
