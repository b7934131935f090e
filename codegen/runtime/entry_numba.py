"""The entry of a compiled step for Numba: a function that `@njit` code calls as its own.

Made as source and compiled for the exact types, so that Numba refuses other arrays; shapes are
checked at each call. It allocates the outputs and the arena anew, and so is safe in any number of
threads. The step runs on the team if that is free, else on the thread that calls.

A host call takes the interpreter lock, which Numba lets go of where other threads run (`prange`).
What it raises leaves the `@njit` code as it is, without being caught there.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from tracejit.codegen.runtime import native
from tracejit.codegen.runtime.entry_plan import ALIGNMENT, ArrayArg, DonatedOut, FreshOut, ScalarArg
from tracejit.codegen.runtime.team import team
from tracejit.ir.types import BF16, F16, DType, DTypeError, TensorType, dtype_name

TEXT = """
declare i32 @tj_try_lock(ptr)
declare void @tj_unlock(ptr)
declare void @tj_run(ptr, ptr, ptr, i64)

; A program on the team, or on this thread alone where others hold that. Waits for nobody: who calls
; may hold the GIL.
define void @tj_run_if_free(ptr %cell, ptr %team, ptr %program, ptr %table, i64 %wanted) {
  %several = icmp ugt i64 %wanted, 1
  br i1 %several, label %try, label %alone
try:
  %got = call i32 @tj_try_lock(ptr %cell)
  %open = icmp ne i32 %got, 0
  br i1 %open, label %together, label %alone
together:
  call void @tj_run(ptr %team, ptr %program, ptr %table, i64 %wanted)
  call void @tj_unlock(ptr %cell)
  ret void
alone:
  call void %program(ptr %table, i64 0, i64 1, ptr %team)
  ret void
}
"""

_RUN = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4, ctypes.c_int64)


@cache
def _run() -> Callable[..., object]:
    symbols = {name: team().symbols[name] for name in ("tj_try_lock", "tj_unlock", "tj_run")}
    return _RUN(native.load(TEXT, ["tj_run_if_free"], symbols).address("tj_run_if_free"))


@dataclass(frozen=True, slots=True)
class NumbaStep:
    """What the entry is made from; see `entry_plan.Plan`.

    passed: outputs are arguments too. failure: see `Artifact`.
    """

    name: str
    program: int
    args: tuple[ArrayArg | ScalarArg, ...]
    outs: tuple[FreshOut | DonatedOut, ...]
    captured: tuple[int, ...]
    arena_bytes: int
    nthreads: int
    passed: bool
    failure: int | None
    keep: object


def numba_entry(step: NumbaStep) -> Callable[..., object]:
    """The compiled function: arrays and numbers -> the output, or a tuple of several, or None.

    Raises DTypeError for 16-bit floats, which Numba has not on CPUs.
    """
    import numba

    team().ensure(step.nthreads)
    names = {
        "np": np,
        "run": _run(),
        "PROGRAM": step.program,
        "TEAM": team().address,
        "CELL": team().cell,
        "leave_if": _leave_if(),
    }
    exec(compile(_Source(step).text(), f"<{step.name} for numba>", "exec"), names)
    njit: Callable[..., Callable[[object], Callable[..., object]]] = numba.njit
    function = njit(_signature(step))(names["call"])
    _kept[id(function)] = (function, step.keep)
    return function


# Compiled code that calls an entry knows addresses only, so what lies there is never freed.
_kept: dict[int, object] = {}


@cache
def _leave_if() -> object:
    """leave_if(word) in `@njit` code: ends with the exception that is set, if word is not 0."""
    import numba
    from numba.extending import intrinsic

    @intrinsic
    def leave_if(typing_context, word):  # type: ignore[no-untyped-def]
        def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
            failed = builder.icmp_signed("!=", args[0], args[0].type(0))
            with builder.if_then(failed, likely=False):
                context.call_conv.return_exc(builder)
            return context.get_dummy_value()

        return numba.void(numba.int64), code

    return leave_if


def _signature(step: NumbaStep) -> tuple[object, ...]:
    import numba

    typeof: Callable[[object], object] = numba.typeof

    def array(like: ArrayArg | FreshOut) -> object:
        if like.dtype in (F16, BF16):
            name = dtype_name(like.dtype)
            raise DTypeError(f"{step.name}: {name}: Numba has no 16-bit floats on CPUs")
        return typeof(np.empty((1,) * len(like.shape), like.dtype))

    found = [
        array(a) if isinstance(a, ArrayArg) else typeof((a.pytype or float)(0)) for a in step.args
    ]
    fresh = [array(o) for o in step.outs if isinstance(o, FreshOut)]
    return tuple(found + (fresh if step.passed else []))


class _Source:
    """The Python source of one entry."""

    def __init__(self, step: NumbaStep) -> None:
        self.step = step
        self.lines: list[str] = []

    def text(self) -> str:
        step = self.step
        fresh = [o for o in step.outs if isinstance(o, FreshOut)]
        inputs = [f"a{n}" for n in range(len(step.args))]
        outputs = [f"out{n}" for n in range(len(fresh))]
        for name, arg in zip(inputs, step.args, strict=True):
            if isinstance(arg, ArrayArg):
                self._check(name, arg.shape, arg.dtype)
        self._apart()
        for name, out in zip(outputs, fresh, strict=True):
            if step.passed:
                self._check(name, out.shape, out.dtype)
            else:
                self._line(f"{name} = np.empty({out.shape}, np.{_numpys(out.dtype)})")
        kept = self._table(inputs, outputs)
        self._line(f"run(CELL, TEAM, PROGRAM, table.ctypes.data, {step.nthreads})")
        if step.failure is not None:
            first, end = f"aligned + {step.failure}", step.failure + 8
            self._line(f"leave_if(arena[{first}:aligned + {end}].view(np.int64)[0])")
        # Numba frees an array behind its last use, and an address is no use.
        for name in kept:
            self._line(f"{name}[0] = 0")
        self._line(f"return {self._result(outputs)}")
        given = inputs + (outputs if step.passed else [])
        return "\n".join([f"def call({', '.join(given)}):", *self.lines, ""])

    def _line(self, text: str) -> None:
        self.lines.append(f"    {text}")

    def _check(self, name: str, shape: tuple[int, ...], dtype: DType) -> None:
        wanted = TensorType(shape, dtype)
        self._line(f'if {name}.shape != {shape}: raise ValueError("{name} must be {wanted}")')

    def _apart(self) -> None:
        """No donated argument may share memory with another."""
        arrays = [(f"a{n}", a) for n, a in enumerate(self.step.args) if isinstance(a, ArrayArg)]
        for name, arg in arrays:
            others = (pair for pair in arrays if pair[0] != name)
            for other, its in others if arg.donated and arg.nbytes else ():
                meets = (
                    f"{name}.ctypes.data < {other}.ctypes.data + {its.nbytes}"
                    f" and {other}.ctypes.data < {name}.ctypes.data + {arg.nbytes}"
                )
                message = f"{name} is donated and shares memory with {other}"
                self._line(f'if {meets}: raise ValueError("{message}")')

    def _table(self, inputs: Sequence[str], outputs: Sequence[str]) -> list[str]:
        """The pointer table, and the names of the arrays that must outlive the run."""
        step, kept = self.step, ["table"]
        count = len(inputs) + len(step.captured) + len(outputs) + 1
        self._line(f"table = np.empty({count}, np.uintp)")
        places = []
        for name, arg in zip(inputs, step.args, strict=True):
            if isinstance(arg, ScalarArg):
                self._line(f"{name}_cell = np.empty(1, np.{_numpys(arg.dtype)})")
                self._line(f"{name}_cell[0] = {name}")
                kept.append(f"{name}_cell")
            places.append(f"{kept[-1] if isinstance(arg, ScalarArg) else name}.ctypes.data")
        places += [str(address) for address in step.captured]
        places += [f"{name}.ctypes.data" for name in outputs]
        if step.arena_bytes:
            self._line(f"arena = np.empty({step.arena_bytes + ALIGNMENT}, np.uint8)")
            self._line(f"aligned = -arena.ctypes.data % {ALIGNMENT}")
            kept.append("arena")
            places.append("arena.ctypes.data + aligned")
        for n, place in enumerate(places):
            self._line(f"table[{n}] = {place}")
        return kept

    def _result(self, outputs: Sequence[str]) -> str:
        if self.step.passed:
            return ""
        fresh = iter(outputs)
        names = [f"a{o.arg}" if isinstance(o, DonatedOut) else next(fresh) for o in self.step.outs]
        return names[0] if len(names) == 1 else f"({', '.join(names)})" if names else ""


def _numpys(dtype: DType) -> str:
    return "bool_" if dtype.kind == "b" else str(dtype.name)
