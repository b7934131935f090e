"""Compositions of conv: with zeros around its input, and the gradient at its input.

That gradient is made of convs that multiply no zeros between elements.

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


def conv_padded(
    x: Node,
    w: Node,
    strides: Sequence[int],
    dilation: Sequence[int],
    around: Sequence[tuple[int, int]],
) -> Node:
    """conv of x: [N, *S, G, C] with (low, high) zeros around each spatial axis.

    The derivative at x is computed at the places of x only, not at the zeros.
    """
    steps, gaps = tuple(strides), tuple(dilation)
    low, high = (tuple(side) for side in zip(*around, strict=True))

    def padded(x: Node) -> Node:
        return ops.pad(x, 0, (0, *low, 0, 0), (0, *high, 0, 0))

    def backward(residuals: Sequence[Node], cotangents: Sequence[Node]) -> tuple[Node, Node]:
        (x, w), (g,) = residuals, cotangents
        return (
            conv_input_grad(g, w, x.shape[1:-2], steps, gaps, low),
            ops.conv_weight_grad(padded(x), g, steps, gaps, w.shape[:-3]),
        )

    y = ops.conv(padded(x), w, steps, gaps)
    return x.builder.attach([y], [x, w], [x, w], backward)[0]


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
        x = _placed(cotangents[0], first, _covered(dy, w, steps, gaps))
        return (
            ops.conv(x, w, steps, gaps),
            ops.conv_weight_grad(x, dy, steps, gaps, w.shape[:-3]),
        )

    return dy.builder.attach([out], [dy, w], [dy, w], backward)[0]


def spread(count: int, stride: int) -> int:
    """The extent of `count` places that are `stride` apart."""
    return (count - 1) * stride + 1 if count else 0


def _covered(dy: Node, w: Node, strides: Ints, dilation: Ints) -> Ints:
    """How many places of x the windows cover, per spatial axis."""
    axes = zip(dy.shape[1:-2], w.shape, strides, dilation, strict=False)
    return tuple(spread(n, s) + (k - 1) * d for n, k, s, d in axes)


def _placed(part: Node, first: Ints, size: Ints) -> Node:
    """part: [N, *P, G, C] as the places from `first` on of [N, *size, G, C], 0 elsewhere."""
    sides = list(zip(part.shape[1:-2], first, size, strict=True))
    kept = [max(min(n, whole - a), 0) for n, a, whole in sides]
    n, groups, channels = part.shape[0], *part.shape[-2:]
    inside = ops.slice(part, (0,) * part.ndim, (n, *kept, groups, channels))
    before = [min(a, whole) for _, a, whole in sides]
    after = [whole - a - k for a, k, whole in zip(before, kept, size, strict=True)]
    return ops.pad(inside, 0, (0, *before, 0, 0), (0, *after, 0, 0))


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
    axes = range(len(size))
    phases = [_phases(*of) for of in zip(w.shape, strides, dilation, first, strict=False)]
    counts = tuple(-(-n // s) for n, s in zip(size, strides, strict=True))
    padded, origin = _padded(dy, phases, counts)
    mirrored = ops.reverse(w, [a for a in axes if w.shape[a] > 1])
    exchanged = ops.transpose(mirrored, (*axes, len(size), len(size) + 2, len(size) + 1))

    def joined(chosen: tuple[Phase, ...]) -> Node:
        """The places of the chosen phases of the first axes, and of all phases of the others."""
        axis = len(chosen)
        if axis == len(size):
            return _phase(padded, exchanged, chosen, origin, counts)
        parts = [joined((*chosen, phase)) if phase else None for phase in phases[axis]]
        return _interleaved(parts, axis + 1, size[axis])

    return joined(())


def _padded(dy: Node, phases: Sequence[Sequence[Phase | None]], counts: Ints) -> tuple[Node, Ints]:
    """dy with zeros around, so far as a phase reads; and where its first element is then."""
    before, after = [], []
    for axis, count in enumerate(counts):
        met = [p for p in phases[axis] if p is not None]
        before.append(max(0, -min(p.begin for p in met)))
        end = max(p.begin + (p.taps - 1) * p.dilation for p in met) + count
        after.append(max(0, end - dy.shape[axis + 1]))
    padded = ops.pad(dy, 0, (0, *before, 0, 0), (0, *after, 0, 0))
    return padded, tuple(before)


def _phase(dy: Node, w: Node, phases: tuple[Phase, ...], origin: Ints, counts: Ints) -> Node:
    """One phase of every axis: [N, *counts, G, C], of dy padded and w mirrored and exchanged."""
    begin = [p.begin + a for p, a in zip(phases, origin, strict=True)]
    reach = [(p.taps - 1) * p.dilation for p in phases]
    stop = [a + n + r for a, n, r in zip(begin, counts, reach, strict=True)]
    seen = ops.slice(dy, (0, *begin, 0, 0), (dy.shape[0], *stop, *dy.shape[-2:]))
    ends = [k - p.start for p, k in zip(phases, w.shape, strict=False)]
    starts = [end - spread(p.taps, p.step) for p, end in zip(phases, ends, strict=True)]
    taps = ops.slice(
        w, (*starts, 0, 0, 0), (*ends, *w.shape[-3:]), (*(p.step for p in phases), 1, 1, 1)
    )
    return ops.conv(seen, taps, (1,) * len(phases), tuple(p.dilation for p in phases))


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
