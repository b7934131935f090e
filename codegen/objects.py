"""Object code by symbol: known to this process, in the disk cache, or to be compiled.

Several kernels are one module, since LLVM takes a millisecond for any, however short. Who needs a
kernel that is known already links the module that it lies in, whatever else that holds. On disk a
module is one entry, and each of its kernels another, which names it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tracejit.codegen.runtime.cache import cache_key, disk_cache
from tracejit.codegen.runtime.cpus import available_cpus
from tracejit.codegen.runtime.ready import prepare
from tracejit.codegen.runtime.toolchain import CODEGEN_LEVEL, QUICK_LEVEL, compile_ir
from tracejit.ir import config
from tracejit.ir.log import Stopwatch, log

# The function that is the whole program; every other symbol is a kernel.
SYMBOL = "tj_program"

# A module of so many lines is full: about 30 ms of LLVM. Longer ones would save little more.
MODULE_LINES = 1000

# A function, and by name what its module declares for it.
Emitted = tuple[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Module:
    """Object code of some functions, under the key that it has in the disk cache."""

    key: str
    symbols: tuple[str, ...]
    code: bytes


@dataclass(frozen=True, slots=True)
class Wanted:
    """The functions that a program is linked from.

    kernels: symbols, each of which says all that its code depends on besides the compiler and the
    machine. emit: makes the IR of one; asked only where it must be compiled. program: the IR that
    calls them; None where that is had elsewhere. modules: the keys of those that were linked when
    the same was wanted before. label: what the log calls a symbol; asked only where it is logged.
    """

    kernels: tuple[str, ...]
    emit: Callable[[str], Emitted]
    program: str | None
    modules: tuple[str, ...]
    label: Callable[[str], str]


_modules: dict[str, Module] = {}  # by their keys
_homes: dict[str, str] = {}  # for the symbol of a kernel the key of a module that has it


def forget() -> None:
    """As if this process had compiled nothing yet."""
    _homes.clear()
    _modules.clear()


@cache
def compiler_version() -> str:
    """Changes whenever the source of the compiler does, so that no cache serves old code."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for folder in (here, Path(config.__file__).parent):
        for source in sorted(folder.rglob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()


def _key(*parts: str) -> str:
    return cache_key(compiler_version(), *parts)


def module_text(functions: Sequence[Emitted]) -> str:
    """One module of several functions."""
    declared = {name: text for _, texts in functions for name, text in texts.items()}
    return "\n".join([*declared.values(), *(function for function, _ in functions)])


def object_code(wanted: Wanted, watch: Stopwatch) -> list[Module]:
    """The modules to link. Equal code is compiled once, by this process or an earlier one."""
    return _Search(wanted).modules(watch)


KNOWN, FROM_DISK = "known in this process", "from the disk cache"


class _Search:
    """origins: where each function comes from, in the words of the log."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.disk = disk_cache()
        self.program = None if wanted.program is None else _key(SYMBOL, wanted.program)
        symbols = [*wanted.kernels, *([SYMBOL] if self.program is not None else [])]
        self.origins = dict.fromkeys(symbols, KNOWN)

    def modules(self, watch: Stopwatch) -> list[Module]:
        found = self._as_before()
        missing: list[str] = []
        if not found:
            self._look_for_kernels()
            found, missing = self._chosen()
        watch.lap("cache")
        if missing:
            found += self._compiled(missing)
        watch.lap("emit and compile")
        self._log()
        return found

    # What is known

    def _as_before(self) -> list[Module]:
        """What was linked before, if all of it is there."""
        keys = self.wanted.modules
        self._load(keys)
        return [_modules[key] for key in keys] if all(key in _modules for key in keys) else []

    def _look_for_kernels(self) -> None:
        """On disk, where this process does not know them."""
        if self.disk is not None:
            unknown = [symbol for symbol in self.wanted.kernels if symbol not in _homes]
            entries = self.disk.get_many(_key(symbol) for symbol in unknown)
            self._load(str(entry.meta["module"]) for entry in entries.values())
            self._load([self.program] if self.program is not None else [])

    def _load(self, keys: Iterable[str]) -> None:
        """Brings modules from the disk cache into this process."""
        if self.disk is None:
            return
        found = self.disk.get_many(key for key in dict.fromkeys(keys) if key not in _modules)
        for key, entry in found.items():
            symbols = entry.meta["symbols"]
            assert isinstance(symbols, list), "as _keep puts it"
            _add(Module(key, tuple(symbols), entry.payload))
            self.origins |= dict.fromkeys(self.origins.keys() & symbols, FROM_DISK)

    def _chosen(self) -> tuple[list[Module], list[str]]:
        """Modules that have no function twice, and the symbols that are in none of them.

        Two that have one in common were compiled at the same time, by two threads or processes.
        """
        chosen: list[Module] = []
        missing: list[str] = []
        if self.program is not None:
            known = _modules.get(self.program)
            chosen, missing = ([], [SYMBOL]) if known is None else ([known], [])
        defined: set[str] = set()
        for symbol in self.wanted.kernels:
            if symbol in defined:
                continue
            home = _modules[_homes[symbol]] if symbol in _homes else None
            if home is not None and defined.isdisjoint(home.symbols):
                chosen.append(home)
                defined.update(home.symbols)
            else:
                missing.append(symbol)
                defined.add(symbol)
        return chosen, missing

    # What is not

    def _compiled(self, symbols: Sequence[str]) -> list[Module]:
        """LLVM works without the interpreter lock while this thread emits what comes next."""
        done = []
        with ThreadPoolExecutor(available_cpus(), "tracejit-compile") as pool:
            runtime = pool.submit(prepare)
            for module, watch in pool.map(_Batch.compiled, self._batches(symbols)):
                self._keep(module, watch)
                done.append(module)
            runtime.result()
        return done

    def _batches(self, symbols: Sequence[str]) -> Iterator[_Batch]:
        """The program, which is short and apart; then kernels, in modules that grow shorter in the
        end, so that no thread is left with a long one when the others have nothing to do."""
        if SYMBOL in symbols:
            assert self.program is not None and self.wanted.program is not None
            yield _Batch(self.program, (SYMBOL,), self.wanted.program, QUICK_LEVEL, Stopwatch())
        kernels = [symbol for symbol in symbols if symbol != SYMBOL]
        functions: dict[str, Emitted] = {}
        lines, mean, watch = 0, 0.0, Stopwatch()
        for n, symbol in enumerate(kernels, 1):
            functions[symbol] = self.wanted.emit(symbol)
            length = functions[symbol][0].count("\n")
            lines, mean = lines + length, mean + (length - mean) / n
            if lines >= min(MODULE_LINES, mean * (len(kernels) - n) / available_cpus()):
                text = module_text(list(functions.values()))
                watch.lap("emit")
                key = _key("module", *functions)
                yield _Batch(key, tuple(functions), text, CODEGEN_LEVEL, watch)
                functions = {}
                lines, watch = 0, Stopwatch()

    def _keep(self, module: Module, watch: Stopwatch) -> None:
        """In this process and on disk."""
        _add(module, newest=True)
        beside = f" with {len(module.symbols) - 1} more" if len(module.symbols) > 1 else ""
        self.origins |= dict.fromkeys(module.symbols, f"compiled{beside} ({watch})")
        if self.disk is not None:
            self.disk.put(module.key, module.code, {"symbols": module.symbols})
            for symbol in module.symbols:
                if symbol != SYMBOL:
                    self.disk.put(_key(symbol), b"", {"module": module.key})

    def _log(self) -> None:
        asked = {s: origin == FROM_DISK for s, origin in self.origins.items() if origin != KNOWN}
        if self.disk is not None and asked:
            hits = sum(asked.values())
            log("cache", f"{hits} hits, {len(asked) - hits} misses in {self.disk.directory}")
            for symbol, hit in asked.items():
                log("cache", f"{'hit' if hit else 'miss'} {symbol}")
        if config.logging("kernels"):
            for symbol, origin in self.origins.items():
                log("kernels", f"{self.wanted.label(symbol)}: {origin}")


@dataclass(frozen=True, slots=True)
class _Batch:
    """A module to be compiled."""

    key: str
    symbols: tuple[str, ...]
    text: str
    level: int
    watch: Stopwatch

    def compiled(self) -> tuple[Module, Stopwatch]:
        self.watch.resume()
        (code,) = compile_ir([self.text], level=self.level)
        self.watch.lap("compile")
        return Module(self.key, self.symbols, code), self.watch


def _add(module: Module, newest: bool = False) -> None:
    """newest: the module to take its kernels from, even if others have them."""
    _modules[module.key] = module
    for symbol in module.symbols:
        if symbol != SYMBOL and (newest or symbol not in _homes):
            _homes[symbol] = module.key
