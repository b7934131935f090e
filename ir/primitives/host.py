"""host_call: a function that Python runs, by its name in the table of host functions.

callee: a name in the table of host functions. The other attributes are the function's own.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir import ops
from tracejit.ir.graph import Array, Attr, Node, primitive
from tracejit.ir.host.looped import host_function_of
from tracejit.ir.lanes import Lanes
from tracejit.ir.primitives.tuples import results
from tracejit.ir.types import DTypeError, TensorType, TupleType, tuple_type


def _infer(*types: TensorType, callee: str, **attrs: Attr) -> TensorType:
    found = host_function_of(callee).infer(*types, **attrs)
    return found[0] if len(found) == 1 else tuple_type(found)


def _eval(*arrays: Array, callee: str, **attrs: Attr) -> Array:
    found = host_function_of(callee).eval(*arrays, **attrs)
    return found[0] if len(found) == 1 else results(found)


def _vjp(g: Node, y: Node, *inputs: Node, callee: str, **attrs: Attr) -> tuple[Node | None, ...]:
    row = host_function_of(callee)
    if row.vjp is None:
        place = f" ({y.loc.short})" if y.loc else ""
        raise DTypeError(
            f"{callee}: has no derivative{place}; give it a vjp, or stop_gradient its operands"
        )
    return row.vjp(_apart(g), _apart(y), *inputs, **attrs)


def _batch(lanes: Lanes, callee: str, **attrs: Attr) -> Node:
    row = host_function_of(callee)
    if row.batch is not None:
        return _together(row.batch(lanes, **attrs))
    mask = "".join("01"[has] for has in lanes.batched)
    return _together(ops.host_call(f"{callee}[{mask}]", *lanes.nodes, **attrs))


def _apart(node: Node) -> list[Node]:
    return ops.items(node) if isinstance(node.type, TupleType) else [node]


def _together(nodes: Sequence[Node]) -> Node:
    return nodes[0] if len(nodes) == 1 else ops.pack(nodes)


primitive("host_call", _infer, _eval, _vjp, batch=_batch)
