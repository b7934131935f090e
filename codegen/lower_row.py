"""Lowering of row groups: one or more passes over each row, with reductions between them.

The stage of a member is the number of reductions that must be complete before it can be computed.
Pass s goes over the row once, computes the members of stage s that vary along it, and folds the
reductions that complete before stage s + 1. Values that vary along the row and are needed again in
a later pass are computed again where that is cheap, else kept in a buffer of one row.
"""

from __future__ import annotations

from math import prod

from tracejit.codegen.nest import Acc, Fold, For, Offset, Stmt, Store
from tracejit.codegen.nest_builder import Nest, free_of, loc_of
from tracejit.ir.affine import MOVEMENT, axis_index, linear
from tracejit.ir.draft import FOLDS
from tracejit.ir.graph import Node
from tracejit.ir.primitives.costly import EXPENSIVE
from tracejit.ir.types import BF16, BOOL, F16, F32

FOLD_OPS = {
    "reduce_sum": "add",
    "reduce_max": "max",
    "reduce_min": "min",
    "reduce_prod": "mul",
    "window_sum": "add",
    "window_max": "max",
}
BOOL_FOLD_OPS = {"add": "or", "max": "or", "min": "and", "mul": "and"}

# Recomputing more cheap ops than this costs as much as one store and one load.
MAX_RECOMPUTED = 6
# A kept row must leave room in L1 for what is being loaded.
MAX_KEPT_ROW_BYTES = 16384


def lower_row(nest: Nest) -> list[Stmt]:
    return nest.parallel(_Rows(nest).lower())


class _Rows:
    def __init__(self, nest: Nest) -> None:
        self.nest = nest
        self.across = {n for n in nest.at if not free_of(nest.at[n], nest.reduced)}
        self.sources = {n: self._sources(n) for n in nest.at}
        self.stage: dict[Node, int] = {}
        for node, sources in self.sources.items():
            before = max((self.stage[s] for s in sources), default=0)
            self.stage[node] = before + (node.op in FOLDS)
        self.kept: dict[Node, str] = {}
        self.again: set[Node] = set()
        self._choose_kept()

    def _sources(self, node: Node) -> list[Node]:
        """The members that `node` reads, looking through movement."""
        found = []
        for operand in self.nest.group.operands(node):
            while operand.op in MOVEMENT and operand not in self.nest.at:
                operand = operand.inputs[0]
            if operand in self.nest.at:
                found.append(operand)
        return found

    def _choose_kept(self) -> None:
        """Which values a later pass loads, from a kept row or from an output."""
        needed: dict[Node, int] = {}
        for node, sources in self.sources.items():
            when = self.stage[node] - (node.op in FOLDS)
            for source in sources:
                needed[source] = max(needed.get(source, 0), when)
        extents = [self.nest.extents[r] for r in self.nest.reduced]
        cost: dict[Node, int] = {}
        for node in self.nest.at:
            if node not in self.across:
                continue
            cost[node] = 1 + sum(cost.get(s, 0) for s in self.sources[node])
            if node.op in EXPENSIVE:
                cost[node] += MAX_RECOMPUTED
            crosses = needed.get(node, 0) > self.stage[node]
            if not crosses or cost[node] <= MAX_RECOMPUTED:
                continue
            if node in self.nest.group.outputs:
                self.again.add(node)
            elif (
                self._along_row(node) and prod(extents) * node.dtype.itemsize <= MAX_KEPT_ROW_BYTES
            ):
                self.kept[node] = self.nest.scratch(node.dtype, prod(extents))
            else:
                continue
            cost[node] = 1

    def _along_row(self, node: Node) -> bool:
        """Whether neighbours in a row are neighbours in memory: then vectors go along the row."""
        places = tuple(i for i in self.nest.at[node] if i.axes())
        return not free_of(places[-1:], self.nest.reduced)

    def lower(self) -> list[Stmt]:
        row: list[Stmt] = []
        for s in range(max(self.stage.values()) + 1):
            row += self._between(s)
            row += self._pass(s)
        return row

    def _between(self, s: int) -> list[Stmt]:
        """Members that do not vary along the row, once the reductions before stage s are done."""
        nest, block = self.nest, self.nest.block()
        for node in nest.at:
            if self.stage[node] != s or node in self.across:
                continue
            if node.op not in FOLDS:
                nest.values[node] = nest.compute(node)
            if node in nest.group.outputs:
                nest.store(node, nest.values[node])
        return block

    def _pass(self, s: int) -> list[Stmt]:
        """One walk over the row: folds that complete stage s, stores of what varies along it."""
        nest = self.nest
        folds = [n for n in nest.at if n.op in FOLDS and self.stage[n] == s + 1]
        here = [n for n in nest.at if n in self.across and self.stage[n] == s]
        stores = [n for n in here if n in nest.group.outputs or n in self.kept]
        if not folds and not stores:
            return []
        block, known = nest.block(), dict(nest.values)
        accs = [self._accumulate(node, s) for node in folds]
        for node in stores:
            self._ensure(node, s)
            if node in nest.group.outputs:
                nest.store(node, nest.values[node])
            else:
                block.append(Store(self.kept[node], self._in_row(), nest.values[node]))
        nest.values = known
        if not folds:
            return self._serial(block)
        loops = tuple(nest.loop(axis) for axis in nest.reduced)
        loc = loc_of(folds[0])
        after = nest.block()
        after.append(Fold(loops, tuple(block), tuple(accs), loc))
        for node, acc in zip(folds, accs, strict=True):
            same = acc.dtype == node.dtype
            nest.values[node] = acc.name if same else nest.let(node.dtype, "cast", acc.name)
        return after

    def _serial(self, block: list[Stmt]) -> list[Stmt]:
        for axis in reversed(self.nest.reduced):
            block = [For(self.nest.loop(axis), tuple(block))]
        return block

    def _accumulate(self, node: Node, s: int) -> Acc:
        nest, operand = self.nest, node.inputs[0]
        for source in self.sources[node]:
            self._ensure(source, s)
        nest.loc = loc_of(node)
        value = nest.read(operand, nest.operand_at[node])
        op, dtype = FOLD_OPS[node.op], node.dtype
        if dtype == BOOL:
            op = BOOL_FOLD_OPS[op]
        elif dtype in (F16, BF16) and op in ("add", "mul"):
            dtype = F32
            value = nest.let(F32, "cast", value)
        return Acc(nest.name(), dtype, op, (value,))

    def _ensure(self, node: Node, s: int) -> None:
        """Makes the value of a member known in pass s: loaded if an earlier pass kept it."""
        nest = self.nest
        if node in nest.values:
            return
        earlier = self.stage[node] < s
        if earlier and node in self.kept:
            nest.values[node] = nest.load(self.kept[node], node.dtype, self._in_row())
        elif earlier and node in self.again:
            where = Offset(linear(nest.at[node], node.shape))
            nest.values[node] = nest.load(nest.buffer(node, "out"), node.dtype, where)
        else:
            for source in self.sources[node]:
                self._ensure(source, s)
            nest.values[node] = nest.compute(node)

    def _in_row(self) -> Offset:
        axes = self.nest.reduced
        index = tuple(axis_index(r) for r in axes)
        return Offset(linear(index, [self.nest.extents[r] for r in axes]))
