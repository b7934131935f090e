"""Control flow in lanes: what vmap makes of scan, while_loop and cond."""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir import ops
from tracejit.ir.batching import body_in_lanes
from tracejit.ir.closing import captured_by, closed
from tracejit.ir.graph import PRIMITIVES, Attr, Builder, Graph, Nested, Node
from tracejit.ir.lanes import Lanes, repeated
from tracejit.ir.loops import Scan, scan_items
from tracejit.ir.types import I32, UNBOUNDED, UnboundedError


def _inputs(nest: Nested, body: Graph, flags: Sequence[bool], size: int) -> Lanes:
    """New inputs for a body, with lanes where `flags` say so."""
    types = [
        n.type.with_shape((size, *n.shape)) if has else n.type
        for n, has in zip(body.inputs, flags, strict=True)
    ]
    return Lanes(size, tuple(nest.input("in", t) for t in types), tuple(flags))


def _carry_flags(
    builder: Builder, body: Graph, flags: Sequence[bool], consts: int, carries: int, size: int
) -> list[bool]:
    """Which carries come to differ from lane to lane, in the end."""
    now = list(flags)
    while True:
        with builder.nested() as nest:
            out = body_in_lanes(nest.builder, body, _inputs(nest, body, now, size)).differs
        new = [a or b for a, b in zip(now[consts : consts + carries], out, strict=False)]
        if new == now[consts : consts + carries]:
            return new
        now[consts : consts + carries] = new


def _given(lanes: Lanes, flags: Sequence[bool]) -> list[Node]:
    """The operands, with lanes where `flags` say so."""
    pairs = zip(lanes.nodes, lanes.every, flags, strict=True)
    return [every if has else node for node, every, has in pairs]


def _swapped(node: Node) -> Node:
    """The first two axes exchanged: lanes and turns."""
    return ops.transpose(node, (1, 0, *range(2, node.ndim)))


def scan_batch(
    lanes: Lanes, body: Graph, consts: int, carries: int, length: int, reverse: bool
) -> Node:
    builder, size = lanes.nodes[0].builder, lanes.size
    first = consts + carries
    flags = list(lanes.batched)
    flags[consts:first] = _carry_flags(builder, body, flags, consts, carries, size)
    with builder.nested() as nest:
        inputs = _inputs(nest, body, flags, size)
        done = body_in_lanes(nest.builder, body, inputs)
        wide = [*flags[consts:first], *done.differs[carries:]]
        step = closed(body.name, nest, inputs.nodes, done.where(wide), at=consts)
    given = _given(lanes, flags)
    xs = tuple(
        _swapped(x) if has else x for x, has in zip(given[first:], flags[first:], strict=True)
    )
    around = (*given[:consts], *nest.captured)
    scan = Scan(step, around, tuple(given[consts:first]), xs, length, reverse)
    last, ys = scan_items(scan, builder)
    ends = [n if has else repeated(n, size) for n, has in zip(last, wide, strict=False)]
    maps = [
        _swapped(n) if has else repeated(n, size) for n, has in zip(ys, wide[carries:], strict=True)
    ]
    return ops.pack([*ends, *maps])


def while_batch(lanes: Lanes, test: Graph, body: Graph, consts: int) -> Node:
    """Runs until the condition holds in no lane; lanes in which it does not keep what they have."""
    builder, size = lanes.nodes[0].builder, lanes.size
    carries = len(body.outputs)
    flags = list(lanes.batched)
    flags[consts:] = _carry_flags(builder, body, flags, consts, carries, size)
    with builder.nested() as nest:
        (apart,) = body_in_lanes(nest.builder, test, _inputs(nest, test, flags, size)).differs
    if apart:
        flags[consts:] = [True] * carries
    with builder.nested() as nest:
        inputs = _inputs(nest, body, flags, size)
        results = body_in_lanes(nest.builder, body, inputs).where(flags[consts:])
        if apart:
            (goes,) = body_in_lanes(nest.builder, test, inputs).every
            results = [
                ops.select(ops.broadcast(goes, new.shape, (0,)), new, old)
                for new, old in zip(results, inputs.nodes[consts:], strict=True)
            ]
        step = closed(body.name, nest, inputs.nodes, results, at=consts)
    with builder.nested() as again:
        inputs = _inputs(again, test, flags, size)
        (goes,) = body_in_lanes(again.builder, test, inputs).where([apart])
        result = ops.reduce_max(goes, (0,)) if apart else goes
        check = closed(test.name, again, inputs.nodes, [result], at=consts)
    assert not nest.captured and not again.captured, "a batched body reads its operands alone"
    node = builder.emit(
        PRIMITIVES["while_loop"], *_given(lanes, flags), test=check, body=step, consts=consts
    )
    pairs = zip(ops.items(node), flags[consts:], strict=True)
    return ops.pack([n if has else repeated(n, size) for n, has in pairs])


def while_pull_batch(lanes: Lanes, **attrs: Attr) -> Node:
    raise UnboundedError(UNBOUNDED)


def cond_batch(lanes: Lanes, branches: tuple[Graph, ...]) -> Node:
    """One branch for all lanes; where the index differs, all branches, and a choice for each."""
    if lanes.batched[0]:
        return _chosen(lanes, branches)
    builder = lanes.nodes[0].builder
    made = []
    for branch in branches:
        with builder.nested() as nest:
            inputs = _inputs(nest, branch, lanes.batched[1:], lanes.size)
            made.append((nest, inputs.nodes, body_in_lanes(nest.builder, branch, inputs).every))
    captured = captured_by([nest for nest, _, _ in made])
    graphs = tuple(
        closed(branch.name, nest, inputs, outs, captured=captured)
        for branch, (nest, inputs, outs) in zip(branches, made, strict=True)
    )
    given = (lanes.nodes[0], *captured, *lanes.nodes[1:])
    return ops.pack(ops.items(builder.emit(PRIMITIVES["cond"], *given, branches=graphs)))


def _chosen(lanes: Lanes, branches: tuple[Graph, ...]) -> Node:
    builder = lanes.nodes[0].builder
    last = lanes.nodes[0].type.with_dtype(I32)
    index = ops.minimum(lanes.nodes[0], builder.full(len(branches) - 1, last))
    operands = Lanes(lanes.size, lanes.nodes[1:], lanes.batched[1:])
    outs = [body_in_lanes(builder, branch, operands).every for branch in branches]
    results = []
    for value, *others in zip(*outs, strict=True):
        for n, other in enumerate(others, start=1):
            here = ops.ge(index, ops.full_like(index, n))
            value = ops.select(ops.broadcast(here, other.shape, (0,)), other, value)
        results.append(value)
    return ops.pack(results)
