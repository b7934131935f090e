"""custom_vjp, and checkpoint, which is one: the derivative that computes the function again."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Sequence
from typing import Any

from tracejit import tree
from tracejit.errors import GradError
from tracejit.functions import live
from tracejit.ir.autodiff import gradients
from tracejit.ir.batching import Backward
from tracejit.ir.copying import transplanted
from tracejit.ir.graph import Node, dependencies
from tracejit.ir.types import is_float
from tracejit.lowering import cast
from tracejit.source import here
from tracejit.trace import Trace, current_trace
from tracejit.tracer import Tracer
from tracejit.transform import function_name
from tracejit.variable import Variable


class custom_vjp:
    """A function whose derivative the user writes, as in JAX.

        @tj.custom_vjp
        def f(x, y): ...
        f.defvjp(fwd, bwd)

    fwd(x, y) -> (result, residuals). bwd(residuals, cotangent of the result) -> a tuple with one
    cotangent per argument, None where there is none. Arguments in nondiff_argnums go to fwd in
    their places and to bwd before the residuals. In a traced function fwd stands for f; what does
    not need the residuals never computes them. Arrays that f captures get no gradient through it.
    """

    def __init__(self, f: Callable[..., Any], nondiff_argnums: Sequence[int] = ()) -> None:
        functools.update_wrapper(self, f)
        self.__wrapped__: Callable[..., Any] = f
        self.nondiff = frozenset(nondiff_argnums)
        self.fwd: Callable[..., Any] | None = None
        self.bwd: Callable[..., Any] | None = None
        self._inside = threading.local()

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> None:
        self.fwd, self.bwd = fwd, bwd

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        trace = current_trace()
        if trace is None:
            return self.__wrapped__(*args, **keywords)
        if self.fwd is None or self.bwd is None:
            raise GradError(
                f"custom_vjp: {function_name(self)} has no derivative yet{here()};"
                " give it one with .defvjp(fwd, bwd)"
            )
        bound = inspect.signature(self.__wrapped__).bind(*args, **keywords)
        bound.apply_defaults()
        return self._traced(trace, list(bound.args), self.fwd)

    def _traced(self, trace: Trace, args: list[Any], fwd: Callable[..., Any]) -> Any:
        call = _Call(self, args)
        call.leaves = [trace.lift(v) if _is_traced(v) else v for v in call.leaves]
        operands = [v.node for v in call.leaves if isinstance(v, Tracer)]
        if getattr(self._inside, "fwd", False):
            # fwd may call f, as it does in JAX's examples. The rule of that call is for derivatives
            # of fwd itself: it asks fwd only when it is needed, or there would be no end.
            results, out_spec = tree.flatten(self.__wrapped__(*call.args(call.leaves)))
            residuals = operands
            backward = call.backward_from_arguments(out_spec)
        else:
            (result, kept) = self._forward(fwd, call.args(call.leaves))
            results, out_spec = tree.flatten(result)
            residuals = [v.node for v in tree.leaves(kept) if isinstance(v, Tracer)]
            backward = call.backward(kept, out_spec)
        nodes = [trace.array(v).node for v in results]
        fresh = trace.builder.attach(nodes, operands, residuals, backward)
        return tree.unflatten(out_spec, [trace.wrap(n) for n in fresh])

    def _forward(self, fwd: Callable[..., Any], args: list[Any]) -> tuple[Any, Any]:
        before = getattr(self._inside, "fwd", False)
        self._inside.fwd = True
        try:
            both = fwd(*args)
        finally:
            self._inside.fwd = before
        if not (isinstance(both, tuple) and len(both) == 2):
            raise GradError(
                f"custom_vjp: fwd of {function_name(self)} must return (result, residuals), not"
                f" {type(both).__name__}{here()}"
            )
        return both


class _Call:
    """One call of a custom_vjp in a trace: its arguments, apart into leaves and what is static."""

    def __init__(self, function: custom_vjp, args: list[Any]) -> None:
        self.function = function
        self.given = args
        self.smooth = [i for i in range(len(args)) if i not in function.nondiff]
        self.leaves, self.spec = tree.flatten([args[i] for i in self.smooth])

    def args(self, leaves: Sequence[Any]) -> list[Any]:
        """All arguments, with these leaves."""
        args = list(self.given)
        for i, value in zip(self.smooth, tree.unflatten(self.spec, leaves), strict=True):
            args[i] = value
        return args

    def backward(self, kept: Any, out_spec: tree.Spec) -> Backward:
        """The rule for the residuals `kept`; those that are no arrays are part of the rule."""
        leaves, spec = tree.flatten(kept)

        def rule(residuals: Sequence[Node], cotangents: Sequence[Node]) -> list[Node | None]:
            now = tree.unflatten(spec, _filled(leaves, residuals))
            return self._cotangents(now, tree.unflatten(out_spec, map(live().wrap, cotangents)))

        return rule

    def backward_from_arguments(self, out_spec: tree.Spec) -> Backward:
        def rule(residuals: Sequence[Node], cotangents: Sequence[Node]) -> list[Node | None]:
            fwd = self.function.fwd
            assert fwd is not None
            args = self.args(_filled(self.leaves, residuals))
            _, kept = self.function._forward(fwd, args)
            return self._cotangents(kept, tree.unflatten(out_spec, map(live().wrap, cotangents)))

        return rule

    def _cotangents(self, residuals: Any, cotangent: Any) -> list[Node | None]:
        """bwd's answer as one node per traced argument, None where there is none."""
        bwd = self.function.bwd
        assert bwd is not None
        before = [self.given[i] for i in sorted(self.function.nondiff)]
        found = bwd(*before, residuals, cotangent)
        values = _by_leaf(found, tree.unflatten(self.spec, self.leaves))
        return [
            _fitting(live(), value, leaf)
            for value, leaf in zip(values, self.leaves, strict=True)
            if isinstance(leaf, Tracer)
        ]


def _is_traced(value: Any) -> bool:
    return isinstance(value, Tracer | Variable)


def _filled(leaves: Sequence[Any], nodes: Sequence[Node]) -> list[Any]:
    """The leaves with those that were traced replaced, in order."""
    fresh = iter(nodes)
    return [live().wrap(next(fresh)) if isinstance(v, Tracer) else v for v in leaves]


def _by_leaf(found: Any, arguments: list[Any]) -> list[Any]:
    """What bwd returned, leaf by leaf of the arguments; None spreads over a whole argument."""
    found = tuple(found) if isinstance(found, list) else found
    if not isinstance(found, tuple) or len(found) != len(arguments):
        given = f"{len(found)} of them" if isinstance(found, tuple) else type(found).__name__
        raise GradError(
            f"custom_vjp: bwd must return a tuple of {len(arguments)} cotangents, one per"
            f" argument, not {given}{here()}"
        )
    out: list[Any] = []
    for value, argument in zip(found, arguments, strict=True):
        leaves, spec = tree.flatten(argument)
        if value is None:
            out += [None] * len(leaves)
            continue
        parts, given_spec = tree.flatten(value)
        if given_spec != spec:
            raise GradError(f"custom_vjp: bwd returned {given_spec} for an argument {spec}{here()}")
        out += parts
    return out


def _fitting(trace: Trace, value: Any, leaf: Tracer) -> Node | None:
    if value is None or not is_float(leaf.dtype):
        return None
    node = trace.lift(value).node
    if node.shape != leaf.shape:
        raise GradError(
            f"custom_vjp: bwd returned {node.type} as cotangent of {leaf.node.type}{here()}"
        )
    return cast(node, leaf.dtype)


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """f, whose intermediate values are not kept for the backward sweep but computed again.

    As `jax.checkpoint`: the same values and gradients, less memory, more work. In a compiled step
    only: define by run keeps every value.

    The second computation starts from barriers, copies that no pass merges with their originals;
    else common subexpressions would be found again, and the first values kept for both.
    """

    @functools.wraps(f)
    def wrapped(*args: Any, **keywords: Any) -> Any:
        trace = current_trace()
        if trace is None:
            return f(*args, **keywords)
        start = trace.builder.made()
        results, spec = tree.flatten(f(*args, **keywords))
        inside = trace.builder.made_since(start)
        made = {v.node for v in results if isinstance(v, Tracer)} & inside
        outputs = [
            n for n in dict.fromkeys(v.node for v in results if isinstance(v, Tracer)) if n in made
        ]
        if not outputs:
            return tree.unflatten(spec, results)
        border = _border(outputs, inside)
        fresh = trace.builder.attach(
            outputs, [n for n in border if is_float(n.dtype)], border, _again(outputs, border)
        )
        new = dict(zip(outputs, fresh, strict=True))
        return tree.unflatten(
            spec,
            [
                trace.wrap(new.get(v.node, v.node), v.weak) if isinstance(v, Tracer) else v
                for v in results
            ],
        )

    return wrapped


def _border(outputs: Sequence[Node], inside: set[Node]) -> list[Node]:
    """What the nodes inside read from outside."""
    seen, stack = set(outputs), list(outputs)
    border: dict[Node, None] = {}
    while stack:
        for operand in dependencies(stack.pop()):
            if operand not in inside:
                border[operand] = None
            elif operand not in seen:
                seen.add(operand)
                stack.append(operand)
    return list(border)


def _again(outputs: Sequence[Node], border: Sequence[Node]) -> Callable[..., list[Node]]:
    """The backward rule that computes `outputs` again from the values on the border."""
    # A barrier copies: those on activations are enough, the weights they meet need none.
    computed = [not _is_input(n) for n in border]
    apart = computed if any(computed) else [True] * len(border)

    def backward(residuals: Sequence[Node], cotangents: Sequence[Node]) -> list[Node]:
        builder = live().builder
        starts = {
            node: builder.barrier(now) if is_apart and node.op != "full" else now
            for node, now, is_apart in zip(border, residuals, apart, strict=True)
        }
        outs = transplanted(builder, outputs, starts)
        # Independent: what a layer reads may itself be computed from a weight that it also reads,
        # and that path is for the sweep outside.
        wrt = [n for b, n in starts.items() if is_float(b.dtype)]
        return gradients(outs, cotangents, wrt, independent=True)

    return backward


def _is_input(node: Node) -> bool:
    while node.op in ("mark", "cast", "transpose", "reshape"):
        node = node.inputs[0]
    return node.op in ("input", "full", "iota")
