"""vmap: a function of one element as a function of many."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import optree

from tracejit import debug, tree
from tracejit.errors import ShapeError, UnsupportedError
from tracejit.functions import axis_of
from tracejit.ir import ops
from tracejit.ir.batching import batched, in_lanes
from tracejit.ir.graph import Node
from tracejit.source import here, user_loc
from tracejit.trace import Cell, Trace, strengthen
from tracejit.transform import concrete, function_name, tracing
from tracejit.variable import Variable


def vmap(
    f: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0, axis_size: int | None = None
) -> Callable[..., Any]:
    """f over an axis of its arguments, all elements at once, as in JAX.

    in_axes: the axis of each argument to map over, None for one that all share: one int for all,
    or a tuple with an entry, or a pytree of them, per argument. Keyword arguments are mapped over
    axis 0. out_axes: where the axis stands in each result; None: the result must not depend on it.
    f is traced once, without values: a branch on an element is an error, as under jit.
    """

    @functools.wraps(f)
    def wrapped(*args: Any, **keywords: Any) -> Any:
        name = function_name(f)
        with tracing(f"vmap of {name}") as (trace, outermost):
            trace.builder.loc = user_loc()
            trace.mapped = True
            leaves, spec = tree.flatten((args, keywords))
            axes = _argument_axes(name, in_axes, args, keywords)
            lanes, ones, size = _lanes(trace, name, leaves, axes, axis_size)
            positional, named = tree.unflatten(spec, ones)
            result = f(*positional, **named)
            trace.builder.loc = user_loc()
            values, out_spec = tree.flatten(result)
            tracers = [trace.lift(v) for v in values]
            nodes = [strengthen(t) for t in tracers]
            ends = _spread("out_axes", name, out_axes, result)
            assigned = [v for v in trace.cells.items() if v[1].assigned]
            known = batched([*nodes, *(c.now.node for _, c in assigned)], lanes, size)
            _assign(trace, name, assigned, known)
            moved = [
                trace.wrap(_placed(name, n, known, size, end))
                for n, end in zip(nodes, ends, strict=True)
            ]
            out = tree.unflatten(out_spec, moved)
            return concrete(trace, out) if outermost else out

    return wrapped


def _assign(
    trace: Trace, name: str, assigned: list[tuple[Variable, Cell]], known: dict[Node, Node]
) -> None:
    """What f assigned: the same value in all elements, or a count that debug.print keeps."""
    for variable, cell in assigned:
        if cell.now.node not in known:
            continue
        if variable is not debug.printed():
            raise UnsupportedError(
                f"vmap: {name} assigns a value per element to variable"
                f" {variable.name!r}{here()}; return it instead"
            )
        cell.now = trace.wrap(ops.reduce_max(known[cell.now.node], (0,)))


def _argument_axes(
    name: str, in_axes: Any, args: tuple[Any, ...], keywords: dict[str, Any]
) -> list[int | None]:
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    if isinstance(in_axes, tuple) and len(in_axes) != len(args):
        raise ValueError(
            f"vmap: in_axes has {len(in_axes)} entries, {name} was called with {len(args)}"
            f" positional arguments{here()}"
        )
    return [*_spread("in_axes", name, in_axes, args), *[0] * len(tree.leaves(keywords))]


def _spread(what: str, name: str, prefix: Any, value: Any) -> list[int | None]:
    """One axis per leaf of `value`; an int or None in `prefix` stands for all leaves below it."""
    if prefix is None or isinstance(prefix, int | np.integer):
        return [prefix if prefix is None else int(prefix)] * len(tree.leaves(value))
    try:
        parts = [
            optree.tree_flatten_one_level(x, namespace=tree.NAMESPACE)[0] for x in (prefix, value)
        ]
    except ValueError:
        parts = [[], [value]]
    if len(parts[0]) != len(parts[1]):
        raise ValueError(
            f"vmap: {what}={prefix!r} does not match the structure of {name}'s values{here()}"
        )
    return [axis for p, v in zip(*parts, strict=True) for axis in _spread(what, name, p, v)]


def _lanes(
    trace: Trace, name: str, leaves: list[Any], axes: list[int | None], axis_size: int | None
) -> tuple[dict[Node, Node], list[Any], int]:
    """placeholder -> all its values; the leaves with placeholders; how many values there are."""
    lanes: dict[Node, Node] = {}
    ones: list[Any] = []
    sizes: dict[int, str] = {} if axis_size is None else {axis_size: "axis_size"}
    for leaf, axis in zip(leaves, axes, strict=True):
        if axis is None:
            ones.append(leaf)
            continue
        tracer = trace.array(leaf)
        if not -tracer.ndim <= axis < tracer.ndim:
            raise ShapeError(
                f"vmap: an argument of {name} is {tracer.node.type} and has no axis {axis}"
                f"{here()}; in_axes=None shares it"
            )
        d = axis_of(tracer.ndim, axis)
        first = ops.transpose(tracer.node, (d, *(i for i in range(tracer.ndim) if i != d)))
        sizes.setdefault(first.shape[0], f"{tracer.node.type} over axis {axis}")
        one = trace.builder.placeholder("element", first.type.with_shape(first.shape[1:]))
        lanes[one] = first
        ones.append(trace.wrap(one))
    if len(sizes) != 1:
        reason = " and ".join(f"{n} ({of})" for n, of in sizes.items()) or "none"
        raise ShapeError(
            f"vmap: the mapped axes of {name} must have one size; they have {reason}{here()}"
        )
    return lanes, ones, next(iter(sizes))


def _placed(name: str, node: Node, known: dict[Node, Node], size: int, axis: int | None) -> Node:
    """The result of all elements, its axis where out_axes says."""
    if axis is None:
        if node in known:
            raise ValueError(
                f"vmap: out_axes=None for a result {node.type} of {name} that differs from element"
                f" to element{here()}"
            )
        return node
    every = in_lanes(node, known, size)
    order = list(range(1, every.ndim))
    order.insert(axis_of(every.ndim, axis), 0)
    return ops.transpose(every, order)
