"""Batching: nodes that were made for one element, done for many at once. What `vmap` is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tracejit.ir import ops
from tracejit.ir.copying import inlined
from tracejit.ir.graph import Builder, Custom, Graph, Node, dependencies
from tracejit.ir.lanes import Lanes, repeated
from tracejit.ir.order import topological
from tracejit.ir.types import TensorType, TupleType, tuple_type

Backward = Callable[[Sequence[Node], Sequence[Node]], Sequence[Node | None]]


def batched(outputs: Sequence[Node], lanes: Mapping[Node, Node], size: int) -> dict[Node, Node]:
    """For each node that depends on a key of `lanes`, down from `outputs`: the node of all lanes.

    lanes: placeholder -> its values [size, ...]. Every result has `size` lanes as dimension 0.
    A node that no placeholder reaches is not in the result: it is the same in every lane.
    One forward walk; each node asks its primitive's batch rule.
    """
    known = dict(lanes)
    for node in topological(outputs, tuple(lanes), dependencies):
        if node in known or not any(n in known for n in dependencies(node)):
            continue
        with node.builder.at(node.loc):
            custom = node.builder.customs.get(node)
            if custom is not None:
                known.update(_custom(custom, known, size))
            else:
                known[node] = _node(node, known, size)
                assert known[node].type == _every(node.type, size), (
                    f"{node.op}: batched to {known[node].type}"
                )
    return known


def _node(node: Node, known: Mapping[Node, Node], size: int) -> Node:
    """`node` in all lanes."""
    if size == 0:
        return _empty(node.builder, _every(node.type, 0))
    inputs = tuple(known.get(i, i) for i in node.inputs)
    lanes = Lanes(size, inputs, tuple(i in known for i in node.inputs))
    if node.prim.batch is not None:
        return node.prim.batch(lanes, **node.attrs)
    assert node.prim.elementwise, f"{node.op} has no batch rule"
    return node.builder.emit(node.prim, *lanes.every, **node.attrs)


def _every(type: TensorType, size: int) -> TensorType:
    """The type of a value in all lanes."""
    if isinstance(type, TupleType):
        return tuple_type(_every(item, size) for item in type.items)
    return type.with_shape((size, *type.shape))


def _empty(builder: Builder, type: TensorType) -> Node:
    if isinstance(type, TupleType):
        return ops.pack([_empty(builder, item) for item in type.items])
    return builder.full(0, type)


def _custom(custom: Custom, known: Mapping[Node, Node], size: int) -> dict[Node, Node]:
    """All outputs of a custom derivative in all lanes; its backward rule runs in lanes too."""
    builder = custom.outputs[0].builder
    fresh = builder.attach(
        [in_lanes(output.inputs[0], known, size) for output in custom.outputs],
        [in_lanes(n, known, size) for n in custom.operands],
        [in_lanes(n, known, size) for n in custom.residuals],
        in_each_lane(custom.backward, [n.type for n in custom.outputs], size),
    )
    return dict(zip(custom.outputs, fresh, strict=True))


def in_lanes(node: Node, known: Mapping[Node, Node], size: int) -> Node:
    """The node of all lanes, also of one that is the same in each."""
    return known[node] if node in known else repeated(node, size)


@dataclass(frozen=True, slots=True, eq=False)
class Laned:
    """What a body gives, once and in all `size` lanes. known: see `batched`."""

    ones: tuple[Node, ...]
    known: Mapping[Node, Node]
    size: int

    @property
    def differs(self) -> list[bool]:
        """Which results are not the same in every lane."""
        return [node in self.known for node in self.ones]

    @property
    def every(self) -> list[Node]:
        """The results in all lanes."""
        return [in_lanes(node, self.known, self.size) for node in self.ones]

    def where(self, wide: Sequence[bool]) -> list[Node]:
        """The results in all lanes where `wide` says so; the others are the same in each."""
        return [
            in_lanes(node, self.known, self.size) if has else node
            for node, has in zip(self.ones, wide, strict=True)
        ]


def body_in_lanes(builder: Builder, body: Graph, inputs: Lanes) -> Laned:
    """The outputs of a body, made in `builder` for inputs of which some have lanes."""
    ones = [
        builder.placeholder("lane", old.type) if has else given
        for old, given, has in zip(body.inputs, inputs.nodes, inputs.batched, strict=True)
    ]
    of_lanes = zip(ones, inputs.nodes, inputs.batched, strict=True)
    lanes = {one: given for one, given, has in of_lanes if has}
    outs = inlined(builder, body, ones)
    return Laned(tuple(outs), batched(outs, lanes, inputs.size), inputs.size)


def in_each_lane(backward: Backward, outputs: Sequence[TensorType], size: int) -> Backward:
    """A backward rule of one lane as a rule of all: every operand and result has lanes."""

    def rule(residuals: Sequence[Node], cotangents: Sequence[Node]) -> Sequence[Node | None]:
        given = [*residuals, *cotangents]
        lanes = {n.builder.placeholder("lane", _one(n.type)): n for n in given}
        ones = list(lanes)
        assert [n.type for n in ones[len(residuals) :]] == list(outputs)
        parts = backward(ones[: len(residuals)], ones[len(residuals) :])
        wanted = [p for p in parts if p is not None]
        known = batched(wanted, lanes, size)
        return [p if p is None else in_lanes(p, known, size) for p in parts]

    return rule


def _one(type: TensorType) -> TensorType:
    return type.with_shape(type.shape[1:])
