"""vjp, jvp, jacobian and hessian. All in reverse mode: a jvp is the vjp of a vjp."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from tracejit import tree
from tracejit.errors import GradError
from tracejit.ir import ops
from tracejit.ir.autodiff import gradients, pushed
from tracejit.ir.batching import batched, in_lanes
from tracejit.ir.copying import copied
from tracejit.ir.graph import Node
from tracejit.ir.types import I64, TensorType, is_float
from tracejit.lowering import cast, emit
from tracejit.source import here, user_loc
from tracejit.trace import EagerTrace, Trace, current_trace, strengthen
from tracejit.transform import by_arguments, concrete, function_name, split_aux, tracing


def vjp(f: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """(f(*primals), pullback), and aux third with has_aux, as in JAX.

    pullback(cotangents) takes the structure of the result and gives one cotangent per primal, in a
    tuple; None for one that is no float. It may be called often, also after the trace has ended.
    """
    with tracing(f"vjp of {function_name(f)}") as (trace, outermost):
        marks, rebuilt = _marked(trace, primals)
        result, aux = split_aux("vjp", f, f(*rebuilt), has_aux)
        outputs, out_spec = _flat_output(trace, result)
        kept = (tree.unflatten(out_spec, [trace.wrap(n) for n in outputs]), aux)
        value, aux = concrete(trace, kept) if outermost else kept

    def pullback(cotangents: Any) -> Any:
        given, spec = tree.flatten(cotangents)
        if spec != out_spec:
            raise GradError(
                f"vjp: {function_name(f)} gave {out_spec}, the cotangents are {spec}{here()};"
                " they must have the structure of the result"
            )
        now = current_trace()
        if now is None and isinstance(trace, EagerTrace):
            with trace.active():
                return concrete(trace, _pulled(trace, outputs, marks, given))
        if now is trace:
            return _pulled(trace, outputs, marks, given)
        if now is None or not isinstance(trace, EagerTrace):
            raise GradError(f"vjp: the pullback was called outside the trace it is part of{here()}")
        moved, moved_marks = _moved(trace, outputs, marks, now)
        return _pulled(now, moved, moved_marks, given)

    return (value, pullback, aux) if has_aux else (value, pullback)


_Marks = list[tuple[tree.Spec, list[Node | None]]]


def _marked(trace: Trace, primals: Sequence[Any]) -> tuple[_Marks, list[Any]]:
    """For each primal fresh variables in place of its floats; and the primals with them inside."""
    marks: _Marks = []
    rebuilt = []
    for primal in primals:
        leaves, spec = tree.flatten(primal)
        nodes: list[Node | None] = []
        new = []
        for leaf in leaves:
            tracer = trace.lift(leaf)
            smooth = is_float(tracer.dtype)
            node = trace.builder.mark(tracer.node) if smooth else None
            nodes.append(node)
            new.append(leaf if node is None else trace.wrap(node, tracer.weak))
        marks.append((spec, nodes))
        rebuilt.append(tree.unflatten(spec, new))
    return marks, rebuilt


def _flat_output(trace: Trace, result: Any) -> tuple[list[Node], tree.Spec]:
    leaves, spec = tree.flatten(result)
    return [strengthen(trace.lift(leaf)) for leaf in leaves], spec


def _pulled(trace: Trace, outputs: Sequence[Node], marks: _Marks, given: Sequence[Any]) -> Any:
    trace.builder.loc = user_loc()
    cotangents = [
        _like(trace, "vjp", "cotangent", g, n) for g, n in zip(given, outputs, strict=True)
    ]
    wrt = [n for _, nodes in marks for n in nodes if n is not None]
    found = iter(gradients(*_smooth(outputs, cotangents), wrt))
    return tuple(
        tree.unflatten(spec, [None if n is None else trace.wrap(next(found)) for n in nodes])
        for spec, nodes in marks
    )


def _smooth(outputs: Sequence[Node], others: Sequence[Node]) -> tuple[list[Node], list[Node]]:
    """The outputs that are floats, and what belongs to them."""
    pairs = [(n, o) for n, o in zip(outputs, others, strict=True) if is_float(n.dtype)]
    return [n for n, _ in pairs], [o for _, o in pairs]


def _like(trace: Trace, op: str, what: str, value: Any, node: Node) -> Node:
    """A tangent or cotangent of `node`; raises GradError where its shape is another."""
    if not is_float(node.dtype):
        return node
    given = trace.lift(value).node
    if given.shape != node.shape:
        raise GradError(f"{op}: the {what} {given.type} does not fit {node.type}{here()}")
    return cast(given, node.dtype)


def _moved(
    trace: EagerTrace, outputs: Sequence[Node], marks: _Marks, to: Trace
) -> tuple[list[Node], _Marks]:
    """What was traced define by run, as part of another trace: the primals are constants there."""

    def captured(node: Node) -> Node:
        value = node.scalar()
        if value is not None:
            return to.builder.full(value, node.type)
        return to.capture(trace.builder.values[node]).node

    to.builder.loc = user_loc()
    new = {n: to.builder.mark(captured(n)) for _, nodes in marks for n in nodes if n is not None}
    outs = copied(to.builder, outputs, new, captured)
    return outs, [(spec, [n if n is None else new[n] for n in nodes]) for spec, nodes in marks]


def jvp(
    f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False
) -> tuple[Any, ...]:
    """(f(*primals), its derivative along the tangents), and aux third with has_aux, as in JAX.

    tangents: one per primal, of its structure and shapes; that of an integer is ignored.
    """
    if not isinstance(primals, tuple | list) or not isinstance(tangents, tuple | list):
        raise GradError(f"jvp: primals and tangents are tuples, one entry per argument{here()}")
    if tree.structure(tuple(primals)) != tree.structure(tuple(tangents)):
        raise GradError(f"jvp: primals and tangents differ in structure{here()}")
    with tracing(f"jvp of {function_name(f)}") as (trace, outermost):
        marks, rebuilt = _marked(trace, primals)
        result, aux = split_aux("jvp", f, f(*rebuilt), has_aux)
        outputs, spec = _flat_output(trace, result)
        trace.builder.loc = user_loc()
        wrt, along = [], []
        flat = [n for _, nodes in marks for n in nodes]
        for node, tangent in zip(flat, tree.leaves(tuple(tangents)), strict=True):
            if node is not None:
                wrt.append(node)
                along.append(_like(trace, "jvp", "tangent", tangent, node))
        moved = iter(pushed([n for n in outputs if is_float(n.dtype)], wrt, along))
        ends = [next(moved) if is_float(n.dtype) else ops.zeros_like(n) for n in outputs]
        out = (
            tree.unflatten(spec, [trace.wrap(n) for n in outputs]),
            tree.unflatten(spec, [trace.wrap(n) for n in ends]),
            *((aux,) if has_aux else ()),
        )
        return concrete(trace, out) if outermost else out


def jacobian(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """All first derivatives, as `jax.jacrev`: for each leaf of the result the structure of the
    arguments, with arrays [*result.shape, *argument.shape].

    Backward, one lane per element of the result; forward, one lane per element of the arguments,
    where those are fewer.
    """

    @functools.wraps(f)
    def wrapped(*args: Any, **keywords: Any) -> Any:
        with tracing(f"jacobian of {function_name(f)}") as (trace, outermost):
            spec, marks, call = by_arguments("jacobian", trace, f, args, keywords, argnums)
            result, aux = split_aux("jacobian", f, call(), has_aux)
            outputs, out_spec = _flat_output(trace, result)
            for node in outputs:
                if not is_float(node.dtype):
                    raise GradError(
                        f"jacobian: {function_name(f)} returned {node.type}; derivatives are of"
                        f" floats{here()}: return it as aux with has_aux=True"
                    )
            trace.builder.loc = user_loc()
            wrt = [m.node for m in marks]
            rows, columns = _size(outputs), _size(wrt)
            blocks = (_backward if rows <= columns else _forward)(outputs, wrt)
            leaves = [tree.unflatten(spec, [trace.wrap(b) for b in row]) for row in blocks]
            table = tree.unflatten(out_spec, leaves)
            out = (table, aux) if has_aux else table
            return concrete(trace, out) if outermost else out

    return wrapped


def hessian(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """All second derivatives, as in JAX: the jacobian of the jacobian."""
    return jacobian(jacobian(f, argnums, has_aux), argnums, has_aux)


def _size(nodes: Sequence[Node]) -> int:
    return sum(n.type.size for n in nodes)


def _basis(nodes: Sequence[Node]) -> list[Node]:
    """The unit vectors of all elements of all nodes: for each node [total, *shape]."""
    total, parts = _size(nodes), []
    starts = accumulate((n.type.size for n in nodes), initial=0)
    for node, start in zip(nodes, starts, strict=False):
        shape = (total, node.type.size)
        row, column = (ops.iota(node.builder, shape, axis, I64) for axis in (0, 1))
        one = ops.cast(emit("eq", row, column + start), node.dtype)
        parts.append(ops.reshape(one, (total, *node.shape)))
    return parts


def _cut(table: Node, nodes: Sequence[Node]) -> list[Node]:
    """[total, ...] in pieces [size of node, ...]."""
    starts = accumulate((n.type.size for n in nodes), initial=0)
    rest = table.shape[1:]
    return [
        ops.slice(table, (at, *(0 for _ in rest)), (at + n.type.size, *rest))
        for n, at in zip(nodes, starts, strict=False)
    ]


def _backward(outputs: Sequence[Node], wrt: Sequence[Node]) -> list[list[Node]]:
    """blocks[i][j]: the derivative of output i by variable j."""
    total = _size(outputs)
    lanes = {_placeholder(n): basis for n, basis in zip(outputs, _basis(outputs), strict=True)}
    pulled = gradients(outputs, list(lanes), wrt)
    known = batched(pulled, lanes, total)
    tables = [_cut(in_lanes(g, known, total), outputs) for g in pulled]
    return [
        [ops.reshape(t[i], (*out.shape, *x.shape)) for t, x in zip(tables, wrt, strict=True)]
        for i, out in enumerate(outputs)
    ]


def _forward(outputs: Sequence[Node], wrt: Sequence[Node]) -> list[list[Node]]:
    total = _size(wrt)
    lanes = {_placeholder(n): basis for n, basis in zip(wrt, _basis(wrt), strict=True)}
    ends = pushed(outputs, wrt, list(lanes))
    known = batched(ends, lanes, total)
    blocks = []
    for out, end in zip(outputs, ends, strict=True):
        pieces = _cut(in_lanes(end, known, total), wrt)
        last = [ops.transpose(p, (*range(1, p.ndim), 0)) for p in pieces]
        blocks.append(
            [ops.reshape(p, (*out.shape, *x.shape)) for p, x in zip(last, wrt, strict=True)]
        )
    return blocks


def _placeholder(node: Node) -> Node:
    return node.builder.placeholder("direction", TensorType(node.shape, node.dtype))
