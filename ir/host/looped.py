"""A host function without a batch rule in many lanes: one call, which loops.

Its name says which operands have lanes: `custom.f[10]` is `custom.f` with lanes in the first of
two. So a graph read from text, or code from disk, finds it again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from tracejit.ir import ops
from tracejit.ir.batching import in_each_lane
from tracejit.ir.graph import Array, Attr, Node
from tracejit.ir.host.table import HOST, HostFunction, Types
from tracejit.ir.types import ShapeError, TensorType

_LOOPED = re.compile(r"(.+)\[([01]+)\]")


def host_function_of(callee: str) -> HostFunction:
    """The row of that name, or of a function in lanes. Raises ShapeError if there is none."""
    row = HOST.get(callee)
    if row is not None:
        return row
    match = _LOOPED.fullmatch(callee)
    if match is None:
        raise ShapeError(f"host_call: there is no host function {callee!r}")
    return _looped(host_function_of(match[1]), callee, match[2])


@lru_cache(maxsize=256)
def _looped(row: HostFunction, name: str, mask: str) -> HostFunction:
    has = [digit == "1" for digit in mask]

    def infer(*types: TensorType, **attrs: Attr) -> Types:
        sizes = {t.shape[0] for t, h in zip(types, has, strict=True) if h}
        if len(sizes) != 1:
            raise ShapeError(f"{name}: the operands have {sorted(sizes)} lanes")
        (size,) = sizes
        ones = (t.with_shape(t.shape[1:]) if h else t for t, h in zip(types, has, strict=True))
        return tuple(t.with_shape((size, *t.shape)) for t in row.infer(*ones, **attrs))

    def evaluate(*arrays: Array, **attrs: Attr) -> tuple[Array, ...]:
        size = next(len(a) for a, h in zip(arrays, has, strict=True) if h)
        pairs = list(zip(arrays, has, strict=True))
        lanes = [
            row.eval(*(np.asarray(a[i]) if h else a for a, h in pairs), **attrs)
            for i in range(size)
        ]
        return tuple(np.stack(each) for each in zip(*lanes, strict=True))

    def vjp(
        g: Sequence[Node], y: Sequence[Node], *inputs: Node, **attrs: Attr
    ) -> tuple[Node | None, ...]:
        rule, size, count = row.vjp, y[0].shape[0], len(inputs)
        assert rule is not None

        def backward(kept: Sequence[Node], cotangents: Sequence[Node]) -> Sequence[Node | None]:
            return rule(cotangents, kept[count:], *kept[:count], **attrs)

        every = [n if h else _repeated(n, size) for n, h in zip(inputs, has, strict=True)]
        types = [n.type.with_shape(n.shape[1:]) for n in y]
        parts = in_each_lane(backward, types, size)([*every, *y], g)
        return tuple(
            p if p is None or h else ops.reduce_sum(p, (0,))
            for p, h in zip(parts, has, strict=True)
        )

    return HostFunction(name, infer, evaluate, None if row.vjp is None else vjp, None)


def _repeated(node: Node, size: int) -> Node:
    return ops.broadcast(node, (size, *node.shape), range(1, node.ndim + 1))
