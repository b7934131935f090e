"""The entry of a compiled step: what Python calls, from positional arguments to outputs.

The table that the program gets holds pointers:

    arguments | captured | fresh outputs | arena (64-byte aligned)

A scalar's pointer is that of a cell of its dtype. A donated output has no pointer of its own: the
program writes through its argument's. User arrays are aligned to their items only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracejit.codegen.runtime import layout
from tracejit.codegen.runtime.entry_native import native_call
from tracejit.codegen.runtime.entry_plan import (
    Arg,
    ArrayArg,
    DonatedOut,
    FreshOut,
    Out,
    Plan,
    ScalarArg,
    Step,
)
from tracejit.codegen.runtime.entry_python import PythonCall

__all__ = ["ArrayArg", "DonatedOut", "Entry", "FreshOut", "ScalarArg", "make_entry"]


@dataclass(frozen=True, slots=True)
class Entry:
    """`call(*args)` runs the step and returns the tuple of its outputs."""

    call: Step
    native: bool


def make_entry(
    program_address: int,
    args: Sequence[Arg],
    outs: Sequence[Out],
    captured: Sequence[int],
    arena_bytes: int,
    nthreads: int,
    release_gil: bool,
    slow: Step,
    keep: object = None,
) -> Entry:
    """The entry of the program at an address, which may run on fewer threads than `nthreads`.

    captured: addresses of arrays that the step reads or updates besides its arguments.
    release_gil: whether other Python threads may run meanwhile; worth it from about 20 µs.
    slow: called with the arguments, and its result returned, when they are not what `args` says or
    a donated one shares memory with another. It may normalise them and call the entry again.
    keep: kept alive as long as the entry: the linked code, the captured arrays.
    Raises ValueError for outputs and arguments that contradict each other.
    """
    plan = Plan(
        program_address,
        tuple(args),
        tuple(outs),
        tuple(captured),
        arena_bytes,
        nthreads,
        release_gil,
        slow,
        keep,
    )
    plan.check()
    if layout.layout_ok():
        return Entry(native_call(plan), native=True)
    return Entry(PythonCall(plan), native=False)
