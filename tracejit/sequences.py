"""Sampled functions and polynomials: differences, integrals, convolution."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.functions import axis_of, lift, traces
from tracejit.ir import ops
from tracejit.ir.types import I64, is_float
from tracejit.lowering import cast
from tracejit.movement import astype, promoted
from tracejit.source import here
from tracejit.tracer import Tracer


@traces(np.linspace)
def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False,
    dtype: Any = None, axis: int = 0,
) -> Any:  # fmt: skip
    ends: list[Any] = promoted([start, stop])
    if not is_float(ends[0].dtype):
        ends = [astype(end, np.float64) for end in ends]
    first, last = np.broadcast_arrays(*ends)
    gap = (last - first) / max(num - 1 if endpoint else num, 1)
    steps = np.reshape(np.arange(num), (-1, *(1,) * first.ndim)).astype(first.dtype)
    points = first + steps * gap
    if endpoint and num > 1:
        points = np.concatenate([points[:-1], last[None]])
    out = np.moveaxis(points if dtype is None else astype(points, dtype), 0, axis)
    return (out, gap) if retstep else out


@traces(np.logspace)
def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0,
    dtype: Any = None, axis: int = 0,
) -> Any:  # fmt: skip
    points = np.power(base, linspace(start, stop, num, endpoint, axis=axis))
    return points if dtype is None else astype(points, dtype)


@traces(np.geomspace)
def geomspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Any:
    """Equal ratios between neighbours; the bounds have one sign."""
    first, last = np.log(np.abs(start)), np.log(np.abs(stop))
    points = np.sign(start) * np.exp(linspace(first, last, num, endpoint, axis=axis))
    return points if dtype is None else astype(points, dtype)


@traces(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    x = lift(np.ravel(ary))
    ends = [None if e is None else astype(np.ravel(e), x.dtype) for e in (to_begin, to_end)]
    parts = [p for p in (ends[0], x[1:] - x[:-1], ends[1]) if p is not None]
    return np.concatenate(parts)


def _on_axis(value: Any, ndim: int, d: int) -> Any:
    """A vector along axis d."""
    return np.reshape(value, [-1 if i == d else 1 for i in range(ndim)])


@traces(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Central differences; varargs: one spacing, or one spacing or vector of points per axis."""
    x = lift(f)
    x = x if is_float(x.dtype) else lift(astype(x, np.float64))
    given = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = [axis_of(x.ndim, d) for d in given]
    steps = list(varargs) or [1.0]
    steps = steps * len(axes) if len(steps) == 1 and not np.ndim(steps[0]) else steps
    if len(steps) != len(axes):
        raise TypeError(f"gradient: {len(steps)} spacings for {len(axes)} axes{here()}")
    out = tuple(_slope(x, s, d, edge_order) for s, d in zip(steps, axes, strict=True))
    return out[0] if len(axes) == 1 else out


def _slope(x: Tracer, step: Any, d: int, edge_order: int) -> Any:
    if x.shape[d] <= edge_order:
        raise ValueError(f"gradient: axis {d} of {x.node.type} is too short{here()}")

    def part(low: int, high: int) -> Any:
        stop = high if high < 0 else x.shape[d] if high == 0 else high
        return x[(*(slice(None),) * d, slice(low, stop))]

    gaps = np.diff(step) if np.ndim(step) else None
    before: Any
    after: Any
    if gaps is None:
        before = after = step
        inner = (part(2, 0) - part(0, -2)) / (2.0 * step)
    else:
        before, after = (_on_axis(g, x.ndim, d) for g in (gaps[:-1], gaps[1:]))
        left = -after / (before * (before + after))
        middle = (after - before) / (before * after)
        right = before / (after * (before + after))
        inner = left * part(0, -2) + middle * part(1, -1) + right * part(2, 0)
    first, last = (step, step) if gaps is None else (gaps[0], gaps[-1])
    if edge_order == 1:
        ends = (part(1, 2) - part(0, 1)) / first, (part(-1, 0) - part(-2, -1)) / last
    else:
        second, third = (step, step) if gaps is None else (gaps[1], gaps[-2])
        ends = (
            _edge([part(i, i + 1) for i in range(3)], first, second),
            -_edge([part(-1 - i, -i) for i in range(3)], last, third),
        )
    return np.concatenate([ends[0], inner, ends[1]], axis=d)


def _edge(points: list[Any], near: Any, far: Any) -> Any:
    """The slope at the first of three points, from the parabola through them."""
    a = -(2.0 * near + far) / (near * (near + far))
    b = (near + far) / (near * far)
    c = -near / (far * (near + far))
    return a * points[0] + b * points[1] + c * points[2]


@traces(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    values = lift(y)
    d = axis_of(values.ndim, axis)
    lead = (slice(None),) * d
    gap: Any = dx
    if x is not None:
        gap = np.diff(x) if np.ndim(x) == 1 else np.diff(x, axis=d)
        gap = _on_axis(gap, values.ndim, d) if np.ndim(x) == 1 else gap
    middle = (values[(*lead, slice(1, None))] + values[(*lead, slice(None, -1))]) / 2.0
    return np.sum(gap * middle, axis=d)


@traces(np.convolve)
def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """Of vectors. mode: full, same (as long as the longer) or valid (where they overlap whole)."""
    x, w = promoted([np.atleast_1d(a), np.atleast_1d(v)])
    if x.ndim > 1 or w.ndim > 1 or not x.size or not w.size:
        raise ValueError(f"convolve: {x.node.type} and {w.node.type}: vectors, not empty{here()}")
    if x.size < w.size:
        x, w = w, x
    side = w.size - 1
    padded = ops.pad(x.node, 0, (side,), (side,))
    whole = x.home.wrap(_correlated(padded, ops.reverse(w.node, (0,))))
    if mode == "full":
        return whole
    if mode not in ("same", "valid"):
        raise ValueError(f"convolve: mode {mode!r} is not full, same or valid{here()}")
    start = side // 2 if mode == "same" else side
    return whole[start : start + (x.size if mode == "same" else x.size - side)]


def _correlated(x: Any, w: Any) -> Any:
    """Each window of x times w: one convolution with one channel."""
    wide = cast(x, I64) if x.dtype.kind == "b" else x
    kernel = cast(w, wide.dtype)
    out = ops.conv(
        ops.reshape(wide, (1, x.shape[0], 1, 1)), ops.reshape(kernel, (w.shape[0], 1, 1, 1)),
        (1,), (1,),
    )  # fmt: skip
    return cast(ops.reshape(out, (out.type.size,)), x.dtype)


@traces(np.correlate)
def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    x, w = lift(a), lift(v)
    if mode == "same" and x.size < w.size:
        # NumPy correlates the longer with the shorter and turns the result round.
        return np.flip(convolve(np.flip(x), w, mode))
    return convolve(x, np.flip(w), mode)


@traces(np.unwrap)
def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: Any = 2 * np.pi) -> Any:
    """Jumps of more than half a period become their complements."""
    x = lift(p)
    d = axis_of(x.ndim, axis)
    gap = np.diff(x, axis=d)
    half = period / 2
    turned = np.mod(gap + half, period) - half
    turned = np.where((turned == -half) & (gap > 0), half, turned)
    least = half if discont is None else discont
    fix = np.where(np.abs(gap) < least, 0, turned - gap)
    lead = (slice(None),) * d
    rest = x[(*lead, slice(1, None))] + np.cumsum(fix, axis=d)
    return np.concatenate([x[(*lead, slice(0, 1))], rest], axis=d)


# Polynomials: coefficients of the highest power first.


@traces(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    """Horner's rule."""
    out: Any = np.zeros_like(x)
    for coefficient in lift(p):
        out = out * x + coefficient
    return out


def _aligned(a1: Any, a2: Any) -> tuple[Any, Any]:
    x, y = (lift(np.atleast_1d(a)) for a in (a1, a2))
    size = max(x.size, y.size)
    return np.pad(x, (size - x.size, 0)), np.pad(y, (size - y.size, 0))


@traces(np.polyadd)
def polyadd(a1: Any, a2: Any) -> Any:
    return np.add(*_aligned(a1, a2))


@traces(np.polysub)
def polysub(a1: Any, a2: Any) -> Any:
    return np.subtract(*_aligned(a1, a2))


@traces(np.polymul)
def polymul(a1: Any, a2: Any) -> Any:
    return convolve(a1, a2)


@traces(np.polyder)
def polyder(p: Any, m: int = 1) -> Any:
    x: Any = lift(p)
    for _ in range(m):
        x = x[:-1] * np.arange(x.shape[0] - 1, 0, -1)
    return x


@traces(np.polyint)
def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    """k: the constants of integration, the first integral's first."""
    x: Any = lift(p)
    constants = [0.0] * m if k is None else list(np.atleast_1d(k)) * (m if np.size(k) == 1 else 1)
    if len(constants) < m:
        raise UnsupportedError(f"np.polyint: {len(constants)} constants for {m} integrals{here()}")
    for constant in constants[:m]:
        x = np.append(x / np.arange(x.shape[0], 0, -1), constant)
    return x
