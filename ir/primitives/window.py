"""window_sum, window_max: reductions over windows that slide over every axis; how windows fit.

Windows lie inside the operand: padding, by 0 or by -inf, is a node before. The dtype is kept, and
sums of f16 and bf16 accumulate in f32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tracejit.ir import ops
from tracejit.ir.convolution import spread
from tracejit.ir.graph import PRIMITIVES, Array, Node, primitive
from tracejit.ir.lanes import Lanes
from tracejit.ir.primitives.checks import NUMBERS, arity, widen
from tracejit.ir.types import Shape, ShapeError, TensorType, type_of

Ints = tuple[int, ...]


def window_counts(
    op: str, x: TensorType, sizes: Shape, window: Ints, strides: Ints, dilation: Ints
) -> Shape:
    """How many windows fit into each of the axes `sizes` of x, none reaching over the end.

    A window covers (window - 1) dilation + 1 places, and the next begins `strides` later.
    Raises ShapeError where not even one fits, but for windows of 1 on an empty axis.
    """
    for name, values in (("window", window), ("strides", strides), ("dilation", dilation)):
        if len(values) != len(sizes) or min(values, default=1) < 1:
            raise ShapeError(
                f"{op}: {x}: {name}={values} needs one positive number for each of {len(sizes)}"
                " axes"
            )
    counts = []
    for size, k, s, d in zip(sizes, window, strides, dilation, strict=True):
        span = (k - 1) * d + 1
        if span > max(size, 1):
            apart = f", {d} apart," if d > 1 else ""
            raise ShapeError(
                f"{op}: {x}: a window of {k}{apart} covers {span} places of an axis of size {size};"
                " pad the axis"
            )
        counts.append((size - span) // s + 1)
    return tuple(counts)


def offsets(window: Ints) -> Iterator[Ints]:
    """The places of a window, the last axis fastest."""
    return np.ndindex(*window)


def _infer(op: str) -> Callable[..., TensorType]:
    def infer(*types: TensorType, window: Ints, strides: Ints) -> TensorType:
        arity(op, 1, types)
        (x,) = types
        NUMBERS.check(op, x.dtype)
        return x.with_shape(window_counts(op, x, x.shape, window, strides, (1,) * x.ndim))

    return infer


def _seen(offset: Ints, counts: Shape, strides: Ints) -> tuple[Ints, Ints]:
    """start and stop of the elements at one place of every window, whose step is `strides`."""
    spans = zip(offset, counts, strides, strict=True)
    return offset, tuple(k + spread(count, s) for k, count, s in spans)


def _eval(op: str, fold: np.ufunc) -> Callable[..., Array]:
    """Place by place of the window, all windows at once."""

    def evaluate(x: Array, window: Ints, strides: Ints) -> Array:
        once = (1,) * x.ndim
        counts = window_counts(op, type_of(x), x.shape, window, strides, once)
        wide = widen(x)
        total: Array | None = None
        with np.errstate(all="ignore"):
            for offset in offsets(window):
                spans = zip(*_seen(offset, counts, strides), strides, strict=True)
                part = wide[tuple(slice(*span) for span in spans)]
                total = part if total is None else np.asarray(fold(total, part))
            assert total is not None
            return np.array(total, x.dtype)

    return evaluate


def _at_starts(value: Node, x: Node, window: Ints, strides: Ints) -> Node:
    """What belongs to each window put where the window starts, 0 elsewhere: [size + window - 1].

    The windows over element i of x start at the places i to i + window - 1 of the result.
    """
    low = [k - 1 for k in window]
    sizes = zip(x.shape, value.shape, strides, strict=True)
    high = [n - spread(count, s) for n, count, s in sizes]
    return ops.pad(value, 0, low, high, [s - 1 for s in strides])


def _sum_vjp(g: Node, y: Node, x: Node, window: Ints, strides: Ints) -> tuple[Node]:
    return (ops.window_sum(_at_starts(g, x, window, strides), window, (1,) * x.ndim),)


def _max_vjp(g: Node, y: Node, x: Node, window: Ints, strides: Ints) -> tuple[Node]:
    """The elements that equal their window's maximum share its cotangent equally, as in reduce_max.

    Unrolled over the window, as elementwise work on slices: windows are small.
    """
    hits: Node | None = None
    for offset in offsets(window):
        seen = ops.slice(x, *_seen(offset, y.shape, strides), strides)
        hit = ops.cast(ops.eq(seen, y), x.dtype)
        hits = hit if hits is None else hits + hit
    assert hits is not None
    share = _at_starts(g / hits, x, window, strides)
    top = _at_starts(y, x, window, strides)
    total: Node | None = None
    for offset in offsets(window):
        stop = tuple(k + n for k, n in zip(offset, x.shape, strict=True))
        hit = ops.eq(x, ops.slice(top, offset, stop))
        # Where no window starts the share is 0, whatever is compared.
        part = ops.select(hit, ops.slice(share, offset, stop), ops.zeros_like(x))
        total = part if total is None else total + part
    assert total is not None
    return (total,)


def _batch(op: str) -> Callable[..., Node]:
    def batch(lanes: Lanes, window: Ints, strides: Ints) -> Node:
        (x,) = lanes.nodes
        return x.builder.emit(PRIMITIVES[op], x, window=(1, *window), strides=(1, *strides))

    return batch


def _row(op: str, fold: np.ufunc, vjp: Callable[..., tuple[Node | None, ...]]) -> None:
    primitive(op, _infer(op), _eval(op, fold), vjp, batch=_batch(op))


_row("window_sum", np.add, _sum_vjp)
_row("window_max", np.maximum, _max_vjp)
