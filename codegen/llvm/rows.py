"""Loops over the iterations of a tile, behind the code that does all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tracejit.codegen.llvm.control import Control
from tracejit.codegen.llvm.points import Held, Key, Points
from tracejit.codegen.llvm.values import Vec
from tracejit.codegen.nest import Each, Let, Load, Loop, Stmt, Store, walk


@dataclass(frozen=True, slots=True)
class _Kept:
    """A value of the whole tile, on the stack: for each iteration those at `keys`, in order.

    like: the vectors of one iteration, the first of them as wide as any.
    """

    name: str
    address: str
    axes: tuple[str, ...]
    keys: tuple[Key, ...]
    like: tuple[Vec, ...]


class Rows:
    """Emits `Each`; knows which iterations of the tiles under way were done before."""

    def __init__(self, points: Points, control: Control) -> None:
        self.b = points.b
        self.points = points
        self.access = points.access
        self.control = control
        self._moved: dict[str, tuple[str, str]] = {}

    def moved_back(self, loop: Loop, base: str, width: int) -> str:
        """The start of a tile that would start at `base`, but must end within the loop."""
        start = self.control.at_most(base, loop.extent - width)
        self._moved[loop.axis] = (base, start)
        return start

    def leave(self, loop: Loop) -> None:
        """The tile under way is over."""
        self._moved.pop(loop.axis, None)

    def each(self, axis: str, body: Sequence[Stmt], inside: Callable[[], None]) -> None:
        """Emits `inside`, the code of `body`, in a loop over the iterations of the tile."""
        if axis not in self.points.jams:
            inside()
            return
        kept = [self._keep(name, axis) for name in self._varying(body, axis)]
        jams, held = dict(self.points.jams), dict(self.points.held)

        def iteration(number: str, none: list[Vec]) -> list[Vec]:
            with self.access.advanced(axis, number):
                del self.points.jams[axis]
                for value in kept:
                    self.points.held[value.name] = self._read(value, number)
                inside()
            return none

        first = "0"
        if axis in self._moved:
            first = self.control.i64("sub i64 {}, {}".format(*self._moved[axis]))
        self.control.loop(axis, first, str(jams[axis].width), iteration, [], True)
        self.points.jams, self.points.held = jams, held

    def _varying(self, body: Sequence[Stmt], axis: str) -> list[str]:
        """The values that `body` takes from outside and that vary along the axis."""
        held = self.points.held
        names = dict.fromkeys(name for stmt in walk(body) for name in _taken(stmt))
        return [name for name in names if name in held and axis in held[name].axes]

    def _keep(self, name: str, axis: str) -> _Kept:
        """Writes a value to the stack, the iterations of `axis` one after another."""
        held = self.points.held[name]
        at = held.axes.index(axis)
        others = tuple(a for a in held.axes if a != axis)
        keys = tuple(self.points.keys(others))
        offsets = self.points.jams[axis].offsets()
        values = [
            self.points.force(held, (*key[:at], offset, *key[at:]))
            for offset in offsets
            for key in keys
        ]
        address = self.access.stack(values[0], len(values))
        for n, value in enumerate(values):
            place = self._place(address, values[0], str(n))
            self.b.lines.append(f"  store {value.typed}, ptr {place}")
        return _Kept(name, address, others, keys, tuple(values[: len(keys)]))

    def _read(self, kept: _Kept, number: str) -> Held:
        """The value in one iteration."""
        first = self.control.i64(f"mul i64 {number}, {len(kept.keys)}")
        row = self._place(kept.address, kept.like[0], first)
        at: dict[Key, Vec] = {}
        for n, (key, like) in enumerate(zip(kept.keys, kept.like, strict=True)):
            text = f"load {like.type}, ptr {self._place(row, kept.like[0], str(n))}"
            at[key] = self.b.inst(text, like.dtype, like.lanes)
        return Held(kept.axes, None, at)

    def _place(self, address: str, like: Vec, index: str) -> str:
        return self.control.i64(f"getelementptr {like.type}, ptr {address}, i64 {index}")


def _taken(stmt: Stmt) -> Iterator[str]:
    """The names that a statement reads."""
    match stmt:
        case Let():
            yield from (arg for arg in stmt.args if isinstance(arg, str))
        case Store():
            if isinstance(stmt.value, str):
                yield stmt.value
            yield from (name for name, _ in stmt.index.dynamic)
        case Load():
            yield from (name for name, _ in stmt.index.dynamic)
        case _:
            assert isinstance(stmt, Each) or not getattr(stmt, "accs", ()), "no fold behind a fold"
