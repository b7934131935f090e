"""LLVM, through llvmlite: the host it compiles for, IR text to object code, object code to memory.

No IR passes run: what the emitters write is what the code generator gets.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import llvmlite
import llvmlite.binding as llvm
from llvmlite.binding import ffi

from tracejit.codegen.runtime.cpus import available_cpus

CODEGEN_LEVEL = 1  # 2 and 3 run no faster on code that is vectors already
QUICK_LEVEL = 0  # compiles in a third of the time, but spills every value: for code that only calls


class CompilerError(RuntimeError):
    """LLVM refused IR or object code that tracejit made: a bug of tracejit, not of the model."""


@dataclass(frozen=True, slots=True)
class Host:
    """The machine that code is compiled for. Part of every cache key."""

    triple: str
    cpu: str
    features: str  # LLVM's list: "+avx2,-avx512f,..."
    vector_bits: int
    has_fma: bool
    l1: int  # data cache of one core [bytes]
    l2: int  # [bytes]
    llvm: str


@cache
def host() -> Host:
    """This machine, asked once."""
    _initialize()
    features = dict(llvm.get_host_cpu_features())
    triple = str(llvm.get_process_triple())
    return Host(
        triple=triple,
        cpu=str(llvm.get_host_cpu_name()),
        features=str(llvm.get_host_cpu_features().flatten()),
        vector_bits=_vector_bits(features),
        has_fma=bool(features.get("fma")) or triple.startswith(("aarch64", "arm64")),
        l1=_cache_bytes(1, fallback=32 << 10),
        l2=_cache_bytes(2, fallback=512 << 10),
        llvm=f"{'.'.join(map(str, llvm.llvm_version_info))}/llvmlite-{llvmlite.__version__}",
    )


def _vector_bits(features: Mapping[str, bool]) -> int:
    if all(features.get(f"avx512{part}") for part in ("f", "vl", "bw", "dq")):
        return 512
    return 256 if features.get("avx2") and features.get("fma") else 128


def _cache_bytes(level: int, fallback: int) -> int:
    """Size of a data or unified cache of CPU 0 [bytes]; `fallback` where the system is silent."""
    for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            found = int((index / "level").read_text())
            kind = (index / "type").read_text().strip()
            size = (index / "size").read_text().strip()
        except (OSError, ValueError):
            continue
        if found == level and kind != "Instruction" and size.endswith("K"):
            return int(size[:-1]) << 10
    name = f"SC_LEVEL{level}_{'DCACHE' if level == 1 else 'CACHE'}_SIZE"
    if name in getattr(os, "sysconf_names", {}):
        return max(os.sysconf(name), 0) or fallback
    return _sysctl(f"hw.l{level}{'d' if level == 1 else ''}cachesize") or fallback


def _sysctl(name: str) -> int:
    """An integer of macOS's sysctl, 0 where there is none."""
    try:
        function = ctypes.CDLL(None).sysctlbyname
    except (AttributeError, OSError, TypeError):
        return 0
    value, size = ctypes.c_int64(0), ctypes.c_size_t(8)
    failed = function(name.encode(), ctypes.byref(value), ctypes.byref(size), None, 0)
    return 0 if failed else value.value


@cache
def _initialize() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


def _target_machine(level: int = CODEGEN_LEVEL) -> llvm.TargetMachine:
    """A code generator for this host; to be used by one thread at a time."""
    machine = host()
    return llvm.Target.from_triple(machine.triple).create_target_machine(
        cpu=machine.cpu,
        features=machine.features,
        opt=level,
        reloc="default",
        codemodel="jitdefault",
        jit=True,
    )


# For each level; append and pop are atomic.
_idle_machines: dict[int, list[llvm.TargetMachine]] = {CODEGEN_LEVEL: [], QUICK_LEVEL: []}


def compile_ir(
    texts: Sequence[str], threads: int | None = None, level: int = CODEGEN_LEVEL
) -> list[bytes]:
    """Object code of each IR module, compiled on up to `threads` (default: all CPUs) threads.

    level: CODEGEN_LEVEL or QUICK_LEVEL.

    Raises CompilerError, showing the offending line, for IR that does not parse or verify.
    """
    workers = min(len(texts), threads or available_cpus())
    host()
    if workers <= 1:
        return [_emit(text, True, level) for text in texts]
    # Longest first, so that no thread is left with a long module at the end.
    order = sorted(range(len(texts)), key=lambda index: -len(texts[index]))
    with ThreadPoolExecutor(workers, "tracejit-compile") as pool:
        futures = {index: pool.submit(_emit, texts[index], True, level) for index in order}
        return [futures[index].result() for index in range(len(texts))]


def assembly(text: str) -> str:
    """The assembly of one IR module. Raises CompilerError as `compile_ir` does."""
    return _emit(text, False, CODEGEN_LEVEL).decode()


def _emit(text: str, as_object: bool, level: int) -> bytes:
    idle = _idle_machines[level]
    try:
        machine = idle.pop()
    except IndexError:
        machine = _target_machine(level)
    # A context of its own, so that modules compile in parallel; it must outlive its module.
    with llvm.create_context() as context, _parse(text, context) as module:
        module.triple = machine.triple
        module.data_layout = str(machine.target_data)
        code = _emit_unlocked(machine, module, as_object)
    idle.append(machine)
    return code


def _parse(text: str, context: llvm.ContextRef) -> llvm.ModuleRef:
    try:
        module = llvm.parse_assembly(text, context)
    except RuntimeError as error:
        raise CompilerError(f"{error}{_context_of(text, str(error))}") from None
    try:
        module.verify()
    except RuntimeError as error:
        module.close()
        raise CompilerError(f"LLVM IR invalid: {error}{_context_of(text, str(error))}") from None
    return module


def _context_of(text: str, message: str) -> str:
    """The line of `text` that LLVM complains about, with those around it, numbered."""
    lines = text.splitlines()
    place = message.partition("<string>:")[2].partition(":")[0]
    # The verifier gives no line number: it prints the instructions at fault, the culprit last.
    quoted = [line.strip() for line in message.splitlines() if line.startswith("  ")]
    defined = [line.partition(" = ")[0] + " = " if " = " in line else line for line in quoted]
    if place.isdigit():
        at = int(place) - 1
    else:
        starts = (
            number
            for start in reversed(defined)
            for number, line in enumerate(lines)
            if line.strip().startswith(start)
        )
        at = next(starts, -1)
    if not 0 <= at < len(lines):
        return ""
    shown = range(max(0, at - 2), min(len(lines), at + 3))
    return "\n" + "\n".join(f"{'>' if n == at else ' '}{n + 1:5} {lines[n]}" for n in shown)


class _Function(Protocol):
    def __call__(self, *args: object) -> object: ...


def _raw(name: str) -> _Function | None:
    """A function of llvmlite's library without llvmlite's process-wide lock; None if it moved."""
    found: _Function | None = getattr(getattr(ffi.lib, name, None), "_cfn", None)
    return found


def _emit_unlocked(machine: llvm.TargetMachine, module: llvm.ModuleRef, as_object: bool) -> bytes:
    """`machine.emit_object(module)` in parallel with other threads.

    llvmlite holds one lock around every call; contexts and target machines of their own make
    LLVM's code generator safe without it (its output is bit-identical).
    """
    emit = _raw("LLVMPY_TargetMachineEmitToMemory")
    pointers = getattr(machine, "_ptr", None), getattr(module, "_ptr", None)
    if emit is None or None in pointers:
        if as_object:
            return bytes(machine.emit_object(module))
        return str(machine.emit_assembly(module)).encode()
    with ffi.OutputString() as message:
        buffer = emit(*pointers, int(as_object), message)
        if not buffer:
            raise CompilerError(f"LLVM emitted no code: {message}")
    try:
        start = ffi.lib.LLVMPY_GetBufferStart(buffer)
        return ctypes.string_at(start, ffi.lib.LLVMPY_GetBufferSize(buffer))
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


class Linked:
    """Code in memory. Its addresses hold as long as this object lives."""

    __slots__ = ("_addresses", "_jit", "_tracker")

    def __init__(self, jit: object, tracker: object, addresses: dict[str, int]) -> None:
        self._jit = jit
        self._tracker = tracker
        self._addresses = addresses

    def address(self, name: str) -> int:
        """Where an exported symbol lies. Raises KeyError for one that was not exported."""
        return self._addresses[name]


_library_numbers = itertools.count()
_link_lock = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_link_lock.acquire,
        after_in_parent=_link_lock.release,
        after_in_child=_link_lock.release,
    )


@cache
def _linker() -> llvm.LLJIT:
    return llvm.create_lljit_compiler(_target_machine(), suppress_errors=True)


def link(objects: Sequence[bytes], exports: Sequence[str], imports: Mapping[str, int]) -> Linked:
    """Loads object code and binds its symbols: `imports` by address, the rest in this process.

    Raises CompilerError for a symbol that is missing, and for what is not object code.
    """
    library = llvm.JITLibraryBuilder().add_current_process()
    for code in objects:
        library.add_object_img(code)
    for name, address in imports.items():
        library.import_symbol(name, address)
    for name in exports:
        library.export_symbol(name)
    with _link_lock:
        try:
            tracker = library.link(_linker(), f"tracejit{next(_library_numbers)}")
        except RuntimeError as error:
            raise CompilerError(f"linking failed: {error}") from None
        return Linked(_linker(), tracker, {name: int(tracker[name]) for name in exports})
