"""Splitting: a long sum with few results is taken in parts, so that all threads share it.

One kernel becomes two: one folds each part, the next folds the parts and goes on. The number of
parts depends on the shape alone, so the result is the same for any number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from tracejit.codegen.coalesce import coalesce
from tracejit.codegen.nest import (
    Acc,
    Buffer,
    Fold,
    For,
    IndexValue,
    Kernel,
    Let,
    Load,
    Loop,
    Offset,
    Stmt,
    Store,
    parallel_loops,
    substituted,
    walk,
)
from tracejit.codegen.nest_builder import Lowered
from tracejit.ir.affine import Index, affine, axis_index, linear
from tracejit.ir.graph import Node
from tracejit.ir.types import TensorType

# More results than these are enough to share among the threads of any CPU this is meant for.
FEW_RESULTS = 64
# The parts must be worth the second kernel and the barrier between the two.
MIN_LENGTH, MIN_ELEMENTS = 16384, 65536
# Columns of an array beyond the caches are better read a few rows at a time than one by one: then
# what one column takes of a page is near when the next one comes to it.
MANY_RESULTS, FAR_ELEMENTS = 1024, 1 << 20
# Parts per result: more would only lengthen the second fold.
MAX_PARTS = 64
# The gradient of a first layer's weights is a handful of register tiles, which no team shares out
# evenly; the images of a batch are more. The products of 40 µs hide the second kernel.
FEW_WEIGHTS, MIN_PRODUCTS, MAX_IMAGES = 4096, 1 << 22, 16


def split_sums(lowered: Lowered) -> list[Lowered]:
    """The kernel itself, or the two that it becomes."""
    weights = any(node.op == "conv_weight_grad" for node in lowered.members)
    if lowered.kernel.kind != "row" and not weights:
        return [lowered]
    if any(b.role == "scratch" for b in lowered.kernel.buffers):
        return [lowered]
    kernel = coalesce(lowered.kernel)
    loops, body = parallel_loops(kernel.body)
    folds = [s for s in body if isinstance(s, Fold)]
    results = prod(loop.extent for loop in loops)
    if len(folds) != 1 or not folds[0].loops or any(isinstance(s, For) for s in body):
        return [lowered]
    (fold,) = folds
    length = prod(loop.extent for loop in fold.loops)
    parts = _divisor(fold.loops[0].extent, MAX_IMAGES if weights else MAX_PARTS)
    pays = _pays_weights if weights else _pays
    if fold.loops[0].within or not pays(results, length) or parts < 2:
        return [lowered]
    return _two(lowered, kernel, loops, body, fold, parts)


def _pays(results: int, length: int) -> bool:
    if results > FEW_RESULTS:
        return results <= MANY_RESULTS and results * length >= FAR_ELEMENTS
    return length >= MIN_LENGTH or results * length >= MIN_ELEMENTS


def _pays_weights(results: int, length: int) -> bool:
    return results <= FEW_WEIGHTS and results * length >= MIN_PRODUCTS


def _divisor(extent: int, most: int) -> int:
    """The largest number of equal parts, up to `most`."""
    return next((n for n in range(min(most, extent), 0, -1) if extent % n == 0), 1)


def _two(
    lowered: Lowered,
    kernel: Kernel,
    loops: list[Loop],
    body: Sequence[Stmt],
    fold: Fold,
    parts: int,
) -> list[Lowered]:
    shape = [parts, *(loop.extent for loop in loops)]
    count = fresh_buffer(kernel)
    buffers = [
        Buffer(f"b{count + n}", acc.dtype, prod(shape), "out") for n, acc in enumerate(fold.accs)
    ]
    builder = lowered.nodes[0].builder
    nodes = tuple(builder.input("parts", TensorType(tuple(shape), b.dtype)) for b in buffers)
    first = _first(body, fold, parts, buffers, _place(loops, shape))
    around = (Loop("part", parts, True), *loops)
    return [
        kernel_of(lowered, kernel, "a", _wrapped(around, first), buffers, nodes),
        folded_parts(lowered, kernel, loops, body, fold, nodes),
    ]


def _place(loops: Sequence[Loop], shape: Sequence[int]) -> Offset:
    index: Index = tuple(axis_index(loop.axis) for loop in (Loop("part", shape[0]), *loops))
    return Offset(linear(index, shape))


def folded_parts(
    lowered: Lowered,
    kernel: Kernel,
    loops: Sequence[Loop],
    body: Sequence[Stmt],
    fold: Fold,
    nodes: Sequence[Node],
) -> Lowered:
    """A kernel that folds parts of its sums instead of everything.

    nodes: of each accumulator its parts, [parts, *loops].
    """
    count = fresh_buffer(kernel)
    buffers = [Buffer(f"b{count + n}", p.dtype, p.type.size, "in") for n, p in enumerate(nodes)]
    shape = nodes[0].shape
    second = _second(body, fold, shape[0], buffers, _place(loops, shape))
    return kernel_of(lowered, kernel, "", _wrapped(loops, _used(second)), buffers, tuple(nodes))


def fresh_buffer(kernel: Kernel) -> int:
    """The number from which on names of buffers are free."""
    return 1 + max((int(b.name[1:]) for b in kernel.buffers if b.name[0] == "b"), default=-1)


def _used(body: Sequence[Stmt]) -> list[Stmt]:
    """A block without what nobody in it reads."""
    read: set[str] = set()
    done: list[Stmt] = []
    for stmt in reversed(body):
        if isinstance(stmt, Let | Load | IndexValue) and stmt.name not in read:
            continue
        done.append(stmt)
        match stmt:
            case Let():
                read |= {arg for arg in stmt.args if isinstance(arg, str)}
            case Load():
                read |= {value for value, _ in stmt.index.dynamic}
            case Store():
                read |= {value for value, _ in stmt.index.dynamic}
                read |= {stmt.value} if isinstance(stmt.value, str) else set()
    return done[::-1]


def _first(
    body: Sequence[Stmt], fold: Fold, parts: int, buffers: Sequence[Buffer], place: Offset
) -> list[Stmt]:
    """Everything up to the fold, over one part of its first loop; each sum is stored."""
    loop = fold.loops[0]
    moved = affine({"part": loop.extent // parts, loop.axis: 1})
    inner = tuple(substituted(s, {loop.axis: moved}) for s in fold.body)
    cut = replace(
        fold, loops=(replace(loop, extent=loop.extent // parts), *fold.loops[1:]), body=inner
    )
    before = list(body[: body.index(fold)])
    stores = [Store(b.name, place, a.name) for b, a in zip(buffers, fold.accs, strict=True)]
    return [*(s for s in before if not isinstance(s, Store)), cut, *stores]


def _second(
    body: Sequence[Stmt], fold: Fold, parts: int, buffers: Sequence[Buffer], place: Offset
) -> list[Stmt]:
    """The fold over the parts, in place of the one over everything."""
    loads, accs = [], []
    for n, (buffer, acc) in enumerate(zip(buffers, fold.accs, strict=True)):
        loads.append(Load(f"p{n}", acc.dtype, buffer.name, place))
        op = "add" if acc.op == "fma" else acc.op
        accs.append(Acc(acc.name, acc.dtype, op, (f"p{n}",)))
    joined = Fold((Loop("part", parts),), tuple(loads), tuple(accs), fold.loc)
    return [joined if s is fold else s for s in body]


def kernel_of(
    lowered: Lowered,
    kernel: Kernel,
    suffix: str,
    body: Sequence[Stmt],
    extra: Sequence[Buffer],
    nodes: tuple[Node, ...],
) -> Lowered:
    """One of the kernels that `kernel` is cut into: it has those of the old buffers that its body
    touches, and the extra ones, which hold `nodes`."""
    stored, loaded = _touched(body)
    held = [
        (replace(b, role=_role(b, b.name in stored, b.name in loaded)), node)
        for b, node in zip(kernel.buffers, lowered.nodes, strict=True)
        if b.name in stored | loaded
    ]
    buffers = (*(b for b, _ in held), *extra)
    made = Kernel(f"{kernel.name}{suffix}", kernel.kind, buffers, tuple(body))
    return Lowered(made, (*(n for _, n in held), *nodes), made, lowered.members)


def _role(buffer: Buffer, stored: bool, loaded: bool) -> str:
    if stored and loaded:
        return "inout"
    return "in" if loaded else buffer.role if buffer.role == "part" else "out"


def _touched(body: Sequence[Stmt]) -> tuple[set[str], set[str]]:
    """The buffers stored to and those loaded from."""
    stored = {s.buffer for s in walk(body) if isinstance(s, Store)}
    loaded = {s.buffer for s in walk(body) if isinstance(s, Load)}
    return stored, loaded


def _wrapped(loops: Sequence[Loop], body: Sequence[Stmt]) -> list[Stmt]:
    nest = list(body)
    for loop in reversed(loops):
        nest = [For(loop, tuple(nest))]
    return nest
