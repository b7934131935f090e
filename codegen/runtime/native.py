"""Native code of the runtime itself: IR over ctypes structures, linked once per process.

Structures that Python writes and native code reads are declared once, as `ctypes.Structure`; their
LLVM type is derived from the declaration, so the two cannot drift apart.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence

from tracejit.codegen.runtime import cache, toolchain

_LLVM_TYPES: dict[type, str] = {
    ctypes.c_void_p: "ptr",
    ctypes.c_int64: "i64",
    ctypes.c_int32: "i32",
}


def _llvm_type(declared: type) -> str:
    if issubclass(declared, ctypes.Structure):
        return "{ " + ", ".join(_llvm_type(field[1]) for field in declared._fields_) + " }"
    if issubclass(declared, ctypes.Array):  # of bytes: padding
        return f"[{declared._length_} x i8]"
    return _LLVM_TYPES[declared]


class Fields:
    """IR that addresses the fields of one structure, which is `%name` there."""

    def __init__(self, name: str, structure: type[ctypes.Structure]) -> None:
        self.name = name
        self._types = {field[0]: _llvm_type(field[1]) for field in structure._fields_}
        self.declaration = f"%{name} = type {_llvm_type(structure)}"

    def address(self, result: str, base: str, field: str) -> str:
        """An instruction: `result` = the address of a field of the structure at `base`."""
        index = list(self._types).index(field)
        return f"{result} = getelementptr %{self.name}, ptr {base}, i64 0, i32 {index}"

    def load(self, result: str, base: str, field: str) -> str:
        """Two instructions: `result` = the value of a field of the structure at `base`."""
        at = f"{result}.at"
        return f"{self.address(at, base, field)}\n  {result} = load {self._types[field]}, ptr {at}"


def address_of(function: ctypes._FuncPointer) -> int:
    """Where a C function lies."""
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address is not None
    return address


def python_symbols(*names: str) -> dict[str, int]:
    """Addresses of functions of the Python C API, by name."""
    return {name: address_of(getattr(ctypes.pythonapi, name)) for name in names}


def load(text: str, exports: Sequence[str], imports: Mapping[str, int]) -> toolchain.Linked:
    """Code of the runtime in memory, from the disk cache where that has it. Never unloaded."""
    linked = toolchain.link([object_code(text)], exports, imports)
    immortal(linked)
    return linked


_objects: dict[str, bytes] = {}


def object_code(text: str) -> bytes:
    """The object code of a module, which may be compiled before it is loaded."""
    if text not in _objects:
        _objects[text] = _stored_or_compiled(text)
    return _objects[text]


def _stored_or_compiled(text: str) -> bytes:
    store, key = cache.disk_cache(), cache.cache_key("runtime", text)
    entry = store.get(key) if store is not None else None
    if entry is not None:
        return entry.payload
    (code,) = toolchain.compile_ir([text])
    if store is not None:
        store.put(key, code, {"kind": "runtime"})
    return code


def immortal(thing: object) -> None:
    """Never frees `thing`: native threads may use it until the process is gone."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def aligned(size: int, alignment: int) -> tuple[int, object]:
    """The address of `size` zero bytes so aligned, and what keeps them alive."""
    owner = ctypes.create_string_buffer(size + alignment)
    return -(-ctypes.addressof(owner) // alignment) * alignment, owner
