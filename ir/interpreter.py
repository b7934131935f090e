"""The meaning of a graph: each node by its primitive's `eval`, in NumPy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from tracejit.ir.graph import Array, Attr, Builder, Graph, Node, Primitive
from tracejit.ir.types import DTypeError, ShapeError, TensorType, type_of

OnValue = Callable[[Node, Array], None]


def evaluate(graph: Graph, arrays: Sequence[Array], on_value: OnValue | None = None) -> list[Array]:
    """The outputs for these inputs: fresh contiguous arrays, also where an input is donated.

    on_value is called with each node and its value as soon as it is known.
    Raises ShapeError or DTypeError where an array is not of its input's type.
    """
    if len(arrays) != len(graph.inputs):
        raise ShapeError(f"{graph.name}: takes {len(graph.inputs)} arrays, got {len(arrays)}")
    values: dict[Node, Array] = {}
    for node, array in zip(graph.inputs, arrays, strict=True):
        values[node] = _checked(graph.input_name(node), node.type, np.asarray(array))
    nodes = graph.nodes()
    reads = Counter(operand for node in nodes for operand in node.inputs)
    reads.update(graph.outputs)
    for node in nodes:
        if node not in values:
            operands = [values[i] for i in node.inputs]
            values[node] = node.prim.eval(*operands, **node.attrs)
            for operand in node.inputs:
                reads[operand] -= 1
                if not reads[operand]:
                    del values[operand]
        if on_value is not None:
            on_value(node, values[node])
    return [np.array(values[node], order="C", copy=True) for node in graph.outputs]


def _checked(name: str, expected: TensorType, array: Array) -> Array:
    given = type_of(array)
    if given.dtype != expected.dtype:
        raise DTypeError(f"input {name}: expected {expected}, got {given}")
    if given.shape != expected.shape:
        raise ShapeError(f"input {name}: expected {expected}, got {given}")
    return array


class EagerBuilder(Builder):
    """A builder that also evaluates each node when it is made: tracing define by run.

    What depends on a placeholder has no value.
    """

    def __init__(self, on_value: OnValue | None = None) -> None:
        super().__init__()
        self.values: dict[Node, Array] = {}
        self.on_value = on_value

    def emit(self, prim: Primitive, *inputs: Node, **attrs: Attr) -> Node:
        node = super().emit(prim, *inputs, **attrs)
        if node not in self.values and all(i in self.values for i in inputs):
            self._record(node, prim.eval(*(self.values[i] for i in inputs), **attrs))
        return node

    def input(self, name: str, type: TensorType, value: Array | None = None) -> Node:
        """A new input with its value, which must be of that type."""
        if value is None:
            raise ValueError(f"input {name}: define by run needs a value")
        node = super().input(name, type)
        self._record(node, _checked(name, type, np.asarray(value)))
        return node

    def _record(self, node: Node, value: Array) -> None:
        self.values[node] = value
        if self.on_value is not None:
            self.on_value(node, value)
