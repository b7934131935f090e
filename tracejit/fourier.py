"""numpy.fft on traced arrays: host calls on the two parts of complex arrays."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from tracejit.complexes import ComplexArray, both, joined, on_complex, parts
from tracejit.functions import axis_of, live, traces
from tracejit.ir import ops
from tracejit.ir.types import F32, F64, ShapeError
from tracejit.lowering import cast
from tracejit.source import here


def _complex(a: Any) -> ComplexArray:
    """Any operand as two parts that numpy.fft computes in: f32, or f64."""
    z = joined(*parts(a))
    wide = F32 if z.real.dtype.itemsize <= 4 and z.real.dtype.kind not in "iub" else F64
    wrap = live().wrap
    return ComplexArray(*(wrap(cast(p.node, wide)) for p in (z.real, z.imag)))


def _fitted(z: ComplexArray, n: int, axis: int) -> ComplexArray:
    """Cut, or filled with zeros at the end."""
    size = z.shape[axis]
    if n < 1:
        raise ShapeError(f"np.fft: {n} points along axis {axis}{here()}; one at least")
    if n <= size:
        return z[(slice(None),) * axis + (slice(0, n),)]
    widths = [(0, n - size if d == axis else 0) for d in range(z.ndim)]
    return ComplexArray(np.pad(z.real, widths), np.pad(z.imag, widths))


def _factor(n: int, norm: str | None, inverse: bool) -> float:
    """What numpy multiplies the plain sums by."""
    if norm not in (None, "backward", "ortho", "forward"):
        raise ValueError(
            f'Invalid norm value {norm!r}; should be "backward", "ortho" or "forward".'
        )
    if norm == "ortho":
        return 1 / sqrt(n)
    return 1 / n if (norm == "forward") != inverse else 1.0


def _along(a: Any, n: Any, axis: int, norm: Any, inverse: bool) -> ComplexArray:
    z = _complex(a)
    d = axis_of(z.ndim, axis)
    z = _fitted(z, z.shape[d] if n is None else int(n), d)
    factor = _factor(z.shape[d], norm, inverse)
    nodes = ops.host_call("fft", z.real.node, z.imag.node, axis=d, inverse=inverse)
    real, imag = map(live().wrap, nodes)
    return ComplexArray(real, imag) if factor == 1 else ComplexArray(real * factor, imag * factor)


@traces(np.fft.fft)
@on_complex(np.fft.fft)
def fft(a: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
    return _along(a, n, axis, norm, inverse=False)


@traces(np.fft.ifft)
@on_complex(np.fft.ifft)
def ifft(a: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
    return _along(a, n, axis, norm, inverse=True)


@traces(np.fft.rfft)
def rfft(a: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
    """The first half of `fft`, which says it all."""
    z = _along(a, n, axis, norm, inverse=False)
    d = axis_of(z.ndim, axis)
    return z[(slice(None),) * d + (slice(0, z.shape[d] // 2 + 1),)]


@traces(np.fft.irfft)
@on_complex(np.fft.irfft)
def irfft(a: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
    """Each frequency but 0 and the last of an even n stands for its negative too."""
    z = _complex(a)
    d = axis_of(z.ndim, axis)
    count = 2 * (z.shape[d] - 1) if n is None else int(n)
    z = _fitted(z, count // 2 + 1, d)
    twice = np.full(count // 2 + 1, 2, z.real.dtype)
    twice[0] = 1
    if count % 2 == 0:
        twice[-1] = 1
    twice = twice.reshape((-1, *(1,) * (z.ndim - d - 1)))
    return _along(z * twice, count, d, norm, inverse=True).real


@traces(np.fft.hfft)
@on_complex(np.fft.hfft)
def hfft(a: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
    return irfft(_complex(a).conj(), n, axis, _turned(norm))


@traces(np.fft.ihfft)
def ihfft(a: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
    return rfft(a, n, axis, _turned(norm)).conj()


def _turned(norm: Any) -> Any:
    return {None: "forward", "backward": "forward", "forward": "backward"}.get(norm, norm)


# Several axes


def _axes(a: Any, s: Any, axes: Any) -> list[tuple[Any, int]]:
    """(size or None, axis) of each transform, in order."""
    if axes is None:
        axes = range(len(a.shape)) if s is None else range(-len(s), 0)
    sizes = [None] * len(axes) if s is None else s
    if len(sizes) != len(axes):
        raise ValueError(f"Shape and axes have different lengths.{here()}")
    return [(None if n in (None, -1) else n, axis) for n, axis in zip(sizes, axes, strict=True)]


@traces(np.fft.fftn)
@on_complex(np.fft.fftn)
def fftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None) -> Any:
    for n, axis in reversed(_axes(a, s, axes)):
        a = fft(a, n, axis, norm)
    return a


@traces(np.fft.ifftn)
@on_complex(np.fft.ifftn)
def ifftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None) -> Any:
    for n, axis in reversed(_axes(a, s, axes)):
        a = ifft(a, n, axis, norm)
    return a


@traces(np.fft.rfftn)
def rfftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None) -> Any:
    *others, (n, last) = _axes(a, s, axes)
    a = rfft(a, n, last, norm)
    for n, axis in reversed(others):
        a = fft(a, n, axis, norm)
    return a


@traces(np.fft.irfftn)
@on_complex(np.fft.irfftn)
def irfftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None) -> Any:
    *others, (n, last) = _axes(a, s, axes)
    for size, axis in others:
        a = ifft(a, size, axis, norm)
    return irfft(a, n, last, norm)


def _two(form: Any) -> Any:
    def transform(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None) -> Any:
        return form(a, s, axes, norm)

    transform.__name__ = f"{form.__name__[:-1]}2"
    return transform


for _function, _form in (
    (np.fft.fft2, fftn), (np.fft.ifft2, ifftn), (np.fft.rfft2, rfftn), (np.fft.irfft2, irfftn)
):  # fmt: skip
    traces(_function)(on_complex(_function)(_two(_form)))


def _shifted(x: Any, axes: Any, inverse: bool) -> Any:
    every = tuple(range(len(x.shape))) if axes is None else axes
    every = (every,) if isinstance(every, int) else tuple(every)
    by = [x.shape[d] // 2 for d in every]
    shift = [-n if inverse else n for n in by]
    if isinstance(x, ComplexArray):
        return both(np.roll, x, shift, every)
    return np.roll(x, shift, every)


@traces(np.fft.fftshift)
@on_complex(np.fft.fftshift)
def fftshift(x: Any, axes: Any = None) -> Any:
    return _shifted(x, axes, inverse=False)


@traces(np.fft.ifftshift)
@on_complex(np.fft.ifftshift)
def ifftshift(x: Any, axes: Any = None) -> Any:
    return _shifted(x, axes, inverse=True)
