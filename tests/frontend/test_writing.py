"""out=, where= and at: the name passed as out stands for the result, where nobody else sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.errors import UnsupportedError

X = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]])


def _buffer(x: Any) -> Any:
    total = np.zeros_like(x)
    np.multiply(x, 2, out=total)
    np.add(total, 1, out=total)
    return total


def _masked(x: Any) -> Any:
    root = np.full_like(x, -1.0)
    np.sqrt(x, out=root, where=x > 0)
    return root


def _narrow(x: Any) -> Any:
    small = np.zeros_like(x, dtype=np.float32)
    np.exp(x, out=small)
    return small


def _two(x: Any) -> Any:
    whole, rest = np.empty_like(x), np.empty_like(x)
    np.divmod(x, 2, out=(whole, rest))
    return whole, rest


def _temporary(x: Any) -> Any:
    y = x + 1
    z = y
    np.exp(y, out=y)
    return y, z


def _copied(x: Any) -> Any:
    y = x.copy()
    np.negative(y, out=y)
    return x, y


def _spread(x: Any) -> Any:
    y = np.zeros_like(x)
    np.add(x[0], 1, out=y)
    return y


def _reduced(x: Any) -> Any:
    y = np.zeros_like(x[0])
    np.add.reduce(x, axis=0, out=y)
    return y


def _at(x: Any) -> Any:
    y = np.ones_like(x)
    np.add.at(y, np.array([0, 0, 1]), x[0])
    np.maximum.at(y, (slice(None), 1), 3.0)
    np.multiply.at(y, (1, np.array([2, 2])), 2.0)
    return y


def _assigned(x: Any) -> Any:
    y = np.zeros_like(x)
    y[0] = x[1]
    y[:, 1] = 7
    y[1, ::2] += x[0, :2] * 2
    y[-1, -1] = y[0, 0]
    return y


def _recurrence(x: Any) -> Any:
    y = x.ravel().copy()
    for i in range(1, y.shape[0]):
        y[i] = 0.5 * y[i - 1] + y[i]
    rows = np.zeros_like(x)
    for i in range(x.shape[0]):
        rows[i] = rows[i - 1] + x[i]
    return y, rows


def _by_mask(x: Any) -> Any:
    y, z = x.copy(), x * 1
    y[x < 0] = 0
    z[x[:, 0] > 0.7] = x[0]
    z[np.array([False, True])] = 5
    z[np.array([0, 1]), np.array([2, 0])] = x[:, 1]
    return y, z


def _copies(x: Any) -> Any:
    whole = np.zeros_like(x, dtype=np.int64) + 3
    same, rounded, flat = whole.astype(np.int64, copy=False), np.round(whole), whole.flatten()
    rounded[0], flat[1] = 5, 7
    same[0, 0] = 9
    return whole, same, rounded, flat


def _to_integers(x: Any) -> Any:
    y = np.zeros_like(x, dtype=np.int32)
    y[0] = x[0] * 1.9
    y[...] = y + 1
    return y


WRITERS = (
    *(_assigned, _recurrence, _by_mask, _copies, _to_integers, _buffer, _masked, _narrow, _two),
    *(_temporary, _copied, _spread, _reduced, _at),
)


@pytest.mark.parametrize("f", WRITERS)
def test_written_as_in_numpy(f: Callable[..., Any], target: str) -> None:
    with np.errstate(all="ignore"):
        wanted = tj.tree.leaves(f(X.copy()))
    with tj.disable_jit():
        eager = tj.tree.leaves(tj.jit(f)(X))
    for results in (eager, tj.tree.leaves(tj.jit(f, target=target)(X))):
        for got, want in zip(results, wanted, strict=True):
            assert (got.dtype, got.shape) == (want.dtype, want.shape)
            np.testing.assert_allclose(got, want, rtol=2e-6)


def test_a_written_buffer_is_differentiated() -> None:
    slope = tj.grad(lambda x: np.sum(_buffer(x) * x))(X)
    np.testing.assert_allclose(slope, 4 * X + 1)


def test_assignments_are_differentiated() -> None:
    def f(x: Any) -> Any:
        y = x.copy()
        y[0] = y[1] * y[1]
        return np.sum(y * x)

    slope = tj.grad(f)(X)
    np.testing.assert_allclose(slope, [X[1] ** 2, 2 * X[1] * X[0] + 2 * X[1]])
    lanes = tj.vmap(lambda row: _recurrence(row[None])[0])(X)
    np.testing.assert_allclose(lanes[1], _recurrence(X[1][None])[0])


def test_a_variable_takes_a_result() -> None:
    v = tj.Variable(X[0], name="v")

    @tj.jit(target="interpreter")
    def step(x: Any) -> Any:
        np.add(v, x, out=v)
        np.multiply(v, 2, out=v, where=x > 0)
        return v + 0

    want = np.where(X[1] > 0, 2 * (X[0] + X[1]), X[0] + X[1])
    np.testing.assert_array_equal(step(X[1]), want)
    np.testing.assert_array_equal(v.numpy(), want)


def _view(x: Any) -> Any:
    y = x + 1
    row = y[0]
    np.exp(y, out=y)
    return row


def _held(x: Any) -> Any:
    y = x + 1
    row = y[0]
    y[1] = 2
    return row


def _many(x: Any) -> Any:
    y = x + 1
    y[x > 0] = x[0]
    return y


REFUSED = {
    "an argument": (
        lambda x: np.add(x, 1, out=x),
        "f64[2,3], an argument, a view",
    ),
    "a view": (lambda x: np.add(x[0], 1, out=(x + 1)[0]), "a view, or an array of which"),
    "what was viewed": (_view, "an array of which views are held"),
    "a transpose": (lambda x: np.exp(x.T, out=(x + 1).T), "a view, or an array of which"),
    "items of an argument": (lambda x: x.__setitem__(0, 1), "or assign to a copy: x = x.copy()"),
    "items of a view": (lambda x: (x + 1)[0].__setitem__(0, 1), "cannot be changed in place"),
    "items of what is viewed": (_held, "an array of which views are held"),
    "several values by a mask": (_many, "takes one value for all places"),
    "a captured array": (lambda x: np.add(x, 1, out=np.ones((2, 3))), "an existing array"),
    "at of an argument": (lambda x: np.add.at(x, 0, 1.0), "write x = x.at[indices].add(values)"),
    "at of power": (lambda x: np.power.at(x + 1, 0, 2.0), "np.power.at has no traced form"),
    "reduce of power": (lambda x: np.power.reduce(x), "np.power.reduce has no traced form"),
    "accumulate": (lambda x: np.divide.accumulate(x), "np.divide.accumulate has no traced form"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_others_see_is_not_written(name: str) -> None:
    f, text = REFUSED[name]
    with pytest.raises(UnsupportedError) as caught:
        tj.jit(f, target="interpreter")(X)
    assert text in str(caught.value) and "test_writing.py:" in str(caught.value)


def test_a_result_must_fit() -> None:
    with pytest.raises(TypeError, match=r"f64\[2,3\] cannot be stored in i32\[2,3\]"):
        tj.make_graph(lambda x: np.exp(x, out=np.zeros_like(x, dtype=np.int32)))(X)
