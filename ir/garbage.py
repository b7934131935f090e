"""Long stretches of work during which nothing becomes garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the collector of cycles, which would look through a growing graph time and again.

    What a trace or a compilation makes lives to its end. Whoever found the collector on leaves it
    on, whatever others do meanwhile.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
