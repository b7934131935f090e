"""grad and value_and_grad. Under `jit` they add to the trace; elsewhere they run at once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tracejit import tree
from tracejit.errors import GradError
from tracejit.ir import ops
from tracejit.ir.autodiff import gradients
from tracejit.ir.graph import Node
from tracejit.ir.interpreter import OnValue
from tracejit.ir.types import is_float
from tracejit.source import here, user_loc
from tracejit.trace import EagerTrace, Trace, current_trace, strengthen
from tracejit.tracer import Tracer
from tracejit.variable import Variable


def value_and_grad(
    f: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    wrt: Sequence[Variable] | None = None,
) -> Callable[..., Any]:
    """A function that gives (f(...), gradient of f), as in JAX.

    argnums: the position, or positions, of the arguments to differentiate by; pytrees of floats.
    has_aux: f gives (loss, aux), and the result is ((loss, aux), gradient).
    wrt: Variables to differentiate by instead of arguments; the gradient is a list.
    Raises GradError where the loss is no scalar float, or an argument no float.
    """

    @functools.wraps(f)
    def wrapped(*args: Any, **keywords: Any) -> Any:
        with tracing(f"grad of {function_name(f)}") as (trace, outermost):
            if wrt is None:
                variables, marks, call = by_arguments("grad", trace, f, args, keywords, argnums)
            else:
                variables, marks, call = _by_variables(trace, f, args, keywords, wrt)
            result = call()
            loss, aux = split_aux("grad", f, result, has_aux)
            node = _loss_node(trace, f, loss)
            with trace.builder.at(user_loc()):
                seed = ops.ones_like(node)
            found = gradients([node], [seed], [m.node for m in marks])
            weak = [m.weak for m in marks]
            leaves = [trace.wrap(g, w) for g, w in zip(found, weak, strict=True)]
            value = trace.wrap(node)
            out = ((value, aux) if has_aux else value, tree.unflatten(variables, leaves))
            return concrete(trace, out) if outermost else out

    return wrapped


def grad(
    f: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    wrt: Sequence[Variable] | None = None,
) -> Callable[..., Any]:
    """The gradient of a scalar function; (gradient, aux) with has_aux. See `value_and_grad`."""
    both = value_and_grad(f, argnums, has_aux, wrt)

    @functools.wraps(f)
    def wrapped(*args: Any, **keywords: Any) -> Any:
        value, gradient = both(*args, **keywords)
        return (gradient, value[1]) if has_aux else gradient

    return wrapped


@contextmanager
def tracing(name: str, on_value: OnValue | None = None) -> Iterator[tuple[Trace, bool]]:
    """The current trace and False, or a define-by-run one for the block and True."""
    trace = current_trace()
    if trace is not None:
        yield trace, False
        return
    fresh = EagerTrace(name, on_value)
    with fresh.active():
        yield fresh, True
        fresh.write_back()


def concrete(trace: Trace, result: Any) -> Any:
    """The result of a define-by-run trace, in arrays."""
    assert isinstance(trace, EagerTrace)
    return tree.map(lambda x: trace.result(x) if isinstance(x, Tracer) else x, result)


_Plan = tuple[tree.Spec, list[Tracer], Callable[[], Any]]


def by_arguments(
    op: str, trace: Trace, f: Any, args: tuple[Any, ...], keywords: dict[str, Any], argnums: Any
) -> _Plan:
    """The structure of the chosen arguments, a variable for each leaf, the call of f on them."""
    positions = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for position in positions:
        if not -len(args) <= position < len(args):
            raise GradError(
                f"{op}: {function_name(f)} was called with {len(args)} positional arguments,"
                f" argnums asks for {position}{here()}; pass that argument by position"
            )
    chosen = [args[p] for p in positions]
    leaves, spec = tree.flatten(chosen[0] if isinstance(argnums, int) else tuple(chosen))
    paths = tree.paths(tuple(chosen))
    marks = [_mark(op, trace, leaf, positions, p) for leaf, p in zip(leaves, paths, strict=True)]
    filled = tree.unflatten(spec, marks)
    new = list(args)
    for position, value in zip(
        positions, (filled,) if isinstance(argnums, int) else filled, strict=True
    ):
        new[position] = value
    return spec, marks, lambda: f(*new, **keywords)


def _mark(
    op: str, trace: Trace, leaf: Any, positions: tuple[int, ...], path: tuple[Any, ...]
) -> Tracer:
    """A fresh variable to differentiate by, equal to the leaf."""
    label = f"argument {positions[path[0]]}{tree.path_text(path[1:])}"
    if type(leaf) in (int, bool):
        raise GradError(
            f"{op}: {label} is a Python {type(leaf).__name__}; gradients are of floats{here()}:"
            f" pass {float(leaf)}, or leave it out of argnums"
        )
    tracer = trace.lift(leaf)
    if not is_float(tracer.dtype):
        raise GradError(
            f"{op}: {label} is {tracer.node.type}; gradients are of floats{here()}: cast it with"
            " .astype(np.float32), or leave it out of argnums"
        )
    return trace.wrap(trace.builder.mark(tracer.node), tracer.weak)


def _by_variables(
    trace: Trace, f: Any, args: tuple[Any, ...], keywords: dict[str, Any], wrt: Any
) -> _Plan:
    """Marks stand in the Variables while f runs; what f assigns stays."""
    variables = list(wrt)
    for variable in variables:
        if not is_float(variable.dtype):
            raise GradError(
                f"grad: variable {variable.name!r} is {variable.type}; gradients are of floats"
                f"{here()}"
            )
    cells = [trace.cell(v) for v in variables]
    before = [c.now for c in cells]
    marks = [trace.wrap(trace.builder.mark(c.now.node)) for c in cells]

    def call() -> Any:
        for cell, mark in zip(cells, marks, strict=True):
            cell.now = mark
        try:
            return f(*args, **keywords)
        finally:
            for cell, mark, old in zip(cells, marks, before, strict=True):
                if cell.now is mark:
                    cell.now = old

    return tree.structure(variables), marks, call


def split_aux(op: str, f: Any, result: Any, has_aux: bool) -> tuple[Any, Any]:
    """What f returned, as (result, aux)."""
    if not has_aux:
        return result, None
    if not (isinstance(result, tuple) and len(result) == 2):
        raise GradError(
            f"{op}: has_aux=True, so {function_name(f)} must return (loss, aux), not"
            f" {type(result).__name__}{here()}"
        )
    return result[0], result[1]


def _loss_node(trace: Trace, f: Any, loss: Any) -> Node:
    if isinstance(loss, tuple | list | dict) or loss is None:
        kind = type(loss).__name__
        raise GradError(
            f"grad: {function_name(f)} returned a {kind}; the loss must be one scalar{here()}."
            " Return (loss, aux) with has_aux=True for more"
        )
    node = strengthen(trace.lift(loss))
    if node.shape != () or not is_float(node.dtype):
        made = f", made at {node.loc}" if node.loc else ""
        raise GradError(
            f"grad: {function_name(f)} returned {node.type}{made}; the loss must be a scalar float"
            f"{here()}: reduce it with .mean() or .sum()"
        )
    return node


def stop_gradient(x: Any) -> Any:
    """x, as a constant to differentiation. Takes a pytree."""
    trace = current_trace()

    def stop(leaf: Any) -> Any:
        if trace is None or not isinstance(leaf, Tracer | Variable):
            return leaf
        tracer = trace.lift(leaf)
        return trace.wrap(ops.stop_gradient(tracer.node), tracer.weak)

    return tree.map(stop, x)


def function_name(f: Any) -> str:
    return str(getattr(f, "__name__", type(f).__name__))
