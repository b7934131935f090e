"""Padding of convs: terms of a sum are left out where they lie on it, or zeros are stored for them.

Leaving out costs nothing where all elements of a register tile have the same terms: the loops of
the sum get bounds. Rows of a tile that are images of a batch, or channels of a weight gradient, do;
neighbours along the last axis do not, so that axis is padded with zeros where they make much fuller
tiles. Both give the same, unless a weight that is not finite meets a zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod

from tracejit.codegen.machine import Machine
from tracejit.codegen.register_tile import best_tile, efficiency, rows_kept_apart
from tracejit.ir import ops
from tracejit.ir.convolution import tapping
from tracejit.ir.graph import Node

PADDED = frozenset({"conv", "conv_weight_grad"})
# Cycles in which an element of x is stored once more, among the zeros.
COPY = 1.0
# Columns that fill less than one part in so many of a vector: then a conv sums vectors of channels.
FEW = 4

Sides = list[tuple[int, int]]


def zeros_around(nodes: Iterable[Node], machine: Machine) -> dict[Node, Sides]:
    """For each x of a conv that reads zeros: so many on each spatial axis suffice for all of them.

    One copy serves the phases of an input gradient, and both uses of a first layer's images.
    """
    found: dict[Node, Sides] = {}
    for node in nodes:
        if node.op in PADDED and any(map(any, sides := stored_zeros(node, machine))):
            x = node.inputs[0]
            before = found.get(x, [(0, 0)] * len(sides))
            pairs = zip(before, sides, strict=True)
            found[x] = [(max(a, c), max(b, d)) for (a, b), (c, d) in pairs]
    return found


def with_zeros(
    node: Node, inputs: tuple[Node, ...], around: Mapping[Node, Sides], machine: Machine
) -> Node:
    """The conv `node` of these operands, with as much of a copy of x with zeros as it needs."""
    x, other = inputs
    sides = stored_zeros(node, machine)
    if not any(map(any, sides)):
        return x.builder.emit(node.prim, x, other, **node.attrs)
    whole = around[node.inputs[0]]
    low, high = ((0, *side, 0, 0) for side in zip(*whole, strict=True))
    padded = ops.pad(x, 0, low, high)
    start = [0, *(a - c for (a, _), (c, _) in zip(whole, sides, strict=True)), 0, 0]
    less = [0, *(b - d for (_, b), (_, d) in zip(whole, sides, strict=True)), 0, 0]
    seen = ops.slice(padded, start, [n - k for n, k in zip(padded.shape, less, strict=True)])
    attrs = dict(node.attrs)
    for name, stored in zip(("low", "high"), zip(*sides, strict=True), strict=True):
        attrs[name] = tuple(n - zeros for n, zeros in zip(node.ints(name), stored, strict=True))
    return x.builder.emit(node.prim, seen, other, **attrs)


def stored_zeros(node: Node, machine: Machine) -> Sides:
    """How many zeros are to lie on each side of each spatial axis."""
    sides = list(zip(node.ints("low"), node.ints("high"), strict=True))
    if not any(map(any, sides)):
        return sides
    *others, last = sides
    if node.op == "conv" and sums_channels(node.inputs[1], machine.lanes([node.dtype])):
        return sides
    none = [(0, 0)] * len(others)
    return [*none, (0, 0)] if _last_bounded(node, machine) else [*none, last]


def sums_channels(w: Node, lanes: int) -> bool:
    """Whether a conv with these weights has few columns, so that it sums vectors of channels."""
    return w.shape[-1] * FEW <= lanes and w.shape[-2] % lanes == 0


def _last_bounded(node: Node, machine: Machine) -> bool:
    """Whether tiles whose rows all have the same terms are as good as those along the last axis."""
    x, (groups, channels, columns) = node.inputs[0], _features(node)
    if columns == 1:
        # Vectors go along the groups, or along the channels of a weight gradient.
        return groups > 1 or (node.op == "conv_weight_grad" and channels > 1)
    size, lanes = node.dtype.itemsize, machine.lanes([node.dtype])
    window, pixels = _space(node)
    pixel = groups * channels * size

    def tile(rows: int, stride: int) -> float:
        found = best_tile(rows, columns, lanes, machine, rows_kept_apart(stride))
        return efficiency(found, rows, columns, lanes, machine)

    if node.op == "conv":
        same = tile(x.shape[0], pixel * prod(x.shape[1:-2]))
        along = max(same, tile(pixels[-1], pixel * node.ints("strides")[-1]))
    else:
        same = tile(channels, size)
        along = tile(channels * window[-1], size) if node.ints("dilation")[-1] == 1 else same
    *before, kept = _kept(node, window, pixels)
    # Multiply-adds of vectors for each place of x, in one channel.
    shrunk = prod(pixels) / max(prod(x.shape[1:-2]), 1)
    work = prod(window) * shrunk * columns / lanes * prod(before)
    return work * kept / same <= work / along + COPY


def _features(node: Node) -> tuple[int, int, int]:
    """Feature groups, channels and columns of the weights."""
    weights = node.inputs[1].shape if node.op == "conv" else node.shape
    return weights[-3], weights[-2], weights[-1]


def _space(node: Node) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Sizes of the window and of the result, or its gradient, on the spatial axes."""
    if node.op == "conv":
        return node.inputs[1].shape[:-3], node.shape[1:-2]
    return node.shape[:-3], node.inputs[1].shape[1:-2]


def _kept(node: Node, window: tuple[int, ...], pixels: tuple[int, ...]) -> list[float]:
    """The part of the terms that do not lie on the padding, for each axis."""
    how = zip(node.ints("strides"), node.ints("dilation"), node.ints("low"), strict=True)
    found = []
    for size, k, count, (stride, apart, low) in zip(
        node.inputs[0].shape[1:-2], window, pixels, how, strict=True
    ):
        spans = (tapping(i * apart, size, count, stride, low) for i in range(k))
        found.append(sum(end - first for first, end in spans) / max(k * count, 1))
    return found
