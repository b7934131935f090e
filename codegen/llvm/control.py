"""Branches, counted loops, and each thread's share of them."""

from __future__ import annotations

from collections.abc import Callable

from tracejit.codegen.llvm.access import Access
from tracejit.codegen.llvm.builder import Builder
from tracejit.codegen.llvm.values import Vec


class Control:
    """Emits control flow around code that callbacks emit, each in a scope of its own."""

    def __init__(self, b: Builder, access: Access) -> None:
        self.b = b
        self.access = access

    def i64(self, text: str) -> str:
        name = self.b.fresh("n")
        self.b.lines.append(f"  {name} = {text}")
        return name

    def branch(
        self, condition: str, then: Callable[[], None], other: Callable[[], None] | None = None
    ) -> None:
        yes, no, done = (self.b.fresh(h)[1:] for h in ("then", "else", "done"))
        lines = self.b.lines
        lines.append(f"  br i1 {condition}, label %{yes}, label %{no if other else done}")
        lines.append(f"{yes}:")
        with self.access.scope():
            then()
        lines.append(f"  br label %{done}")
        if other is not None:
            lines.append(f"{no}:")
            with self.access.scope():
                other()
            lines.append(f"  br label %{done}")
        lines.append(f"{done}:")

    def loop(
        self,
        hint: str,
        low: str,
        high: str,
        inside: Callable[[str, list[Vec]], list[Vec]],
        carried: list[Vec],
        at_least_once: bool = False,
    ) -> list[Vec]:
        """A counted loop; `inside(counter, values)` gives the values of the next iteration."""
        lines = self.b.lines
        before, head, latch, done = (self.b.fresh(h)[1:] for h in ("pre", "head", "latch", "done"))
        counter, following = self.b.fresh(hint), self.b.fresh(hint)
        lines += [f"  br label %{before}", f"{before}:"]
        if at_least_once:
            lines.append(f"  br label %{head}")
        else:
            some = self.i64(f"icmp ult i64 {low}, {high}")
            lines.append(f"  br i1 {some}, label %{head}, label %{done}")
        lines.append(f"{head}:")
        lines.append(f"  {counter} = phi i64 [ {low}, %{before} ], [ {following}, %{latch} ]")
        phis = [Vec(self.b.fresh("c"), v.dtype, v.lanes) for v in carried]
        where = len(lines)
        with self.access.scope():
            after = inside(counter, phis)
        lines[where:where] = [
            f"  {phi.ref} = phi {phi.type} [ {first.ref}, %{before} ], [ {last.ref}, %{latch} ]"
            for phi, first, last in zip(phis, carried, after, strict=True)
        ]
        more = self.b.fresh("n")
        lines += [
            f"  br label %{latch}",
            f"{latch}:",
            f"  {following} = add nuw nsw i64 {counter}, 1",
            f"  {more} = icmp ult i64 {following}, {high}",
            f"  br i1 {more}, label %{head}, label %{done}",
            f"{done}:",
        ]
        if at_least_once:
            return after
        ends = [Vec(self.b.fresh("c"), v.dtype, v.lanes) for v in carried]
        lines += [
            f"  {end.ref} = phi {end.type} [ {first.ref}, %{before} ], [ {last.ref}, %{latch} ]"
            for end, first, last in zip(ends, carried, after, strict=True)
        ]
        return ends

    def at_most(self, value: str, bound: int | str) -> str:
        name = "llvm.umin.i64"
        self.b.declares[name] = f"declare i64 @{name}(i64, i64)"
        return self.i64(f"call i64 @{name}(i64 {value}, i64 {bound})")

    def clamped(self, value: str, bound: int) -> str:
        """The nearest number to `value`, an i64, in 0 to `bound`."""
        for name, limit in (("llvm.smax.i64", 0), ("llvm.smin.i64", bound)):
            self.b.declares[name] = f"declare i64 @{name}(i64, i64)"
            value = self.i64(f"call i64 @{name}(i64 {value}, i64 {limit})")
        return value

    def share(self, total: int | str) -> tuple[str, str]:
        """The range of tiles that thread tid of nt takes."""
        low = self.i64(f"mul i64 %tid, {total}")
        high = self.i64(f"add i64 {low}, {total}")
        return self.i64(f"udiv i64 {low}, %nt"), self.i64(f"udiv i64 {high}, %nt")
