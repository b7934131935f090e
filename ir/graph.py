"""The SSA graph: primitives, interned nodes, the builder that makes them, and graphs.

A `Node` is one operation and its one result. Nodes are made by a `Builder` alone, which infers the
type and interns: asking twice for the same operation on the same operands gives the same node, so
common subexpressions never exist twice. Nodes compare by identity and are never changed.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import count, islice
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from tracejit.ir.order import topological
from tracejit.ir.types import DType, DTypeError, Shape, ShapeError, TensorType

Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]
Attr: TypeAlias = "bool | int | float | str | DType | Graph | tuple[Attr, ...]"
Scalar = bool | int | float


@dataclass(frozen=True, slots=True)
class Loc:
    """Where in the user's program an operation was asked for. Never part of a node's identity."""

    file: str
    line: int
    grad: bool = False

    def __str__(self) -> str:
        return f"{'grad of ' if self.grad else ''}{self.file}:{self.line}"

    @property
    def short(self) -> str:
        """Without the folders: what dumps show, the same on every machine."""
        return str(Loc(os.path.basename(self.file), self.line, self.grad))

    def backward(self) -> Loc:
        return Loc(self.file, self.line, True)


@dataclass(frozen=True, slots=True, eq=False)
class Primitive:
    """One operation with all its rules; one row of a table in `ir/primitives/`.

    infer(*types, **attrs) -> TensorType; raises ShapeError or DTypeError with what the user did.
    eval(*arrays, **attrs) -> array: the meaning, in NumPy. This is the oracle of every backend.
    vjp(g, out, *inputs, **attrs) -> one cotangent per input, None where there is none; g is the
    cotangent of `out`. None instead of a rule: the result does not depend on the inputs smoothly.
    batch(lanes, **attrs) -> the operation in each lane; see `ir.lanes.Lanes`. None: lanes are just
    one more dimension of every operand (elementwise), or there are no operands to have them.
    """

    name: str
    infer: Callable[..., TensorType]
    eval: Callable[..., Array]
    vjp: Callable[..., tuple[Node | None, ...]] | None
    elementwise: bool = False
    batch: Callable[..., Node] | None = None

    def __repr__(self) -> str:
        return f"Primitive({self.name})"


PRIMITIVES: dict[str, Primitive] = {}


def primitive(
    name: str,
    infer: Callable[..., TensorType],
    eval: Callable[..., Array],
    vjp: Callable[..., tuple[Node | None, ...]] | None,
    elementwise: bool = False,
    batch: Callable[..., Node] | None = None,
) -> Primitive:
    """Adds one row to the table of primitives."""
    if name in PRIMITIVES:
        raise ValueError(f"primitive {name!r} is defined twice")
    row = PRIMITIVES[name] = Primitive(name, infer, eval, vjp, elementwise, batch)
    return row


class Node:
    """One operation applied to operands, and its result. Made by `Builder.emit` only."""

    __slots__ = ("attr_keys", "attrs", "builder", "inputs", "loc", "op", "prim", "type")

    def __init__(
        self,
        builder: Builder,
        prim: Primitive,
        inputs: tuple[Node, ...],
        attrs: Mapping[str, Attr],
        type: TensorType,
        loc: Loc | None,
    ) -> None:
        self.builder = builder
        self.prim = prim
        self.op = prim.name
        self.inputs = inputs
        self.attrs = attrs
        self.type = type
        self.loc = loc
        self.attr_keys: tuple[object, ...] = ()  # what interning knows the attributes by

    @property
    def shape(self) -> Shape:
        return self.type.shape

    @property
    def dtype(self) -> DType:
        return self.type.dtype

    @property
    def ndim(self) -> int:
        return len(self.type.shape)

    def ints(self, name: str) -> tuple[int, ...]:
        """An attribute that is a tuple of ints, typed."""
        value = self.attrs[name]
        assert isinstance(value, tuple)
        return tuple(v for v in value if isinstance(v, int))

    def scalar(self) -> Scalar | None:
        """The value of a `full` node, None for every other node."""
        value = self.attrs["value"] if self.op == "full" else None
        return value if isinstance(value, bool | int | float) else None

    def __repr__(self) -> str:
        return f"<Node {self.op}: {self.type}>"

    # Operators for derivative rules and rewrites. Both sides have one type, or one is a number.

    def _with(self, op: str, other: Node | Scalar, swap: bool = False) -> Node:
        right = other if isinstance(other, Node) else self.builder.full(other, self.type)
        pair = (right, self) if swap else (self, right)
        return self.builder.emit(PRIMITIVES[op], *pair)

    def __add__(self, other: Node | Scalar) -> Node:
        return self._with("add", other)

    def __radd__(self, other: Scalar) -> Node:
        return self._with("add", other, swap=True)

    def __sub__(self, other: Node | Scalar) -> Node:
        return self._with("sub", other)

    def __rsub__(self, other: Scalar) -> Node:
        return self._with("sub", other, swap=True)

    def __mul__(self, other: Node | Scalar) -> Node:
        return self._with("mul", other)

    def __rmul__(self, other: Scalar) -> Node:
        return self._with("mul", other, swap=True)

    def __truediv__(self, other: Node | Scalar) -> Node:
        return self._with("div", other)

    def __rtruediv__(self, other: Scalar) -> Node:
        return self._with("div", other, swap=True)

    def __neg__(self) -> Node:
        return self.builder.emit(PRIMITIVES["neg"], self)


@dataclass(frozen=True, slots=True, eq=False)
class Custom:
    """A derivative that replaces that of what `outputs` were computed by.

    outputs: fresh `mark`s, with this rule in `Builder.customs`. operands: what the outputs are
    functions of, as far as differentiation goes. residuals: what the backward rule reads.
    backward(residuals, cotangents) -> one cotangent per operand, None where there is none.
    """

    outputs: tuple[Node, ...]
    operands: tuple[Node, ...]
    residuals: tuple[Node, ...]
    backward: Callable[[Sequence[Node], Sequence[Node]], Sequence[Node | None]]


def dependencies(node: Node) -> tuple[Node, ...]:
    """What must be known before `node` is differentiated or copied: operands, or its rule's all."""
    custom = node.builder.customs.get(node)
    if custom is None:
        return node.inputs
    computed = tuple(i for output in custom.outputs for i in output.inputs)
    return (*custom.operands, *custom.residuals, *computed)


def attr_key(value: Attr) -> object:
    """A hashable stand-in that tells 0.0 from -0.0, 1 from True, and equal nans as equal.

    Graphs that compute the same are equal, whatever their inputs are called.
    """
    if isinstance(value, tuple):
        return tuple(attr_key(v) for v in value)
    if isinstance(value, float):
        return ("float", struct.pack("<d", value))
    if isinstance(value, Graph):
        from tracejit.ir.fingerprint import fingerprint

        return ("graph", fingerprint(value, named=False))
    return (type(value).__name__, value)


class Builder:
    """Makes the nodes of one trace or of one pass's result.

    `loc` is the place in the user's program that new nodes are put down to.
    """

    def __init__(self) -> None:
        self.loc: Loc | None = None
        self.customs: dict[Node, Custom] = {}
        self.nested: Callable[[], AbstractContextManager[Nested]] = _nested
        self._interned: dict[object, Node] = {}
        self._names = count()

    def emit(self, prim: Primitive, *inputs: Node, **attrs: Attr) -> Node:
        """The node `prim(*inputs, **attrs)`, its type inferred; the old one if it exists."""
        keys = tuple([(k, attr_key(attrs[k])) for k in sorted(attrs)]) if attrs else ()
        key = (prim.name, *map(id, inputs), *keys)
        node = self._interned.get(key)
        if node is None:
            node = self._make(prim, inputs, attrs)
            node.attr_keys = keys
            self._interned[key] = node
        return node

    def again(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        """The operation of `node`, of this or another graph, on operands of the same types."""
        key = (node.prim.name, *map(id, inputs), *node.attr_keys)
        found = self._interned.get(key)
        if found is None:
            found = Node(self, node.prim, inputs, node.attrs, node.type, self.loc)
            found.attr_keys = node.attr_keys
            self._interned[key] = found
        return found

    def _make(self, prim: Primitive, inputs: tuple[Node, ...], attrs: dict[str, Attr]) -> Node:
        for operand in inputs:
            assert operand.builder is self, f"{prim.name}: operand {operand!r} of another graph"
        try:
            type = prim.infer(*(i.type for i in inputs), **attrs)
        except (ShapeError, DTypeError) as error:
            if self.loc is None:
                raise
            raise error.__class__(f"{error} ({self.loc})") from None
        return Node(self, prim, inputs, MappingProxyType(attrs), type, self.loc)

    def input(self, name: str, type: TensorType) -> Node:
        """A new graph input; never interned, so that two inputs of one type stay two."""
        return Node(self, INPUT, (), MappingProxyType({"name": name}), type, self.loc)

    def mark(self, node: Node) -> Node:
        """A fresh node equal to `node`: a differentiation variable that nothing else shares."""
        return self.emit(PRIMITIVES["mark"], node, id=next(self._names))

    def barrier(self, node: Node) -> Node:
        """A fresh copy of `node`, which no pass takes for it: what is computed from it is apart."""
        return self.emit(PRIMITIVES["contiguous"], node, id=next(self._names))

    def placeholder(self, name: str, type: TensorType) -> Node:
        """An operand that is known later, when `batching.batched` puts lanes in its place."""
        return Node(self, INPUT, (), MappingProxyType({"name": name}), type, self.loc)

    def attach(
        self,
        outputs: Sequence[Node],
        operands: Sequence[Node],
        residuals: Sequence[Node],
        backward: Callable[[Sequence[Node], Sequence[Node]], Sequence[Node | None]],
    ) -> tuple[Node, ...]:
        """Fresh nodes equal to `outputs`, with a derivative of their own; see `Custom`."""
        fresh = tuple(self.mark(output) for output in outputs)
        custom = Custom(fresh, tuple(operands), tuple(residuals), backward)
        self.customs.update(dict.fromkeys(fresh, custom))
        return fresh

    def made(self) -> int:
        """How many operations this builder has made."""
        return len(self._interned)

    def made_since(self, mark: int) -> set[Node]:
        """The operations made after `made()` gave `mark`."""
        return set(islice(self._interned.values(), mark, None))

    def full(self, value: Scalar, type: TensorType) -> Node:
        """The constant `value`, converted to the dtype, in every element of a tensor."""
        with np.errstate(all="ignore"):  # 1e300 becomes inf in f32, as for any other value
            item = np.asarray(value).astype(type.dtype).item()
        return self.emit(PRIMITIVES["full"], value=item, shape=type.shape, dtype=type.dtype)

    @contextmanager
    def at(self, loc: Loc | None) -> Iterator[None]:
        """Puts the nodes made inside the block down to `loc`."""
        saved, self.loc = self.loc, loc
        try:
            yield
        finally:
            self.loc = saved


@dataclass(frozen=True, slots=True, eq=False)
class Nested:
    """The builder of a body, and what it read of the graph around it: there, and its input here.

    `Builder.nested` opens one. The front end puts its own in the place: derivative rules that users
    wrote build into the trace that is current, and may read what surrounds them.
    """

    builder: Builder
    captured: dict[Node, Node]

    def input(self, name: str, type: TensorType) -> Node:
        return self.builder.input(f"{name}{next(self.builder._names)}", type)


@contextmanager
def _nested() -> Iterator[Nested]:
    yield Nested(Builder(), {})


def _input_infer(**attrs: Attr) -> TensorType:
    raise AssertionError("inputs are made by Builder.input")


def _input_eval(**attrs: Attr) -> Array:
    raise AssertionError("the interpreter is given the value of an input")


INPUT = primitive("input", _input_infer, _input_eval, None)


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A function: named inputs, outputs, and for each output the input whose buffer it takes over.

    `donated[i]` is the position in `inputs` of the argument that output i replaces in place, or
    None. State is updated that way and in no other: nodes themselves have no effects.
    """

    name: str
    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    donated: tuple[int | None, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.donated:
            object.__setattr__(self, "donated", (None,) * len(self.outputs))
        assert len(self.donated) == len(self.outputs), "one donation entry per output"

    def nodes(self) -> list[Node]:
        """Inputs, then every node that an output needs, operands first. The order is fixed."""
        return topological(self.outputs, self.inputs)

    def uses(self) -> dict[Node, list[Node]]:
        """For each node the nodes that read it, once per operand position."""
        users: dict[Node, list[Node]] = {node: [] for node in self.nodes()}
        for node in users:
            for operand in node.inputs:
                users[operand].append(node)
        return users

    def input_name(self, node: Node) -> str:
        return str(node.attrs["name"])

    def __str__(self) -> str:
        from tracejit.ir.text import print_graph

        return print_graph(self)
