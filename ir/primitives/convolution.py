"""conv and conv_weight_grad: closed under differentiation together with `pad`.

Channels last, 1 to 3 spatial axes, the feature groups an axis of their own (1: no groups):

    x: [N, *S, G, C]   w: [*K, G, C, O]   y: [N, *S', G, O]
    S' = (low + S + high - (K-1) dilation - 1) // stride + 1
    at[s,k] = s stride + k dilation - low
    conv               y[n,s,g,o] = sum_k,c x[n, at[s,k], g, c] w[k,g,c,o]
    conv_weight_grad   w[k,g,c,o] = sum_n,s x[n, at[s,k], g, c] y[n,s,g,o]

low, high: places of padding before and after each spatial axis. x has zeros there, whose products
are left out; a compiled program may form them, which is to be seen where the other factor is not
finite. Products accumulate as in dot_general.
"""

from __future__ import annotations

from math import prod

import numpy as np

from tracejit.ir import ops
from tracejit.ir.convolution import conv_input_grad, spread, tapping
from tracejit.ir.graph import PRIMITIVES, Array, Node, primitive
from tracejit.ir.lanes import Lanes, folded, unfolded
from tracejit.ir.primitives.checks import NUMBERS, arity, widen
from tracejit.ir.primitives.window import offsets, window_counts
from tracejit.ir.types import DTypeError, Shape, ShapeError, TensorType

Ints = tuple[int, ...]


def _operands(
    op: str, types: tuple[TensorType, ...], layouts: str
) -> tuple[TensorType, TensorType]:
    """Both operands, of one dtype and one number of axes; sizes are not compared."""
    arity(op, 2, types)
    a, b = types
    NUMBERS.check(op, a.dtype)
    if a.dtype != b.dtype:
        raise DTypeError(f"{op}: {a} and {b}: dtypes differ; cast one of them")
    if a.ndim != b.ndim or not 4 <= a.ndim <= 6:
        raise ShapeError(f"{op}: {a} and {b}: takes {layouts} with 1 to 3 spatial axes")
    return a, b


def _same(op: str, x: TensorType, other: TensorType, **axes: tuple[int, int]) -> None:
    """Raises ShapeError where an axis of x and its counterpart differ in size."""
    for name, (i, j) in axes.items():
        if x.shape[i] != other.shape[j]:
            raise ShapeError(
                f"{op}: {x} and {other}: {name} {x.shape[i]} and {other.shape[j]} differ"
            )


def _counts(
    op: str, x: TensorType, window: Ints, strides: Ints, dilation: Ints, low: Ints, high: Ints
) -> Shape:
    """How many windows fit into x with its padding, per spatial axis."""
    sizes = x.shape[1:-2]
    for name, values in (("low", low), ("high", high)):
        if len(values) != len(sizes) or min(values, default=0) < 0:
            raise ShapeError(
                f"{op}: {x}: {name}={values} needs a number that is not negative for each of"
                f" {len(sizes)} axes"
            )
    padded = tuple(a + n + b for a, n, b in zip(low, sizes, high, strict=True))
    return window_counts(op, x, padded, window, strides, dilation)


def _conv_infer(
    *types: TensorType, strides: Ints, dilation: Ints, low: Ints, high: Ints
) -> TensorType:
    x, w = _operands("conv", types, "[N, *S, G, C] and [*K, G, C, O]")
    _same("conv", x, w, groups=(-2, -3), channels=(-1, -2))
    counts = _counts("conv", x, w.shape[:-3], strides, dilation, low, high)
    return x.with_shape((x.shape[0], *counts, x.shape[-2], w.shape[-1]))


def _weight_infer(
    *types: TensorType, strides: Ints, dilation: Ints, window: Ints, low: Ints, high: Ints
) -> TensorType:
    x, dy = _operands("conv_weight_grad", types, "[N, *S, G, C] and [N, *S', G, O]")
    _same("conv_weight_grad", x, dy, batch=(0, 0), groups=(-2, -2))
    counts = _counts("conv_weight_grad", x, window, strides, dilation, low, high)
    if counts != dy.shape[1:-2]:
        raise ShapeError(
            f"conv_weight_grad: {x} and {dy}: {counts} windows fit, dy has {dy.shape[1:-2]}"
        )
    return x.with_shape((*window, *x.shape[-2:], dy.shape[-1]))


def _seen(
    x: Array, offset: Ints, counts: Shape, strides: Ints, dilation: Ints, low: Ints
) -> tuple[tuple[slice, ...], Array]:
    """The windows one place of which lies on x, and what they see there: [G, N S', C]."""
    windows, spans = [], []
    axes = zip(offset, x.shape[1:-2], counts, strides, dilation, low, strict=True)
    for k, size, count, s, d, before in axes:
        first, end = tapping(k * d, size, count, s, before)
        start = first * s + k * d - before
        windows.append(slice(first, max(first, end)))
        spans.append(slice(start, start + spread(max(end - first, 0), s), s))
    seen = np.moveaxis(x[(slice(None), *spans)], -2, 0)
    flat = seen.reshape((x.shape[-2], prod(seen.shape[1:-1]), x.shape[-1]))
    return (slice(None), *windows), flat


def _conv_eval(x: Array, w: Array, strides: Ints, dilation: Ints, low: Ints, high: Ints) -> Array:
    """A product of matrices for each place of the window; f16 and bf16 accumulate in f32."""
    types = (TensorType(x.shape, x.dtype), TensorType(w.shape, w.dtype))
    how = {"strides": strides, "dilation": dilation, "low": low, "high": high}
    shape = _conv_infer(*types, **how).shape
    wide, weights, counts = widen(x), widen(w), shape[1:-2]
    out: Array = np.zeros((shape[-2], shape[0], *counts, shape[-1]), wide.dtype)
    with np.errstate(all="ignore"):
        for offset in offsets(w.shape[:-3]):
            windows, seen = _seen(wide, offset, counts, strides, dilation, low)
            part = out[(slice(None), *windows)]
            np.add(part, np.matmul(seen, weights[offset]).reshape(part.shape), out=part)
        return np.moveaxis(out, 0, -2).astype(x.dtype)


def _weight_eval(
    x: Array, dy: Array, strides: Ints, dilation: Ints, window: Ints, low: Ints, high: Ints
) -> Array:
    wide, counts, (g, o) = widen(x), dy.shape[1:-2], dy.shape[-2:]
    given = np.moveaxis(widen(dy), -2, 0)
    out = np.empty((*window, g, x.shape[-1], o), wide.dtype)
    with np.errstate(all="ignore"):
        for offset in offsets(window):
            windows, seen = _seen(wide, offset, counts, strides, dilation, low)
            rows = given[(slice(None), *windows)].reshape((g, seen.shape[1], o))
            out[offset] = np.matmul(seen.swapaxes(1, 2), rows)
        return out.astype(x.dtype, copy=False)


def _conv_vjp(
    g: Node, y: Node, x: Node, w: Node, strides: Ints, dilation: Ints, low: Ints, high: Ints
) -> tuple[Node, Node]:
    around = list(zip(low, high, strict=True))
    return (
        conv_input_grad(g, w, x.shape[1:-2], strides, dilation, low),
        ops.conv_weight_grad(x, g, strides, dilation, w.shape[:-3], around),
    )


def _weight_vjp(
    g: Node,
    y: Node,
    x: Node,
    dy: Node,
    strides: Ints,
    dilation: Ints,
    window: Ints,
    low: Ints,
    high: Ints,
) -> tuple[Node, Node]:
    """sum g y is linear in x and in dy, as sum dy conv(x, w) is with w = g."""
    return (
        conv_input_grad(dy, g, x.shape[1:-2], strides, dilation, low),
        ops.conv(x, g, strides, dilation, list(zip(low, high, strict=True))),
    )


# Batch rules: lanes of both operands are groups; those of one are more of what only it has.


def _conv_batch(lanes: Lanes, **how: Ints) -> Node:
    x, w = lanes.nodes
    of_x, of_w = lanes.batched
    groups, last = x.ndim - 2 - of_x, x.ndim - 1 - of_x
    if of_x and of_w:
        x, w, at = folded(x, groups), folded(w, groups - 1), groups
    elif of_x:
        x, at = folded(x, 0), 0
    else:
        w, at = folded(w, last), last
    return unfolded(x.builder.emit(PRIMITIVES["conv"], x, w, **how), at, lanes.size)


def _weight_batch(lanes: Lanes, window: Ints, **how: Ints) -> Node:
    x, dy = lanes.nodes
    of_x, of_dy = lanes.batched
    groups = x.ndim - 2 - of_x
    if of_x and of_dy:
        x, dy, at = folded(x, groups), folded(dy, groups), len(window)
    elif of_x:
        x, at = folded(x, groups + 1), len(window) + 1
    else:
        dy, at = folded(dy, groups + 1), len(window) + 2
    dw = x.builder.emit(PRIMITIVES["conv_weight_grad"], x, dy, window=window, **how)
    return unfolded(dw, at, lanes.size)


primitive("conv", _conv_infer, _conv_eval, _conv_vjp, batch=_conv_batch)
primitive("conv_weight_grad", _weight_infer, _weight_eval, _weight_vjp, batch=_weight_batch)
