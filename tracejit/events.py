"""Event files, as TensorBoard reads them: one record per scalar, appended as it comes.

A record is the length of an `Event` message, a checksum of that, the message, and its checksum
(tensorflow/core/lib/io/record_writer.h); the message is in the wire format of protocol buffers, of
which two numbers and a nested message are all that scalars need (tensorflow/core/util/event.proto,
tensorflow/core/framework/summary.proto).
"""

from __future__ import annotations

import os
import socket
import struct
import time
from functools import cache
from pathlib import Path

POLYNOMIAL = 0x82F63B78  # CRC-32C (Castagnoli), reversed; RFC 3720, section 12.1
MASK = 0xA282EAD8

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types


@cache
def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


def crc32c(data: bytes) -> int:
    """The checksum of RFC 3720."""
    crc, table = 0xFFFFFFFF, _table()
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + MASK) & 0xFFFFFFFF)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, wire: int, payload: bytes) -> bytes:
    length = _varint(len(payload)) if wire == BYTES else b""
    return _varint(number << 3 | wire) + length + payload


def record(message: bytes) -> bytes:
    length = struct.pack("<Q", len(message))
    return length + _masked(length) + message + _masked(message)


def event(wall_time: float, step: int = 0, what: bytes = b"") -> bytes:
    """An `Event`. what: its last field: the version of the file, or a summary."""
    return (
        _field(1, FIXED64, struct.pack("<d", wall_time)) + _field(2, VARINT, _varint(step)) + what
    )


def scalar(tag: str, value: float) -> bytes:
    """A summary of one number, as the field of an event."""
    number = _field(2, FIXED32, struct.pack("<f", value))
    return _field(5, BYTES, _field(1, BYTES, _field(1, BYTES, tag.encode()) + number))


class EventWriter:
    """Appends scalars to an event file of its own in a folder, which is made with the first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path: Path | None = None

    def add(self, tag: str, value: float, step: int) -> None:
        data = record(event(time.time(), step, scalar(tag, value)))
        with self._file().open("ab") as file:
            file.write(data)

    def _file(self) -> Path:
        if self._path is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            now, host = time.time(), socket.gethostname()
            name = f"events.out.tfevents.{int(now)}.{host}.{os.getpid()}.{id(self)}"
            self._path = self.folder / name
            version = _field(3, BYTES, b"brain.Event:2")
            self._path.write_bytes(record(event(now, what=version)))
        return self._path
