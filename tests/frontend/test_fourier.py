"""numpy.fft in traced code: NumPy's results, derivatives, lanes; complex arrays as two."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracejit as tj
import tracejit.numpy as tnp
from tests.frontend.checks import check_derivatives, check_results
from tracejit.errors import UnsupportedError
from tracejit.functions import FUNCTIONS

F = np.fft

PROGRAMS = [
    ("F.fft(x), F.ifft(x), F.rfft(x), F.ihfft(x)", (8,)),
    ("F.fft(x, 5, 0), F.ifft(x, n=9), F.rfft(x, 10, axis=0), F.rfft(x, 3)", (7, 6)),
    ("F.irfft(F.rfft(x)), F.irfft(F.rfft(x), 7), F.irfft(F.fft(x), 5), F.hfft(F.fft(x))", (7,)),
    *(
        (f"F.ifft(F.fft(x, norm='{n}') * 2, norm='{n}'), F.irfft(F.rfft(x, norm='{n}'), 6)", (6,))
        for n in ("backward", "ortho", "forward")
    ),
    ("F.hfft(x, norm='ortho'), F.ihfft(x, 5, norm='forward'), F.hfft(x, 6)", (6,)),
    ("F.fft2(x), F.ifft2(x, s=(3, 5)), F.fftn(x), F.ifftn(x, axes=(0,)), F.rfftn(x)", (2, 4, 3)),
    ("F.irfft2(F.rfft2(x)), F.irfftn(F.rfftn(x), s=(4, 3), axes=(1, 2)), F.rfft2(x)", (2, 4, 3)),
    ("F.fftshift(x), F.ifftshift(x, axes=1), F.fftshift(F.fft(x), axes=(0,))", (3, 4)),
    ("np.abs(F.fft(x)) ** 2, np.angle(F.rfft(x)), np.real(F.fft(x)), np.imag(F.fft(x))", (5,)),
    ("F.ifft(F.fft(x) * F.fft(x[::-1])).real, (F.fft(x) / (2 + F.fft(x) * 1j)).imag", (6,)),
    ("np.exp(F.fft(x) / 9), -F.fft(x) + x - 1, np.conj(F.fft(x)), x * F.fft(x)", (6,)),
    ("F.fft(x).sum(), np.mean(F.fft(x), axis=0), F.fft(x)[1:, 0], np.square(F.fft(x))", (3, 4)),
    ("np.multiply(x, F.fft(x)), F.fft(x).reshape(-1), F.fft(x).T if 0 else F.fft(x)", (2, 4)),
]  # fmt: skip


def function(source: str) -> Any:
    return eval(f"lambda x: ({source})", {"np": np, "F": np.fft})


@pytest.mark.parametrize("row", PROGRAMS, ids=[row[0].replace("[", "(") for row in PROGRAMS])
def test_results_and_derivatives(row: Any) -> None:
    source, shape = row
    f = function(source)
    x = np.random.default_rng(0).standard_normal(shape)
    check_results(f, [x], 1e-12)
    check_results(f, [x.astype(np.float32)], 1e-5)

    def real(x: Any) -> Any:
        return [part for z in f(x) for part in (z.real, z.imag)]

    check_derivatives(real, [x])


def test_integers() -> None:
    check_results(function("F.fft(x), F.irfft(x)"), [np.arange(6)], 1e-12)


def test_a_spectral_loss_in_a_step() -> None:
    x = np.random.default_rng(1).standard_normal(16)

    def loss(x: Any) -> Any:
        return (np.abs(np.fft.rfft(x)) ** 2).sum()

    want = tj.grad(loss)(x)
    step = 1e-6 * np.eye(16)
    slopes = [(loss(x + s) - loss(x - s)) / 2e-6 for s in step]
    np.testing.assert_allclose(want, slopes, rtol=1e-6)
    np.testing.assert_allclose(tj.jit(tj.grad(loss))(x), want)
    assert np.isfinite(tj.grad(lambda x: np.abs(np.fft.fft(x)).sum())(np.zeros(4))).all()


def test_every_name_is_there() -> None:
    assert all(getattr(tnp.fft, n) is getattr(np.fft, n) for n in np.fft.__all__)
    frequencies = {"fftfreq", "rfftfreq"}
    assert {n for n in np.fft.__all__ if getattr(np.fft, n) not in FUNCTIONS} == frequencies


def test_errors() -> None:
    x = np.arange(4.0)
    with pytest.raises(
        UnsupportedError, match=r"np.sort has no form for complex arrays.*They know"
    ):
        tj.jit(lambda x: np.sort(np.fft.fft(x)))(x)
    with pytest.raises(ValueError, match="Invalid norm value 'sum'"):
        tj.jit(lambda x: np.fft.fft(x, norm="sum"))(x)
    with pytest.raises(tj.errors.DTypeError, match="complex128 is not supported"):
        tj.jit(lambda z: z + 1)(x + 0j)
