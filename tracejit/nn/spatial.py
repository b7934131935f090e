"""What convolution and pooling share: numbers per spatial axis, padding, memory formats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.errors import DTypeError, ShapeError
from tracejit.ir import ops
from tracejit.ir.graph import Node, Scalar
from tracejit.ir.primitives.window import window_counts
from tracejit.ir.types import BOOL, Shape
from tracejit.movement import promoted
from tracejit.source import here, user_loc
from tracejit.transform import concrete, tracing

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]
PerAxis = int | Sequence[int]
Padding = str | int | Sequence[int | Sequence[int]]

LAYOUTS = {
    "channels_last": ("[N, L, C]", "[N, H, W, C]", "[N, D, H, W, C]"),
    "channels_first": ("[N, C, L]", "[N, C, H, W]", "[N, C, D, H, W]"),
}


def _is_int(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def per_axis(op: str, name: str, value: PerAxis, axes: int) -> Ints:
    """A positive int for each spatial axis: one for all of them, or a sequence."""
    values: list[Any] = list(value) if np.iterable(value) else [value] * axes
    if len(values) != axes or not all(_is_int(v) and v >= 1 for v in values):
        raise ShapeError(
            f"{op}: {name}={value!r} must be a positive int or one for each of {axes} axes{here()}"
        )
    return tuple(int(v) for v in values)


def spans(window: Ints, dilation: Ints) -> Ints:
    """How many places a window covers."""
    return tuple((k - 1) * d + 1 for k, d in zip(window, dilation, strict=True))


def sides(op: str, padding: Padding, sizes: Shape, covered: Ints, strides: Ints) -> Pairs:
    """Places to add before and after each spatial axis.

    padding: "valid", none; "same", so that ceil(size / stride) windows fit, the odd place after (as
    TensorFlow, Keras and JAX); "causal", all before; an int, for both sides of all axes; or for
    each axis an int or a pair.
    """
    name = padding.lower() if isinstance(padding, str) else ""
    if name == "valid":
        return ((0, 0),) * len(sizes)
    if name == "same":
        spaces = zip(sizes, covered, strides, strict=True)
        missing = [max((-(n // -s) - 1) * s + span - n, 0) for n, span, s in spaces]
        return tuple((total // 2, total - total // 2) for total in missing)
    if name == "causal":
        return tuple((span - 1, 0) for span in covered)
    return _explicit(op, padding, len(sizes))


def _explicit(op: str, padding: Any, axes: int) -> Pairs:
    shared = isinstance(padding, str) or not np.iterable(padding)
    pairs = [_pair(p) for p in ([padding] * axes if shared else padding)]
    if len(pairs) != axes or None in pairs:
        raise ShapeError(
            f"{op}: padding={padding!r} must be 'same', 'valid', an int, or for each of {axes}"
            f" axes an int or a pair{here()}"
        )
    return tuple(p for p in pairs if p is not None)


def _pair(padding: Any) -> tuple[int, int] | None:
    """None for what is neither an int nor a pair of them, or negative."""
    both = list(padding) if np.iterable(padding) else [padding, padding]
    if len(both) != 2 or not all(_is_int(n) and n >= 0 for n in both):
        return None
    return int(both[0]), int(both[1])


def fitting(
    op: str, x: Node, around: Pairs, window: Ints, strides: Ints, dilation: Ints
) -> tuple[int, ...]:
    """How many windows fit into x: [N, *S, C] with so much around it, per spatial axis."""
    sizes = tuple(n + sum(pair) for n, pair in zip(x.shape[1:-1], around, strict=True))
    try:
        return window_counts(op, x.type, sizes, window, strides, dilation)
    except ShapeError as error:
        raise ShapeError(f"{error}{here()}") from None


def padded(x: Node, value: Scalar, around: Pairs) -> Node:
    """x: [N, *S, C] with `value` around its spatial axes."""
    low, high = zip(*around, strict=True)
    return ops.pad(x, value, (0, *low, 0), (0, *high, 0))


def over_space(
    op: str, axes: int, data_format: str, f: Callable[..., Node], x: Any, *others: Any
) -> Any:
    """f(x: [N, *S, C], *others), of operands promoted to one dtype, for x in either format."""
    layouts = LAYOUTS.get(data_format)
    if layouts is None:
        known = " or ".join(map(repr, LAYOUTS))
        raise ShapeError(f"{op}: data_format is {known}, not {data_format!r}{here()}")
    with tracing(op) as (trace, fresh):
        trace.builder.loc = user_loc()
        image, *rest = (operand.node for operand in promoted([x, *others]))
        if image.ndim != axes + 2:
            raise ShapeError(f"{op}: x is {layouts[axes - 1]}, not {image.type}{here()}")
        if image.dtype == BOOL:
            raise DTypeError(f"{op}: takes numbers, not {image.type}; cast it first{here()}")
        to_last = (0, *range(2, axes + 2), 1)
        if data_format == "channels_first":
            image = ops.transpose(image, to_last)
        out = f(image, *rest)
        if data_format == "channels_first":
            out = ops.transpose(out, ops.inverse(to_last))
        result = trace.wrap(out)
        return concrete(trace, result) if fresh else result


def named(function: Callable[..., Any], name: str, doc: str) -> Callable[..., Any]:
    """The function of a public name, made where one definition serves several."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function
