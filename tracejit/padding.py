"""np.pad, every mode: borders are slices, runs and reductions of what lies beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.functions import lift, traces
from tracejit.ir import ops
from tracejit.ir.types import is_float
from tracejit.movement import concatenate
from tracejit.placing import apply_along_axis
from tracejit.source import here
from tracejit.tracer import Tracer

Side = Callable[[Tracer, int, int, Any], Any]  # (x, axis, width, option) -> the border
# A user's: writes into the ends of (vector, widths, axis, keywords), and returns nothing.
Border = Callable[[Any, tuple[int, int], int, dict[str, Any]], Any]


@traces(np.pad)
def pad(
    array: Any, pad_width: Any, mode: str | Border = "constant", constant_values: Any = 0,
    end_values: Any = 0, stat_length: Any = None, reflect_type: str = "even", **options: Any,
) -> Any:  # fmt: skip
    """Axis by axis; the corners are borders of borders, as in NumPy. Widths are Python ints.

    A function as mode is called once for each axis, for all vectors along it (`vmap`).
    """
    x = lift(array)
    widths = _pairs(_by_axis(pad_width, x.ndim), x.ndim)
    if not isinstance(mode, str):
        return _by_function(_constant(x, widths, 0), widths, mode, options)
    if options:
        raise ValueError(f"np.pad: mode={mode!r} takes no {', '.join(options)}{here()}")
    if mode in ("constant", "empty"):
        return _constant(x, widths, constant_values if mode == "constant" else 0)
    if mode in ("edge", "reflect", "symmetric", "wrap"):
        for d, (low, high) in enumerate(widths):
            x = _mirrored(x, d, low, high, mode, reflect_type) if low or high else x
        return x
    if mode not in _SIDES:
        raise UnsupportedError(
            f"np.pad: mode={mode!r} has no traced form{here()}; use np.concatenate"
        )
    given = _pairs(end_values if mode == "linear_ramp" else stat_length, x.ndim)
    for d, ((low, high), (before, after)) in enumerate(zip(widths, given, strict=True)):
        parts: list[Any] = [x]
        if low:
            parts.insert(0, _SIDES[mode](x, d, low, before))
        if high:
            turned = lift(np.flip(x, d))
            parts.append(np.flip(_SIDES[mode](turned, d, high, after), d))
        x = lift(concatenate(parts, d))
    return x


def _by_function(
    x: Tracer, widths: list[tuple[int, int]], border: Border, options: dict[str, Any]
) -> Tracer:
    """`border` writes into each vector along each axis, which has zeros at both ends."""
    for d, width in enumerate(widths):

        def filled(row: Any, width: tuple[int, int] = width, d: int = d) -> Any:
            vector = row.copy()
            border(vector, width, d, options)
            return vector

        x = lift(apply_along_axis(filled, d, x))
    return x


def _by_axis(widths: Any, ndim: int) -> Any:
    """NumPy also takes a dict from axis to widths."""
    if not isinstance(widths, dict):
        return widths
    named = {d % ndim: w for d, w in widths.items()}
    return [named.get(d, (0, 0)) for d in range(ndim)]


def _pairs(given: Any, ndim: int) -> list[tuple[Any, Any]]:
    """One pair (before, after) for each axis, from a number, a pair, or pairs."""
    if given is None:
        return [(None, None)] * ndim
    return [(a, b) for a, b in np.broadcast_to(np.asarray(given), (ndim, 2)).tolist()]


def _constant(x: Tracer, widths: list[tuple[int, int]], values: Any) -> Tracer:
    node = x.node
    for d, (pair, (before, after)) in enumerate(zip(widths, _pairs(values, x.ndim), strict=True)):
        for value, low, high in ((before, pair[0], 0), (after, 0, pair[1])):
            number = np.asarray(value).astype(x.dtype).item()
            still = [0] * x.ndim
            still[d] = 1
            node = ops.pad(node, number, [low * s for s in still], [high * s for s in still])
    return x.home.wrap(node)


def _mirrored(x: Tracer, d: int, low: int, high: int, mode: str, kind: str) -> Tracer:
    """The border repeats elements: NumPy says which, and runs of them are slices."""
    size = x.shape[d]
    if size == 0:
        raise ValueError(f"can't extend empty axis {d} using modes other than 'constant'{here()}")
    if kind == "odd" and mode in ("reflect", "symmetric"):
        return _odd(x, d, low, high, mode)
    kept: Any = {"mode": mode}
    source = np.pad(np.arange(size), (low, high), **kept)
    return lift(concatenate(runs(x, d, source), d))


def runs(x: Tracer, d: int, source: Any) -> list[Any]:
    """x[source] along axis d, in pieces: each rises, falls or stays."""
    pieces, start = [], 0
    while start < len(source):
        stop = start + 1
        step = int(source[stop] - source[start]) if stop < len(source) else 1
        step = step if step in (-1, 0, 1) else 1
        while stop < len(source) and source[stop] - source[stop - 1] == step:
            stop += 1
        first, last = sorted((int(source[start]), int(source[stop - 1])))
        piece = x[(*(slice(None),) * d, slice(first, last + 1))]
        if step == 0:
            shape = list(x.shape)
            shape[d] = stop - start
            piece = np.broadcast_to(piece, shape)
        pieces.append(np.flip(piece, d) if step == -1 else piece)
        start = stop
    return pieces


def _odd(x: Tracer, d: int, low: int, high: int, mode: str) -> Tracer:
    """Point reflections about the edge: 2 edge - mirrored."""
    most = x.shape[d] - (mode == "reflect")
    if max(low, high) > most:
        raise UnsupportedError(
            f"np.pad: reflect_type='odd' wider than {most} has no traced form{here()}"
        )
    lead = (slice(None),) * d
    wide = _mirrored(x, d, low, high, mode, "even")
    size = x.shape[d]
    first, last = x[(*lead, slice(0, 1))], x[(*lead, slice(size - 1, size))]
    before, after = wide[(*lead, slice(0, low))], wide[(*lead, slice(low + size, None))]
    return lift(concatenate([2 * first - before, x, 2 * last - after], d))


def _ramp(x: Tracer, d: int, width: int, end: Any) -> Any:
    """From the end value towards the first element, which is not reached."""
    edge = x[(*(slice(None),) * d, slice(0, 1))]
    shape = [1] * x.ndim
    shape[d] = width
    share = (np.arange(width) / max(width, 1)).reshape(shape)
    points = end + (np.astype(edge, np.float64) - end) * share
    return np.astype(points if is_float(x.dtype) else np.floor(points), x.dtype)


def _statistic(reduce: Callable[..., Any]) -> Side:
    def side(x: Tracer, d: int, width: int, length: Any) -> Any:
        count = x.shape[d] if length is None else min(int(length), x.shape[d])
        found = reduce(x[(*(slice(None),) * d, slice(0, count))], axis=d, keepdims=True)
        if not is_float(x.dtype):
            found = np.rint(found)
        shape = list(x.shape)
        shape[d] = width
        return np.broadcast_to(np.astype(found, x.dtype), shape)

    return side


_SIDES: dict[str, Side] = {
    "linear_ramp": _ramp,
    "maximum": _statistic(np.max),
    "minimum": _statistic(np.min),
    "mean": _statistic(np.mean),
    "median": _statistic(np.median),
}
