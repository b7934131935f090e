"""Groups while fusion fills them, and the questions it asks of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from operator import attrgetter

from tracejit.ir.affine import MOVEMENT, ZERO, Index, axis_index
from tracejit.ir.graph import Node
from tracejit.ir.group import Part
from tracejit.ir.precedence import Precedence
from tracejit.ir.types import Shape

REDUCTIONS = frozenset({"reduce_sum", "reduce_max", "reduce_min", "reduce_prod"})
VIRTUAL = MOVEMENT | {"full", "iota"}
WINDOWS = frozenset({"window_sum", "window_max"})
FOLDS = REDUCTIONS | WINDOWS
# Operations that read whole values, and the kinds of their groups.
WHOLE = {"host_call": "host"} | dict.fromkeys(
    ("scan", "while_loop", "while_pull", "cond"), "control"
)
SCATTERS = frozenset({"scatter_add_rows", "scatter_rows"})
TABLES = SCATTERS | {"gather_rows"}
CONTRACTIONS = frozenset({"dot_general", "conv", "conv_weight_grad"})

# Members of one group: beyond this, values of an unrolled body no longer fit the registers of any
# CPU and compile time grows faster than what another saved pass over memory brings.
MAX_MEMBERS = 96

# A search for a path between two groups that is not over after so many groups on either side would
# make fusion quadratic. It ends with "there is one", which costs a fusion at most, never a result.
MAX_SEARCH = 64

# A row kernel goes over its rows several times. With fewer rows than this there is nothing to share
# among threads, so long rows are better left to a kernel of their own after the reduction.
MIN_ROWS = 4
SHORT_ROW = 16384
LINE = 16  # elements of 4 bytes


@dataclass(slots=True, eq=False, repr=False)
class Draft:
    """A group while it grows.

    full: the shape and index of a row group's unreduced space. placed: the nodes known to stand at
    some index of this group, movement nodes included. first, last: positions of its members.
    parts: for each concatenation of which parts are stored here, these. deps, users: the groups
    that run before and after this one for its sake. order: of all drafts.
    """

    kind: str
    order: Precedence[Draft]
    extents: dict[str, int] = field(default_factory=dict)
    at: dict[Node, Index] = field(default_factory=dict)
    placed: dict[Node, Index] = field(default_factory=dict)
    operand_at: dict[Node, Index] = field(default_factory=dict)
    parts: dict[Node, list[Part]] = field(default_factory=dict)
    reduced: tuple[str, ...] = ()
    full: tuple[Shape, Index] | None = None
    deps: dict[Draft, None] = field(default_factory=dict)
    users: dict[Draft, None] = field(default_factory=dict)
    first: int = 0
    last: int = 0

    @property
    def alive(self) -> bool:
        """False once merged into another group."""
        return bool(self.at)

    def needs(self, other: Draft) -> None:
        if other is not self:
            self.order.append(other)
            self.order.append(self)
            self.order.put_before(other, self)
            self.deps[other] = None
            other.users[self] = None

    def stand_for(self, merged: Draft) -> None:
        """Takes over what another group needs, and those that need it."""
        for draft in merged.deps:
            del draft.users[merged]
            self.needs(draft)
        for draft in merged.users:
            del draft.deps[merged]
            draft.needs(self)
        merged.at = {}

    def depends_on(self, other: Draft, direct: bool = True) -> bool:
        """Whether this group needs `other` to have run; `direct=False`: by way of a third group.

        Looked for from both ends in turns; after MAX_SEARCH turns the answer is yes.
        """
        if direct and other in self.deps:
            return True
        if not self.deps or not other.users:
            return False
        needed: dict[Draft, None] = {}
        needing: dict[Draft, None] = {}
        before = self._reached(needed, DEPS, other, self)
        after = other._reached(needing, USERS, other, self)
        for turn, (one, two) in enumerate(zip(before, after, strict=False)):
            if one in needing or other in one.deps or two in needed or self in two.users:
                return True
            if turn == MAX_SEARCH:
                return True
        return False

    def _reached(
        self, seen: dict[Draft, None], by: Neighbours, low: Draft, high: Draft
    ) -> Iterator[Draft]:
        """What is reached from here between two others, each noted in `seen` when it is."""
        place = self.order.place
        first, last = place[low], place[high]
        stack = [self]
        while stack:
            for draft in by(stack.pop()):
                if first < place[draft] < last and draft not in seen:
                    seen[draft] = None
                    stack.append(draft)
                    yield draft

    def varies(self, index: Index) -> bool:
        """Whether a value at `index` changes along the reduced axes."""
        return any(axis in self.reduced for i in index for axis in i.axes())


Neighbours = Callable[[Draft], Iterable[Draft]]
DEPS: Neighbours = attrgetter("deps")
USERS: Neighbours = attrgetter("users")


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
    """Whether going over each row again is better than a second kernel.

    It is where a row stays in cache and fills the lines that it touches, or all rows together do;
    or where a row is one long stretch, and there are several to share among threads.
    """
    assert draft.full is not None
    index = draft.full[1]
    dims = [d for d, i in enumerate(index) if any(a in draft.reduced for a in i.axes())]
    trailing = dims == list(range(len(index) - len(dims), len(index)))
    row = prod(draft.extents[a] for a in draft.reduced)
    rows = prod(n for a, n in draft.extents.items() if a not in draft.reduced)
    if trailing and rows >= MIN_ROWS:
        return True
    return (row if _stretch(draft) >= LINE else row * rows) <= SHORT_ROW


def same_rows(a: Draft, b: Draft) -> bool:
    """Whether two row groups go over rows of one shape, which stay near while one does both."""
    if a.full is None or b.full is None or a.full[0] != b.full[0]:
        return False
    folded = [
        [any(axis in draft.reduced for axis in i.axes()) for i in index]
        for draft, index in ((a, a.full[1]), (b, b.full[1]))
    ]
    return folded[0] == folded[1] and rows_stay_local(b)


def _stretch(draft: Draft) -> int:
    """How many elements of a row lie side by side."""
    assert draft.full is not None
    shape, index = draft.full
    found = 1
    for size, place in zip(reversed(shape), reversed(index), strict=True):
        if not all(a in draft.reduced for a in place.axes()):
            break
        found *= size
    return found


def only_waits(node: Node, draft: Draft) -> bool:
    """Whether a group's results would be late for one number more, of other groups' results.

    A sum of many sums is a chain of such numbers; each of those would wait for the one before. What
    has axes of size 1 belongs to the one row of a batch.
    """
    return node.ndim == 0 and draft.kind != "map"


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
