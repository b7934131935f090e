"""First and second derivatives against differences, and vmap against a loop, of every function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
import tracejit.numpy as tnp
from tests.frontend.differentiable import CALLS, FLAT, WITHOUT
from tracejit.composed import COMPOSED
from tracejit.contraction import MATRIX_UFUNCS
from tracejit.elementwise import UFUNCS
from tracejit.functions import FUNCTIONS

STEP = 1e-5
POINTS = [
    np.array([[0.31, 0.74, 0.52], [0.83, 0.24, 0.62]]),
    np.array([0.43, 0.87, 0.28]),
    np.array([[0.35, 0.66, 0.79], [0.21, 0.56, 0.33], [0.71, 0.47, 0.89]]),
]
ROWS = [(name, source) for name, sources in CALLS.items() for source in sources]


def name_of(function: Callable[..., Any]) -> str:
    name = function.__name__
    home = function.__module__.split(".")[1] if hasattr(np.fft, name) else "linalg"
    return name if getattr(np, name, None) is function else f"{home}.{name}"


def test_the_table_has_every_function() -> None:
    """A function without a row, or with two, fails here."""
    known = {name_of(f) for f in (*FUNCTIONS, *UFUNCS, *MATRIX_UFUNCS, *COMPOSED)}
    known |= set(tnp.__all__)
    of_this_numpy = {n for n in CALLS if n not in ("matvec", "vecmat") or hasattr(np, n)}
    assert of_this_numpy | WITHOUT == known
    assert set(CALLS) & WITHOUT == set()


def program(source: str) -> Callable[..., Any]:
    return eval(f"lambda x, y, a: {source}", {"np": np, "tnp": tnp})  # type: ignore[no-any-return]


def weighted(f: Callable[..., Any]) -> Callable[..., Any]:
    """The sum of all results, each element times a weight of its own."""

    def total(*point: Any) -> Any:
        rng = np.random.default_rng(1)
        parts = [
            np.sum(leaf * rng.uniform(-1, 1, np.shape(leaf))) for leaf in tj.tree.leaves(f(*point))
        ]
        return sum(parts[1:], start=parts[0])

    return total


def along(f: Callable[..., Any], direction: list[Any]) -> Callable[..., Any]:
    """The derivative of f in a direction, as a function."""
    gradient = tj.grad(f, argnums=(0, 1, 2))

    def slope(*point: Any) -> Any:
        parts = gradient(*point)
        return sum(np.sum(g * d) for g, d in zip(parts, direction, strict=True))

    return slope


def difference(f: Callable[..., Any], direction: list[Any]) -> Any:
    ahead, behind = (
        f(*(p + s * d for p, d in zip(POINTS, direction, strict=True))) for s in (STEP, -STEP)
    )
    return (ahead - behind) / (2 * STEP)


def directions(seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, p.shape) for p in POINTS]


def problem(f: Callable[..., Any]) -> str | None:
    """What is wrong with the first or second derivative of f."""
    total = weighted(f)
    first, second = directions(2), directions(3)
    slope = along(total, first)
    for order, exact, want in (
        (1, slope(*POINTS), difference(total, first)),
        (2, along(slope, second)(*POINTS), difference(slope, second)),
    ):
        if not abs(exact - want) <= 1e-6 * max(1.0, abs(want)):
            return f"order {order}: {exact}, by differences {want}"
    return None


@pytest.mark.parametrize(("name", "source"), ROWS, ids=[s for _, s in ROWS])
def test_derivatives(name: str, source: str) -> None:
    assert problem(program(source)) is None


@pytest.mark.parametrize(("name", "source"), ROWS, ids=[s for _, s in ROWS])
def test_vmap(name: str, source: str) -> None:
    f = program(source)
    lanes = [np.stack([p, np.flip(p), p * p]) for p in POINTS]
    got = tj.tree.leaves(tj.vmap(f)(*lanes))
    for i in range(3):
        want = tj.tree.leaves(f(*(a[i] for a in lanes)))
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-12, atol=1e-12)


def test_a_planted_wrong_derivative_is_found() -> None:
    @tj.custom_vjp
    def twice(x: Any) -> Any:
        return 2 * x

    twice.defvjp(lambda x: (2 * x, None), lambda _, g: (2.001 * g,))
    assert problem(lambda x, y, a: twice(x)) is not None
    assert problem(lambda x, y, a: 2 * x) is None


def test_flat_functions_have_zero_slopes() -> None:
    """Of those that give floats of one operand; comparisons give bools, which have none."""
    ran = 0
    for name in FLAT.split():
        function: Any = getattr(np, name)
        try:
            out = np.asarray(function(POINTS[0]))
        except TypeError:
            continue
        if out.dtype == np.float64:
            slope = tj.grad(lambda x, f=function: np.sum(f(x) * 3))(POINTS[0])  # type: ignore[misc]
            np.testing.assert_array_equal(slope, 0)
            ran += 1
    assert ran >= 10


# Subgradients as in JAX: of the function at the point, in f64.
KINKS = {
    "np.abs(x)": (0.0, 0.0),
    "np.maximum(x, 0)": (0.0, 0.5),
    "np.minimum(x, 0)": (0.0, 0.5),
    "np.clip(x, 0, 1)": (0.0, 0.5),
    "np.sign(x)": (0.0, 0.0),
    "np.max(np.stack([x, x, -x]))": (1.0, 1.0),
    "np.where(x > 0, x, 0)": (0.0, 0.0),
    "np.sqrt(x * x)": (2.0, 1.0),
    "x ** 0": (0.0, 0.0),
    "x ** 2": (0.0, 0.0),
    "np.hypot(x, 0.0)": (0.0, 0.0),
    "np.power(0.0, x)": (2.0, 0.0),
    "np.prod(np.stack([x, x + 2]))": (0.0, 2.0),
    "np.floor(x)": (1.0, 0.0),
    "np.round(x)": (0.5, 0.0),
}


@pytest.mark.parametrize("source", KINKS)
def test_kinks(source: str) -> None:
    at, slope = KINKS[source]
    f = eval(f"lambda x: {source}", {"np": np})
    assert tj.grad(f)(np.float64(at)) == slope


# Each has an infinite slope, or is nan, where the mask leaves it out.
LEAKS = (
    "np.where(x > 0, np.sqrt(x), 0)",
    "np.where(x > 0, np.log(x), 0)",
    "np.where(x > 0, 1 / x, 0)",
    "np.where(x <= 0, 0, x ** 0.3)",
    "np.where(x > 0, np.log(x) * np.sqrt(x), x)",
    "np.where(x > 0, np.where(y > 0, np.sqrt(x * y), 0), 0)",
    "np.where(x > 0, np.cbrt(x), 0) + np.where(y > 0, np.sqrt(y), 0)",
    "np.where(np.abs(x) < 1, np.arcsin(x), 0)",
    "np.where(np.abs(x) < 1, np.arctanh(x), 0)",
    "np.where(x < 1, np.exp(1000 * (x - 0.5)) * 0 + x, 0)",
    "np.where(x.T > 0, np.sqrt(x).T, 0)",
    "np.where(x[:, ::-1] > 0, np.log(np.abs(x))[:, ::-1], 0)",
    "np.where(x.ravel() > 0, np.reshape(1 / x, -1), 0)",
    "(lambda r: np.where(x > 0, r, 0) + np.where(x > 0.2, 2 * r, 0))(np.sqrt(x))",
    "(lambda r: np.where(x > 0, r, 0) * np.where(x > 0.2, r, 0))(np.log(x))",
    "np.where((np.sum(x * x, 1) > 0)[:, None], x / np.sqrt(np.sum(x * x, 1))[:, None], 0)",
)


@pytest.mark.parametrize("source", LEAKS)
def test_no_nan_leaks_through_where(source: str, target: str) -> None:
    """Gradients of both orders, and jvp, where the other branch is infinite or nan."""
    f = eval(f"lambda x, y: np.sum({source})", {"np": np})
    x = np.array([[0.0, 0.0, 0.0], [0.5, 1.0, 0.25]])
    y = np.array([0.0, 2.0, 3.0])
    with np.errstate(all="ignore"):
        assert np.isfinite(f(x, y))
    gradient = tj.grad(f, argnums=(0, 1))
    twice = tj.grad(lambda x, y: np.sum(gradient(x, y)[0] ** 2))
    forward = tj.jit(lambda x, y: tj.jvp(f, (x, y), (x + 1, y + 1))[1], target=target)
    first = tj.jit(gradient, target=target)(x, y)
    for found in (*first, tj.jit(twice, target=target)(x, y), forward(x, y)):
        assert np.isfinite(found).all()
    np.testing.assert_allclose(
        forward(x, y), np.sum(first[0] * (x + 1)) + np.sum(first[1] * (y + 1)), rtol=1e-12
    )
