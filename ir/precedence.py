"""An order of things that need one another, kept while more of their needs become known."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Precedence(Generic[T]):
    """What is needed stands before what needs it, directly or not.

    Whatever is on a path between two things stands between them here. In a deep network that is
    next to nothing for most pairs, so a path is soon found or ruled out (Pearce & Kelly 2006, "A
    Dynamic Topological Sort Algorithm for Directed Acyclic Graphs"). A new need moves only what is
    needed: places are numbers with room between them.
    """

    def __init__(self, needs: Callable[[T], Iterable[T]], items: Iterable[T] = ()) -> None:
        """needs(item): what it needs directly. items: in such an order already."""
        self.place: dict[T, float] = {}
        self._needs = needs
        self._next: dict[T | None, T | None] = {None: None}  # a ring, None between last and first
        self._previous: dict[T | None, T | None] = {None: None}
        for item in items:
            self.append(item)

    def append(self, item: T) -> None:
        """Puts an item that is not here yet behind all others."""
        if item not in self.place:
            last = self._previous[None]
            self.place[item] = 0.0 if last is None else self.place[last] + 1
            self._link(item, None)

    def is_needed(self, item: T, by: T) -> bool:
        """Whether `by` is the item or needs it, perhaps by way of others."""
        return item in self._needed(by, self.place[item])

    def put_before(self, item: T, user: T) -> None:
        """Moves an item that `user` needs from now on, with all that itself needs, before `user`.

        The item must not need `user`.
        """
        if self.place[item] < self.place[user]:
            return
        needed = sorted(self._needed(item, self.place[user]), key=self.place.__getitem__)
        assert user not in needed, "two that need each other"
        for other in needed:
            self._unlink(other)
            before = self._previous[user]
            end = self.place[user]
            start = end - 1 if before is None else self.place[before]
            self.place[other] = (start + end) / 2
            self._link(other, user)
            if not start < self.place[other] < end:
                self.place.update((each, float(n)) for n, each in enumerate(self._items()))

    def _needed(self, item: T, low: float) -> set[T]:
        """The item, and all that it needs, of what stands at `low` or behind that."""
        found = {item} if self.place[item] >= low else set()
        stack = list(found)
        while stack:
            fresh = {d for d in self._needs(stack.pop()) if self.place[d] >= low} - found
            found |= fresh
            stack.extend(fresh)
        return found

    def _items(self) -> Iterator[T]:
        item = self._next[None]
        while item is not None:
            yield item
            item = self._next[item]

    def _link(self, item: T, behind: T | None) -> None:
        """Before `behind`; at the end if that is None."""
        before = self._previous[behind]
        self._next[before] = self._previous[behind] = item
        self._previous[item], self._next[item] = before, behind

    def _unlink(self, item: T) -> None:
        before, behind = self._previous[item], self._next[item]
        self._next[before], self._previous[behind] = behind, before
