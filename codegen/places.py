"""Which values lie where others lay: outputs in donated inputs, changed copies in the original.

An output takes over the buffer of the input that it donates from when the kernel that writes it
reads that input at the same places only, and every other reader can run before; else it is computed
in the arena and copied at the end. A copy that is then changed lies where its original lies, and is
not made, when everybody else who reads the original can do so before.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from tracejit.codegen.dependencies import Dependencies
from tracejit.codegen.launches import Slot
from tracejit.codegen.lower import copied, is_copy
from tracejit.codegen.nest import Call, Flow, For, Load, Offset, Stmt, Store, walk
from tracejit.ir.graph import Graph, Node


class Places:
    """slots: of inputs, outputs and what shares theirs. fresh: the outputs that are new arrays.

    hosts: kernels that may fail; none of them runs behind one that writes to an input.
    inner: of a body: an output that cannot take its donor's buffer is a new array.
    """

    def __init__(self, graph: Graph, deps: Dependencies, hosts: Set[int], inner: bool) -> None:
        self.graph = graph
        self.deps = deps
        self.hosts = hosts
        self.slots: dict[Node, Slot] = {n: Slot("input", i) for i, n in enumerate(graph.inputs)}
        self.fresh: list[int] = []
        self._original: dict[Node, Node] = {}
        self._copy: dict[Node, Node] = {}
        for position, (node, donor) in enumerate(zip(graph.outputs, graph.donated, strict=True)):
            own = donor is not None and node is graph.inputs[donor]
            if donor is None or not (own or self._donate(node, donor, inner)):
                self.slots[node] = Slot("output", len(self.fresh))
                self.fresh.append(position)
        self._leave_out_copies()
        deps.pass_by_idle()

    def root(self, node: Node) -> Node:
        """The temporary whose place a temporary shares: itself, if it is no copy."""
        while node in self._original:
            node = self._original[node]
        return node

    # Donation

    def _donate(self, node: Node, donor: int, inner: bool) -> bool:
        """Gives an output the buffer of an input, in place if that is safe. Says if it has."""
        taken = self.graph.inputs[donor]
        if self._replace(node, taken):
            return True
        if not inner:
            self._copy_back(node, taken)
        return not inner

    def _replace(self, node: Node, taken: Node) -> bool:
        """Puts a value where an input lies, if that is safe. Says if it has."""
        readers = [r for r in self.deps.readers.get(taken, ()) if r not in self.deps.idle]
        writers = self.deps.writers[node]
        before = {*readers, *self.hosts}.difference(writers)
        own = [w for w in writers if w in readers]
        if not self.hosts.isdisjoint(writers) or not self.deps.may_follow(before, writers):
            return False
        if not self._same_places(own, writers, taken, node):
            return False
        self.slots[node] = self.slots[taken]
        self.deps.put_before(before, writers)
        self.deps.idle.update(w for w in own if is_copy(self.deps.lowered[w]))
        return True

    def _same_places(self, own: list[int], writers: list[int], taken: Node, node: Node) -> bool:
        """Whether the kernel that reads `taken` and writes `node`, before all that only write it,
        reads each element before it stores there, and no other element afterwards."""
        if not own:
            return True
        if len(own) > 1 or not all(self.deps.order.is_needed(own[0], by=w) for w in writers):
            return False
        low = self.deps.lowered[own[0]]
        names = dict(zip(low.nodes, (b.name for b in low.kernel.buffers), strict=False))
        body = low.kernel.body
        if isinstance(body[0], Call | Flow):
            return False  # it reads where it likes
        apart = all(isinstance(stmt, For) and stmt.loop.parallel for stmt in body)
        nests = [walk((stmt,)) for stmt in body] if apart else [walk(body)]
        return all(_own_places(nest, names[taken], names[node]) for nest in nests)

    def _copy_back(self, node: Node, taken: Node) -> None:
        """Adds a kernel that copies an output into the donated buffer when all else is done."""
        readers = self.deps.readers.get(taken, ())
        name = f"k{len(self.deps.lowered)}copy"
        before = {*self.deps.writers[node], *readers, *self.hosts}
        self.deps.append(copied(name, node, taken), before)

    # Copies

    def _leave_out_copies(self) -> None:
        """The last ones first, so that a chain of copies ends up in one place."""
        for k in reversed(range(len(self.deps.lowered))):
            low = self.deps.lowered[k]
            if k not in self.deps.idle and is_copy(low):
                self._leave_out(k, *low.nodes)

    def _leave_out(self, k: int, source: Node, target: Node) -> None:
        """Has a copy lie where its source lies, a temporary, if nobody needs that once it changes.

        A source that shares its place with another copy may have been changed there.
        """
        if source in self.slots or source in self._copy:
            return
        if target not in self.deps.writers:  # copied back into an input, for want of a better way
            return
        idle = self.deps.idle | {k}
        readers = set(self.deps.readers[source]) - idle
        changes = set(self.deps.writers[target]) - idle
        last = target
        while not changes and last in self._copy:  # behind a change, others follow in any case
            last = self._copy[last]
            changes = set(self.deps.writers[last]) - idle
        if not self.deps.may_follow(readers, changes):
            return
        place = self.slots.get(target)
        if place is None:
            self._original[target], self._copy[source] = source, target
        elif place.place == "output":
            self.slots[source] = place
        elif not self._replace(source, self.graph.inputs[place.at]):
            return
        self.deps.put_before(readers, changes)
        self.deps.idle.add(k)


def _own_places(nest: Iterable[Stmt], source: str, target: str) -> bool:
    """Whether a nest stores to `target` once, where it has loaded from `source`, if it does either.

    No two nests of a kernel store to one place.
    """
    stored: Offset | None = None
    indices: set[Offset | None] = set()
    for stmt in nest:
        if isinstance(stmt, Load) and stmt.buffer == source:
            if stored is not None:
                return False
            indices.add(stmt.index)
        elif isinstance(stmt, Store) and stmt.buffer == target:
            if stored is not None:
                return False
            stored = stmt.index
    return indices <= {stored}
