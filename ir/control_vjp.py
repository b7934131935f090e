"""Derivatives of while_loop and cond.

The gradient of a cond is a cond, whose branches compute forward again what they need. A while_loop
has no place to keep anything of each turn: it has forward mode only.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir import ops
from tracejit.ir.autodiff import gradients, pushed
from tracejit.ir.closing import captured_by, closed
from tracejit.ir.copying import inlined
from tracejit.ir.graph import PRIMITIVES, Attr, Builder, Graph, Nested, Node
from tracejit.ir.types import TensorType, is_float

Cotangents = tuple[Node | None, ...]


def _floats(nodes: Sequence[Node]) -> list[Node]:
    return [n for n in nodes if is_float(n.dtype)]


def _by_position(nodes: Sequence[Node], of_floats: Sequence[Node]) -> Cotangents:
    """One entry per node: the next of `of_floats` for a float, None for others."""
    values = iter(of_floats)
    return tuple(next(values) if is_float(n.dtype) else None for n in nodes)


def while_vjp(g: Node, out: Node, *operands: Node, **attrs: Attr) -> Cotangents:
    """The transpose, as a node that cannot run: it may still be transposed to forward mode."""
    pull = PRIMITIVES["while_pull"]
    count = len(operands)
    found = out.builder.emit(pull, *operands, *ops.items(g), operands=count, **attrs)
    return tuple(
        ops.item(found, n) if is_float(node.dtype) else None for n, node in enumerate(operands)
    )


def while_pull_vjp(
    g: Node,
    out: Node,
    *operands: Node,
    test: Graph,
    body: Graph,
    consts: int,
    **attrs: Attr,
) -> Cotangents:
    """Forward mode: the loop again, whose floats each have a tangent beside them."""
    count = len(body.inputs)
    primals, builder = operands[:count], out.builder
    shared, moving = _floats(primals[:consts]), _floats(primals[consts:])
    tangent_of = [t for n, t in zip(primals, ops.items(g), strict=True) if is_float(n.dtype)]
    with builder.nested() as nest:
        inside = [nest.input("in", n.type) for n in body.inputs]
        along = [nest.input("t", n.type) for n in _floats(inside)]
        outs = inlined(nest.builder, body, inside)
        ends = pushed(_floats(outs), _floats(inside), along)
        cut = len(shared)
        inputs = (*inside[:consts], *along[:cut], *inside[consts:], *along[cut:])
        step = closed(body.name, nest, inputs, (*outs, *ends), at=consts)
    around = consts + len(nest.captured) + cut
    again = _with_inputs(test, around, [n.type for n in step.inputs], consts)
    loop = builder.emit(
        PRIMITIVES["while_loop"],
        *(*primals[:consts], *nest.captured, *tangent_of[:cut]),
        *(*primals[consts:], *tangent_of[cut:]),
        test=again,
        body=step,
        consts=around,
    )
    results = ops.items(loop)[count - consts :]
    assert len(results) == len(moving)
    return (*(None for _ in primals), *_by_position(primals[consts:], results))


def _with_inputs(test: Graph, consts: int, types: Sequence[TensorType], kept: int) -> Graph:
    """The condition with more consts and carries, which it does not read."""
    builder = Builder()
    inputs = [builder.input(f"in{n}", t) for n, t in enumerate(types)]
    carries = inputs[consts : consts + len(test.inputs) - kept]
    return Graph(
        test.name, tuple(inputs), tuple(inlined(builder, test, [*inputs[:kept], *carries]))
    )


def cond_vjp(
    g: Node, out: Node, index: Node, *operands: Node, branches: tuple[Graph, ...]
) -> Cotangents:
    cotangents = [c for c in ops.items(g) if is_float(c.dtype)]
    pulled: list[tuple[Nested, list[Node], list[Node]]] = []
    for branch in branches:
        with out.builder.nested() as nest:
            inside = [nest.input("in", n.type) for n in branch.inputs]
            seeds = [nest.input("ct", c.type) for c in cotangents]
            outs = inlined(nest.builder, branch, inside)
            found = gradients(_floats(outs), seeds, _floats(inside))
            pulled.append((nest, [*inside, *seeds], found))
    captured = captured_by([nest for nest, _, _ in pulled])
    back = tuple(
        closed(branch.name, nest, inputs, found, captured=captured)
        for branch, (nest, inputs, found) in zip(branches, pulled, strict=True)
    )
    given = (index, *captured, *operands, *cotangents)
    node = out.builder.emit(PRIMITIVES["cond"], *given, branches=back)
    return (None, *_by_position(operands, ops.items(node) if _floats(operands) else []))
