"""Derivatives of while_loop and cond, and what vmap does with control flow.

The gradient of a cond is a cond, whose branches compute forward again what they need. A while_loop
has no place to keep anything of each turn: it has forward mode only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tracejit.ir import ops
from tracejit.ir.autodiff import gradients, pushed
from tracejit.ir.batching import batched, in_lanes
from tracejit.ir.copying import inlined
from tracejit.ir.graph import PRIMITIVES, Attr, Builder, Graph, Nested, Node
from tracejit.ir.lanes import Lanes
from tracejit.ir.loops import Scan, scan_items
from tracejit.ir.types import I32, UNBOUNDED, TensorType, UnboundedError, is_float

Cotangents = tuple[Node | None, ...]


def _floats(nodes: Sequence[Node]) -> list[Node]:
    return [n for n in nodes if is_float(n.dtype)]


def _by_position(nodes: Sequence[Node], of_floats: Sequence[Node]) -> Cotangents:
    """One entry per node: the next of `of_floats` for a float, None for others."""
    values = iter(of_floats)
    return tuple(next(values) if is_float(n.dtype) else None for n in nodes)


# Derivatives


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
        captured = list(nest.captured.values())
        around = [*inside[:consts], *captured, *along[:cut]]
        inputs = (*around, *inside[consts:], *along[cut:])
        step = Graph(body.name, inputs, (*outs, *ends))
    again = _with_inputs(test, len(around), [n.type for n in inputs], consts)
    loop = builder.emit(
        PRIMITIVES["while_loop"],
        *(*primals[:consts], *nest.captured, *tangent_of[:cut]),
        *(*primals[consts:], *tangent_of[cut:]),
        test=again,
        body=step,
        consts=len(around),
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


def while_pull_batch(lanes: Lanes, **attrs: Attr) -> Node:
    raise UnboundedError(UNBOUNDED)


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
    captured = list(dict.fromkeys(n for nest, _, _ in pulled for n in nest.captured))
    back = tuple(
        _closed(branch.name, nest, inputs, captured, found)
        for branch, (nest, inputs, found) in zip(branches, pulled, strict=True)
    )
    given = (index, *captured, *operands, *cotangents)
    node = out.builder.emit(PRIMITIVES["cond"], *given, branches=back)
    return (None, *_by_position(operands, ops.items(node) if _floats(operands) else []))


def _closed(
    name: str, nest: Nested, inputs: list[Node], captured: Sequence[Node], outputs: list[Node]
) -> Graph:
    """A body that takes what any branch captured first."""
    first = [nest.captured.get(n) or nest.input("unused", n.type) for n in captured]
    return Graph(name, (*first, *inputs), tuple(outputs))


# Lanes


def _body_in_lanes(
    nest: Nested, body: Graph, flags: Sequence[bool], size: int
) -> tuple[list[Node], list[Node], Callable[[Node], Node], list[bool]]:
    """The body with lanes for the inputs that have them: inputs, one lane's outputs, the outputs
    of all lanes, and which outputs differ from lane to lane."""
    builder = nest.builder
    lanes: dict[Node, Node] = {}
    inputs, ones = [], []
    for node, has in zip(body.inputs, flags, strict=True):
        shape = (size, *node.shape) if has else node.shape
        inputs.append(nest.input("in", node.type.with_shape(shape)))
        ones.append(builder.placeholder("lane", node.type) if has else inputs[-1])
        if has:
            lanes[ones[-1]] = inputs[-1]
    outs = inlined(builder, body, ones)
    known = batched(outs, lanes, size)
    return inputs, outs, lambda n: in_lanes(n, known, size), [n in known for n in outs]


def _carry_flags(
    builder: Builder, body: Graph, flags: Sequence[bool], consts: int, carries: int, size: int
) -> list[bool]:
    """Which carries come to differ from lane to lane, in the end."""
    now = list(flags)
    while True:
        with builder.nested() as nest:
            _, _, _, out = _body_in_lanes(nest, body, now, size)
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
    flags = list(lanes.batched)
    flags[consts : consts + carries] = _carry_flags(builder, body, flags, consts, carries, size)
    with builder.nested() as nest:
        inputs, outs, every, differs = _body_in_lanes(nest, body, flags, size)
        wide = [*flags[consts : consts + carries], *differs[carries:]]
        results = [every(n) if has else n for n, has in zip(outs, wide, strict=True)]
        captured = list(nest.captured.values())
        step = Graph(body.name, (*inputs[:consts], *captured, *inputs[consts:]), tuple(results))
    given = _given(lanes, flags)
    first = consts + carries
    xs = tuple(
        _swapped(x) if has else x for x, has in zip(given[first:], flags[first:], strict=True)
    )
    around = (*given[:consts], *nest.captured)
    scan = Scan(step, around, tuple(given[consts:first]), xs, length, reverse)
    last, ys = scan_items(scan, builder)
    ends = [n if has else _repeated(n, size) for n, has in zip(last, wide, strict=False)]
    maps = [
        _swapped(n) if has else _repeated(n, size)
        for n, has in zip(ys, wide[carries:], strict=True)
    ]
    return ops.pack([*ends, *maps])


def _repeated(node: Node, size: int) -> Node:
    return in_lanes(node, {}, size)


def while_batch(lanes: Lanes, test: Graph, body: Graph, consts: int) -> Node:
    """Runs until the condition holds in no lane; lanes in which it does not keep what they have."""
    builder, size = lanes.nodes[0].builder, lanes.size
    carries = len(body.outputs)
    flags = list(lanes.batched)
    flags[consts:] = _carry_flags(builder, body, flags, consts, carries, size)
    with builder.nested() as nest:
        _, _, _, (apart,) = _body_in_lanes(nest, test, flags, size)
    if apart:
        flags[consts:] = [True] * carries
    with builder.nested() as nest:
        inputs, outs, every, _ = _body_in_lanes(nest, body, flags, size)
        results = [every(n) if has else n for n, has in zip(outs, flags[consts:], strict=True)]
        if apart:
            (goes,) = _tested(nest, test, inputs, flags, size)
            results = [
                ops.select(ops.broadcast(goes, new.shape, (0,)), new, old)
                for new, old in zip(results, inputs[consts:], strict=True)
            ]
        step = _around(body.name, nest, inputs, consts, results)
    with builder.nested() as again:
        inputs, outs, every, _ = _body_in_lanes(again, test, flags, size)
        (ends,) = outs
        result = ops.reduce_max(every(ends), (0,)) if apart else ends
        check = _around(test.name, again, inputs, consts, [result])
    assert not nest.captured and not again.captured, "a batched body reads its operands alone"
    node = builder.emit(
        PRIMITIVES["while_loop"], *_given(lanes, flags), test=check, body=step, consts=consts
    )
    pairs = zip(ops.items(node), flags[consts:], strict=True)
    return ops.pack([n if has else _repeated(n, size) for n, has in pairs])


def _around(
    name: str, nest: Nested, inputs: list[Node], consts: int, outputs: Sequence[Node]
) -> Graph:
    captured = nest.captured.values()
    return Graph(name, (*inputs[:consts], *captured, *inputs[consts:]), tuple(outputs))


def _tested(
    nest: Nested, test: Graph, inputs: list[Node], flags: Sequence[bool], size: int
) -> list[Node]:
    """The condition of all lanes, for the inputs of a body in lanes."""
    lanes = {
        nest.builder.placeholder("lane", n.type): given
        for n, given, has in zip(test.inputs, inputs, flags, strict=True)
        if has
    }
    ones = iter(lanes)
    each = [next(ones) if has else given for given, has in zip(inputs, flags, strict=True)]
    outs = inlined(nest.builder, test, each)
    known = batched(outs, lanes, size)
    return [in_lanes(n, known, size) for n in outs]


def cond_batch(lanes: Lanes, branches: tuple[Graph, ...]) -> Node:
    """One branch for all lanes; where the index differs, all branches, and a choice for each."""
    if lanes.batched[0]:
        return _chosen(lanes, branches)
    builder, size = lanes.nodes[0].builder, lanes.size
    flags = lanes.batched[1:]
    made = []
    for branch in branches:
        with builder.nested() as nest:
            inputs, outs, every, _ = _body_in_lanes(nest, branch, flags, size)
            made.append((nest, inputs, [every(n) for n in outs]))
    captured = list(dict.fromkeys(n for nest, _, _ in made for n in nest.captured))
    graphs = tuple(
        _closed(branch.name, nest, inputs, captured, outs)
        for branch, (nest, inputs, outs) in zip(branches, made, strict=True)
    )
    given = (lanes.nodes[0], *captured, *lanes.nodes[1:])
    return ops.pack(ops.items(builder.emit(PRIMITIVES["cond"], *given, branches=graphs)))


def _chosen(lanes: Lanes, branches: tuple[Graph, ...]) -> Node:
    builder, size = lanes.nodes[0].builder, lanes.size
    last = lanes.nodes[0].type.with_dtype(I32)
    index = ops.minimum(lanes.nodes[0], builder.full(len(branches) - 1, last))
    lanes_of = {
        builder.placeholder("lane", n.type.with_shape(n.shape[1:])): n
        for n, has in zip(lanes.nodes[1:], lanes.batched[1:], strict=True)
        if has
    }
    ones = iter(lanes_of)
    each = [
        next(ones) if has else n for n, has in zip(lanes.nodes[1:], lanes.batched[1:], strict=True)
    ]
    outs = [inlined(builder, branch, each) for branch in branches]
    known = batched([n for out in outs for n in out], lanes_of, size)
    results = []
    for versions in zip(*outs, strict=True):
        value = in_lanes(versions[0], known, size)
        for n, version in enumerate(versions[1:], start=1):
            here = ops.ge(index, ops.full_like(index, n))
            other = in_lanes(version, known, size)
            value = ops.select(ops.broadcast(here, other.shape, (0,)), other, value)
        results.append(value)
    return ops.pack(results)
