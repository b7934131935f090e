"""Object code by symbol: known to this process, in the disk cache, or to be compiled."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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

_objects: dict[str, bytes] = {}


@cache
def compiler_version() -> str:
    """Changes whenever the source of the compiler does, so that no cache serves old code."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for folder in (here, Path(config.__file__).parent):
        for source in sorted(folder.rglob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()


def object_code(
    identities: dict[str, str],
    module: Callable[[str], str],
    label: Callable[[str], str],
    watch: Stopwatch,
) -> list[bytes]:
    """Object code of each symbol. Equal code is compiled once, by this process or an earlier one.

    identities: for each symbol what its code depends on besides the compiler and the machine.
    module: the LLVM module of a symbol; asked for only where it must be compiled.
    label: what the log calls a symbol; asked for only where it is logged.
    """
    keys = {s: cache_key(compiler_version(), s, text) for s, text in identities.items()}
    origins = dict.fromkeys(keys, "known in this process")
    unknown = [symbol for symbol, key in keys.items() if key not in _objects]
    disk = disk_cache()
    if disk is not None and unknown:
        found = disk.get_many(keys[s] for s in unknown)
        _objects.update((key, entry.payload) for key, entry in found.items())
        _log_cache(str(disk.directory), {s: keys[s] in found for s in unknown})
        origins.update({s: "from the disk cache" for s in unknown if keys[s] in found})
    missing = [symbol for symbol in unknown if keys[symbol] not in _objects]
    watch.lap("cache")
    for symbol, code, spent in _compiled(missing, module):
        _objects[keys[symbol]] = code
        origins[symbol] = f"compiled ({spent})"
        if disk is not None:
            disk.put(keys[symbol], code, {"symbol": symbol})
    watch.lap("emit and compile")
    if config.logging("kernels"):
        for symbol, origin in origins.items():
            log("kernels", f"{label(symbol)}: {origin}")
    return [_objects[key] for key in keys.values()]


def _compiled(
    symbols: Sequence[str], module: Callable[[str], str]
) -> list[tuple[str, bytes, Stopwatch]]:
    """Emits and compiles; LLVM works without the interpreter lock while the next one is emitted."""

    def compiled(symbol: str) -> tuple[str, bytes, Stopwatch]:
        watch = Stopwatch()
        text = module(symbol)
        watch.lap("emit")
        level = QUICK_LEVEL if symbol == SYMBOL else CODEGEN_LEVEL
        (code,) = compile_ir([text], level=level)
        watch.lap("compile")
        return symbol, code, watch

    if not symbols:
        return []
    with ThreadPoolExecutor(available_cpus(), "tracejit-compile") as pool:
        runtime = pool.submit(prepare)
        done = list(pool.map(compiled, symbols))
        runtime.result()
    return done


def _log_cache(directory: str, hits: dict[str, bool]) -> None:
    count = sum(hits.values())
    log("cache", f"{count} hits, {len(hits) - count} misses in {directory}")
    for symbol, hit in hits.items():
        log("cache", f"{'hit' if hit else 'miss'} {symbol}")
