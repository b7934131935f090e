"""The entry in Python, for interpreters that the native one does not know: the same behaviour."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence

import numpy as np

from tracejit.codegen.runtime import layout
from tracejit.codegen.runtime.entry_plan import (
    ALIGNMENT,
    WAYS,
    Array,
    ArrayArg,
    DonatedOut,
    FreshOut,
    Plan,
    ScalarArg,
    address,
    aligned_empty,
    scalar_bits,
)
from tracejit.codegen.runtime.team import Lock, team


class PythonCall:
    """A step's entry: call it with the step's arguments."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._lock = Lock() if plan.nthreads == 1 else None
        self._arena = aligned_empty((plan.arena_bytes,), np.dtype(np.uint8))
        # Tuples are replaced, never changed: a thread that looks at one holds all that is in it, so
        # an array that left meanwhile never counts as held by the entry alone.
        self._kept: list[tuple[Array, ...]] = [() for _ in plan.fresh]

    def __call__(self, *args: object) -> object:
        plan = self._plan
        scalars: list[object] = []  # cells, kept alive during the run
        pointers = self._pointers(args, scalars)
        if pointers is None:
            return plan.slow(*args)
        fresh = [self._claim(index) for index in range(len(plan.fresh))]
        words = [*pointers, *plan.captured, *map(address, fresh), address(self._arena)]
        table = (ctypes.c_void_p * len(words))(*words)
        team().run(plan.program, ctypes.addressof(table), plan.nthreads, self._lock)
        rest = iter(fresh)
        return tuple(
            args[out.arg] if isinstance(out, DonatedOut) else next(rest) for out in plan.outs
        )

    def _pointers(self, args: tuple[object, ...], cells: list[object]) -> list[int] | None:
        """Where the arguments lie; None if they are not what the step takes."""
        wanted = self._plan.args
        if len(args) != len(wanted):
            return None
        found = []
        for value, want in zip(args, wanted, strict=True):
            at = (
                _array_pointer(value, want)
                if isinstance(want, ArrayArg)
                else _scalar_pointer(value, want, cells)
            )
            if at is None:
                return None
            found.append(at)
        return found if _apart(found, self._plan) else None

    def _claim(self, index: int) -> Array:
        """Fresh output `index`: one that nobody holds any more, or a new one."""
        want, kept = self._plan.fresh[index], self._kept[index]
        for array in kept:
            if _references(array) == _ALONE and _fits(array, want):
                return array
        made = _make(want)
        self._kept[index] = (made, *kept)[:WAYS]
        return made


def _make(out: FreshOut) -> Array:
    return aligned_empty(out.shape, out.dtype)


def _references(array: Array) -> tuple[int, int] | None:
    """Reference counts of an array and its base, which its views hold; None: not known here."""
    if not layout.counts_references():
        return None
    return sys.getrefcount(array), sys.getrefcount(array.base)


def _references_of_kept() -> tuple[int, int]:
    """What `_references` says in `_claim` of an array that only the entry holds."""
    kept = (aligned_empty((1,), np.dtype(np.uint8)),)
    for array in kept:
        return _references(array) or (0, 0)
    raise AssertionError


_ALONE = _references_of_kept()


def _fits(array: Array, want: FreshOut) -> bool:
    return _array_pointer(array, ArrayArg(want.shape, want.dtype, donated=True)) is not None


def _array_pointer(value: object, want: ArrayArg) -> int | None:
    if type(value) is not np.ndarray or value.dtype != want.dtype or value.shape != want.shape:
        return None
    return address(value) if value.flags.num & want.flags == want.flags else None


def _scalar_pointer(value: object, want: ScalarArg, cells: list[object]) -> int | None:
    if type(value) is not want.pytype:
        return None
    try:
        bits = scalar_bits(want, value)
    except OverflowError:
        return None
    owner = ctypes.create_string_buffer(bits, len(bits) + ALIGNMENT)
    cell = -(-ctypes.addressof(owner) // ALIGNMENT) * ALIGNMENT
    ctypes.memmove(cell, bits, len(bits))
    cells.append(owner)
    return cell


def _apart(pointers: Sequence[int], plan: Plan) -> bool:
    """Whether no donated argument meets another argument or a captured array."""
    sizes = [arg.nbytes if isinstance(arg, ArrayArg) else 0 for arg in plan.args]
    ranges = [(at, at + size) for at, size in zip(pointers, sizes, strict=True)]
    others = [*ranges, *((at, at + 1) for at in plan.captured)]
    for index, arg in enumerate(plan.args):
        if isinstance(arg, ArrayArg) and arg.donated and arg.nbytes:
            start, end = ranges[index]
            for other, (low, high) in enumerate(others):
                if other != index and low < high and low < end and start < high:
                    return False
    return True
