"""x.at[index]: against NumPy's assignments; gradients; masks, nonzero, accumulate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracejit as tj
import tracejit.numpy as tnp
from tests.frontend.test_grad import numeric
from tracejit import errors

RNG = np.random.default_rng(11)
X = RNG.standard_normal((5, 4, 3))

INDICES: dict[str, Any] = {
    "int": 2,
    "ints": (1, -1, 0),
    "slice": slice(1, 4),
    "steps": (slice(None, None, 2), slice(3, 0, -2)),
    "backwards": (slice(None, None, -1), 1),
    "new axis": (slice(0, 2), None, 3),
    "ellipsis": (..., slice(1, None)),
    "nothing": slice(3, 3),
    "everything": ...,
    "rows": np.array([0, 3, -1]),
    "one row": (np.array([2]),),
    "second axis": (slice(None), np.array([1, 3])),
    "last axis": (..., np.array([[0, 2], [1, 1]])[0]),
    "pairs": (np.array([0, 1]), np.array([2, 3])),
    "matrix": np.array([[0, 1], [2, 4]]),
    "apart": (np.array([0, 4]), slice(None), np.array([1, 2])),
    "int and array": (1, np.array([0, 3])),
    "slice and array": (slice(1, 4), np.array([0, 2])),
    "no rows": np.array([], np.int64),
}
UPDATES = {
    "set": lambda x, i, v: x.__setitem__(i, v),
    "add": lambda x, i, v: np.add.at(x, i, v),
    "multiply": lambda x, i, v: np.multiply.at(x, i, v),
    "min": lambda x, i, v: np.minimum.at(x, i, v),
    "max": lambda x, i, v: np.maximum.at(x, i, v),
}


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("name", INDICES)
def test_update_equals_numpys(name: str, update: str, target: str) -> None:
    index = INDICES[name]
    for values in (0.25, RNG.standard_normal(X[index].shape)):
        want = X.copy()
        UPDATES[update](want, index, values)
        step = tj.jit(lambda x, v: getattr(x.at[index], update)(v), target=target)
        before = X.copy()
        np.testing.assert_allclose(step(X, values), want, rtol=1e-14)
        np.testing.assert_array_equal(X, before)


def test_repeated_indices(target: str) -> None:
    x, index, v = np.arange(4.0), np.array([1, 3, 1, 1]), np.array([5.0, 6, -7, 8])
    for update in UPDATES:
        want = x.copy()
        UPDATES[update](want, index, v)
        step = tj.jit(lambda x, i, v: getattr(x.at[i], update)(v), target=target)  # noqa: B023
        np.testing.assert_array_equal(step(x, index, v), want)


def test_elements_beyond_the_end_are_left_out(target: str) -> None:
    x, index = np.arange(4.0), np.array([9, -9, 1])
    for update in ("set", "add", "max"):
        got = tj.jit(lambda x, i: getattr(x.at[i], update)(5.0), target=target)(x, index)  # noqa: B023
        np.testing.assert_array_equal(got, [0, 6 if update == "add" else 5, 2, 3])


def test_other_updates_and_dtypes(target: str) -> None:
    def f(x: Any, n: Any) -> Any:
        return (
            x.at[0].subtract(1), x.at[0].divide(2), x.at[0].mul(2), x.at[1:].apply(np.exp),
            x.at[1].get(), n.at[1].set(2.9), n.at[n].add(1),
        )  # fmt: skip

    x, n = np.array([1.0, 2.0, 3.0], "f4"), np.array([2, 0, 2], "i4")
    got = tj.jit(f, target=target)(x, n)
    want = [[0, 2, 3], [0.5, 2, 3], [2, 2, 3], [1, *np.exp(x[1:])], 2, [2, 2, 2], [3, 0, 4]]
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert [a.dtype for a in got] == ["f4"] * 5 + ["i4"] * 2


@pytest.mark.parametrize("update", ["set", "add", "multiply", "min", "max"])
@pytest.mark.parametrize("index", [np.s_[1:3, ::-2], np.array([3, 0, 3]), np.s_[:, 1]])
def test_gradients_of_updates(update: str, index: Any) -> None:
    x = X[..., 0].copy()
    v = RNG.standard_normal(x[index].shape)

    def of_x(x: Any) -> Any:
        return (getattr(x.at[index], update)(v) ** 2).sum()

    def of_v(v: Any) -> Any:
        return (getattr((x + 0 * v.sum()).at[index], update)(v) ** 2).sum()

    for f, point in ((of_x, x), (of_v, v)):
        value = tj.jit(f, target="interpreter")
        np.testing.assert_allclose(tj.grad(f)(point), numeric(value, point), rtol=1e-4, atol=1e-6)


def test_nonzero_of_known_length(target: str) -> None:
    x = np.array([[0, 1, 0, 2], [3, 0, 0, 4]])
    for size in (0, 2, 4, 6):
        got = tj.jit(lambda x: tnp.nonzero(x, size=size, fill_value=-1), target=target)(x)  # noqa: B023
        for a, b, c in zip(got, np.nonzero(x), tnp.nonzero(x, size, -1), strict=True):
            np.testing.assert_array_equal(a, [*b[:size], *[-1] * (size - 4)])
            np.testing.assert_array_equal(a, c)
    flat = tj.jit(lambda x: tnp.flatnonzero(x, size=3), target=target)(x)
    np.testing.assert_array_equal(flat, [1, 3, 4])


def test_masks_with_known_values() -> None:
    x = np.arange(4.0)
    # Define by run the values are there, so the shape is.
    np.testing.assert_array_equal(tj.grad(lambda x: (x[x > 1] ** 2).sum())(x), [0, 0, 4, 6])
    with pytest.raises(errors.UnsupportedError, match="a mask gives a result whose shape"):
        tj.jit(lambda x: x[x > 1])(x)
    with pytest.raises(errors.UnsupportedError, match="a mask gives a result whose shape"):
        tj.vmap(lambda r: r[r > 1])(x[None])


VALUE_SHAPED = ("nonzero", "unique", "argwhere", "flatnonzero", "union1d", "bincount", "extract")


@pytest.mark.parametrize("name", VALUE_SHAPED)
def test_shapes_that_depend_on_values(name: str) -> None:
    function, x = getattr(tnp, name), np.array([3, 0, 3])
    args = (x, x) if name in ("union1d", "extract") else (x,)
    np.testing.assert_array_equal(function(*args), getattr(np, name)(*args))
    with pytest.raises(errors.UnsupportedError, match=r"the shape of the result depends on values"):
        tj.jit(function)(*args)


def test_methods_that_change_an_array(target: str) -> None:
    x = RNG.standard_normal((3, 5))

    def f(x: Any) -> Any:
        rows, columns, least, same = x.copy(), x + 0, 2 * x, x[1:] * 1
        rows.sort()
        columns.sort(axis=0, kind="stable")
        least.partition(2)
        same.fill(7)
        return rows, columns, least[:, 2], same, x.argpartition(1)[:, 1], (x > 0).choose([x, -x])

    for got, want in zip(tj.jit(f, target=target)(x), f(x), strict=True):
        np.testing.assert_array_equal(got, want)
    with pytest.raises(
        errors.UnsupportedError, match=r"sort would write .* write x = np.sort\(x\)"
    ):
        tj.jit(lambda x: x.sort())(x)
    with pytest.raises(AttributeError, match=r"ndarray.tobytes: a traced f64\[3,5\] has no memory"):
        tj.jit(lambda x: x.tobytes())(x)
    with pytest.raises(
        AttributeError, match=r"Variable.fill would change a copy of 'v' \(test_upd"
    ):
        tj.Variable(x, name="v").fill(3)


def test_errors_of_reduceat_pad_and_interp() -> None:
    x = np.ones((4, 3))
    with pytest.raises(IndexError, match=r"np.add.reduceat: index 4 is out of bounds \[0, 4\) \("):
        tj.jit(lambda x: np.add.reduceat(x, [0, 4]))(x)
    with pytest.raises(errors.UnsupportedError, match=r"np.subtract.reduce has no traced form"):
        tj.jit(lambda x: np.subtract.reduceat(x, [0, 2]))(x)
    with pytest.raises(ValueError, match=r"np.pad: mode='edge' takes no padder \(test_updates"):
        tj.jit(lambda x: np.pad(x, 1, "edge", padder=2))(x)
    with pytest.raises(ValueError, match=r"np.interp: period must be a non-zero value \(test_upd"):
        tj.jit(lambda x: np.interp(x, x[0], x[0], period=0))(x)


def test_nonzero_names_the_size_argument() -> None:
    with pytest.raises(errors.UnsupportedError, match=r"tracejit.numpy.nonzero\(x, size=n\)"):
        tj.jit(np.nonzero)(np.ones(3))


def test_slopes_of_the_inverse_functions() -> None:
    x = RNG.uniform(-0.9, 0.9, 5)

    def f(x: Any) -> Any:
        inside = np.arcsin(x) * 2 + np.arccos(x / 2) + np.arctan(3 * x) + np.arcsinh(x)
        return (inside + np.arccosh(2 + x) + np.arctan2(x, x - 0.3) + np.hypot(x, 1 - x)).sum()

    np.testing.assert_allclose(tj.grad(f)(x), numeric(f, x), rtol=1e-7)
    second = numeric(lambda x: tj.grad(f)(x).sum(), x)
    np.testing.assert_allclose(np.diag(tj.hessian(f)(x)), second, rtol=1e-6)
    # Where a branch that is not taken divides by zero.
    np.testing.assert_array_equal(tj.grad(lambda x: np.arctan(x).sum())(np.zeros(2)), 1)
    np.testing.assert_array_equal(tj.grad(lambda x: np.hypot(x, x).sum())(np.zeros(2)), 0)


def test_running_sums_and_products_have_gradients(target: str) -> None:
    x = RNG.standard_normal((2, 21))
    x[0, 3] = 0.0  # dividing the product by an element would not do

    def f(x: Any) -> Any:
        sums, products = np.cumsum(x, axis=1), np.cumprod(x, axis=1)
        return (sums**2).sum() + np.sin(products).sum() + np.maximum.accumulate(x, 1).sum()

    got = tj.jit(tj.grad(f), target=target)(x)
    np.testing.assert_allclose(got, numeric(f, x), rtol=1e-5, atol=1e-6)
