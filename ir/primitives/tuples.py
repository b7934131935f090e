"""Operations with several results: their node has a tuple type, and `item` takes a result out.

In the interpreter the value of such a node is an array of objects, one per result.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tracejit.ir import ops
from tracejit.ir.graph import Array, Node, primitive
from tracejit.ir.lanes import Lanes
from tracejit.ir.primitives.checks import arity
from tracejit.ir.types import DTypeError, ShapeError, TensorType, TupleType, tuple_type


def results(arrays: Iterable[Array]) -> Array:
    """What `eval` of a primitive with several results gives."""
    values = list(arrays)
    packed = np.empty(len(values), object)
    for n, value in enumerate(values):
        packed[n] = value
    return packed


def _item_infer(*types: TensorType, index: int) -> TensorType:
    arity("item", 1, types)
    (operand,) = types
    if not isinstance(operand, TupleType):
        raise DTypeError(f"item: {operand} is one result, there is nothing to take out of it")
    if not 0 <= index < len(operand.items):
        raise ShapeError(f"item: {operand} has no result {index}")
    return operand.items[index]


def _item_eval(packed: Array, index: int) -> Array:
    return np.asarray(packed[index])


def _item_vjp(g: Node, y: Node, packed: Node, index: int) -> tuple[None]:
    # The sweep gathers the cotangents of all items itself, for the rule of their operation.
    return (None,)


def _item_batch(lanes: Lanes, index: int) -> Node:
    return ops.item(lanes.nodes[0], index)


def _pack_batch(lanes: Lanes) -> Node:
    return ops.pack(lanes.every)


primitive("item", _item_infer, _item_eval, _item_vjp, batch=_item_batch)
primitive(
    "pack",
    lambda *types: tuple_type(types),
    lambda *arrays: results(arrays),
    lambda g, y, *operands: tuple(ops.item(g, n) for n in range(len(operands))),
    batch=_pack_batch,
)
