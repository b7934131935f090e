"""Blocking: a long sum is taken in blocks whose operands stay in cache while every tile uses them.

The weight gradient of a convolution sums over all pixels of all images. Taken tile by tile, each
tile of the result would stream both operands from memory. In blocks, the sums so far lie in memory
instead, and a block of pixels is used by all tiles while it is in L2 (the KC loop of Goto & van de
Geijn 2008, "Anatomy of High-Performance Matrix Multiplication"). A product of few rows with a large
matrix reads each element of that once or twice. Down a panel of its columns, every step would be on
another page; in blocks of a few rows of the matrix, those are walked along.

One kernel then has three nests over the same tiles: clear, add a block, finish; each thread meets
its own tiles in all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from tracejit.codegen.coalesce import coalesce
from tracejit.codegen.machine import Machine
from tracejit.codegen.nest import (
    Acc,
    Buffer,
    Const,
    Fold,
    For,
    IndexValue,
    Let,
    Load,
    Loop,
    Offset,
    Stmt,
    Store,
    Within,
    parallel_loops,
    substituted,
)
from tracejit.codegen.nest_builder import Lowered
from tracejit.codegen.tiles import CHAINS
from tracejit.ir.affine import affine, axis_index, linear
from tracejit.ir.types import TensorType

# Below this many elements of the result, the tiles are too few to read the operands often.
MIN_RESULT = 512
# The sums so far are read and written once a block, so they must be small beside the operands.
RESULT_SHARE = 2
# Rows of a large matrix that are walked along side by side: as many as hardware prefetches, and no
# fewer than pay for going over the sums so far again.
STREAMS = range(32, 7, -1)
# Rows of the other side: with more of them a matrix is packed into panels (layout.py).
MAX_ROWS = 64
PAGE = 4096


def block_sums(lowered: Lowered, machine: Machine) -> Lowered:
    """The kernel with its sum in blocks, if its operands are read often and exceed L2."""
    ops = {node.op for node in lowered.members}
    if ops.isdisjoint(("conv_weight_grad", "dot_general")):
        return lowered
    kernel = coalesce(lowered.kernel)
    loops, body = parallel_loops(kernel.body)
    fold = next((s for s in body if isinstance(s, Fold)), None)
    if fold is None or not fold.loops or len(fold.accs) != 1:
        return lowered
    result = prod(loop.extent for loop in loops)
    if result < MIN_RESULT or any(isinstance(s, IndexValue) for s in fold.body):
        return lowered
    result_bytes = result * fold.accs[0].dtype.itemsize
    if "dot_general" in ops:
        cut = _stretch(fold, loops, machine.l2 // 2, result_bytes)
    else:
        cut = _images(fold, loops, machine, RESULT_SHARE * result_bytes)
    if cut is None:
        return lowered
    node = lowered.nodes[0]
    (acc,) = fold.accs
    sums = node.builder.input("sums", TensorType((result,), acc.dtype))
    buffers = [b for b in kernel.buffers if b.role != "scratch"]
    last = max(int(b.name[1:]) for b in buffers)
    buffer = Buffer(f"b{last + 1}", acc.dtype, result, "inout")
    blocked = _blocked(loops, body, fold, cut, buffer)
    others = (b for b in kernel.buffers if b.role == "scratch")
    kernel = replace(kernel, buffers=(*buffers, buffer, *others), body=tuple(blocked))
    return Lowered(kernel, (*lowered.nodes, sums), lowered.plain, lowered.members)


def _images(
    fold: Fold, loops: Sequence[Loop], machine: Machine, least: int
) -> tuple[int, int] | None:
    """Which loop of the fold to cut, and into blocks of how many; those before it run outside.

    Of what both operands have, such as parts and feature groups, one after the other is taken.
    Where that is a vector, as of a depthwise conv, no register is used twice, and L1 must do it.
    """
    loads = [s for s in fold.body if isinstance(s, Load)]
    if len(loads) != 2:
        return None
    sizes = {loop.axis: loop.extent for loop in (*loops, *fold.loops)}
    room = machine.l2 // 2
    for loop in loops:
        steps = {load.index.affine.coefficient(loop.axis) for load in loads}
        if steps == {1}:
            sizes[loop.axis] = min(loop.extent, CHAINS * machine.lanes([fold.accs[0].dtype]))
            room = machine.l1
        elif 0 not in steps:
            sizes[loop.axis] = 1
    return _block(fold, loads, sizes, room, least)


def _block(
    fold: Fold, loads: Sequence[Load], sizes: dict[str, int], room: int, least: int
) -> tuple[int, int] | None:
    """None where both operands together fit into `room` or are below `least`, or no block fits."""
    if sum(_touched(load, sizes) for load in loads) <= max(room, least):
        return None
    for position, loop in enumerate(fold.loops):
        if any(x.within for x in fold.loops[:position]):
            return None  # what bounds them stands inside
        outside = {x.axis: 1 for x in fold.loops[:position]}
        for size in range(loop.extent, 0, -1):
            if loop.extent % size == 0:
                inside = sizes | outside | {loop.axis: size}
                if sum(_touched(load, inside) for load in loads) <= room:
                    return position, size
    return None


def _stretch(
    fold: Fold, loops: Sequence[Loop], room: int, result_bytes: int
) -> tuple[int, int] | None:
    """The same for few rows times a matrix beyond `room`, whose own rows fill pages."""
    loads = [s for s in fold.body if isinstance(s, Load)]
    if len(loads) != 2 or len(fold.loops) != 1 or result_bytes > room:
        return None
    inner = fold.loops[0]
    for matrix, other in (loads, reversed(loads)):
        columns = [x for x in loops if matrix.index.affine.coefficient(x.axis) == 1]
        if not columns or other.index.affine.coefficient(columns[0].axis):
            continue
        rows = prod(x.extent for x in loops if other.index.affine.coefficient(x.axis))
        step = matrix.index.affine.coefficient(inner.axis) * matrix.dtype.itemsize
        sizes = {loop.axis: loop.extent for loop in (*loops, inner)}
        if rows <= MAX_ROWS and abs(step) >= PAGE and _touched(matrix, sizes) > room:
            return next(((0, n) for n in STREAMS if inner.extent % n == 0), None)
    return None


def _touched(load: Load, extents: dict[str, int]) -> int:
    """About how many bytes a load reads while its axes take `extents` many values each."""
    places: dict[int, int] = {}  # windows beside each other share most of theirs
    for axis, c in load.index.affine.terms:
        places[abs(c)] = places.get(abs(c), 1) + extents[axis] - 1
    reach = 1 + sum(c * (n - 1) for c, n in places.items())
    return min(reach, prod(places.values())) * load.dtype.itemsize


def _blocked(
    loops: list[Loop], body: Sequence[Stmt], fold: Fold, cut: tuple[int, int], buffer: Buffer
) -> list[Stmt]:
    position, size = cut
    (acc,) = fold.accs
    index = tuple(axis_index(loop.axis) for loop in loops)
    place = Offset(linear(index, [loop.extent for loop in loops]))
    clear: list[Stmt] = [Store(buffer.name, place, Const(0, acc.dtype))]
    outer = list(fold.loops[:position])
    loop = fold.loops[position]
    if size < loop.extent:
        count = Loop(f"{loop.axis}b", loop.extent // size)
        outer.append(count)
        moved = affine({count.axis: size, loop.axis: 1})
        inner = tuple(substituted(s, {loop.axis: moved}) for s in fold.body)
        bounds = loop.within
        if bounds is not None:
            bounds = Within(bounds.at.substitute({loop.axis: moved}), bounds.size)
        rest = (replace(loop, extent=size, within=bounds), *fold.loops[position + 1 :])
    else:
        inner, rest = fold.body, fold.loops[position:]
    part = Acc("part", acc.dtype, acc.op, acc.args)
    block = Fold(rest, inner, (part,), fold.loc)
    add: list[Stmt] = [
        block,
        Load("before", acc.dtype, buffer.name, place),
        Let("after", acc.dtype, "add", ("before", "part")),
        Store(buffer.name, place, "after"),
    ]
    finish = [Load(acc.name, acc.dtype, buffer.name, place) if s is fold else s for s in body]
    blocks = _nested(loops, add)
    for around in reversed(outer):
        blocks = [For(around, tuple(blocks))]
    return [*_nested(loops, clear), *blocks, *_nested(loops, finish)]


def _nested(loops: Sequence[Loop], body: Sequence[Stmt]) -> list[Stmt]:
    done = list(body)
    for loop in reversed(loops):
        done = [For(loop, tuple(done))]
    return done
