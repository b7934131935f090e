"""Host calls: how a program calls back into Python, and what it calls.

The program holds the symbol of a callable, which linking binds to a `HostCallable` of this process;
so no address is ever in code that is kept. `tj_host` takes the interpreter lock, hands the callable
the address of a frame (the addresses of the buffers), and says whether it returned. An exception,
be it the function's own or a KeyboardInterrupt, stays set on the thread: the entry returns it when
the program has ended.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from tracejit.codegen.nest import Call, Kernel, View
from tracejit.codegen.runtime import native
from tracejit.ir.graph import Array
from tracejit.ir.host.looped import host_function_of
from tracejit.ir.text import literal, read_literal
from tracejit.ir.types import TensorType, parse_type

KEPT_FRAMES = 16  # frames whose arrays are kept: arguments that move make new ones all the time

TEXT = """
declare i32 @PyGILState_Ensure()
declare void @PyGILState_Release(i32)
declare ptr @PyErr_Occurred()
declare ptr @PyLong_FromVoidPtr(ptr)
declare ptr @PyObject_Vectorcall(ptr, ptr, i64, ptr)
declare void @Py_DecRef(ptr)

; callable(frame) in Python. False: it raised, or a call before it did, whose error still stands.
define i1 @tj_host(ptr %callable, ptr %frame) {
entry:
  %args = alloca ptr, i64 2
  %arg = getelementptr ptr, ptr %args, i64 1
  %state = call i32 @PyGILState_Ensure()
  %error = call ptr @PyErr_Occurred()
  %clear = icmp eq ptr %error, null
  br i1 %clear, label %make, label %out
make:
  %address = call ptr @PyLong_FromVoidPtr(ptr %frame)
  %made = icmp ne ptr %address, null
  br i1 %made, label %pass, label %out
pass:
  store ptr %address, ptr %arg
  %result = call ptr @PyObject_Vectorcall(ptr %callable, ptr %arg, i64 1, ptr null)
  call void @Py_DecRef(ptr %address)
  %returned = icmp ne ptr %result, null
  br i1 %returned, label %drop, label %out
drop:
  call void @Py_DecRef(ptr %result)
  br label %out
out:
  %fine = phi i1 [ false, %entry ], [ false, %make ], [ false, %pass ], [ true, %drop ]
  call void @PyGILState_Release(i32 %state)
  ret i1 %fine
}
"""


@cache
def tj_host() -> int:
    """The address of `tj_host`."""
    declared = [line for line in TEXT.split("\n") if line.startswith("declare")]
    names = [line.partition("@")[2].partition("(")[0] for line in declared]
    linked = native.load(TEXT, ["tj_host"], native.python_symbols(*names))
    return linked.address("tj_host")


Place = tuple[int, str]


@dataclass(frozen=True, slots=True)
class HostCall:
    """What one callable has to do: plain text and numbers, as they are kept on disk.

    operands, results: the position in the frame, and the type. A result that is not wanted is None.
    attrs: names and values, these as literals of the text form of graphs.
    """

    callee: str
    attrs: tuple[tuple[str, str], ...]
    operands: tuple[Place, ...]
    results: tuple[Place | None, ...]


def host_call(kernel: Kernel) -> HostCall:
    """The call that a host kernel is; its frame holds the kernel's buffers in order."""
    (call,) = kernel.body
    assert isinstance(call, Call)
    position = {b.name: n for n, b in enumerate(kernel.buffers)}

    def place(view: View) -> Place:
        return position[view.buffer], str(view.type)

    return HostCall(
        call.callee,
        tuple((name, literal(value)) for name, value in call.attrs),
        tuple(map(place, call.operands)),
        tuple(None if v is None else place(v) for v in call.results),
    )


def read_host_call(fields: Mapping[str, object]) -> HostCall:
    """The inverse of `asdict`, after JSON. Raises ValueError, TypeError or KeyError."""
    attrs, operands, results = (fields[k] for k in ("attrs", "operands", "results"))
    assert isinstance(attrs, list) and isinstance(operands, list) and isinstance(results, list)
    return HostCall(
        str(fields["callee"]),
        tuple((str(name), str(value)) for name, value in attrs),
        tuple((int(at), str(type)) for at, type in operands),
        tuple(None if r is None else (int(r[0]), str(r[1])) for r in results),
    )


class HostCallable:
    """callable(frame): runs the function on arrays in the memory that the frame points to."""

    def __init__(self, call: HostCall) -> None:
        self._eval = host_function_of(call.callee).eval
        self._attrs = {name: read_literal(text) for name, text in call.attrs}
        self._operands = [(at, parse_type(text)) for at, text in call.operands]
        self._results = [None if r is None else (r[0], parse_type(r[1])) for r in call.results]
        places = [*call.operands, *(r for r in call.results if r is not None)]
        count = 1 + max((at for at, _ in places), default=0)
        self._frame = ctypes.c_char * (count * ctypes.sizeof(ctypes.c_void_p))
        self._pointers = ctypes.c_void_p * count
        self._known: dict[bytes, tuple[list[Array], list[Array | None]]] = {}

    def __call__(self, frame: int) -> None:
        addresses = self._frame.from_address(frame).raw
        known = self._known.get(addresses)
        if known is None:
            if len(self._known) >= KEPT_FRAMES:
                self._known.clear()
            pointers = self._pointers.from_address(frame)
            known = self._known[addresses] = self._arrays(list(pointers))
        operands, targets = known
        results = self._eval(*operands, **self._attrs)
        for target, result in zip(targets, results, strict=True):
            if target is not None:
                target[...] = result

    def _arrays(self, pointers: Sequence[int | None]) -> tuple[list[Array], list[Array | None]]:
        operands = [_array(pointers[at], type) for at, type in self._operands]
        for operand in operands:
            operand.flags.writeable = False
        targets = [None if r is None else _array(pointers[r[0]], r[1]) for r in self._results]
        return operands, targets


def _array(pointer: int | None, type: TensorType) -> Array:
    """The memory at an address as an array; what is empty lies nowhere."""
    if not type.nbytes or pointer is None:
        return np.empty(type.shape, type.dtype)
    memory = (ctypes.c_char * type.nbytes).from_address(pointer)
    return np.ndarray(type.shape, type.dtype, buffer=memoryview(memory))
