"""Groups while fusion fills them, and the questions it asks of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod

from tracejit.ir.affine import MOVEMENT, ZERO, Index, axis_index
from tracejit.ir.graph import Node
from tracejit.ir.group import Part
from tracejit.ir.types import Shape

REDUCTIONS = frozenset({"reduce_sum", "reduce_max", "reduce_min", "reduce_prod"})
VIRTUAL = MOVEMENT | {"full", "iota"}
WINDOWS = frozenset({"window_sum", "window_max"})
FOLDS = REDUCTIONS | WINDOWS
# Operations that read whole values, and the kinds of their groups.
WHOLE = {"host_call": "host"} | dict.fromkeys(
    ("scan", "while_loop", "while_pull", "cond"), "control"
)
CONTRACTIONS = frozenset({"dot_general", "conv", "conv_weight_grad"})

# Members of one group: beyond this, values of an unrolled body no longer fit the registers of any
# CPU and compile time grows faster than what another saved pass over memory brings.
MAX_MEMBERS = 96

# A row kernel goes over its rows several times. With fewer rows than this there is nothing to share
# among threads, so long rows are better left to a kernel of their own after the reduction.
MIN_ROWS = 4
SHORT_ROW = 16384


@dataclass(slots=True, eq=False, repr=False)
class Draft:
    """A group while it grows.

    full: the shape and index of a row group's unreduced space. placed: the nodes known to stand at
    some index of this group, movement nodes included. first, last: positions of its members.
    parts: for each concatenation of which parts are stored here, these.
    """

    kind: str
    extents: dict[str, int] = field(default_factory=dict)
    at: dict[Node, Index] = field(default_factory=dict)
    placed: dict[Node, Index] = field(default_factory=dict)
    operand_at: dict[Node, Index] = field(default_factory=dict)
    parts: dict[Node, list[Part]] = field(default_factory=dict)
    reduced: tuple[str, ...] = ()
    full: tuple[Shape, Index] | None = None
    deps: set[Draft] = field(default_factory=set)
    users: set[Draft] = field(default_factory=set)
    first: int = 0
    last: int = 0

    @property
    def alive(self) -> bool:
        """False once merged into another group."""
        return bool(self.at)

    def needs(self, other: Draft) -> None:
        if other is not self:
            self.deps.add(other)
            other.users.add(self)

    def depends_on(self, other: Draft, direct: bool = True) -> bool:
        """Whether this group needs `other` to have run; `direct=False`: by way of a third group.

        Looked for from both ends in turns: in a deep network one of them is far from the other.
        """
        if direct and other in self.deps:
            return True
        before = [d for d in self.deps if d is not other]
        after = [d for d in other.users if d is not self]
        needed, needing = set(before), set(after)
        if not needed.isdisjoint(needing):
            return True
        while before and after:
            found = before.pop().deps - needed
            if other in found or not found.isdisjoint(needing):
                return True
            fresh = [d for d in found if d.last > other.first]
            needed.update(fresh)
            before += fresh
            found = after.pop().users - needing
            if self in found or not found.isdisjoint(needed):
                return True
            fresh = sorted((d for d in found if d.first < self.last), key=lambda d: d.last)
            needing.update(fresh)
            after += fresh  # the last one is looked at first: it is the nearest to this group
        return False

    def varies(self, index: Index) -> bool:
        """Whether a value at `index` changes along the reduced axes."""
        return any(axis in self.reduced for i in index for axis in i.axes())


def through_movement(node: Node, stop: Mapping[Node, object] | None = None) -> Node:
    while node.op in MOVEMENT and (stop is None or node not in stop):
        node = node.inputs[0]
    return node


def without(index: Index, axes: Iterable[int]) -> Index:
    dropped = set(axes)
    return tuple(i for d, i in enumerate(index) if d not in dropped)


def bare(index: Index) -> list[str] | None:
    """The axis of each dimension, "" for one of size 1; None unless all are distinct bare axes."""
    names = [i.terms[0][0] if i.terms else "" for i in index]
    bare = all(i == (axis_index(n) if n else ZERO) for i, n in zip(index, names, strict=True))
    used = [n for n in names if n]
    return names if bare and len(set(used)) == len(used) else None


def rows_stay_local(draft: Draft) -> bool:
    """Whether going over each row again is better than a second kernel."""
    assert draft.full is not None
    index = draft.full[1]
    dims = [d for d, i in enumerate(index) if any(a in draft.reduced for a in i.axes())]
    trailing = dims == list(range(len(index) - len(dims), len(index)))
    row = prod(draft.extents[a] for a in draft.reduced)
    rows = prod(n for a, n in draft.extents.items() if a not in draft.reduced)
    return trailing and (rows >= MIN_ROWS or row <= SHORT_ROW)


def only_waits(node: Node, draft: Draft) -> bool:
    """Whether a group's results would be late for one number more, of other groups' results.

    A sum of many sums is a chain of such numbers; each of those would wait for the one before.
    """
    return node.type.size == 1 and draft.kind != "map"


def summed(node: Node) -> Shape:
    """Sizes of the axes that a contraction sums over."""
    lhs, rhs = node.inputs
    match node.op:
        case "dot_general":
            contract = node.attrs["contract"]
            assert isinstance(contract, tuple) and isinstance(contract[0], tuple)
            return tuple(lhs.shape[d] for d in contract[0] if isinstance(d, int))
        case "conv":
            return (*rhs.shape[:-3], rhs.shape[-2])
        case _:
            return rhs.shape[:-2]
