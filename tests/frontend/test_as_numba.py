"""as_numba: compiled steps called from @njit code."""

from __future__ import annotations

import threading

import numba
import numpy as np
import pytest

import tracejit as tj
from tracejit.errors import DTypeError

RNG = np.random.default_rng(0)
W, X = RNG.standard_normal((4, 3)).astype("f4"), RNG.standard_normal((5, 4)).astype("f4")


@tj.jit
def layer(w, x, scale):
    h = np.tanh(x @ w) * scale
    return h, h.sum()


def test_a_step_in_a_loop_of_njit_code() -> None:
    step = layer.as_numba(W, X, 2.0)

    @numba.njit
    def loop(w, x, n):
        total = 0.0
        for i in range(n):
            h, s = step(w, x, 1.0 + i)
            total += s + h[0, 0]
        return total

    want = sum(float(s) + float(h[0, 0]) for h, s in (layer(W, X, 1.0 + i) for i in range(4)))
    assert loop(W, X, 4) == pytest.approx(want, rel=1e-5)
    for got, expected in zip(step(W, X, 2.0), layer(W, X, 2.0), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_parallel_step_from_several_threads() -> None:
    w, x = RNG.random((2, 300, 300))
    f = tj.jit(lambda w, x: np.exp(w @ x / 100).sum(0) + w.T.sum(1))
    assert f.lower(w, x).cost().barriers > 0
    step, want = f.as_numba(w, x), f(w, x)
    wrong = []

    def work() -> None:
        for _ in range(20):
            if not np.allclose(step(w, x), want):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not wrong


def test_donation_and_outputs_that_are_passed() -> None:
    f = tj.jit(lambda w, g: (w - g, (w * g).sum()), donate_argnames=("w",))
    step, filling = f.as_numba(X, X), f.as_numba(X, X, outputs="passed")
    w, g = X.copy(), np.full_like(X, 0.5)
    new, total = step(w, g)
    assert new.ctypes.data == w.ctypes.data
    np.testing.assert_array_equal(w, X - g)
    assert total == pytest.approx((X * g).sum(), rel=1e-5)
    out = np.zeros((), "f4")
    assert filling(w, g, out) is None
    np.testing.assert_array_equal(w, X - g - g)
    assert out == pytest.approx(((X - g) * g).sum(), rel=1e-5)
    with pytest.raises(ValueError, match="a0 is donated and shares memory with a1"):
        step(w, w)


def test_variables_and_captured_arrays() -> None:
    weight, shift = tj.Variable(np.ones(3)), np.arange(3.0)

    @tj.jit
    def step(x):
        weight.assign(weight + x)
        return weight * shift

    call = step.as_numba(np.ones(3))
    for n in range(1, 4):
        np.testing.assert_array_equal(call(np.ones(3)), (1 + n) * shift)
    shift += 1
    np.testing.assert_array_equal(call(np.ones(3)), 5 * shift)
    np.testing.assert_array_equal(weight.numpy(), np.full(3, 5.0))


def test_types_and_sizes() -> None:
    given = [np.arange(4, dtype=d) for d in ("i1", "u4", "i8")] + [np.array([True, False])]
    f = tj.jit(lambda a, b, c, d: (a + a, b * c, ~d, np.zeros((0, 3)), a.max()))
    for got, want in zip(f.as_numba(*given)(*given), f(*given), strict=True):
        np.testing.assert_array_equal(got, want)
        assert got.dtype == want.dtype


def test_host_calls_and_what_they_raise() -> None:
    """With the interpreter lock, without it, and in a prange whose caller waits."""
    inverse = tj.jit(lambda x: np.linalg.inv(x) @ x * 2).as_numba(np.eye(3))

    @numba.njit(nogil=True)
    def total(xs):
        found = 0.0
        for i in range(len(xs)):
            found += inverse(xs[i]).sum()
        return found

    @numba.njit(parallel=True)
    def each(xs, out):
        for i in numba.prange(len(xs)):
            out[i] = inverse(xs[i]).sum()

    xs = RNG.standard_normal((40, 3, 3))
    singular = xs.copy()
    singular[1] = 0
    for _ in range(2):
        assert total(xs) == pytest.approx(240)
        with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
            total(singular)
    found: list[float] = []
    threads = [threading.Thread(target=lambda: found.append(total(xs))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == pytest.approx([240] * 3)
    out = np.zeros(40)
    each(xs, out)
    np.testing.assert_allclose(out, 6)


def test_a_parallel_step_with_a_host_call_beside_the_usual_call() -> None:
    x = RNG.standard_normal((200, 200))
    f = tj.jit(lambda x: np.sort(np.tanh(x @ x), 0) @ x)
    assert f.lower(x).cost().barriers > 1
    step, want = f.as_numba(x), f(x)
    wrong = []

    def work(call) -> None:
        wrong.extend(1 for _ in range(10) if not np.array_equal(call(x), want))

    threads = [threading.Thread(target=work, args=(call,)) for call in (step, f, step)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not wrong


def test_errors() -> None:
    step = layer.as_numba(W, X, 2.0)
    with pytest.raises(ValueError, match=r"a1 must be f32\[5,4\]"):
        step(W, X[:3], 2.0)
    with pytest.raises(TypeError, match="No matching definition"):
        step(W.T.copy().T, X, 2.0)
    with pytest.raises(DTypeError, match="f16: Numba has no 16-bit floats"):
        tj.jit(lambda x: x + x).as_numba(np.ones(3, np.float16))
    with pytest.raises(ValueError, match="outputs='new' is neither"):
        layer.as_numba(W, X, 2.0, outputs="new")
