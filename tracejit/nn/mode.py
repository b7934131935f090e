"""What surrounds a layer: whether it is for training, whose loss it is, which file it is from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_training: ContextVar[bool | None] = ContextVar("tracejit_training", default=None)
_penalties: ContextVar[list[Any] | None] = ContextVar("tracejit_penalties", default=None)

_most: ContextVar[int | None] = ContextVar("tracejit_most", default=None)

current_mode = _training.get
most_elements = _most.get


@contextmanager
def training_mode(training: bool | None) -> Iterator[None]:
    """Inside the block layers train (True), infer (False) or follow their own flag (None)."""
    token = _training.set(training)
    try:
        yield
    finally:
        _training.reset(token)


@contextmanager
def weights_of_at_most(elements: int) -> Iterator[None]:
    """Inside the block no weight may have more elements: those of a file have not."""
    token = _most.set(elements)
    try:
        yield
    finally:
        _most.reset(token)


@contextmanager
def collected_losses() -> Iterator[list[Any]]:
    """Inside the block `add_loss` puts scalars into the list that the block gets."""
    found: list[Any] = []
    token = _penalties.set(found)
    try:
        yield found
    finally:
        _penalties.reset(token)


def add_loss(value: Any) -> None:
    """Adds a scalar to the loss of the training step that this is part of; else to nothing."""
    found = _penalties.get()
    if found is not None:
        found.append(value)
