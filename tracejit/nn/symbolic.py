"""`Input` and what layers make of it: values that have a shape and a history, and no content.

A layer called with a Symbol records the call; `tj.Model(inputs, outputs)` replays the calls.
Shapes are found by tracing the layer, once, which also builds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.errors import ConcretizationError
from tracejit.ir.graph import Graph
from tracejit.ir.loops import Scan
from tracejit.ir.types import TensorType
from tracejit.source import here
from tracejit.trace import Trace, default_float

Sizes = tuple[int | None, ...]

# Stands for a batch size that is not known, in shapes only; a prime that no layer's size is.
_SOME_BATCH = 7919


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One recorded call: function(*args, **keywords), Symbols among the arguments."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    keywords: dict[str, Any]
    flops: int

    def inputs(self) -> list[Symbol]:
        return [x for x in tree.leaves((self.args, self.keywords)) if isinstance(x, Symbol)]


class Symbol(np.lib.mixins.NDArrayOperatorsMixin):
    """The `position`-th array that a call gives; of an `Input` there is no call."""

    def __init__(
        self, shape: Sizes, dtype: Any, name: str, call: Call | None = None, position: int = 0
    ) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.name = name
        self.call = call
        self.position = position

    __hash__ = object.__hash__

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def type(self) -> TensorType:
        return TensorType(tuple(_SOME_BATCH if n is None else n for n in self.shape), self.dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **keywords: Any) -> Any:
        return record(getattr(ufunc, method) if method != "__call__" else ufunc, args, keywords)

    def __array_function__(self, function: Any, types: Any, args: Any, keywords: Any) -> Any:
        return record(function, args, keywords)

    def __getitem__(self, index: Any) -> Any:
        return record(_item, (self, _Index(index)), {})

    def __bool__(self) -> bool:
        raise ConcretizationError(
            f"{self!r} has a shape and no value, so Python cannot branch on it{here()};"
            " write a subclass of tj.Model for a model with branches"
        )

    def __repr__(self) -> str:
        sizes = ", ".join("None" if n is None else str(n) for n in self.shape)
        return f"<Symbol {self.name!r} ({sizes}) {self.dtype}>"


@dataclass(frozen=True, slots=True)
class _Index:
    """An index, kept whole."""

    index: Any


def _item(x: Any, at: _Index) -> Any:
    return x[at.index]


def Input(
    shape: tuple[int | None, ...] | list[int | None],
    batch_size: int | None = None,
    dtype: Any = None,
    name: str | None = None,
) -> Symbol:
    """A placeholder for an input of a functional model. shape: of one example."""
    sizes: Sizes = (batch_size, *shape)
    if None in sizes[1:]:
        raise ValueError(f"Input: {sizes}: only the batch size may be None")
    return Symbol(sizes, default_float() if dtype is None else dtype, name or "input")


def among(args: tuple[Any, ...], keywords: dict[str, Any]) -> bool:
    """Whether any argument is a Symbol, also inside lists."""
    for value in (*args, *keywords.values()):
        if isinstance(value, Symbol):
            return True
        if isinstance(value, list | tuple) and any(isinstance(v, Symbol) for v in value):
            return True
    return False


def record(function: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """What the function gives, as Symbols that remember the call."""
    leaves, spec = tree.flatten((args, keywords))
    name = str(getattr(function, "name", getattr(function, "__name__", "call")))
    trace = Trace(name)
    with trace.active():
        filled = [trace.argument(x.name, x.type) if isinstance(x, Symbol) else x for x in leaves]
        given, named = tree.unflatten(spec, filled)
        result = function(*given, **named)
        outputs, out_spec = tree.flatten(result)
        nodes = [trace.array(x).node for x in outputs]
    made = Graph(
        name, tuple(trace.inputs + trace.captured_nodes), tuple(nodes), (None,) * len(nodes)
    )
    batch = next((x.type.shape[0] for x in leaves if isinstance(x, Symbol)), 1)
    call = Call(function, args, keywords, flops_of(made) // max(batch, 1))
    symbols = [Symbol(sizes(node.shape), node.dtype, name, call, i) for i, node in enumerate(nodes)]
    return tree.unflatten(out_spec, symbols)


def sizes(shape: tuple[int, ...]) -> Sizes:
    return tuple(None if n == _SOME_BATCH else n for n in shape)


_FREE = {
    "input", "full", "iota", "reshape", "transpose", "broadcast", "slice", "reverse", "item",
    "stop_gradient",
}  # fmt: skip


def flops_of(graph: Graph) -> int:
    """Additions and multiplications: two per product that is summed, one per other element.

    A scan's body counts for each turn.
    """
    total = 0
    for node in graph.nodes():
        if node.op in _FREE:
            continue
        if node.op == "scan":
            total += Scan.of(node).length * flops_of(Scan.of(node).body)
            continue
        total += node.type.size * (2 * _summed(node) if node.op in ("dot_general", "conv") else 1)
    return total


def _summed(node: Any) -> int:
    """How many products one element of a dot or a convolution adds up."""
    left, right = node.inputs[:2]
    if node.op == "conv":
        return right.type.size // max(right.shape[-1] * right.shape[-3], 1)
    return prod(left.shape[d] for d in node.attrs["contract"][0])
