"""From NumPy's rules to strict nodes: explicit casts and broadcasts, then one primitive.

Everything here takes and gives nodes of one builder.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np

from tracejit.ir import ops
from tracejit.ir.graph import PRIMITIVES, Attr, Node, Scalar
from tracejit.ir.types import BOOL, DType, Shape, ShapeError, TensorType, is_float
from tracejit.source import here


def emit(op: str, *inputs: Node, **attrs: Attr) -> Node:
    """One primitive on operands of its exact types."""
    return inputs[0].builder.emit(PRIMITIVES[op], *inputs, **attrs)


def cast(x: Node, dtype: DType) -> Node:
    """x in another dtype; a constant stays a constant."""
    if x.dtype == dtype:
        return x
    value = x.scalar()
    if value is not None and not (isinstance(value, float) and dtype.kind in "iu"):
        return x.builder.full(value, TensorType(x.shape, dtype))
    return ops.cast(x, dtype)


def least(dtype: DType) -> Scalar:
    """What the maximum with is the other."""
    if is_float(dtype):
        return -inf
    return False if dtype == BOOL else int(np.iinfo(dtype.str).min)


def most(dtype: DType) -> Scalar:
    """What the minimum with is the other."""
    if is_float(dtype):
        return inf
    return True if dtype == BOOL else int(np.iinfo(dtype.str).max)


def broadcast_to(x: Node, shape: Shape) -> Node:
    """NumPy's broadcasting to an exact shape."""
    if x.shape == shape:
        return x
    value = x.scalar()
    lead = len(shape) - x.ndim
    if lead < 0 or any(a not in (1, b) for a, b in zip(x.shape, shape[lead:], strict=True)):
        target = TensorType(shape, x.dtype)
        raise ShapeError(f"broadcast: {x.type} does not broadcast to {target}{here()}")
    if value is not None:
        return x.builder.full(value, TensorType(shape, x.dtype))
    return ops.broadcast_to(x, shape)


def broadcast_shapes(name: str, *nodes: Node) -> Shape:
    """The common shape of the operands; raises ShapeError with their types."""
    shapes = [n.shape for n in nodes]
    if all(s == shapes[0] for s in shapes):
        return shapes[0]
    rank = max(map(len, shapes))
    out: list[int] = []
    for sizes in zip(*((1,) * (rank - len(s)) + s for s in shapes), strict=True):
        wide = {n for n in sizes if n != 1}
        if len(wide) > 1:
            types = " and ".join(str(n.type) for n in nodes)
            raise ShapeError(
                f"{name}: {types} do not broadcast: sizes "
                f"{' and '.join(map(str, sorted(wide)))} differ{here()}"
            )
        out.append(wide.pop() if wide else 1)
    return tuple(out)


def reduce(op: str, x: Node, axes: Sequence[int], keepdims: bool = False) -> Node:
    """`reduce_sum` and its kin over sorted axes."""
    axes = tuple(sorted(axes))
    out = emit(op, x, axes=axes) if axes else x
    if keepdims:
        out = ops.reshape(out, (1 if d in axes else n for d, n in enumerate(x.shape)))
    return out
