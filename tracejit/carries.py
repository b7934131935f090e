"""What is handed from turn to turn of a loop: its structure and types stay the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.body import Body, trace_body
from tracejit.errors import ShapeError
from tracejit.ir.graph import Node
from tracejit.ir.types import (
    DType,
    DTypeError,
    TensorType,
    dtype_name,
    is_float,
    is_integer,
    type_of,
)
from tracejit.lowering import cast
from tracejit.source import here
from tracejit.trace import WEAK_DTYPES, Trace, current_trace
from tracejit.tracer import Tracer
from tracejit.transform import function_name
from tracejit.variable import Variable


@dataclass(frozen=True, slots=True)
class Kind:
    """A type, and whether it is that of a Python number, which takes the dtype of what it meets."""

    type: TensorType
    weak: bool


def kind_of(value: Any) -> Kind:
    if isinstance(value, Tracer):
        return Kind(value.node.type, value.weak)
    if isinstance(value, Variable):
        return Kind(value.type, False)
    if type(value) in WEAK_DTYPES:
        return Kind(TensorType((), WEAK_DTYPES[type(value)]), type(value) is not bool)
    return Kind(type_of(np.asarray(value)), False)


def _adopts(dtype: DType, weak: DType) -> bool:
    """Whether a Python number of this kind becomes that dtype without a loss."""
    return is_float(dtype) or (is_integer(dtype) and is_integer(weak))


def _met(before: Kind, after: Kind) -> Kind | None:
    """What a carry is in the end; None where it would have to change."""
    if before.type.shape != after.type.shape:
        return None
    if before == after:
        return before
    if before.weak:
        return after if _adopts(after.type.dtype, before.type.dtype) else None
    if after.weak:
        return before if _adopts(before.type.dtype, after.type.dtype) else None
    return None


def _changed(op: str, label: str, before: Kind, after: Kind) -> Exception:
    text = f"{op}: {label} starts as {before.type} and comes back as {after.type}{here()};"
    if before.type.shape != after.type.shape:
        return ShapeError(f"{text} a carry keeps its shape")
    name = np.dtype(before.type.dtype).name
    return DTypeError(
        f"{text} a carry keeps its dtype: cast what comes back with .astype({name!r}), or start"
        f" from {dtype_name(after.type.dtype)}"
    )


def _check_structure(op: str, f: Any, before: tree.Spec, after: tree.Spec) -> None:
    if before != after:
        raise ShapeError(
            f"{op}: {function_name(f)} is given a carry {before} and returns {after}{here()};"
            " a carry keeps its structure"
        )


def _labels(carry: Any) -> list[str]:
    return [f"carry{tree.path_text(path)}" for path in tree.paths(carry)]


def settle(op: str, f: Any, before: Any, after: Any) -> Any:
    """The carry after a turn in Python, checked against the one before."""
    old, spec = tree.flatten(before)
    new, new_spec = tree.flatten(after)
    _check_structure(op, f, spec, new_spec)
    out = []
    for label, a, b in zip(_labels(before), old, new, strict=True):
        was, now = kind_of(a), kind_of(b)
        met = _met(was, now)
        if met is None:
            raise _changed(op, label, was, now)
        if now.weak and not met.weak:
            b = current_or_numpy(b, met.type.dtype)
        out.append(b)
    return tree.unflatten(spec, out)


def current_or_numpy(number: Any, dtype: DType) -> Any:
    """A Python number, or a tracer of one, in a dtype."""
    trace = current_trace()
    if trace is None:
        return np.asarray(number, dtype)
    return trace.wrap(cast(trace.lift(number).node, dtype))


@dataclass(frozen=True, slots=True, eq=False)
class SettledBody:
    """A body whose carries come back as they start. kinds: of the carry's leaves."""

    body: Body
    spec: tree.Spec
    given: list[Tracer]
    kinds: list[Kind]
    variables: list[Variable]

    def inits(self, trace: Trace) -> list[Node]:
        """What the carries start from, Variables first."""
        first = [trace.read(v).node for v in self.variables]
        pairs = zip(self.given, self.kinds, strict=True)
        return [*first, *(cast(t.node, k.type.dtype) for t, k in pairs)]

    def cast_results(self) -> list[Node]:
        pairs = zip(self.body.results, self.kinds, strict=False)
        return [cast(t.node, k.type.dtype) for t, k in pairs]

    def finish(self, trace: Trace, last: Sequence[Node]) -> Any:
        """The last carry; the Variables hold theirs."""
        count = len(self.variables)
        for variable, node in zip(self.variables, last, strict=False):
            trace.put(variable, trace.wrap(node))
        pairs = zip(last[count:], self.kinds, strict=True)
        return tree.unflatten(self.spec, [trace.wrap(n, k.weak) for n, k in pairs])


def settled_body(
    trace: Trace,
    op: str,
    f: Any,
    init: Any,
    elements: Sequence[Kind],
    call: Callable[[Any, list[Tracer]], tuple[Any, list[Any]]],
) -> SettledBody:
    """Traces call(carry, elements) -> (carry, leaves of other results) until its types hold."""
    leaves, spec = tree.flatten(init)
    labels = _labels(init)
    given = [trace.lift(v) for v in leaves]
    kinds = [kind_of(t) for t in given]
    variables: list[Variable] = []
    extra = [(f"x{n}", k.type, k.weak) for n, k in enumerate(elements)]

    def flat(tracers: list[Tracer]) -> list[Any]:
        carry, others = call(tree.unflatten(spec, tracers[: len(kinds)]), tracers[len(kinds) :])
        new, new_spec = tree.flatten(carry)
        _check_structure(op, f, spec, new_spec)
        return [*new, *others]

    while True:
        names = [(f"c{n}", k.type, k.weak) for n, k in enumerate(kinds)]
        body = trace_body(trace, function_name(f), [*names, *extra], flat, variables)
        # By identity: `in` would compare what the Variables hold.
        known = set(map(id, variables))
        fresh = [v for v in body.trace.assigned() if id(v) not in known]
        ends = [_end(op, *row) for row in zip(labels, kinds, body.results, strict=False)]
        if not fresh and ends == kinds:
            return SettledBody(body, spec, given, kinds, variables)
        variables, kinds = [*variables, *fresh], ends


def _end(op: str, label: str, before: Kind, result: Tracer) -> Kind:
    after = kind_of(result)
    met = _met(before, after)
    if met is None:
        raise _changed(op, label, before, after)
    return met


def united(names: Sequence[str], specs: Sequence[tree.Spec], bodies: Sequence[Body]) -> list[Kind]:
    """The kinds of what all branches give."""
    for name, spec in zip(names, specs, strict=True):
        if spec != specs[0]:
            raise ShapeError(
                f"cond: {names[0]} returns {specs[0]} and {name} {spec}{here()};"
                " branches return the same structure"
            )
    kinds = [kind_of(t) for t in bodies[0].results]
    for name, body in zip(names, bodies, strict=True):
        for n, result in enumerate(body.results):
            other = kind_of(result)
            met = _met(kinds[n], other)
            if met is None:
                raise (ShapeError if kinds[n].type.shape != other.type.shape else DTypeError)(
                    f"cond: {names[0]} returns {kinds[n].type} and {name} {other.type}{here()};"
                    " branches return the same types"
                )
            kinds[n] = met
    return [replace(k, weak=k.weak and _all_weak(n, bodies)) for n, k in enumerate(kinds)]


def _all_weak(n: int, bodies: Sequence[Body]) -> bool:
    return all(body.results[n].weak for body in bodies)
