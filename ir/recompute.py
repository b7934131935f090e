"""Recompute: a value that costs less to compute again than to store and load is not stored.

A training step keeps what its backward half will read. Of several values that one group computes
from each other, some follow from the rest by a few cheap operations: `x * x`, `1 - t * t`, the mask
of a ReLU. Those are left to their readers, each of which computes them again from what is stored
anyway. The result is the same to the last bit, as no operation is left out, and none reordered.

Groups are taken from last to first, so a value may be computed again from others that are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from tracejit.ir.affine import MOVEMENT, Index, operand_index
from tracejit.ir.draft import FOLDS, MAX_MEMBERS, REDUCTIONS, through_movement
from tracejit.ir.graph import Graph, Node
from tracejit.ir.group import Group
from tracejit.ir.primitives.costly import EXPENSIVE, SLOW

OPS = {"div": 10, "sqrt": 12, "rsqrt": 20}  # vector instructions; 1 where nothing is said
# Memory moves about so many bytes while one core does an operation on one element. A store moves
# its line both ways.
BYTES_PER_OP = 0.5
STORED, LOADED = 2, 1
# What is smaller stays in L1, and costs next to nothing to keep.
MIN_BYTES = 16384
# But a kernel that stores nothing else costs a barrier, in whose time memory moves so many bytes.
KERNEL_BYTES = 8192
# Of such a kernel: each reader gets the code for its values.
MAX_READERS, MAX_OPS = 4, 8

Moves = dict[tuple[Node, Index], Index | None]  # where a movement node reads its operand


@dataclass(slots=True)
class _Reads:
    """What a group loads, and which members of other groups it computes again: at how many places.

    missing: what it would need and nobody stores. possible: no movement stands in the way.
    """

    loaded: set[Node] = field(default_factory=set)
    again: dict[Node, int] = field(default_factory=dict)
    missing: set[Node] = field(default_factory=set)
    possible: bool = True

    def cost(self) -> float:
        """In bytes moved."""
        ops = sum(OPS.get(node.op, 1) * places for node, places in self.again.items())
        loads = sum(node.type.nbytes for node in self.loaded)
        return LOADED * loads + BYTES_PER_OP * ops


def recompute(graph: Graph, groups: Sequence[Group]) -> list[Group]:
    """The groups, with what is cheap to compute again stored by none."""
    return _Recompute(graph, groups).done()


class _Recompute:
    def __init__(self, graph: Graph, groups: Sequence[Group]) -> None:
        self.groups = list(groups)
        self.outputs = [set(group.outputs) for group in groups]
        self.home = {node: n for n, group in enumerate(groups) for node in group.at}
        # The number of the group that stores a value: before that it is read through.
        self.stored = dict.fromkeys(graph.inputs, -1)
        for n, group in enumerate(groups):
            self.stored.update(dict.fromkeys(group.outputs, n))
        self.donated = {graph.inputs[d] for d in graph.donated if d is not None}
        self.kept = set(graph.outputs)
        self.small: set[Node] = set()  # computed again, as nothing is left of their kernels
        self.readers: dict[Node, set[int]] = {}
        for group in groups:
            self._note_kept(group)
        self.moves: list[Moves] = [{} for _ in groups]
        self.reads = [self._reads(n) for n in range(len(groups))]
        for n in range(len(groups)):
            self._note_reader(n)

    def _note_kept(self, group: Group) -> None:
        """What is read at other places than an element's own must lie in memory."""
        for node, index in group.at.items():
            if not _by_element(node, group) or not _follows(node, index, group):
                self.kept.update(through_movement(i, self.home) for i in node.inputs)

    def _note_reader(self, n: int) -> None:
        for node in self.reads[n].loaded:
            self.readers.setdefault(node, set()).add(n)

    def done(self) -> list[Group]:
        for n in reversed(range(len(self.groups))):
            if self._drop_kernel(n):
                continue
            free = [node for node in self.groups[n].outputs if self._may_go(node)]
            if len(free) > 1 and self._drop(n, free):
                continue
            for node in reversed(free):
                self._drop(n, [node])
        found = zip(self.groups, self.outputs, strict=True)
        inner: dict[Node, tuple[Node, ...]] = {}
        return [_pruned(group, outputs, inner) for group, outputs in found if outputs]

    def _drop_kernel(self, n: int) -> bool:
        """Leaves small values to their readers, where that saves a kernel."""
        outputs = self.groups[n].outputs
        readers = {r for node in outputs for r in self.readers.get(node, ())}
        small = all(node.type.nbytes < MIN_BYTES for node in outputs)
        cheap = not any(node.op in EXPENSIVE | FOLDS for node in self.groups[n].at)
        apart = not self.kept.isdisjoint(outputs) or self.groups[n].kind != "map"
        long = len(readers) > MAX_READERS or len(self.groups[n].at) > MAX_OPS
        if not small or not cheap or apart or long:
            return False
        self.small.update(self.groups[n].at)
        if self._drop(n, outputs, KERNEL_BYTES) and not self.outputs[n]:
            return True
        self.small.difference_update(self.groups[n].at)
        return False

    def _may_go(self, node: Node) -> bool:
        cheap = node.prim.elementwise and node.op not in SLOW
        return cheap and node not in self.kept and node.type.nbytes >= MIN_BYTES

    def _drop(self, n: int, dropped: Sequence[Node], saved: int = 0) -> bool:
        """Leaves values of group n to their readers, if that is possible and saves time.

        What they follow from and is not stored yet is then stored instead. saved: bytes beside
        those of the values.
        """
        readers = sorted({r for node in dropped for r in self.readers.get(node, ())})
        added: set[Node] = set()
        for node in dropped:
            del self.stored[node]
        for r in readers:
            added |= self._reads(r).missing
        self.stored.update(dict.fromkeys(added, n))
        after: dict[int, _Reads] = {}
        if all(self.home[node] == n for node in added):
            after = {r: self._reads(r) for r in readers}
        if not after or not self._pays(dropped, added, after, saved):
            for node in added:
                del self.stored[node]
            self.stored.update(dict.fromkeys(dropped, n))
            return False
        self.outputs[n] = self.outputs[n] - set(dropped) | added
        for r, found in after.items():
            for node in self.reads[r].loaded:
                self.readers[node].discard(r)
            self.reads[r] = found
            self._note_reader(r)
        return True

    def _pays(
        self, dropped: Sequence[Node], added: set[Node], after: Mapping[int, _Reads], saved: int
    ) -> bool:
        if not all(self._allowed(r, found) for r, found in after.items()):
            return False
        stores = sum(n.type.nbytes for n in dropped) - sum(n.type.nbytes for n in added)
        before = sum(self.reads[r].cost() for r in after)
        now = sum(found.cost() for found in after.values())
        return now < before + STORED * stores + saved

    def _allowed(self, r: int, found: _Reads) -> bool:
        fresh = found.loaded - self.reads[r].loaded
        return (
            found.possible
            and not found.missing
            and len(self.groups[r].at) + len(found.again) <= MAX_MEMBERS
            and not fresh & self.donated  # they may be overwritten by then
        )

    def _reads(self, n: int) -> _Reads:
        """What group n reads, given what lies in memory now."""
        group, reads = self.groups[n], _Reads()
        if group.kind == "border":
            return reads
        for node, index in group.at.items():
            for operand, at in group.reads(node):
                where = self._moved(node, index, n) if node.op in MOVEMENT else at
                if _by_element(node, group) and where is not None:
                    self._read(operand, where, n, reads)
                else:
                    reads.loaded.add(through_movement(operand, self.stored))
        return reads

    def _read(self, node: Node, index: Index, n: int, reads: _Reads) -> None:
        """Notes where the value of `node` at `index` comes from, as lowering will find it."""
        at = self.groups[n].at
        while node not in at and node.op not in ("full", "iota"):
            if self.stored.get(node, n + 1) <= n:
                reads.loaded.add(node)
                return
            if node.op not in MOVEMENT:
                break
            operand = node.inputs[0]
            if node.op == "reshape" and self.stored.get(operand, n + 1) <= n:
                node = operand
                continue
            moved = self._moved(node, index, n)
            if moved is None:
                reads.possible = False
                return
            node, index = operand, moved
        else:
            return
        small = node.type.nbytes < MIN_BYTES and node not in self.small
        if not node.prim.elementwise or node.op in SLOW or small:
            reads.missing.add(node)
        elif node not in reads.again:
            extents = self.groups[n].extents
            reads.again[node] = prod(extents[a] for a in {a for i in index for a in i.axes()})
            for operand in node.inputs:
                self._read(operand, index, n, reads)

    def _moved(self, node: Node, index: Index, n: int) -> Index | None:
        if node.inputs[0].op == "full":
            return index
        moves, key = self.moves[n], (node, index)
        if key not in moves:
            moves[key] = operand_index(node, index, self.groups[n].extents)
        return moves[key]


def _by_element(node: Node, group: Group) -> bool:
    """Whether an operand is read once for each place, so that it may be computed there."""
    copied = node in group.parts or node.op in MOVEMENT | {"pad", "contiguous"}
    return copied or node.prim.elementwise or node.op in REDUCTIONS


def _follows(node: Node, index: Index, group: Group) -> bool:
    """Whether the place at which a member reads its operand is known."""
    moves = node.op in MOVEMENT
    return not moves or operand_index(node, index, group.extents) is not None


def _is_concatenation(node: Node) -> bool:
    return through_movement(node).op == "concatenate"


def _pruned(group: Group, outputs: set[Node], inner: dict[Node, tuple[Node, ...]]) -> Group:
    """A group without the members that none of its outputs needs.

    inner: of concatenations, which many groups hold, those inside them as far as known.
    """
    needed = set(outputs)
    for node in reversed(tuple(group.at)):
        if node in needed:
            # A concatenation inside another is stored with that, and has its place here still.
            if node in group.parts and node not in inner:
                inner[node] = tuple(filter(_is_concatenation, node.inputs))
            operands = (*inner.get(node, ()), *group.operands(node))
            needed.update(through_movement(operand, group.at) for operand in operands)
    at = {node: index for node, index in group.at.items() if node in needed}
    stored = tuple(node for node in at if node in outputs)
    if len(at) == len(group.at):
        return replace(group, outputs=stored)
    kind, reduced = group.kind, group.reduced
    if kind == "row" and not any(node.op in FOLDS for node in at):
        kind, reduced = "map", ()
    return replace(group, kind=kind, at=at, outputs=stored, reduced=reduced)
