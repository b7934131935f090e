"""Control flow: operations whose attributes are graphs. Each has several results; see `item`.

    scan(*consts, *inits, *xs)     (carries, y) = body(consts, carries, x) for each x of xs in turn;
                                   gives the last carries and all ys [length, ...]
    while_loop(*consts, *inits)    carries = body(consts, carries) as long as test(consts, carries)
    cond(index, *operands)         branches[index](operands); the index is clamped into the branches

Bodies are closed: what they read is an operand. Derivatives are in `ir/scan_vjp.py` and
`ir/control_vjp.py`, batch rules in `ir/control_lanes.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tracejit.ir.control_lanes import cond_batch, scan_batch, while_batch, while_pull_batch
from tracejit.ir.control_vjp import cond_vjp, while_pull_vjp, while_vjp
from tracejit.ir.graph import Array, Attr, Graph, primitive
from tracejit.ir.interpreter import evaluate
from tracejit.ir.primitives.tuples import results
from tracejit.ir.scan_vjp import scan_vjp
from tracejit.ir.types import (
    BOOL,
    I32,
    UNBOUNDED,
    ShapeError,
    TensorType,
    UnboundedError,
    tuple_type,
)


def _check_inputs(op: str, body: Graph, types: Sequence[TensorType]) -> None:
    expected = [node.type for node in body.inputs]
    if expected != list(types):
        raise ShapeError(f"{op}: {body.name} takes {_listed(expected)}, given {_listed(types)}")


def _check_carries(op: str, body: Graph, inits: Sequence[TensorType]) -> None:
    carries = [node.type for node in body.outputs[: len(inits)]]
    if carries != list(inits):
        raise ShapeError(
            f"{op}: {body.name} starts from {_listed(inits)} and carries on {_listed(carries)};"
            " a carry keeps its type"
        )


def _listed(types: Sequence[TensorType]) -> str:
    return f"({', '.join(map(str, types))})"


def _scan_infer(
    *types: TensorType, body: Graph, consts: int, carries: int, length: int, reverse: bool
) -> TensorType:
    inits, xs = types[consts : consts + carries], types[consts + carries :]
    for x in xs:
        if x.shape[:1] != (length,):
            raise ShapeError(f"scan: {x} has not the {length} elements of the other arrays")
    slices = [x.with_shape(x.shape[1:]) for x in xs]
    _check_inputs("scan", body, [*types[: consts + carries], *slices])
    _check_carries("scan", body, inits)
    ys = [n.type.with_shape((length, *n.shape)) for n in body.outputs[carries:]]
    return tuple_type([*inits, *ys])


def _scan_eval(
    *arrays: Array, body: Graph, consts: int, carries: int, length: int, reverse: bool
) -> Array:
    shared, state = arrays[:consts], list(arrays[consts : consts + carries])
    xs = arrays[consts + carries :]
    ys = [np.empty((length, *n.shape), n.dtype) for n in body.outputs[carries:]]
    for t in reversed(range(length)) if reverse else range(length):
        outs = evaluate(body, [*shared, *state, *(np.asarray(x[t]) for x in xs)])
        state = outs[:carries]
        for y, value in zip(ys, outs[carries:], strict=True):
            y[t] = value
    return results([*state, *ys])


def _while_infer(*types: TensorType, test: Graph, body: Graph, consts: int) -> TensorType:
    inits = types[consts:]
    for part in (test, body):
        _check_inputs("while_loop", part, types)
    if [n.type for n in test.outputs] != [TensorType((), BOOL)]:
        raise ShapeError(
            f"while_loop: {test.name} gives {_listed([n.type for n in test.outputs])};"
            " the condition is one bool"
        )
    _check_carries("while_loop", body, inits)
    return tuple_type(inits)


def _while_eval(*arrays: Array, test: Graph, body: Graph, consts: int) -> Array:
    shared, state = arrays[:consts], list(arrays[consts:])
    while evaluate(test, [*shared, *state])[0]:
        state = evaluate(body, [*shared, *state])
    return results(state)


def _while_pull_infer(*types: TensorType, operands: int, **attrs: Attr) -> TensorType:
    return tuple_type(types[:operands])


def _while_pull_eval(*arrays: Array, operands: int, **attrs: Attr) -> Array:
    raise UnboundedError(UNBOUNDED)


def _cond_infer(*types: TensorType, branches: tuple[Graph, ...]) -> TensorType:
    index, operands = types[0], types[1:]
    if index != TensorType((), I32):
        raise ShapeError(f"cond: the index is {index}, not i32[]")
    for branch in branches:
        _check_inputs("cond", branch, operands)
    given = [[n.type for n in branch.outputs] for branch in branches]
    for branch, types_ in zip(branches, given, strict=True):
        if types_ != given[0]:
            raise ShapeError(
                f"cond: {branches[0].name} gives {_listed(given[0])} and {branch.name}"
                f" {_listed(types_)}; branches give the same types"
            )
    return tuple_type(given[0])


def _cond_eval(index: Array, *operands: Array, branches: tuple[Graph, ...]) -> Array:
    chosen = min(max(int(index), 0), len(branches) - 1)
    return results(evaluate(branches[chosen], operands))


primitive("scan", _scan_infer, _scan_eval, scan_vjp, batch=scan_batch)
primitive("while_loop", _while_infer, _while_eval, while_vjp, batch=while_batch)
# Stands for the transpose of a loop of unknown length. Only its own transpose, forward mode, runs.
primitive(
    "while_pull",
    _while_pull_infer,
    _while_pull_eval,
    while_pull_vjp,
    batch=while_pull_batch,
)
primitive("cond", _cond_infer, _cond_eval, cond_vjp, batch=cond_batch)
