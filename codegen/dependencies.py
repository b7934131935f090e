"""Who reads and who writes each value, and which kernels run before which."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from tracejit.codegen.nest_builder import Lowered
from tracejit.ir.graph import Node
from tracejit.ir.precedence import Precedence


class Dependencies:
    """Of kernels by number. before: for each kernel those that run before it, as far as one must.

    idle: kernels that are not run: they would copy what lies there already.
    """

    def __init__(self, lowered: list[Lowered]) -> None:
        self.lowered = lowered
        self.readers: dict[Node, list[int]] = {}
        self.writers: dict[Node, list[int]] = {}
        self.idle: set[int] = set()
        self._borders: dict[Node, list[int]] = {}
        for k, low in enumerate(lowered):
            self._note(k, low)
        self.before: list[set[int]] = [self._data(k) for k in range(len(lowered))]
        self.order = Precedence(self.before.__getitem__, range(len(lowered)))

    def _note(self, k: int, low: Lowered) -> None:
        for node, buffer in zip(low.nodes, low.kernel.buffers, strict=False):
            if buffer.role in ("in", "inout"):
                self.readers.setdefault(node, []).append(k)
            if buffer.role != "in":
                self.writers.setdefault(node, []).append(k)
            if low.kernel.kind == "border":
                self._borders.setdefault(node, []).append(k)

    def _data(self, k: int) -> set[int]:
        """Who writes what k reads or writes. Parts of one value are apart, in whatever order, but
        for the border, which is filled first: between elements that have gaps it fills all."""
        low = self.lowered[k]
        found: set[int] = set()
        for node, buffer in zip(low.nodes, low.kernel.buffers, strict=False):
            writers = (self._borders if buffer.role == "part" else self.writers).get(node, ())
            found.update(writers[: bisect_left(writers, k)])
        return found

    def append(self, low: Lowered, before: Iterable[int]) -> None:
        """One more kernel, behind those of `before`, which writes no value that others read."""
        k = len(self.lowered)
        self.lowered.append(low)
        self.order.append(k)
        self.before.append(set(before))
        for node, buffer in zip(low.nodes, low.kernel.buffers, strict=True):
            if buffer.role == "in":
                self.readers.setdefault(node, []).append(k)

    def may_follow(self, first: Iterable[int], later: Iterable[int]) -> bool:
        """Whether all of `first` can run before each of `later`."""
        first = tuple(first)
        return not any(self.order.is_needed(k, by=f) for k in later for f in first)

    def put_before(self, first: Iterable[int], later: Iterable[int]) -> None:
        """Has all of `first` run before each of `later`."""
        first = tuple(first)
        for k in later:
            self.before[k].update(first)
            for f in first:
                self.order.put_before(f, k)

    def at_work(self) -> list[int]:
        return [k for k in range(len(self.lowered)) if k not in self.idle]

    def pass_by_idle(self) -> None:
        """Who waits for a kernel that is not run waits for what that would have waited for."""
        for k in sorted(range(len(self.before)), key=self.order.place.__getitem__):
            for passed in self.before[k] & self.idle:
                self.before[k].remove(passed)
                self.before[k].update(self.before[passed])
