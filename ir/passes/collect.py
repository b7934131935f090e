"""Collecting: a sum of many products of one kind becomes one product over all of their terms.

A weight used in every step of an unrolled loop has a gradient that is the sum of one product per
step: sum_t x_t^T g_t = [x_1; x_2; ..]^T [g_1; g_2; ..]. As one product it is read and written once,
not once a step. Sums over rows, as the gradient of a bias, are collected alike. And the gradient of
an array that each step took a slice of is a sum of slices in zeros: they are put side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

from tracejit.ir import ops
from tracejit.ir.copying import rebuild
from tracejit.ir.graph import Attr, Builder, Graph, Node
from tracejit.ir.types import is_float

# Fewer terms are not worth the copy that puts their operands side by side.
MIN_TERMS = 4
# Slices in zeros are copied anyway, and two of them side by side need no zeros and no sum.
MIN_SLICES = 2


def collect(graph: Graph) -> Graph:
    """Sums of MIN_TERMS like products or sums over rows, or of MIN_SLICES slices, at once."""
    trees = _sums(graph)
    if not trees:
        return graph

    new: dict[Node, Node] = {}

    def rewrite(builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node:
        new.update(zip(node.inputs, inputs, strict=True))
        if node in trees:
            return _collected([new[leaf] for leaf in trees[node]])
        return builder.again(node, inputs)

    return rebuild(graph, rewrite)


def _sums(graph: Graph) -> dict[Node, list[Node]]:
    """The leaves of each tree of additions that has enough of one kind."""
    uses = graph.uses()
    kept = set(graph.outputs)

    def inner(node: Node) -> bool:
        return node.op == "add" and len(uses[node]) == 1 and node not in kept

    trees: dict[Node, list[Node]] = {}
    for node in graph.nodes():
        if node.op != "add" or not is_float(node.dtype):
            continue
        if inner(node) and uses[node][0].op == "add":
            continue
        leaves = _leaves(node, inner)
        alone = [leaf for leaf in leaves if len(uses[leaf]) == 1 and leaf not in kept]
        if any(map(_enough, _alike(alone))):
            trees[node] = leaves
    return trees


def _leaves(root: Node, inner: Callable[[Node], bool]) -> list[Node]:
    """What a tree of additions adds up, from left to right."""
    leaves: list[Node] = []
    stack = [*reversed(root.inputs)]
    while stack:
        node = stack.pop()
        if inner(node):
            stack.extend(reversed(node.inputs))
        else:
            leaves.append(node)
    return leaves


def _alike(leaves: Iterable[Node]) -> list[list[Node]]:
    """Terms of one kind together, in the order of their first."""
    kinds: dict[object, list[Node]] = {}
    for leaf in leaves:
        kind = _kind(leaf)
        if kind is not None:
            kinds.setdefault(kind, []).append(leaf)
    return [same for kind, same in kinds.items() if same[0].op != "pad" or _apart(same)]


def _enough(same: list[Node]) -> bool:
    return len(same) >= (MIN_SLICES if same[0].op == "pad" else MIN_TERMS)


def _kind(node: Node) -> object:
    """Equal for nodes that can be collected; None for those that cannot.

    A product counts if its operands together are smaller than two of its results.
    """
    if node.op == "reduce_sum" and node.ints("axes") == (0,) and node.ndim > 0:
        return ("reduce_sum", node.inputs[0].type)
    if node.op == "pad" and (axis := _padded_axis(node)) is not None:
        return ("pad", node.type, axis)
    if node.op != "dot_general":
        return None
    lhs, rhs = node.inputs
    left, right = _contracted(node, 0), _contracted(node, 1)
    if node.attrs["batch"] != ((), ()) or left != (0,) or right != (0,):
        return None
    if lhs.type.size + rhs.type.size > 2 * node.type.size:
        return None
    return ("dot_general", lhs.type, rhs.type)


def _contracted(node: Node, side: int) -> Attr:
    contract = node.attrs["contract"]
    assert isinstance(contract, tuple)
    return contract[side]


def _collected(leaves: list[Node]) -> Node:
    """The sum of all leaves, those of one kind at once."""
    groups = list(filter(_enough, _alike(leaves)))
    taken = {leaf for same in groups for leaf in same}
    terms = [_at_once(same) for same in groups]
    terms += [leaf for leaf in leaves if leaf not in taken]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _padded_axis(node: Node) -> int | None:
    """The one axis along which a value stands in zeros."""
    outside = zip(node.ints("low"), node.ints("high"), strict=True)
    axes = [d for d, (low, high) in enumerate(outside) if low or high]
    plain = node.attrs["value"] == 0 and not any(node.ints("interior"))
    return axes[0] if plain and len(axes) == 1 else None


def _places(pads: list[Node]) -> list[tuple[int, int, Node]]:
    """Where each value begins and ends along the padded axis, in order."""
    axis = _padded_axis(pads[0])
    assert axis is not None
    found = ((p.ints("low")[axis], p.shape[axis] - p.ints("high")[axis], p) for p in pads)
    return sorted(found, key=lambda place: place[:2])


def _apart(pads: list[Node]) -> bool:
    places = _places(pads)
    return all(a[1] <= b[0] for a, b in pairwise(places))


def _side_by_side(pads: list[Node]) -> Node:
    """Values in zeros, none of which overlap, as one value."""
    axis, end, parts = _padded_axis(pads[0]), 0, []
    assert axis is not None
    shape, builder = pads[0].shape, pads[0].builder

    def zeros(count: int) -> Node:
        gap = (*shape[:axis], count, *shape[axis + 1 :])
        return builder.full(0.0, pads[0].type.with_shape(gap))

    for start, stop, pad in _places(pads):
        parts += [zeros(start - end)] if start > end else []
        parts.append(pad.inputs[0])
        end = stop
    parts += [zeros(shape[axis] - end)] if end < shape[axis] else []
    return ops.concatenate(parts, axis)


def _at_once(leaves: list[Node]) -> Node:
    if leaves[0].op == "pad":
        return _side_by_side(leaves)
    operands = [
        ops.concatenate([leaf.inputs[n] for leaf in leaves], 0)
        for n in range(len(leaves[0].inputs))
    ]
    return leaves[0].builder.emit(leaves[0].prim, *operands, **leaves[0].attrs)
