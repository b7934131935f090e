"""The gradient of conv at its input, made of convs that multiply no zeros between elements.

Place i of x gets w[k] dy[s] from each s and k with i = s stride + k dilation. The places with one
remainder modulo the stride, a phase, meet every stride-th part of the window only: each phase is a
conv of dy itself, with stride 1. Interleaved they are the gradient: as many products as forward.
Source: Shi et al. 2016, arXiv:1609.05158, section 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from tracejit.ir import ops
from tracejit.ir.graph import Node

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def conv_input_grad(
    dy: Node,
    w: Node,
    size: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    low: Sequence[int] | None = None,
) -> Node:
    """For dy: [N, *S', G, O] and w: [*K, G, C, O] the places low to low + size of x: [N, *S, G, C].

    low: >= 0, None for 0. Places that no window covers hold 0, those after the last window too.
    Its own derivatives are one conv and one conv_weight_grad.
    """
    first = tuple(low or (0,) * len(size))
    steps, gaps = tuple(strides), tuple(dilation)
    out = _composed(dy, w, tuple(size), steps, gaps, first)

    def backward(residuals: Sequence[Node], cotangents: Sequence[Node]) -> tuple[Node, Node]:
        dy, w = residuals
        ends = zip(_covered(dy, w, steps, gaps), first, strict=True)
        x, around = seen_part(cotangents[0], [-a for a in first], [n - a for n, a in ends])
        return (
            ops.conv(x, w, steps, gaps, around),
            ops.conv_weight_grad(x, dy, steps, gaps, w.shape[:-3], around),
        )

    return dy.builder.attach([out], [dy, w], [dy, w], backward)[0]


def spread(count: int, stride: int) -> int:
    """The extent of `count` places that are `stride` apart."""
    return (count - 1) * stride + 1 if count else 0


def _covered(dy: Node, w: Node, strides: Ints, dilation: Ints) -> Ints:
    """How many places of x the windows cover, per spatial axis."""
    axes = zip(dy.shape[1:-2], w.shape, strides, dilation, strict=False)
    return tuple(spread(n, s) + (k - 1) * d for n, k, s, d in axes)


def seen_part(x: Node, begin: Sequence[int], end: Sequence[int]) -> tuple[Node, Pairs]:
    """Places begin to end of x: [N, *S, G, C], some outside: those inside, and how many are not."""
    start, stop, around = [0] * x.ndim, list(x.shape), []
    for axis, (first, last) in enumerate(zip(begin, end, strict=True), 1):
        size = x.shape[axis]
        start[axis], stop[axis] = min(max(first, 0), size), max(min(last, size), 0)
        stop[axis] = max(start[axis], stop[axis])
        low = min(max(-first, 0), last - first)
        around.append((low, last - first - low - (stop[axis] - start[axis])))
    whole = start == [0] * x.ndim and stop == list(x.shape)
    return x if whole else ops.slice(x, start, stop), tuple(around)


def tapping(tap: int, size: int, count: int, stride: int, low: int) -> tuple[int, int]:
    """The windows, of `count`, whose place `tap` lies on an axis of `size` with `low` before it."""
    first, end = -((tap - low) // stride), -((tap - low - size) // stride)
    return min(max(first, 0), count), min(max(end, 0), count)


@dataclass(frozen=True, slots=True)
class Phase:
    """Along one axis: the places low + t, low + t + stride, ... of x.

    They meet the taps start, start + step, ... of the window; the first of them reads dy from
    `begin` on, `taps` elements that are `dilation` apart.
    """

    start: int
    step: int
    taps: int
    dilation: int
    begin: int


def _phases(window: int, stride: int, dilation: int, low: int) -> list[Phase | None]:
    """For t = 0 to stride - 1; None where no tap meets."""
    common = gcd(stride, dilation)
    phases: list[Phase | None] = []
    for t in range(stride):
        met = [k for k in range(window) if (low + t - k * dilation) % stride == 0]
        if not met:
            phases.append(None)
            continue
        apart = dilation // common if len(met) > 1 else 1
        last = (low + t - met[0] * dilation) // stride
        begin = last - (len(met) - 1) * apart
        phases.append(Phase(met[0], stride // common, len(met), apart, begin))
    return phases


def _composed(dy: Node, w: Node, size: Ints, strides: Ints, dilation: Ints, first: Ints) -> Node:
    if 0 in size:
        shape = (dy.shape[0], *size, w.shape[-3], w.shape[-2])
        return dy.builder.full(0, dy.type.with_shape(shape))
    axes = range(len(size))
    phases = [_phases(*of) for of in zip(w.shape, strides, dilation, first, strict=False)]
    counts = tuple(-(-n // s) for n, s in zip(size, strides, strict=True))
    mirrored = ops.reverse(w, [a for a in axes if w.shape[a] > 1])
    exchanged = ops.transpose(mirrored, (*axes, len(size), len(size) + 2, len(size) + 1))

    def joined(chosen: tuple[Phase, ...]) -> Node:
        """The places of the chosen phases of the first axes, and of all phases of the others."""
        axis = len(chosen)
        if axis == len(size):
            return _phase(dy, exchanged, chosen, counts)
        parts = [joined((*chosen, phase)) if phase else None for phase in phases[axis]]
        return _interleaved(parts, axis + 1, size[axis])

    return joined(())


def _phase(dy: Node, w: Node, phases: tuple[Phase, ...], counts: Ints) -> Node:
    """One phase of every axis: [N, *counts, G, C], of dy, and of w mirrored and exchanged."""
    begin = [p.begin for p in phases]
    reach = [(p.taps - 1) * p.dilation for p in phases]
    end = [a + n + r for a, n, r in zip(begin, counts, reach, strict=True)]
    seen, around = seen_part(dy, begin, end)
    ends = [k - p.start for p, k in zip(phases, w.shape, strict=False)]
    starts = [end - spread(p.taps, p.step) for p, end in zip(phases, ends, strict=True)]
    taps = ops.slice(
        w, (*starts, 0, 0, 0), (*ends, *w.shape[-3:]), (*(p.step for p in phases), 1, 1, 1)
    )
    return ops.conv(seen, taps, (1,) * len(phases), tuple(p.dilation for p in phases), around)


def _interleaved(parts: Sequence[Node | None], axis: int, size: int) -> Node:
    """Element q of part t at q len(parts) + t of `axis`, up to `size`; None stands for zeros."""
    given = next(part for part in parts if part is not None)
    step = len(parts)
    if step == 1:
        return given
    shape = given.shape
    if sum(part is not None for part in parts) == 1:
        at = parts.index(given)
        whole = _between_zeros(given, axis, at, step)
    else:
        column = (*shape[: axis + 1], 1, *shape[axis + 1 :])
        columns = [ops.reshape(part or ops.zeros_like(given), column) for part in parts]
        flat = (*shape[:axis], shape[axis] * step, *shape[axis + 1 :])
        whole = ops.reshape(ops.concatenate(columns, axis + 1), flat)
    stop = [size if a == axis else n for a, n in enumerate(whole.shape)]
    return ops.slice(whole, (0,) * whole.ndim, stop)


def _between_zeros(part: Node, axis: int, at: int, step: int) -> Node:
    """part's elements at `at`, at + step, ... of `axis`, zeros elsewhere, step to each element."""
    low, high, gaps = ([0] * part.ndim for _ in range(3))
    low[axis], high[axis], gaps[axis] = at, step - 1 - at, step - 1
    return ops.pad(part, 0, low, high, gaps)
