"""Lowering of contractions: one sum of products, and what is done with each sum in registers.

A matrix product, a convolution and the gradient of its weights differ only in where they read their
two operands: at affine functions of the output's index and of the axes summed over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tracejit.codegen.nest import Acc, Fold, Stmt, Within, substituted
from tracejit.codegen.nest_builder import Nest, loc_of
from tracejit.ir.affine import Affine, Index, axis_index
from tracejit.ir.draft import CONTRACTIONS
from tracejit.ir.graph import Node
from tracejit.ir.types import BF16, BOOL, F16, F32


def lower_contraction(nest: Nest) -> list[Stmt]:
    root = next(n for n in nest.at if n.op in CONTRACTIONS)
    nest.loc = loc_of(root)
    inner = nest.block()
    wide = F32 if root.dtype in (F16, BF16) else root.dtype
    args = []
    sums = tuple(axis_index(r) for r in nest.reduced)
    bounds = _bounds(root, nest.at[root], sums)
    places, seen = _inside(nest, reads(root, nest.at[root], sums), bounds)
    for operand, index in zip(root.inputs, seen, strict=True):
        arg = nest.read(operand, index)
        args.append(arg if wide == root.dtype else nest.let(wide, "cast", arg))
    if root.dtype == BOOL:
        acc = Acc(nest.name(), BOOL, "or", (nest.let(BOOL, "and", *args),))
    else:
        acc = Acc(nest.name(), wide, "fma", tuple(args))
    inner[:] = [substituted(stmt, places) for stmt in inner]
    loops = tuple(replace(nest.loop(a), within=bounds.get(a)) for a in nest.reduced)
    outer = nest.block()
    outer.append(Fold(loops, tuple(inner), (acc,), nest.loc))
    nest.values[root] = acc.name if wide == root.dtype else nest.let(root.dtype, "cast", acc.name)
    for node in nest.at:
        if node is not root:
            nest.values[node] = nest.compute(node)
    for node in nest.group.outputs:
        nest.store(node, nest.values[node])
    return nest.parallel(outer)


def _bounds(root: Node, out: Index, sums: Index) -> dict[str, Within]:
    """What bounds the sum over an axis where its terms may lie on padding, so that none does."""
    if root.op == "dot_general":
        return {}
    space, window = (out[1:-2], sums[:-1]) if root.op == "conv" else (sums[1:], out[:-3])
    summed = window if root.op == "conv" else space
    sides = zip(root.ints("low"), root.ints("high"), strict=True)
    places = zip(_windowed(root, space, window), root.inputs[0].shape[1:-2], strict=True)
    return {
        axis.axes()[0]: Within(at, size)
        for axis, side, (at, size) in zip(summed, sides, places, strict=True)
        if side != (0, 0)
    }


def _inside(
    nest: Nest, seen: tuple[Index, Index], bounds: Mapping[str, Within]
) -> tuple[dict[str, Affine], tuple[Index, Index]]:
    """Names for the places that are bounded, and where operands are read, in terms of these.

    So movement is followed for places that x has; afterwards they are replaced by what they are.
    """
    names = {within.at: f"x{n}" for n, within in enumerate(bounds.values())}
    nest.extents |= {names[within.at]: within.size for within in bounds.values()}
    first = tuple(axis_index(names[i]) if i in names else i for i in seen[0])
    return {name: at for at, name in names.items()}, (first, seen[1])


def reads(root: Node, out: Index, sums: Index) -> tuple[Index, Index]:
    """Where both operands are read for element `out`, at the point `sums` of the summed axes."""
    match root.op:
        case "dot_general":
            return _dot_reads(root, out, sums)
        case "conv":
            return _conv_reads(root, out, sums)
        case _:
            return _weight_grad_reads(root, out, sums)


def _dot_reads(dot: Node, out: Index, sums: Index) -> tuple[Index, Index]:
    """Batch axes, then a's free axes, then b's, from the output; k from the summed axes."""
    contract, batch = _pairs(dot, "contract"), _pairs(dot, "batch")
    shared = len(batch[0])
    lhs, rhs = dot.inputs
    free = [lhs.ndim - shared - len(contract[0]), rhs.ndim - shared - len(contract[1])]
    starts = [shared, shared + free[0]]
    found: list[Index] = []
    for side, operand in enumerate((lhs, rhs)):
        where: dict[int, Affine] = dict(zip(batch[side], out[:shared], strict=True))
        where |= dict(zip(contract[side], sums, strict=True))
        rest = iter(out[starts[side] : starts[side] + free[side]])
        for d in range(operand.ndim):
            if d not in where:
                where[d] = next(rest)
        found.append(tuple(where[d] for d in range(operand.ndim)))
    return found[0], found[1]


def _conv_reads(conv: Node, out: Index, sums: Index) -> tuple[Index, Index]:
    """x[n, at[s, k], g, c] and w[k, g, c, o] for out[n, s, g, o]; sums: k, c."""
    n, *space, g, o = out
    *window, c = sums
    return (n, *_windowed(conv, space, window), g, c), (*window, g, c, o)


def _weight_grad_reads(grad: Node, out: Index, sums: Index) -> tuple[Index, Index]:
    """x[n, at[s, k], g, c] and dy[n, s, g, o] for out[k, g, c, o]; sums: n, s."""
    *window, g, c, o = out
    n, *space = sums
    return (n, *_windowed(grad, space, window), g, c), (n, *space, g, o)


def _windowed(node: Node, space: Sequence[Affine], window: Sequence[Affine]) -> Index:
    """at[s, k]: the place of x on each axis in space that place k of window s meets."""
    moves = (node.ints(name) for name in ("strides", "dilation", "low"))
    steps = zip(space, window, *moves, strict=True)
    return tuple(s * stride + k * dilation + -low for s, k, stride, dilation, low in steps)


def _pairs(dot: Node, attr: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    value = dot.attrs[attr]
    assert isinstance(value, tuple)
    lhs, rhs = (
        tuple(i for i in side if isinstance(i, int)) for side in value if isinstance(side, tuple)
    )
    return lhs, rhs
