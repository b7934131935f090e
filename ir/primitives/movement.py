"""Primitives that place elements and compute nothing. Codegen turns them into index maps."""

from __future__ import annotations

from math import prod

import numpy as np

from tracejit.ir import ops
from tracejit.ir.graph import PRIMITIVES, Array, Node, Scalar, primitive
from tracejit.ir.lanes import Lanes
from tracejit.ir.primitives.checks import NUMBERS, arity, check_axes, check_shape, without
from tracejit.ir.types import DType, DTypeError, Shape, ShapeError, TensorType, dtype_name

Ints = tuple[int, ...]


def _one(op: str, types: tuple[TensorType, ...]) -> TensorType:
    arity(op, 1, types)
    return types[0]


# full and iota: no operands


def _full_infer(*types: TensorType, value: Scalar, shape: Shape, dtype: DType) -> TensorType:
    arity("full", 0, types)
    check_shape("full", shape)
    dtype_name(dtype)
    return TensorType(shape, dtype)


def _full_eval(value: Scalar, shape: Shape, dtype: DType) -> Array:
    return np.full(shape, value, dtype)


def _iota_infer(*types: TensorType, shape: Shape, axis: int, dtype: DType) -> TensorType:
    arity("iota", 0, types)
    check_shape("iota", shape)
    NUMBERS.check("iota", dtype)
    out = TensorType(shape, dtype)
    check_axes("iota", out, (axis,))
    return out


def _iota_eval(shape: Shape, axis: int, dtype: DType) -> Array:
    along = [1] * len(shape)
    along[axis] = shape[axis]
    with np.errstate(all="ignore"):
        steps = np.arange(shape[axis]).astype(dtype)
    return np.broadcast_to(steps.reshape(along), shape)


# broadcast, reshape, transpose, reverse


def _broadcast_infer(*types: TensorType, shape: Shape, axes: Ints) -> TensorType:
    x, out = _one("broadcast", types), TensorType(shape, types[0].dtype)
    check_shape("broadcast", shape)
    check_axes("broadcast", out, axes)
    if len(axes) != x.ndim:
        raise ShapeError(f"broadcast: {x}: one axis per dimension expected, got {axes}")
    for size, axis in zip(x.shape, axes, strict=True):
        if size not in (1, shape[axis]):
            raise ShapeError(f"broadcast: {x} does not fit into {shape} at axes {axes}")
    return out


def _broadcast_eval(x: Array, shape: Shape, axes: Ints) -> Array:
    placed = [1] * len(shape)
    for size, axis in zip(x.shape, axes, strict=True):
        placed[axis] = size
    return np.broadcast_to(x.reshape(placed), shape)


def _broadcast_vjp(g: Node, y: Node, x: Node, shape: Shape, axes: Ints) -> tuple[Node]:
    repeated = [a for size, a in zip(x.shape, axes, strict=True) if size != shape[a]]
    summed = sorted([*without(range(len(shape)), axes), *repeated])
    return (ops.reshape(ops.reduce_sum(g, summed), x.shape),)


def _reshape_infer(*types: TensorType, shape: Shape) -> TensorType:
    x = _one("reshape", types)
    check_shape("reshape", shape)
    if prod(shape) != x.size:
        raise ShapeError(f"reshape: {x} to {shape}: {x.size} elements do not make {prod(shape)}")
    return x.with_shape(shape)


def _reshape_vjp(g: Node, y: Node, x: Node, shape: Shape) -> tuple[Node]:
    return (ops.reshape(g, x.shape),)


def _transpose_infer(*types: TensorType, perm: Ints) -> TensorType:
    x = _one("transpose", types)
    if sorted(perm) != list(range(x.ndim)):
        raise ShapeError(f"transpose: {x}: {perm} is not a permutation of its {x.ndim} axes")
    return x.with_shape(tuple(x.shape[p] for p in perm))


def _transpose_vjp(g: Node, y: Node, x: Node, perm: Ints) -> tuple[Node]:
    return (ops.transpose(g, ops.inverse(perm)),)


def _reverse_infer(*types: TensorType, axes: Ints) -> TensorType:
    x = _one("reverse", types)
    check_axes("reverse", x, axes)
    return x


def _reverse_vjp(g: Node, y: Node, x: Node, axes: Ints) -> tuple[Node]:
    return (ops.reverse(g, axes),)


# slice and pad: each the other's transpose


def _per_axis(op: str, x: TensorType, **attrs: Ints) -> None:
    for name, values in attrs.items():
        if len(values) != x.ndim:
            raise ShapeError(f"{op}: {x}: {name}={values} needs one number per axis")


def _slice_infer(*types: TensorType, start: Ints, stop: Ints, step: Ints) -> TensorType:
    x = _one("slice", types)
    _per_axis("slice", x, start=start, stop=stop, step=step)
    for size, a, b, s in zip(x.shape, start, stop, step, strict=True):
        if not (0 <= a <= b <= size and s >= 1):
            raise ShapeError(f"slice: {x}: {a}:{b}:{s} is not within an axis of size {size}")
    return x.with_shape(tuple(-((a - b) // s) for a, b, s in zip(start, stop, step, strict=True)))


def _slice_eval(x: Array, start: Ints, stop: Ints, step: Ints) -> Array:
    spans = zip(start, stop, step, strict=True)
    return np.asarray(x[tuple(slice(a, b, s) for a, b, s in spans)])


def _slice_vjp(g: Node, y: Node, x: Node, start: Ints, stop: Ints, step: Ints) -> tuple[Node]:
    interior = tuple(s - 1 for s in step)
    spans = zip(x.shape, start, g.shape, interior, strict=True)
    high = tuple(size - a - _spread(n, gap) for size, a, n, gap in spans)
    return (ops.pad(g, 0, start, high, interior),)


def _spread(size: int, gap: int) -> int:
    """The extent of `size` elements with `gap` places between neighbours."""
    return size + max(size - 1, 0) * gap


def _pad_infer(
    *types: TensorType, value: Scalar, low: Ints, high: Ints, interior: Ints
) -> TensorType:
    x = _one("pad", types)
    _per_axis("pad", x, low=low, high=high, interior=interior)
    if min((*low, *high, *interior), default=0) < 0:
        raise ShapeError(f"pad: {x}: negative padding; slice instead")
    sides = zip(x.shape, low, high, interior, strict=True)
    return x.with_shape(tuple(a + _spread(n, gap) + b for n, a, b, gap in sides))


def _pad_eval(x: Array, value: Scalar, low: Ints, high: Ints, interior: Ints) -> Array:
    shape = _pad_infer(
        TensorType(x.shape, x.dtype), value=value, low=low, high=high, interior=interior
    ).shape
    out = np.full(shape, value, x.dtype)
    sides = zip(x.shape, low, interior, strict=True)
    out[tuple(slice(a, a + _spread(n, gap), gap + 1) for n, a, gap in sides)] = x
    return out


def _pad_vjp(
    g: Node, y: Node, x: Node, value: Scalar, low: Ints, high: Ints, interior: Ints
) -> tuple[Node]:
    sides = zip(x.shape, low, interior, strict=True)
    stop = tuple(a + _spread(n, gap) for n, a, gap in sides)
    return (ops.slice(g, low, stop, tuple(gap + 1 for gap in interior)),)


def _concatenate_infer(*types: TensorType, axis: int) -> TensorType:
    if not types:
        raise ShapeError("concatenate: takes at least one operand")
    first = types[0]
    check_axes("concatenate", first, (axis,))
    for other in types[1:]:
        if other.dtype != first.dtype:
            raise DTypeError(f"concatenate: {first} and {other}: dtypes differ; cast one of them")
        sizes = zip(first.shape, other.shape, strict=False)
        if other.ndim != first.ndim or any(m != n and d != axis for d, (m, n) in enumerate(sizes)):
            raise ShapeError(f"concatenate: {first} and {other} differ beside axis {axis}")
    shape = list(first.shape)
    shape[axis] = sum(t.shape[axis] for t in types)
    return first.with_shape(tuple(shape))


def _concatenate_vjp(g: Node, y: Node, *xs: Node, axis: int) -> tuple[Node, ...]:
    pieces, offset = [], 0
    for x in xs:
        start, stop = [0] * g.ndim, list(g.shape)
        start[axis], stop[axis] = offset, offset + x.shape[axis]
        pieces.append(ops.slice(g, start, stop))
        offset += x.shape[axis]
    return tuple(pieces)


def _identity_infer(*types: TensorType, **attrs: int) -> TensorType:
    return _one("mark" if attrs else "stop_gradient", types)


def _contiguous_infer(*types: TensorType, id: int = 0) -> TensorType:
    return _one("contiguous", types)


# Batch rules: the lanes are dimension 0, and every axis stands one further.


def _later(axes: Ints) -> Ints:
    return tuple(a + 1 for a in axes)


def _broadcast_batch(lanes: Lanes, shape: Shape, axes: Ints) -> Node:
    return ops.broadcast(lanes.nodes[0], (lanes.size, *shape), (0, *_later(axes)))


def _reshape_batch(lanes: Lanes, shape: Shape) -> Node:
    return ops.reshape(lanes.nodes[0], (lanes.size, *shape))


def _transpose_batch(lanes: Lanes, perm: Ints) -> Node:
    return ops.transpose(lanes.nodes[0], (0, *_later(perm)))


def _reverse_batch(lanes: Lanes, axes: Ints) -> Node:
    return ops.reverse(lanes.nodes[0], _later(axes))


def _slice_batch(lanes: Lanes, start: Ints, stop: Ints, step: Ints) -> Node:
    return ops.slice(lanes.nodes[0], (0, *start), (lanes.size, *stop), (1, *step))


def _pad_batch(lanes: Lanes, value: Scalar, low: Ints, high: Ints, interior: Ints) -> Node:
    return ops.pad(lanes.nodes[0], value, (0, *low), (0, *high), (0, *interior))


def _concatenate_batch(lanes: Lanes, axis: int) -> Node:
    return ops.concatenate(lanes.every, axis + 1)


primitive("full", _full_infer, _full_eval, None)
primitive("iota", _iota_infer, _iota_eval, None)
primitive("broadcast", _broadcast_infer, _broadcast_eval, _broadcast_vjp, batch=_broadcast_batch)
primitive(
    "reshape",
    _reshape_infer,
    lambda x, shape: x.reshape(shape),
    _reshape_vjp,
    batch=_reshape_batch,
)
primitive(
    "transpose",
    _transpose_infer,
    lambda x, perm: x.transpose(perm),
    _transpose_vjp,
    batch=_transpose_batch,
)
primitive(
    "reverse", _reverse_infer, lambda x, axes: np.flip(x, axes), _reverse_vjp, batch=_reverse_batch
)
primitive("slice", _slice_infer, _slice_eval, _slice_vjp, batch=_slice_batch)
primitive("pad", _pad_infer, _pad_eval, _pad_vjp, batch=_pad_batch)
primitive(
    "concatenate",
    _concatenate_infer,
    lambda *xs, axis: np.concatenate(xs, axis),
    _concatenate_vjp,
    batch=_concatenate_batch,
)
primitive(
    "mark",
    _identity_infer,
    lambda x, id: x,
    lambda g, y, x, id: (g,),
    batch=lambda lanes, id: lanes.nodes[0].builder.mark(lanes.nodes[0]),
)
# Its operand, lying in memory in row-major order: layouts are chosen by placing it. With an `id`
# of its own it is also a copy that nothing is merged with: see Builder.barrier.
primitive(
    "contiguous",
    _contiguous_infer,
    lambda x, id=0: np.asarray(x, order="C"),
    lambda g, y, x, id=0: (g,),
    batch=lambda lanes, **attrs: lanes.nodes[0].builder.emit(
        PRIMITIVES["contiguous"], lanes.nodes[0], **attrs
    ),
)
primitive(
    "stop_gradient",
    _identity_infer,
    lambda x: x,
    None,
    batch=lambda lanes: ops.stop_gradient(lanes.nodes[0]),
)
