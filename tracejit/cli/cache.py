"""`tracejit cache`: what is kept on disk, and forgetting it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import TypeVar

from tracejit.codegen.runtime.cache import CacheInfo, DiskCache
from tracejit.ir import config

T = TypeVar("T")
MIB = 1 << 20


def info() -> int:
    """Prints the state of the cache folder. Exit code 1 where compiled code cannot be kept."""
    known, refusal = state()
    print(f"folder   {known.directory}")
    print(f"state    {summary(known, refusal)}")
    print(f"entries  {known.entries}")
    print(f"size     {known.bytes / MIB:.1f} of {known.limit / MIB:.0f} MiB")
    return 0 if refusal is None else 1


def clear() -> int:
    """Removes all entries, whether the cache is on or not."""
    store = DiskCache(config.text("cache_dir"))
    count, refusal = _with_warning(store.clear)
    if refusal is not None:
        print(f"tracejit: nothing removed: {refusal}", file=sys.stderr)
        return 1
    print(f"removed {count} entries from {store.directory}")
    return 0


def state() -> tuple[CacheInfo, str | None]:
    """The cache, and why its folder is refused, None if it is not."""
    return _with_warning(DiskCache(config.text("cache_dir")).info)


def summary(known: CacheInfo, refusal: str | None) -> str:
    """In a few words, whether compiled code is kept."""
    if refusal is not None:
        return refusal
    if not config.get("cache"):
        return "off (TRACEJIT_CACHE)"
    return "in use" if known.usable else "empty; the first compile makes the folder"


def _with_warning(ask: Callable[[], T]) -> tuple[T, str | None]:
    """What `ask` returns, and the warning that it gave."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        answer = ask()
    return answer, str(caught[0].message) if caught else None
