"""scan, map, fori_loop, while_loop, cond, switch: control flow as in `jax.lax`.

Define by run they are Python loops and branches, whose values can be seen. Under `jit` bodies are
traced and become loops inside the program. A body may read anything around it, and may assign to
Variables, which are then carried from turn to turn; it is traced again when that is found out, or
when a carry that starts as a Python number turns out to become an array.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.body import Body, trace_body
from tracejit.carries import Kind, kind_of, settle, settled_body, united
from tracejit.errors import ShapeError, UnsupportedError
from tracejit.ir import ops
from tracejit.ir.graph import PRIMITIVES, Node
from tracejit.ir.loops import Scan, scan_items
from tracejit.ir.types import BOOL, I32, I64, is_integer
from tracejit.lowering import cast
from tracejit.source import here, user_loc
from tracejit.trace import Trace, current_trace, strengthen
from tracejit.tracer import Tracer
from tracejit.transform import function_name
from tracejit.variable import Variable


def scan(
    f: Callable[[Any, Any], Any],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int = 1,
) -> tuple[Any, Any]:
    """(carry, y) = f(carry, x) for each x along the first axis of xs; gives (carry, ys stacked).

    init, xs, carry and y are pytrees. length: how many turns; needed where xs is None.
    reverse: from the last x to the first; each y stands where its x stood. unroll: JAX's; here the
    compiler decides, and nothing depends on it.
    Raises ShapeError or DTypeError where a carry changes its structure, shape or dtype.
    """
    leaves, spec = tree.flatten(xs)
    turns = _length(leaves, length)
    trace = current_trace()
    if (trace is None or trace.eager) and turns:
        return _scan_values(f, init, leaves, spec, turns, reverse)
    if trace is None:
        return _no_turns(f, init, xs)
    trace.builder.loc = user_loc()
    mapped = [(trace.array(x).node, False) for x in leaves]
    return _scan_traced(trace, f, init, mapped, spec, turns, reverse)


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """f of each element along the first axis of xs, one after another; the results stacked."""
    return scan(lambda _, x: (None, f(x)), None, xs)[1]


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """value = body_fun(i, value) for i from lower to upper - 1.

    With bounds that are Python ints it is a scan, and has a gradient; else a while_loop.
    """
    trace = current_trace()
    if not (_is_static(lower) and _is_static(upper)):
        return _fori_dynamic(lower, upper, body_fun, init_val)
    turns = range(int(lower), int(upper))
    if trace is None or trace.eager:
        value = init_val
        for i in turns:
            value = settle("fori_loop", body_fun, value, body_fun(i, value))
        return value
    trace.builder.loc = user_loc()
    index = ops.iota(trace.builder, (len(turns),), 0, I64) + turns.start
    spec = tree.structure(0)

    def turn(value: Any, i: Any) -> tuple[Any, None]:
        return body_fun(i, value), None

    turn.__name__ = function_name(body_fun)
    return _scan_traced(trace, turn, init_val, [(index, True)], spec, len(turns), False)[0]


def while_loop(
    cond_fun: Callable[[Any], Any],
    body_fun: Callable[[Any], Any],
    init_val: Any,
    max_steps: int | None = None,
) -> Any:
    """value = body_fun(value) as long as cond_fun(value); cond_fun gives one bool.

    max_steps: turns after which it ends in any case. A while_loop has forward derivatives (jvp);
    one with max_steps has gradients too, and keeps what they need of max_steps turns.
    """
    value, done = init_val, 0
    trace = current_trace()
    while trace is None or trace.eager:
        goes = _known(cond_fun(value), "while_loop: the condition")
        if goes is None:  # under vmap: only the graph can say it
            break
        if not goes or done == max_steps:
            return value
        value, done = settle("while_loop", body_fun, value, body_fun(value)), done + 1
    assert trace is not None
    if max_steps is None:
        return _while_traced(trace, cond_fun, body_fun, value)

    def turn(value: Any, _: Any) -> tuple[Any, None]:
        return cond(cond_fun(value), body_fun, lambda same: same, value), None

    trace.builder.loc = user_loc()
    turn.__name__ = function_name(body_fun)
    return _scan_traced(trace, turn, value, [], tree.structure(None), max_steps - done, False)[0]


def cond(
    pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any
) -> Any:
    """true_fun(*operands) if pred else false_fun(*operands); only one of them runs.

    Both give the same structure, shapes and dtypes. To choose element by element: `tj.where`.
    """
    known = _known(pred, "cond: the predicate")
    if known is not None:
        return (true_fun if known else false_fun)(*operands)
    trace = current_trace()
    assert trace is not None
    trace.builder.loc = user_loc()
    index = ops.cast(cast(trace.lift(pred).node, BOOL), I32)
    return _cond_traced(trace, index, (false_fun, true_fun), operands)


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """branches[index](*operands); an index beyond them is clamped, as in JAX."""
    if not branches:
        raise UnsupportedError(f"switch: there are no branches{here()}")
    shape, value = np.shape(index), index
    if shape != () or not is_integer(kind_of(index).type.dtype):
        raise ShapeError(f"switch: the index is {kind_of(index).type}, not one integer{here()}")
    if not isinstance(index, Tracer | Variable) or _has_value(index):
        return branches[min(max(int(value), 0), len(branches) - 1)](*operands)
    trace = current_trace()
    assert trace is not None
    trace.builder.loc = user_loc()
    node = trace.lift(index).node
    last = ops.full_like(node, len(branches) - 1)
    clamped = ops.minimum(ops.maximum(node, ops.zeros_like(node)), last)
    return _cond_traced(trace, cast(clamped, I32), tuple(branches), operands)


# Values


def _is_static(bound: Any) -> bool:
    return isinstance(bound, int | np.integer) and not isinstance(bound, bool)


def _has_value(value: Any) -> bool:
    if isinstance(value, Variable):
        trace = current_trace()
        return trace is None or _has_value(trace.read(value))
    return not isinstance(value, Tracer) or value.has_value


def _known(pred: Any, what: str) -> bool | None:
    """The value of a predicate, None where only its type is known. Raises where it is no bool."""
    kind = kind_of(pred)
    if kind.type.shape != ():
        raise ShapeError(
            f"{what} is {kind.type}; it must be one bool{here()}: reduce it with .all() or .any(),"
            " or choose element by element with tj.where(pred, a, b)"
        )
    return bool(pred) if _has_value(pred) else None


def _length(leaves: Sequence[Any], length: int | None) -> int:
    shapes = [np.shape(x) for x in leaves]
    if () in shapes:
        raise ShapeError(f"scan: xs has a scalar{here()}; its leaves are walked along axis 0")
    sizes = {s[0] for s in shapes} | ({int(length)} if length is not None else set())
    if len(sizes) > 1:
        raise ShapeError(
            f"scan: the leaves of xs, and length, differ in size: {sorted(sizes)}{here()}"
        )
    if not sizes:
        raise ShapeError(f"scan: without xs it needs a length{here()}")
    return sizes.pop()


def _pair(f: Callable[..., Any], result: Any) -> tuple[Any, Any]:
    if not (isinstance(result, tuple) and len(result) == 2):
        raise UnsupportedError(
            f"scan: {function_name(f)} must return (carry, y), not {type(result).__name__}{here()}"
        )
    return result


def _scan_values(
    f: Callable[..., Any], init: Any, xs: list[Any], spec: tree.Spec, turns: int, reverse: bool
) -> tuple[Any, Any]:
    """The loop in Python."""
    carry, found = init, []
    for t in reversed(range(turns)) if reverse else range(turns):
        new, y = _pair(f, f(carry, tree.unflatten(spec, [x[t] for x in xs])))
        carry = settle("scan", f, carry, new)
        found.append(y)
    if reverse:
        found.reverse()
    return carry, tree.map(lambda *parts: np.stack(parts), found[0], *found[1:])


def _no_turns(f: Callable[..., Any], init: Any, xs: Any) -> tuple[Any, Any]:
    """A loop without turns, outside any trace: only a trace tells the types of its ys."""
    from tracejit.jit import make_graph

    specs: list[tree.Spec] = []

    def ys(xs: Any) -> Any:
        out = scan(f, init, xs, length=0)[1]
        specs.append(tree.structure(out))
        return out

    graph = make_graph(ys)(xs)
    empty = [np.zeros(n.shape, n.dtype) for n in graph.outputs]
    return init, tree.unflatten(specs[0], empty)


# Traces


def _scan_traced(
    trace: Trace,
    f: Callable[..., Any],
    init: Any,
    mapped: list[tuple[Node, bool]],
    spec: tree.Spec,
    turns: int,
    reverse: bool,
) -> tuple[Any, Any]:
    """mapped: what is walked, and whether its elements act as Python numbers."""
    loc = trace.builder.loc
    y_specs: list[tree.Spec] = []

    def call(carry: Any, xs: list[Tracer]) -> tuple[Any, list[Any]]:
        new, y = _pair(f, f(carry, tree.unflatten(spec, xs)))
        leaves, y_spec = tree.flatten(y)
        y_specs.append(y_spec)
        return new, leaves

    elements = [Kind(node.type.with_shape(node.shape[1:]), weak=weak) for node, weak in mapped]
    settled = settled_body(trace, "scan", f, init, elements, call)
    trace.builder.loc = loc
    body, count = settled.body, len(settled.kinds)
    carries = [*body.state, *settled.cast_results()]
    with body.trace.builder.at(loc):
        ys = [strengthen(y) for y in body.results[count:]]
    parts = Scan(
        body.graph([*carries, *ys]),
        tuple(body.around),
        tuple(settled.inits(trace)),
        tuple(node for node, _ in mapped),
        turns,
        reverse,
    )
    last, stacked = scan_items(parts, trace.builder)
    carry = settled.finish(trace, last)
    return carry, tree.unflatten(y_specs[-1], [trace.wrap(y) for y in stacked])


def _while_traced(
    trace: Trace, cond_fun: Callable[..., Any], body_fun: Callable[..., Any], init: Any
) -> Any:
    trace.builder.loc = loc = user_loc()
    settled = settled_body(trace, "while_loop", body_fun, init, [], lambda c, _: (body_fun(c), []))
    body, spec = settled.body, settled.spec

    def check(carry: list[Tracer]) -> list[Any]:
        goes = cond_fun(tree.unflatten(spec, carry))
        _known(goes, "while_loop: the condition")
        return [goes]

    names = [(f"c{n}", k.type, k.weak) for n, k in enumerate(settled.kinds)]
    test = trace_body(trace, function_name(cond_fun), names, check, settled.variables)
    if test.trace.assigned():
        raise UnsupportedError(
            f"while_loop: {function_name(cond_fun)} assigns to a Variable{here()};"
            " the condition only reads, assign in the body"
        )
    trace.builder.loc = loc
    around = list(dict.fromkeys([*body.around, *test.around]))
    node = trace.builder.emit(
        PRIMITIVES["while_loop"],
        *around,
        *settled.inits(trace),
        test=test.graph([cast(test.results[0].node, BOOL)], around),
        body=body.graph([*body.state, *settled.cast_results()], around),
        consts=len(around),
    )
    return settled.finish(trace, ops.items(node))


def _fori_dynamic(lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init: Any) -> Any:
    def goes(state: Any) -> Any:
        return state[0] < upper

    def turn(state: Any) -> Any:
        i, value = state
        return i + 1, body_fun(i, value)

    turn.__name__ = function_name(body_fun)
    return while_loop(goes, turn, (lower, init))[1]


def _cond_traced(
    trace: Trace, index: Node, branches: Sequence[Callable[..., Any]], operands: Any
) -> Any:
    loc = trace.builder.loc
    leaves, spec = tree.flatten(operands)
    given = [trace.lift(v) for v in leaves]
    bodies, specs, variables = _branches(trace, branches, given, spec)
    trace.builder.loc = loc
    kinds = united([function_name(b) for b in branches], specs, bodies)
    around = list(dict.fromkeys(n for body in bodies for n in body.around))
    graphs = []
    for body in bodies:
        pairs = zip(body.results, kinds, strict=True)
        results = [cast(t.node, k.type.dtype) for t, k in pairs]
        graphs.append(body.graph([*body.state, *results], around))
    before = [trace.read(v).node for v in variables]
    if not graphs[0].outputs:
        return tree.unflatten(specs[0], [])
    nodes = (index, *around, *before, *(t.node for t in given))
    node = trace.builder.emit(PRIMITIVES["cond"], *nodes, branches=tuple(graphs))
    found = ops.items(node)
    for variable, result in zip(variables, found, strict=False):
        trace.put(variable, trace.wrap(result))
    values = zip(found[len(variables) :], kinds, strict=True)
    return tree.unflatten(specs[0], [trace.wrap(n, k.weak) for n, k in values])


def _branches(
    trace: Trace, branches: Sequence[Callable[..., Any]], given: list[Tracer], spec: tree.Spec
) -> tuple[list[Body], list[tree.Spec], list[Variable]]:
    """The branches traced, the structures that they give, and the Variables that one assigns."""
    names = [(f"x{n}", t.node.type, t.weak) for n, t in enumerate(given)]
    specs: list[tree.Spec] = []

    def calls(branch: Callable[..., Any]) -> Callable[[list[Tracer]], list[Any]]:
        def call(tracers: list[Tracer]) -> list[Any]:
            found, out_spec = tree.flatten(branch(*tree.unflatten(spec, tracers)))
            specs.append(out_spec)
            return found

        return call

    variables: list[Variable] = []
    while True:
        specs.clear()
        bodies = [trace_body(trace, function_name(b), names, calls(b), variables) for b in branches]
        every = dict.fromkeys([*variables, *(v for b in bodies for v in b.trace.assigned())])
        if len(every) == len(variables):
            return bodies, specs, variables
        variables = list(every)
