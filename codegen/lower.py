"""Lowering: a fused group becomes loop nests over flat buffers, one `Let` for each node."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from tracejit.codegen.lower_contraction import lower_contraction
from tracejit.codegen.lower_row import lower_row
from tracejit.codegen.nest import (
    Buffer,
    Call,
    Const,
    Flow,
    For,
    Kernel,
    Load,
    Loop,
    Offset,
    Stmt,
    Store,
    Value,
    View,
)
from tracejit.codegen.nest_builder import Lowered, Nest, loc_of, side_nest, wrap
from tracejit.ir import ops
from tracejit.ir.affine import axis_index, in_order, linear, strides
from tracejit.ir.graph import Node
from tracejit.ir.group import Group
from tracejit.ir.loops import counts
from tracejit.ir.types import BOOL, TupleType


def lower(group: Group, stored: Collection[Node], name: str) -> Lowered:
    """The kernel of a group.

    stored: every node that lies in memory as a whole: inputs and the outputs of all groups.
    """
    kinds = {
        "map": _lower_map,
        "row": lower_row,
        "contraction": lower_contraction,
        "border": _lower_border,
        "assemble": _lower_concatenate,
        "scatter": _lower_scatter,
        "host": _lower_host,
        "control": _lower_control,
    }
    if source := _reshaped(group, stored):
        return replace(copied(name, source, group.outputs[0]), members=group.outputs)
    nest = Nest(group, stored)
    return nest.finished(name, kinds[group.kind](nest))


def _reshaped(group: Group, stored: Collection[Node]) -> Node | None:
    """What a group has to copy that stores a value in another shape, and does nothing else."""
    node, *others = group.at
    if others or node.op != "reshape":
        return None
    source = in_order(node.inputs[0], stored.__contains__)
    return source if source in stored else None


def lower_group(group: Group, stored: Collection[Node], name: str) -> list[Lowered]:
    """The kernel of a group, and before it a copy of what it changes where that lies."""
    kernel = lower(group, stored, name)
    if group.kind != "scatter":
        return [kernel]
    (node,) = group.at
    table = node.inputs[0]
    if table.op == "full":
        return [kernel]
    return [copied(f"{name}init", in_order(table, stored.__contains__), node), kernel]


def copied(name: str, source: Node, target: Node) -> Lowered:
    """A kernel that copies one value into the place of another."""
    size, dtype = source.type.size, source.dtype
    where = Offset(axis_index("i0"))
    body = For(
        Loop("i0", size, parallel=True),
        (Load("v0", dtype, "b0", where), Store("b1", where, "v0")),
    )
    buffers = (Buffer("b0", dtype, size, "in"), Buffer("b1", dtype, size, "out"))
    kernel = Kernel(name, "map", buffers, (body,))
    return Lowered(kernel, (source, target), kernel, ())


def is_copy(low: Lowered) -> bool:
    """Whether a kernel does what that of `copied` does."""
    return len(low.nodes) == 2 and low.kernel == copied(low.kernel.name, *low.nodes).kernel


def _lower_map(nest: Nest) -> list[Stmt]:
    block = nest.block()
    for node in nest.at:
        nest.values[node] = nest.compute(node)
    for node in nest.group.outputs:
        nest.store(node, nest.values[node])
    return nest.parallel(block)


def _lower_concatenate(nest: Nest) -> list[Stmt]:
    (node,) = nest.at
    axis = node.attrs["axis"]
    assert isinstance(axis, int)
    nest.loc = loc_of(node)
    nests: list[Stmt] = []
    start = 0
    for n, part in enumerate(node.inputs):
        loops, index = side_nest(nest, part.shape, f"p{n}_")
        block = nest.block()
        value = nest.read(part, index)
        there = tuple(i + start if d == axis else i for d, i in enumerate(index))
        offset = Offset(linear(there, node.shape))
        block.append(Store(nest.buffer(node, "out"), offset, value, nest.loc))
        nests += wrap(loops, block)
        start += part.shape[axis]
    return nests


def _lower_border(nest: Nest) -> list[Stmt]:
    """Stores the pad value before, after and, where there are gaps, between the elements.

    Without gaps the border is two slabs for each dimension; those of later dimensions leave out
    what earlier ones covered.
    """
    (node,) = nest.at
    nest.loc = loc_of(node)
    value = node.attrs["value"]
    assert isinstance(value, bool | int | float)
    low, gaps, size = node.ints("low"), node.ints("interior"), node.inputs[0].shape
    if any(gaps):
        return _filled(nest, node, [0] * node.ndim, node.shape, value, "p")
    nests: list[Stmt] = []
    start, shape = [0] * node.ndim, list(node.shape)
    for d in range(node.ndim):
        for n, (first, count) in enumerate(
            ((0, low[d]), (low[d] + size[d], node.shape[d] - low[d] - size[d]))
        ):
            if count:
                slab = [*shape[:d], count, *shape[d + 1 :]]
                corner = [*start[:d], first, *start[d + 1 :]]
                nests += _filled(nest, node, corner, slab, value, f"p{d}{'ab'[n]}")
        start[d], shape[d] = low[d], size[d]
    return nests


def _filled(
    nest: Nest, node: Node, corner: Sequence[int], shape: Sequence[int], value: Value, prefix: str
) -> list[Stmt]:
    """Loops that store a constant into one box of a node's buffer."""
    loops, index = side_nest(nest, tuple(shape), prefix)
    block = nest.block()
    there = tuple(i + b for i, b in zip(index, corner, strict=True))
    offset = Offset(linear(there, node.shape))
    block.append(Store(nest.buffer(node, "part"), offset, Const(value, node.dtype), nest.loc))
    return wrap(loops, block)


def _lower_scatter(nest: Nest) -> list[Stmt]:
    """Each column is updated row by row, in index order, by one thread.

    A constant table is filled in beforehand; any other has been copied to where the result lies.
    """
    (node,) = nest.at
    table, rows, updates = node.inputs
    nest.loc = loc_of(node)
    rest, value = node.shape[1:], table.scalar()
    out = nest.buffer(node, "inout" if value is None else "out")
    columns, inside = side_nest(nest, rest, "c")
    body: list[Stmt] = []
    if value is not None:
        fill, row = nest.block(), side_nest(nest, node.shape[:1], "z")
        offset = Offset(linear((*row[1], *inside), node.shape))
        fill.append(Store(out, offset, Const(value, node.dtype), nest.loc))
        body += wrap(_serial(row[0]), fill)
    update, over = nest.block(), side_nest(nest, rows.shape, "n")
    number = nest.row_number(nest.read(rows, over[1]), rows.dtype, node.shape[0])
    new = nest.read(updates, (*over[1], *inside))
    target = Offset(linear(inside, rest), ((number, strides((*node.shape, 1))[0]),))
    if node.op == "scatter_add_rows":
        before = nest.load(out, node.dtype, target)
        new = nest.let(node.dtype, "or" if node.dtype == BOOL else "add", before, new)
    update.append(Store(out, target, new, nest.loc))
    return wrap(columns, body + wrap(_serial(over[0]), update))


def _lower_host(nest: Nest) -> list[Stmt]:
    node, *_ = nest.at
    nest.loc = loc_of(node)
    attrs = tuple((k, v) for k, v in node.attrs.items() if k != "callee")
    operands = tuple(View(nest.whole(operand), operand.type) for operand in node.inputs)
    count = len(node.type.items) if isinstance(node.type, TupleType) else 1
    results: list[View | None] = [None] * count
    for result in nest.group.outputs:
        index = result.attrs["index"] if result.op == "item" else 0
        assert isinstance(index, int)
        results[index] = View(nest.buffer(result, "out"), result.type)
    return [Call(str(node.attrs["callee"]), attrs, operands, tuple(results), nest.loc)]


def _lower_control(nest: Nest) -> list[Stmt]:
    node = next(iter(nest.at))
    nest.loc = loc_of(node)
    results = ops.items(node)
    operands = tuple(nest.whole(operand) for operand in node.inputs)
    types = tuple(n.type for n in (*node.inputs, *results))
    consts, carries, turns = _roles(node)
    return [
        Flow(
            node.op,
            operands,
            tuple(nest.buffer(result, "out") for result in results),
            consts,
            carries,
            turns,
            bool(node.attrs.get("reverse")),
            types,
            nest.group.bodies,
            loc=nest.loc,
        )
    ]


# How often a while_loop turns is not known; what hangs on it is whether threads share its work.
GUESSED_TURNS = 16


def _roles(node: Node) -> tuple[int, int, int]:
    """How many consts and carries, and how many turns."""
    if node.op == "cond":
        return 0, 0, 1
    consts = node.attrs["consts"]
    assert isinstance(consts, int)
    if node.op == "while_loop":
        return consts, len(node.inputs) - consts, GUESSED_TURNS
    length = node.attrs["length"]
    assert isinstance(length, int)
    return consts, counts(node)[1], length


def _serial(loops: list[Loop]) -> list[Loop]:
    return [Loop(loop.axis, loop.extent) for loop in loops]
