"""The one loop that outlined functions need: repeat for all lanes while any lane is not done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tracejit.codegen.llvm.builder import Builder
from tracejit.codegen.llvm.values import Vec

Step = Callable[[list[Vec]], tuple[Sequence[Vec], Vec]]


def repeat_while_any(b: Builder, first: Sequence[Vec], step: Step) -> Sequence[Vec]:
    """Run `step` at least once, and again while any lane of the bool it returns is true.

    step: values -> (next values, more). Call it in the block `entry` of an outlined function; it
    leaves the builder in the block `done` and returns the last values.
    """
    values = [Vec(b.fresh("loop"), v.dtype, v.lanes) for v in first]
    before = b.lines
    b.lines = []
    following, more = step(values)
    again = b.horizontal("or", more)
    body, b.lines = b.lines, before
    b.lines += ["  br label %loop", "loop:"]
    for value, start, after in zip(values, first, following, strict=True):
        b.lines.append(
            f"  {value.ref} = phi {value.type} [ {start.ref}, %entry ], [ {after.ref}, %loop ]"
        )
    b.lines += [*body, f"  br i1 {again.ref}, label %loop, label %done", "done:"]
    return following
