"""The table of host functions: each a row, as primitives are, but run by Python.

`host_call` (ir/primitives/host.py) is the one primitive that names them. A graph holds the name
alone, so what is compiled from it, in this process or an earlier one, is bound to whatever function
has the name now.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tracejit.ir.graph import Array, Node
from tracejit.ir.lanes import Lanes
from tracejit.ir.types import TensorType

Types = tuple[TensorType, ...]
Nodes = tuple[Node, ...]


@dataclass(frozen=True, slots=True, eq=False)
class HostFunction:
    """One function that NumPy or the user computes, with all its rules. It may have many results.

    infer(*types, **attrs) -> the types of the results; raises ShapeError or DTypeError.
    eval(*arrays, **attrs) -> the results: what runs, from the interpreter and from compiled code.
    It must not change an operand, nor keep one. What it raises, the call of the step raises.
    vjp(cotangents, results, *inputs, **attrs) -> one cotangent per input, None where there is none.
    Cotangents of results that nobody differentiates are zeros. None instead of a rule: an error
    where a derivative is asked for.
    batch(lanes, **attrs) -> the results of all lanes. None: one call that loops over them.
    """

    name: str
    infer: Callable[..., Types]
    eval: Callable[..., tuple[Array, ...]]
    vjp: Callable[..., tuple[Node | None, ...]] | None
    batch: Callable[..., Nodes] | None


HOST: dict[str, HostFunction] = {}


def host_function(
    name: str,
    infer: Callable[..., Types],
    eval: Callable[..., tuple[Array, ...]],
    vjp: Callable[..., tuple[Node | None, ...]] | None,
    batch: Callable[[Lanes], Nodes] | Callable[..., Nodes] | None = None,
) -> HostFunction:
    """Adds one row to the table of host functions."""
    if name in HOST:
        raise ValueError(f"host function {name!r} is defined twice")
    row = HOST[name] = HostFunction(name, infer, eval, vjp, batch)
    return row
