"""The disk cache: object code by key, so that a second process starts without compiling.

An entry is one file, `<key>.tj`:

    magic | length of header (u64, little-endian) | header (JSON) | payload | SHA-256 of all that

The header names the key, so a file under another entry's name is no entry. Files appear by rename,
so a reader sees a whole entry or none, whatever happens to the writer. Whoever can write here can
run code as the user: a folder that others can write to is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import stat
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from tracejit.codegen.runtime import toolchain
from tracejit.ir import config

MAGIC = b"tracejit entry 1\n"
SUFFIX = ".tj"
LIMIT_BYTES = 512 << 20
ROOM = 0.9  # what a trim leaves of the limit, so that not every write trims
STALE_SECONDS = 600  # no writer takes so long: its temporary file is left over from a crash
TOUCH_SECONDS = 3600  # an entry's time of last use is this coarse

_KEY = re.compile(r"[0-9a-f]{64}")
_DIGEST_BYTES = 32


class CacheWarning(UserWarning):
    """Something about the disk cache that costs time, never a right result."""


class _Damaged(Exception):
    """The bytes are no entry of that key."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What was put under a key."""

    payload: bytes
    meta: dict[str, object]


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """The state of a cache folder. `usable` is false where it was refused or cannot be made."""

    directory: str
    usable: bool
    entries: int
    bytes: int
    limit: int


def cache_key(*parts: str) -> str:
    """The key of code made from `parts` for this host: SHA-256, in hex."""
    digest = hashlib.sha256()
    for part in (repr(asdict(toolchain.host())), *parts):
        text = part.encode()
        digest.update(len(text).to_bytes(8, "little") + text)
    return digest.hexdigest()


class DiskCache:
    """Entries in one folder, shared by all processes of one user. Never raises for its contents."""

    def __init__(self, directory: str | os.PathLike[str], limit: int = LIMIT_BYTES) -> None:
        self.directory = Path(directory)
        self.limit = limit
        self._size: int | None = None  # of all entries [bytes], as known here
        self._warned: set[str] = set()
        self._swept = False  # whether what crashed writers left was removed

    def get(self, key: str) -> Entry | None:
        """What was put under `key`; None, with a warning where that is news, if it is not there."""
        path = self._path(key)
        if not self._usable(create=False):
            return None
        try:
            raw = self._read(path)
            return _decode(key, raw)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn("unreadable", f"cannot read {path}: {error}; compiling again")
        except _Damaged as error:
            self._remove(path)
            self._warn("damaged", f"{path} {error}; it was removed, compiling again")
        return None

    def get_many(self, keys: Iterable[str]) -> dict[str, Entry]:
        """The entries of those keys that are there."""
        found = ((key, self.get(key)) for key in keys)
        return {key: entry for key, entry in found if entry is not None}

    def put(self, key: str, payload: bytes, meta: Mapping[str, object]) -> None:
        """Stores bytes and what JSON can say about them. The entry may be dropped at any time.

        Raises ValueError for a key that is no SHA-256 in hex, TypeError for meta that is no JSON.
        """
        path = self._path(key)
        raw = _encode(key, payload, meta)
        if len(raw) > self.limit or not self._usable(create=True):
            return
        temporary = path.with_name(f".{key[:16]}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        try:
            self._write(temporary, raw)
            os.replace(temporary, path)
        except OSError as error:
            self._warn("unwritable", f"cannot write to {self.directory}: {error}")
        else:
            self._grown(len(raw))
        finally:
            self._remove(temporary)

    def info(self) -> CacheInfo:
        """How full the folder is."""
        usable = self._usable(create=False)
        files = list(self._files(SUFFIX)) if usable else []
        size = sum(status.st_size for _, status in files)
        return CacheInfo(str(self.directory), usable, len(files), size, self.limit)

    def clear(self) -> int:
        """Removes all entries, and what crashed writers left; returns how many entries."""
        if not self._usable(create=False):
            return 0
        paths = [path for path, _ in self._files(SUFFIX)]
        for path in paths:
            self._remove(path)
        self._remove_temporaries()
        self._size = None
        return len(paths)

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"not a SHA-256 in hex: {key!r}")
        return self.directory / (key + SUFFIX)

    def _usable(self, create: bool) -> bool:
        """Whether the folder is there and private. The first write makes it."""
        try:
            if create:
                self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            refusal = _refusal(os.stat(self.directory))
        except FileNotFoundError:
            return False
        except OSError as error:
            refusal = f"cannot be used ({error})"
        if refusal is not None:
            message = f"the cache folder {self.directory} {refusal}; compiled code is not kept"
            self._warn("folder", message)
            return False
        if not self._swept:
            self._swept = True
            self._remove_temporaries()
        return True

    @staticmethod
    def _read(path: Path) -> bytes:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            refusal = _refusal(status, folder=False)
            if refusal is not None:
                raise _Damaged(refusal)
            raw = file.read()
        if time.time() - status.st_mtime > TOUCH_SECONDS:
            os.utime(path)
        return raw

    @staticmethod
    def _write(path: Path, raw: bytes) -> None:
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(raw)

    def _files(self, suffix: str) -> Iterator[tuple[Path, os.stat_result]]:
        """Files so named; those that other processes remove meanwhile are left out."""
        try:
            names = [name for name in os.listdir(self.directory) if name.endswith(suffix)]
        except OSError:
            return
        for name in names:
            path = self.directory / name
            try:
                yield path, os.stat(path)
            except OSError:
                continue

    def _grown(self, size: int) -> None:
        """Counts an entry, and drops those used longest ago when all are over the limit."""
        if self._size is not None:
            self._size += size
        if self._size is None or self._size > self.limit:
            self._size = self._trim()

    def _trim(self) -> int:
        files = sorted(self._files(SUFFIX), key=lambda file: file[1].st_mtime)
        size = sum(status.st_size for _, status in files)
        if size <= self.limit:
            return size
        for path, status in files:
            if size <= self.limit * ROOM:
                break
            self._remove(path)
            size -= status.st_size
        self._remove_temporaries()
        return size

    def _remove_temporaries(self) -> None:
        for path, status in self._files(".tmp"):
            if time.time() - status.st_mtime > STALE_SECONDS:
                self._remove(path)

    @staticmethod
    def _remove(path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            return  # another process's business by now

    def _warn(self, kind: str, message: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            warnings.warn(message, CacheWarning, stacklevel=4)


def _refusal(status: os.stat_result, folder: bool = True) -> str | None:
    """Why code from a folder or file of this status must not run; None if it may."""
    expected = stat.S_ISDIR if folder else stat.S_ISREG
    if not expected(status.st_mode):
        return "is not a folder" if folder else "is not a file"
    if not hasattr(os, "geteuid"):
        return None  # Windows: folders in a profile are the user's own
    if status.st_uid != os.geteuid():
        return "belongs to another user"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"can be written by other users (mode {stat.S_IMODE(status.st_mode):o})"
    return None


def _encode(key: str, payload: bytes, meta: Mapping[str, object]) -> bytes:
    header = json.dumps({"key": key, "meta": dict(meta), "payload": len(payload)}).encode()
    raw = MAGIC + len(header).to_bytes(8, "little") + header + payload
    return raw + hashlib.sha256(raw).digest()


def _decode(key: str, raw: bytes) -> Entry:
    """The entry that `raw` holds. Raises _Damaged, saying what is wrong with it."""
    if not raw.startswith(MAGIC):
        raise _Damaged("is not a cache entry")
    body, digest = raw[:-_DIGEST_BYTES], raw[-_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise _Damaged("is truncated or corrupt")
    start = len(MAGIC) + 8
    end = start + int.from_bytes(body[len(MAGIC) : start], "little")
    header: object = json.loads(body[start:end])
    if not isinstance(header, dict) or header.get("key") != key:
        raise _Damaged("is the entry of another key")
    return Entry(body[end:], header["meta"])


def disk_cache() -> DiskCache | None:
    """The cache of the settings `cache` and `cache_dir`; None if it is off."""
    return _at(str(config.get("cache_dir"))) if config.get("cache") else None


@cache
def _at(directory: str) -> DiskCache:
    return DiskCache(directory)
