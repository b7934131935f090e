"""host_call: a function that Python runs, by its name in the table of host functions.

callee: a name in the table of host functions. The other attributes are the function's own.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir import ops
from tracejit.ir.graph import Array, Attr, Node, primitive
from tracejit.ir.host.table import HOST, HostFunction
from tracejit.ir.lanes import Lanes
from tracejit.ir.primitives.tuples import results
from tracejit.ir.types import DTypeError, ShapeError, TensorType, TupleType, tuple_type


def _row(callee: str) -> HostFunction:
    if callee not in HOST:
        raise ShapeError(f"host_call: there is no host function {callee!r}")
    return HOST[callee]


def _infer(*types: TensorType, callee: str, **attrs: Attr) -> TensorType:
    found = _row(callee).infer(*types, **attrs)
    return found[0] if len(found) == 1 else tuple_type(found)


def _eval(*arrays: Array, callee: str, **attrs: Attr) -> Array:
    found = _row(callee).eval(*arrays, **attrs)
    return found[0] if len(found) == 1 else results(found)


def _vjp(g: Node, y: Node, *inputs: Node, callee: str, **attrs: Attr) -> tuple[Node | None, ...]:
    row = _row(callee)
    if row.vjp is None:
        raise DTypeError(f"{callee}: has no derivative; stop_gradient its operands, or give a vjp")
    return row.vjp(_apart(g), _apart(y), *inputs, **attrs)


def _batch(lanes: Lanes, callee: str, **attrs: Attr) -> Node:
    row = _row(callee)
    if row.batch is not None:
        return _together(row.batch(lanes, **attrs))
    pairs = list(zip(lanes.nodes, lanes.batched, strict=True))
    calls = [
        ops.host_call(callee, *(_lane(n, i) if has else n for n, has in pairs), **attrs)
        for i in range(lanes.size)
    ]
    return _together([_stacked(each) for each in zip(*calls, strict=True)])


def _apart(node: Node) -> list[Node]:
    return ops.items(node) if isinstance(node.type, TupleType) else [node]


def _together(nodes: Sequence[Node]) -> Node:
    return nodes[0] if len(nodes) == 1 else ops.pack(nodes)


def _stacked(nodes: Sequence[Node]) -> Node:
    return ops.concatenate([ops.reshape(n, (1, *n.shape)) for n in nodes], 0)


def _lane(x: Node, i: int) -> Node:
    """x[lanes, ...] in one of them."""
    still = x.shape[1:]
    return ops.reshape(ops.slice(x, (i, *(0 for _ in still)), (i + 1, *still)), still)


primitive("host_call", _infer, _eval, _vjp, batch=_batch)
