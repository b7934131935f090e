"""Event files: the published checksum, and what a reader written from the format's text finds."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

import tracejit as tj
from tracejit import callbacks, nn
from tracejit.events import crc32c


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (b"123456789", 0xE3069283),
    ],
)
def test_checksums_of_rfc_3720(data: bytes, crc: int) -> None:
    assert crc32c(data) == crc


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data: bytes) -> dict[int, bytes | int]:
    """Field number -> content, of a message of protocol buffers."""
    found: dict[int, bytes | int] = {}
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            found[number], at = varint(data, at)
            continue
        size, at = (varint(data, at)) if wire == 2 else ({1: 8, 5: 4}[wire], at)
        found[number], at = data[at : at + size], at + size
    return found


def scalars(folder: Path) -> list[tuple[str, int, float]]:
    (path,) = folder.iterdir()
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        for start, size in ((at, 8), (at + 12, length)):
            crc = crc32c(data[start : start + size])
            masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
            assert struct.unpack_from("<I", data, start + size) == (masked,)
        message = fields(data[at + 12 : at + 12 + length])
        at += length + 16
        if 3 in message:
            assert message[3] == b"brain.Event:2" and not found
            continue
        value = fields(fields(message[5])[1])  # type: ignore[arg-type]
        (number,) = struct.unpack("<f", value[2])  # type: ignore[arg-type]
        found.append((value[1].decode(), message[2], number))  # type: ignore[union-attr]
    return found


def fitted(callback: callbacks.TensorBoard) -> dict[str, list[float]]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 4)).astype(np.float32)
    y = rng.integers(0, 3, 64)
    model = tj.Sequential([nn.Dense(3)])
    model.compile(
        "sgd", tj.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    history = model.fit(
        x, y, batch_size=16, epochs=2, validation_split=0.25, callbacks=[callback], verbose=0
    )
    return history.history


def test_the_curves_are_those_of_the_history(tmp_path: Path) -> None:
    history = fitted(callbacks.TensorBoard(tmp_path))
    for part, prefix in (("train", ""), ("validation", "val_")):
        found = scalars(tmp_path / part)
        for name in ("loss", "accuracy"):
            curve = [(step, value) for tag, step, value in found if tag == f"epoch_{name}"]
            assert [step for step, _ in curve] == [0, 1]
            np.testing.assert_allclose([v for _, v in curve], history[prefix + name], rtol=1e-6)


def test_curves_within_an_epoch(tmp_path: Path) -> None:
    fitted(callbacks.TensorBoard(tmp_path, update_freq=2))
    steps = [step for tag, step, _ in scalars(tmp_path / "train") if tag == "batch_loss"]
    assert steps == [2, 4, 6]
    with pytest.raises(ValueError, match=r"update_freq is 'often'; it is 'epoch', 'batch' or"):
        callbacks.TensorBoard(tmp_path, update_freq="often")
