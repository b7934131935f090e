"""Narrowing: a slice moves into what it cuts from, so that what is cut off is never computed.

The gradient of a padded convolution is one over the padded input, cut back to its inside.
"""

from __future__ import annotations

from tracejit.ir import ops
from tracejit.ir.convolution import seen_part
from tracejit.ir.copying import rebuild
from tracejit.ir.graph import Builder, Graph, Node


def narrow(graph: Graph) -> Graph:
    """Slices of convolutions and of padded values become convolutions and pads of less."""
    if not any(node.op == "slice" for node in graph.nodes()):
        return graph
    uses = graph.uses()
    alone = {
        node
        for node, users in uses.items()
        if len(users) == 1 and users[0].op == "slice" and node not in graph.outputs
    }

    narrowed = False

    def rewrite(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node:
        nonlocal narrowed
        if node.op == "slice" and node.inputs[0] in alone:
            moved = _sliced(inputs[0], node.ints("start"), node.ints("stop"), node.ints("step"))
            if moved is not None:
                narrowed = True
                return moved
        return builder.again(node, inputs)

    done = rebuild(graph, rewrite)
    return done if narrowed else graph


Ints = tuple[int, ...]


def _sliced(node: Node, start: Ints, stop: Ints, step: Ints) -> Node | None:
    """`node[start:stop]` computed without the rest; None where that is not possible."""
    if any(s != 1 for s in step):
        return None
    if node.op == "pad":
        return _sliced_pad(node, start, stop)
    if node.op == "conv":
        return _sliced_conv(node, start, stop)
    return None


def _sliced_conv(node: Node, start: Ints, stop: Ints) -> Node | None:
    """Only along the axes in space, whose windows must be cut alike."""
    x, w = node.inputs
    strides, dilation = node.ints("strides"), node.ints("dilation")
    space = range(1, 1 + len(strides))
    if any(
        (a, b) != (0, n)
        for d, (a, b, n) in enumerate(zip(start, stop, node.shape, strict=True))
        if d not in space
    ):
        return None
    begin, end = [], []
    axes = zip(space, strides, dilation, w.shape, node.ints("low"), strict=False)
    for d, stride, reach, size, low in axes:
        if start[d] >= stop[d]:
            return None
        begin.append(start[d] * stride - low)
        end.append((stop[d] - 1) * stride + (size - 1) * reach + 1 - low)
    cut, around = seen_part(x, begin, end)
    if cut is not x and cut.op == "slice":
        less = _sliced(x, cut.ints("start"), cut.ints("stop"), cut.ints("step"))
        cut = cut if less is None else less
    return ops.conv(cut, w, strides, dilation, around)


def _sliced_pad(node: Node, start: Ints, stop: Ints) -> Node | None:
    """Less padding, where the slice keeps all of the inside."""
    (x,) = node.inputs
    low, high = list(node.ints("low")), list(node.ints("high"))
    for d, (a, b, n) in enumerate(zip(start, stop, node.shape, strict=True)):
        if a > low[d] or n - b > high[d]:
            return None
        low[d], high[d] = low[d] - a, high[d] - (n - b)
    attrs = {**node.attrs, "low": tuple(low), "high": tuple(high)}
    return node.builder.emit(node.prim, x, **attrs)
