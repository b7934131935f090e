"""Convolutions: no flip of the weights, as everywhere in deep learning; channels last inside.

x: [N, *S, C], or [N, C, *S] with data_format="channels_first", which is also the result's. The
weights' layout is the same for both. Arguments per spatial axis are one int or one for each.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tracejit.errors import ShapeError
from tracejit.ir import ops
from tracejit.ir.convolution import conv_input_grad
from tracejit.ir.graph import Node
from tracejit.nn.spatial import (
    Ints,
    Padding,
    PerAxis,
    fitting,
    named,
    over_space,
    per_axis,
    sides,
    spans,
)
from tracejit.source import here


def depthwise_conv2d(
    x: Any,
    w: Any,
    strides: PerAxis = 1,
    padding: Padding = "same",
    dilation: PerAxis = 1,
    data_format: str = "channels_last",
) -> Any:
    """Each channel by itself: x: [N, H, W, C] with w: [KH, KW, C, M]: [N, H', W', C M].

    Output channel c M + m is input channel c with w[:, :, c, m]. padding: see `conv2d`.
    """
    op = "depthwise_conv2d"
    steps, gaps = per_axis(op, "strides", strides, 2), per_axis(op, "dilation", dilation, 2)

    def build(x: Node, w: Node) -> Node:
        if w.ndim != 4 or w.shape[2] != x.shape[3]:
            raise ShapeError(
                f"{op}: x {x.type} has {x.shape[3]} channels, so w is"
                f" [KH, KW, {x.shape[3]}, M], not {w.type}{here()}"
            )
        kh, kw, channels, multiplier = w.shape
        by_channel = ops.reshape(w, (kh, kw, channels, 1, multiplier))
        return _correlated(op, x, by_channel, steps, padding, gaps)

    return over_space(op, 2, data_format, build, x, w)


def _convolution(op: str, axes: int, doc: str) -> Callable[..., Any]:
    """The public convolution over so many axes."""

    def function(
        x: Any,
        w: Any,
        strides: PerAxis = 1,
        padding: Padding = "same",
        dilation: PerAxis = 1,
        groups: int = 1,
        data_format: str = "channels_last",
    ) -> Any:
        steps, gaps = _per_axis(op, axes, strides, dilation)

        def build(x: Node, w: Node) -> Node:
            return _correlated(op, x, _grouped(op, x, w, groups), steps, padding, gaps)

        return over_space(op, axes, data_format, build, x, w)

    return named(function, op, doc)


def _per_axis(op: str, axes: int, strides: PerAxis, dilation: PerAxis) -> tuple[Ints, Ints]:
    return per_axis(op, "strides", strides, axes), per_axis(op, "dilation", dilation, axes)


def _grouped(op: str, x: Node, w: Node, groups: int) -> Node:
    """[*K, C / G, O] as [*K, G, C / G, O / G]."""
    if w.ndim != x.ndim:
        raise ShapeError(f"{op}: x {x.type} takes weights of {x.ndim} axes, not {w.type}{here()}")
    *window, channels, outputs = w.shape
    if groups < 1 or channels * groups != x.shape[-1] or outputs % groups:
        raise ShapeError(
            f"{op}: x {x.type} has {x.shape[-1]} channels, w {w.type} takes {channels} and gives"
            f" {outputs}: with groups={groups} these must be {x.shape[-1]} / groups and a multiple"
            f" of groups{here()}"
        )
    split = ops.reshape(w, (*window, channels, groups, outputs // groups))
    d = len(window)
    return ops.transpose(split, (*range(d), d + 1, d, d + 2))


def _correlated(op: str, x: Node, w: Node, strides: Ints, padding: Padding, dilation: Ints) -> Node:
    """x: [N, *S, C] padded and correlated with w: [*K, G, C / G, O / G]: [N, *S', O]."""
    window, (groups, channels, outputs) = w.shape[:-3], w.shape[-3:]
    _nonempty(op, w, window)
    around = sides(op, padding, x.shape[1:-1], spans(window, dilation), strides)
    fitting(op, x, around, window, strides, dilation)
    by_group = ops.reshape(x, (*x.shape[:-1], groups, channels))
    y = ops.conv(by_group, w, strides, dilation, around)
    return ops.reshape(y, (*y.shape[:-2], groups * outputs))


def _nonempty(op: str, w: Node, window: Ints) -> None:
    if 0 in window:
        raise ShapeError(f"{op}: the window of w {w.type} is empty{here()}")


def _transposed(op: str, axes: int, doc: str) -> Callable[..., Any]:
    """The public transposed convolution over so many axes."""

    def function(
        x: Any,
        w: Any,
        strides: PerAxis = 1,
        padding: Padding = "same",
        dilation: PerAxis = 1,
        data_format: str = "channels_last",
    ) -> Any:
        steps, gaps = _per_axis(op, axes, strides, dilation)
        build = partial(_spread, op, strides=steps, padding=padding, dilation=gaps)
        return over_space(op, axes, data_format, build, x, w)

    return named(function, op, doc)


def _spread(op: str, x: Node, w: Node, strides: Ints, padding: Padding, dilation: Ints) -> Node:
    """conv_input_grad of x, for w: [*K, O, C], at the places that the padding leaves."""
    if w.ndim != x.ndim or w.shape[-1] != x.shape[-1]:
        raise ShapeError(
            f"{op}: x {x.type} has {x.shape[-1]} channels, so w is [*K, O, {x.shape[-1]}], not"
            f" {w.type}{here()}"
        )
    window, (outputs, channels) = w.shape[:-2], w.shape[-2:]
    _nonempty(op, w, window)
    covered = spans(window, dilation)
    spaces = list(zip(x.shape[1:-1], covered, strides, strict=True))
    if isinstance(padding, str):
        same = padding.lower() == "same"
        sizes = tuple(n * s if same else (n - 1) * s + max(k, s) for n, k, s in spaces)
        around = sides(op, padding, sizes, covered, strides)
    else:
        around = sides(op, padding, x.shape[1:-1], covered, strides)
        pairs = zip(spaces, around, strict=True)
        sizes = tuple((n - 1) * s + k - low - high for (n, k, s), (low, high) in pairs)
    if min(sizes) < 1:
        raise ShapeError(f"{op}: x {x.type}: padding={padding!r} leaves nothing{here()}")
    by_one_group = ops.reshape(x, (*x.shape[:-1], 1, channels))
    weights = ops.reshape(w, (*window, 1, outputs, channels))
    low = [low for low, _ in around]
    y = conv_input_grad(by_one_group, weights, sizes, strides, dilation, low)
    return ops.reshape(y, (*y.shape[:-2], outputs))


conv1d = _convolution(
    "conv1d",
    1,
    """x: [N, L, C] with w: [K, C / groups, O]; see `conv2d`. padding="causal" looks back only.""",
)
conv2d = _convolution(
    "conv2d",
    2,
    """x: [N, H, W, C] with w: [KH, KW, C / groups, O]: [N, H', W', O].

    padding: "same" for H' = ceil(H / stride), the odd place after; "valid" for none; an int; or for
    each axis an int or a pair. groups: output channels in so many equal runs, each of which sees
    its own run of C / groups input channels.
    """,
)
conv3d = _convolution(
    "conv3d", 3, "x: [N, D, H, W, C] with w: [KD, KH, KW, C / groups, O]; see `conv2d`."
)
conv_transpose1d = _transposed(
    "conv_transpose1d", 1, "x: [N, L, C] with w: [K, O, C]; see `conv_transpose2d`."
)
conv_transpose2d = _transposed(
    "conv_transpose2d",
    2,
    """x: [N, H, W, C] with w: [KH, KW, O, C]: [N, H', W', O].

    The gradient at its input of the conv2d with these weights, strides and padding, which takes O
    channels and gives C. H' is, with a window that covers K places:
    "same": H stride; "valid": (H - 1) stride + max(K, stride); a pair (low, high):
    (H - 1) stride + K - low - high.
    """,
)
conv_transpose3d = _transposed(
    "conv_transpose3d",
    3,
    "x: [N, D, H, W, C] with w: [KD, KH, KW, O, C]; see `conv_transpose2d`.",
)
