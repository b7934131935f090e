"""Makes native entries: describes a step to the routine of `entry_ir`, as one builtin each."""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np

from tracejit.codegen.runtime import entry_ir, entry_step, layout, native
from tracejit.codegen.runtime.entry_plan import (
    WAYS,
    Array,
    ArrayArg,
    DonatedOut,
    FreshOut,
    Plan,
    ScalarArg,
    Step,
    address,
    aligned_empty,
    scalar_bits,
)
from tracejit.codegen.runtime.entry_step import ARRAY, FLOAT32, FLOAT64, INTEGER, OTHER, UNSIGNED64
from tracejit.codegen.runtime.team import Lock, team

_METH_FASTCALL = 0x80

_Words = ctypes.Array[ctypes.c_int64] | ctypes.Array[ctypes.c_void_p]


class _MethodDef(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class _Handle(np.ndarray[tuple[int], np.dtype[np.uint8]]):
    """A builtin's `self`: its data is the Step, and it keeps alive what that points to."""

    step: _NativeStep


class _NativeStep:
    """A step as the native entry sees it, and the Python side of what that asks for."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._lock = Lock() if plan.nthreads == 1 else None
        self._arena = aligned_empty((plan.arena_bytes,), np.dtype(np.uint8))
        self._kept: list[Array | None] = [None] * (len(plan.fresh) * WAYS)
        self._owners: list[object] = []
        self.structure = self._describe()

    def _describe(self) -> entry_step.Step:
        plan, threads = self._plan, team()
        scalars = [i for i, arg in enumerate(plan.args) if isinstance(arg, ScalarArg)]
        outs = [o.arg if isinstance(o, DonatedOut) else entry_step.FRESH for o in plan.outs]
        arguments = [_describe(arg, self._owners) for arg in plan.args]
        arguments += [entry_step.Argument(kind=ARRAY, nbytes=1) for _ in plan.captured]
        fresh = [_describe(_as_argument(out), self._owners) for out in plan.fresh]
        table = [0] * len(plan.args) + list(plan.captured)
        table += [0] * len(fresh) + [address(self._arena)]
        return entry_step.Step(
            nargs=len(plan.args),
            nranges=len(arguments),
            ndonated=sum(isinstance(arg, ArrayArg) and arg.donated for arg in plan.args),
            nscalars=len(scalars),
            nouts=len(plan.outs),
            nfresh=len(fresh),
            nthreads=plan.nthreads,
            release_gil=int(plan.release_gil),
            program=plan.program,
            team=threads.address,
            cell=threads.cell if self._lock is None else self._lock.address,
            table=self._array((ctypes.c_void_p * len(table))(*table)),
            arguments=self._array((entry_step.Argument * len(arguments))(*arguments)),
            scalars=self._array((ctypes.c_int64 * len(scalars))(*scalars)),
            outs=self._array((ctypes.c_int64 * len(outs))(*outs)),
            fresh=self._array((entry_step.Argument * len(fresh))(*fresh)),
            kept=self._object(self._kept),
            make=self._object(self._make),
            bits=self._object(self._bits),
            ensure=self._object(self._ensure),
            slow=self._object(plan.slow),
        )

    def _array(self, array: _Words | ctypes.Array[entry_step.Argument]) -> int:
        self._owners.append(array)
        return ctypes.addressof(array)

    def _object(self, thing: object) -> int:
        self._owners.append(thing)
        return id(thing)

    def _make(self, index: int) -> Array:
        """A new array for fresh output `index`, kept in place of the one kept longest."""
        out = self._plan.fresh[index]
        first, last = index * WAYS, (index + 1) * WAYS
        made = aligned_empty(out.shape, out.dtype)
        self._kept[first:last] = [made, *self._kept[first : last - 1]]
        return made

    def _bits(self, index: int, value: object) -> int:
        """A scalar of a dtype that native code does not convert to, as an integer."""
        arg = self._plan.args[index]
        assert isinstance(arg, ScalarArg)
        return int.from_bytes(scalar_bits(arg, value), "little")

    def _ensure(self) -> None:
        team().ensure(self._plan.nthreads)


def _as_argument(out: FreshOut) -> ArrayArg:
    return ArrayArg(out.shape, out.dtype, donated=True)


def _describe(arg: ArrayArg | ScalarArg, owners: list[object]) -> entry_step.Argument:
    if isinstance(arg, ScalarArg):
        return _describe_scalar(arg)
    dims = (ctypes.c_int64 * len(arg.shape))(*arg.shape)
    owners += [dims, arg.dtype]
    return entry_step.Argument(
        kind=ARRAY,
        type=id(np.ndarray),
        dtype=id(arg.dtype),
        word=layout.dtype_word(arg.dtype),
        dims=ctypes.addressof(dims),
        ndim=len(arg.shape),
        flags=arg.flags,
        nbytes=arg.nbytes,
        donated=int(arg.donated),
    )


def _describe_scalar(arg: ScalarArg) -> entry_step.Argument:
    kinds = {"f8": FLOAT64, "f4": FLOAT32, "u8": UNSIGNED64, "b1": INTEGER}
    code = arg.dtype.str[1:]
    integral = arg.dtype.kind in "iu"
    kind = kinds.get(code, INTEGER if integral else OTHER)
    low, high = 0, 1
    if integral:
        limits = np.iinfo(code)
        low, high = int(limits.min), min(int(limits.max), (1 << 63) - 1)
    return entry_step.Argument(kind=kind, type=id(arg.pytype), low=low, high=high)


@cache
def _method() -> _MethodDef:
    """The routine, in the form that builtins are made from. Compiled or loaded once."""
    code = native.load(entry_ir.text(), ["tj_entry"], entry_ir.imports(team().symbols))
    method = _MethodDef(b"step", code.address("tj_entry"), _METH_FASTCALL, None)
    native.immortal(method)
    return method


_new_builtin = ctypes.PYFUNCTYPE(
    ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p
)(("PyCFunction_NewEx", ctypes.pythonapi))


def native_call(plan: Plan) -> Step:
    """A builtin that takes the step's arguments and returns its outputs."""
    step = _NativeStep(plan)
    size = ctypes.sizeof(entry_step.Step)
    handle = np.ndarray.__new__(_Handle, (size,), np.uint8, buffer=memoryview(step.structure))
    handle.step = step
    builtin: Step = _new_builtin(ctypes.addressof(_method()), handle, None)
    return builtin
