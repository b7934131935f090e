"""Sorting and quantiles in traced code: NumPy's results, derivatives, lanes; nan and equals."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import tracejit as tj
import tracejit.numpy as tnp
from tests.frontend.checks import alike, check_derivatives, check_results
from tracejit.errors import UnsupportedError

PROGRAMS = [
    ("np.sort(x), np.sort(x, axis=0), np.sort(x, axis=None)", (4, 5)),
    ("np.sort(x, kind='stable'), x.argsort(0)", (7, 3)),
    ("np.argsort(x, axis=None, kind='stable'), np.argsort(x, kind='stable')", (3, 5)),
    ("np.lexsort((x[0], x[1])), np.lexsort(x, axis=-1)", (3, 6)),
    ("np.sort(np.partition(x, 3)[:3]), np.partition(x, (1, -2))[np.array([1, -2])]", (9,)),
    ("np.take_along_axis(x, np.argpartition(x, 2, axis=0), 0)[2]", (7, 3)),
    ("np.median(x), np.median(x, axis=0), np.median(x, axis=(0, 2), keepdims=True)", (3, 4, 2)),
    ("np.quantile(x, 0.3), np.quantile(x, [0.0, 0.25, 1.0], axis=1)", (3, 5)),
    ("np.percentile(x, np.array([[10.0, 50.0]]), axis=(0, 1), keepdims=True)", (3, 2, 5)),
    *(
        (f"np.quantile(x, [0.0, 0.2, 0.35, 0.5, 0.9, 1.0], axis=0, method='{method}')", (6, 2))
        for method in (
            *("linear", "lower", "higher", "nearest", "midpoint", "hazen", "weibull"),
            *("interpolated_inverted_cdf", "median_unbiased", "normal_unbiased"),
        )
    ),
    ("np.nanmedian(x), np.nanquantile(x, 0.7, axis=1), np.nanpercentile(x, [20, 60])", (3, 5)),
    ("np.searchsorted(np.sort(x), x[::-1]), np.digitize(x, np.sort(x))", (6,)),
]  # fmt: skip
IDS = [f"{row[0]}".replace("[", "(").replace("]", ")") for row in PROGRAMS]


def function(source: str) -> Any:
    return eval(f"lambda x: ({source})", {"np": np})


@pytest.mark.parametrize("row", PROGRAMS, ids=IDS)
def test_results_and_derivatives(row: Any) -> None:
    source, shape = row
    x = np.random.default_rng(0).permutation(int(np.prod(shape))).reshape(shape) * 0.37
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-5), (np.int32, 1e-12)):
        check_results(function(source), [x.astype(dtype)], tolerance)
    check_derivatives(function(source), [x])


def with_nan(seed: int) -> Any:
    x = np.random.default_rng(seed).integers(0, 4, (4, 9)).astype(float)
    x[1, [2, 5]] = np.nan
    x[2] = np.nan
    return x


@pytest.mark.parametrize(
    "source",
    [
        "np.sort(x)", "np.argsort(x, kind='stable')", "np.median(x, axis=1)",
        "np.quantile(x, [0.1, 0.6], axis=1)", "np.partition(x, 4)[:, 4]",
    ],
)  # fmt: skip
def test_nan_is_last_and_equals_keep_their_order(source: str) -> None:
    f = function(source)
    for seed in range(3):
        alike(tj.jit(f)(with_nan(seed)), f(with_nan(seed)), 1e-12)


def test_nan_aware() -> None:
    x = with_nan(0)
    f = function("np.nanmedian(x, axis=1), np.nanquantile(x, [0.2, 0.9], axis=1)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        want = f(x)
    alike(tj.jit(f)(x), want, 1e-12)


@pytest.mark.parametrize("n", [7, 3000])
def test_top_k(n: int) -> None:
    x = np.random.default_rng(0).integers(0, n // 2, (3, n)).astype(np.float32)
    x[1, 4] = np.nan
    order = np.argsort(-np.where(np.isnan(x), np.inf, x), axis=1, kind="stable")[:, :5]
    for values, index in (tj.top_k(x, 5), tj.jit(lambda x: tj.top_k(x, 5))(x)):
        np.testing.assert_array_equal(index, order)
        np.testing.assert_array_equal(values, np.take_along_axis(x, order, 1))
    x = np.nan_to_num(x)
    weights = np.arange(15.0).reshape(3, 5)
    got = tj.grad(lambda x: (tj.top_k(x, 5)[0] * weights).sum())(x)
    want = np.zeros_like(x)
    np.put_along_axis(want, np.argsort(-x, axis=1, kind="stable")[:, :5], weights, 1)
    np.testing.assert_array_equal(got, want)


def test_unique_with_a_size() -> None:
    x = np.array([[3.0, 1, 2], [1, 3, 5]])

    def f(x: Any) -> Any:
        return tnp.unique(x, True, True, True, size=6, fill_value=-1)

    for values, first, inverse, counts in (f(x), tj.jit(f)(x)):
        assert values.tolist() == [1, 2, 3, 5, -1, -1]
        assert first.tolist()[:4] == [1, 2, 0, 5] and counts.tolist() == [2, 1, 2, 1, 0, 0]
        np.testing.assert_array_equal(values[inverse], x)
    assert tj.jit(lambda x: tnp.unique(x, size=2))(x).tolist() == [1, 2]
    assert tj.jit(lambda x: tnp.unique(x, size=5))(x).tolist() == [1, 2, 3, 5, 1]
    got = tj.grad(lambda x: (tnp.unique(x, size=4) * np.arange(4)).sum())(x)
    assert got.tolist() == [[2, 0, 1], [0, 0, 3]]
    assert tnp.unique(x).tolist() == [1, 2, 3, 5]
    with pytest.raises(UnsupportedError, match="the shape of the result depends on values"):
        tj.jit(np.unique)(x)


@pytest.mark.parametrize("name", ["unique_all", "unique_counts", "unique_inverse", "unique_values"])
def test_the_standards_forms_of_unique_with_a_size(name: str) -> None:
    x, function = np.array([[3.0, np.nan], [1, 3], [np.nan, 3]]), getattr(tnp, name)
    whole = getattr(np, name)(x)
    sized, traced = function(x, size=4), tj.jit(lambda x: function(x, size=4))(x)
    assert getattr(sized, "_fields", ()) == getattr(whole, "_fields", ())
    parts = [(whole, sized, traced)]
    if isinstance(whole, tuple):
        parts = list(zip(whole, sized, traced, strict=True))
    for a, b, c in parts:
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    with pytest.raises(UnsupportedError, match=rf"tracejit.numpy.{name}\(x, size=n\)"):
        tj.jit(function)(x)


def test_errors() -> None:
    x = np.arange(6.0)
    with pytest.raises(ValueError, match=r"Quantiles must be in the range \[0, 1\] \(test_sorting"):
        tj.jit(lambda x: np.quantile(x, 1.5))(x)
    with pytest.raises(ValueError, match=r"method 'median' is not there.*averaged_inverted_cdf"):
        tj.jit(lambda x: np.quantile(x, 0.5, method="median"))(x)
    with pytest.raises(ValueError, match=r"kth.*out of bounds"):
        tj.jit(lambda x: np.partition(x, 6))(x)
    with pytest.raises(tj.errors.ShapeError, match=r"top_k: f64\[6\] has no 7 largest"):
        tj.jit(lambda x: tj.top_k(x, 7))(x)
