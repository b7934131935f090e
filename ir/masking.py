"""Cotangents that a mask keeps at zero: `select(mask, g, 0)`, what `where` hands to each branch.

A derivative rule is linear in the cotangent, so it may be asked about g, and its answer masked.
Asked about the masked cotangent it would multiply a zero by the slope of the branch not taken; if
that is infinite, as of sqrt at 0, the product is nan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tracejit.ir import ops
from tracejit.ir.graph import Node

Parts = Sequence[Node | None]

# Their transposes are index maps: they move the mask as they move the cotangent.
MOVES = frozenset({"transpose", "reverse", "slice", "pad", "concatenate", "reduce_sum"})


def split(g: Node) -> tuple[Node, Node] | None:
    """The mask and the cotangent of `select(mask, g, 0)`; None for what is not masked."""
    if g.op != "select":
        return None
    pred, on_true, on_false = g.inputs
    if on_false.scalar() == 0:
        return pred, on_true
    return (ops.not_(pred), on_false) if on_true.scalar() == 0 else None


def masked(mask: Node, g: Node) -> Node:
    """g where the mask is True, else 0; of two masks one."""
    inner, mask = split(g), _canonical(mask)
    if inner is not None:
        first, g = _canonical(inner[0]), inner[1]
        mask = mask if mask is first else ops.and_(mask, first)
    return ops.select(mask, g, ops.zeros_like(g))


def added(a: Node, b: Node) -> Node:
    """The sum of two cotangents: masked if both are."""
    first, second = split(a), split(b)
    if first is None or second is None:
        return a + b
    p, q = _canonical(first[0]), _canonical(second[0])
    if p is q:
        return masked(p, first[1] + second[1])
    return masked(ops.or_(p, q), a + b)


def _canonical(mask: Node) -> Node:
    """One node for masks that repeat the same values the same way."""
    if mask.op != "broadcast":
        return mask
    (m,), axes = mask.inputs, mask.ints("axes")
    kept = [axis for axis, size in zip(axes, m.shape, strict=True) if size == mask.shape[axis]]
    return ops.broadcast(_reshaped(m, [mask.shape[axis] for axis in kept]), mask.shape, kept)


def _reshaped(mask: Node, shape: Sequence[int]) -> Node:
    """One reshape of many: a mask that comes back is then the node that it was."""
    while mask.op in ("reshape", "broadcast") and mask.type.size == mask.inputs[0].type.size:
        (mask,) = mask.inputs
    return ops.reshape(mask, shape)


def pulled(node: Node, g: Node) -> Parts:
    """What the operands of `node` get of its cotangent, by the rule of its primitive."""
    rule = node.prim.vjp
    assert rule is not None
    found = split(g)
    masks = None if found is None else _masks(node, found[0])
    if found is None or masks is None:
        return rule(g, node, *node.inputs, **node.attrs)
    parts = rule(found[1], node, *node.inputs, **node.attrs)
    return [
        part if part is None or mask is None else masked(mask, part)
        for part, mask in zip(parts, masks, strict=True)
    ]


def _masks(node: Node, mask: Node) -> Parts | None:
    """The mask as each operand sees it; None where it does not reach them whole."""
    if node.prim.elementwise:
        return (mask,) * len(node.inputs)
    if node.op == "reshape":
        return (_reshaped(mask, node.inputs[0].shape),)
    if node.op in MOVES and node.prim.vjp is not None:
        return node.prim.vjp(mask, node, *node.inputs, **node.attrs)
    if node.op == "broadcast" and mask.op == "broadcast":
        return _repeated(node, mask)
    return None


def _repeated(node: Node, mask: Node) -> Parts | None:
    """A broadcast mask before the broadcast `node`, if it repeats where the node repeats."""
    (x,), (m,) = node.inputs, mask.inputs
    own = dict(zip(mask.ints("axes"), m.shape, strict=True))
    place = {
        axis: d
        for d, (axis, size) in enumerate(zip(node.ints("axes"), x.shape, strict=True))
        if size == node.shape[axis]
    }
    kept = [axis for axis, size in own.items() if size == node.shape[axis]]
    if any(axis not in place for axis in kept):
        return None
    inner = _reshaped(m, [own[axis] for axis in kept])
    return (ops.broadcast(inner, x.shape, [place[axis] for axis in kept]),)


def elementwise(rule: Callable[[Node], Parts], g: Node) -> Parts:
    """rule(g) of a derivative whose parts have the shape of g: masked as g is."""
    found = split(g)
    if found is None:
        return rule(g)
    return [part if part is None else masked(found[0], part) for part in rule(found[1])]
