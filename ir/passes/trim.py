"""Trimming: a scan without the results that nobody reads, and without what only they need.

The backward scan of a derivative is asked for all gradients; here those go that were not wanted,
with the sums that carried them.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir import ops
from tracejit.ir.copying import inlined, transplanted
from tracejit.ir.graph import Builder, Graph, Node
from tracejit.ir.loops import Scan, scan_items
from tracejit.ir.order import topological
from tracejit.ir.passes.loops import change_scans


def trim(graph: Graph) -> Graph:
    """The graph whose scans carry, read and store no more than is needed."""
    return change_scans(graph, _trimmed)


def _trimmed(builder: Builder, scan: Scan, used: frozenset[int]) -> list[Node]:
    if scan.length == 0:
        ys = [builder.full(0, y.type.with_shape((0, *y.shape))) for y in scan.ys]
        return [*scan.inits, *ys]
    if scan.length == 1:
        return _once(builder, scan)
    return _Trimmed(builder, scan, used).results()


def _once(builder: Builder, scan: Scan) -> list[Node]:
    """A loop of one turn is its body."""
    xs = [ops.reshape(x, x.shape[1:]) for x in scan.xs]
    outs = inlined(builder, scan.body, [*scan.consts, *scan.inits, *xs])
    count = len(scan.inits)
    return [*outs[:count], *(ops.reshape(y, (1, *y.shape)) for y in outs[count:])]


class _Trimmed:
    """A scan in the making, by the parts of the old one."""

    def __init__(self, builder: Builder, scan: Scan, used: frozenset[int]) -> None:
        self.builder = builder
        self.scan = scan
        self.used = used
        self.count = len(scan.inits)
        self.consts, self.carries, self.xs = scan.split(scan.body.inputs)
        self.live = self._live()
        # A carry that every turn hands on as it is, is none.
        self.kept = [i for i in self.live if scan.next[i] is not self.carries[i]]

    def _wanted_ys(self) -> list[Node]:
        ys = enumerate(self.scan.ys, start=self.count)
        return list(dict.fromkeys(y for n, y in ys if n in self.used))

    def _live(self) -> list[int]:
        """The carries that are read after the loop, or by what lives in it."""
        live = {n for n in self.used if n < self.count}
        while True:
            roots = [*(self.scan.next[i] for i in live), *self._wanted_ys()]
            reached = set(topological(roots))
            more = {i for i, carry in enumerate(self.carries) if carry in reached} - live
            if not more:
                return sorted(live)
            live |= more

    def results(self) -> list[Node]:
        scan, used = self.scan, self.used
        same = {
            self.carries[i]: scan.inits[i] for i in self.live if scan.next[i] is self.carries[i]
        }
        fixed = dict(zip(self.consts, scan.consts, strict=True)) | same
        mapped = dict(zip(self.xs, scan.xs, strict=True))
        ys = [y for y in self._wanted_ys() if y not in fixed and y not in mapped]
        last, stacked = self._emitted(ys, fixed, mapped)
        new_y = dict(zip(ys, stacked, strict=True))
        results: list[Node] = []
        for n, old in enumerate(scan.body.outputs):
            if n < self.count:
                results.append(last[n] if n in last else scan.inits[n])
            elif n not in used:
                results.append(self.builder.full(0, old.type.with_shape((scan.length, *old.shape))))
            elif old in fixed:
                value = fixed[old]
                shape = (scan.length, *old.shape)
                results.append(ops.broadcast(value, shape, range(1, len(shape))))
            else:
                results.append(mapped[old] if old in mapped else new_y[old])
        return results

    def _emitted(
        self, ys: Sequence[Node], fixed: dict[Node, Node], mapped: dict[Node, Node]
    ) -> tuple[dict[int, Node], list[Node]]:
        """The smaller scan: its last carries, by their old positions, and its ys."""
        outputs = [*(self.scan.next[i] for i in self.kept), *ys]
        if not outputs:
            return {}, []
        reached = set(topological(outputs))
        inner = Builder()
        consts = _Inputs(inner, "c", {n: v for n, v in fixed.items() if n in reached})
        xs = _Inputs(inner, "x", {n: v for n, v in mapped.items() if n in reached})
        carries = {self.carries[i]: inner.input(f"s{i}", self.carries[i].type) for i in self.kept}
        replaced = {**consts.replaced, **xs.replaced, **carries}
        body = Graph(
            self.scan.body.name,
            (*consts.inputs, *carries.values(), *xs.inputs),
            tuple(transplanted(inner, outputs, replaced)),
        )
        inits = tuple(self.scan.inits[i] for i in self.kept)
        scan = Scan(body, consts.given, inits, xs.given, self.scan.length, self.scan.reverse)
        last, stacked = scan_items(scan, self.builder)
        return dict(zip(self.kept, last, strict=True)), stacked


class _Inputs:
    """Inputs of a body for these operands: one for each value, none for constants."""

    def __init__(self, builder: Builder, name: str, operands: dict[Node, Node]) -> None:
        known: dict[Node, Node] = {}
        self.replaced: dict[Node, Node] = {}
        for old, value in operands.items():
            constant = value.scalar()
            if constant is not None:
                self.replaced[old] = builder.full(constant, old.type)
                continue
            if value not in known:
                known[value] = builder.input(f"{name}{len(known)}", old.type)
            self.replaced[old] = known[value]
        self.given = tuple(known)
        self.inputs = tuple(known.values())
