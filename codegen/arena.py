"""The arena: where values that live at overlapping times lie, none over another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Span:
    """A value of `size` bytes, alive from `first` to `last`."""

    size: int
    first: int
    last: int


def offsets(spans: Sequence[Span]) -> tuple[list[int], int]:
    """An offset for each span, and how long the arena is [bytes].

    The largest come first, each into the lowest gap among those alive with it. What is placed is
    kept in order of its start, so that a gap is found in one sweep: a deep network has thousands
    of values, most of which are alive with most others.
    """
    found = [0] * len(spans)
    # Rows: first, last, start, end.
    placed = np.empty((4, len(spans)), np.int64)
    for count, n in enumerate(sorted(range(len(spans)), key=lambda n: -spans[n].size)):
        span = spans[n]
        first, last, start, end = placed[:, :count]
        together = (first <= span.last) & (last >= span.first)
        at = found[n] = _lowest_gap(start[together], end[together], span.size)
        where = int(np.searchsorted(start, at))
        placed[:, where + 1 : count + 1] = placed[:, where:count].copy()
        placed[:, where] = span.first, span.last, at, at + span.size
    return found, int(placed[3].max(initial=0))


def _lowest_gap(
    start: np.ndarray[tuple[int], np.dtype[np.int64]],
    end: np.ndarray[tuple[int], np.dtype[np.int64]],
    size: int,
) -> int:
    """Where `size` bytes fit between intervals that are sorted by their start."""
    reached = np.concatenate([[0], np.maximum.accumulate(end)])
    fits = start - reached[:-1] >= size
    return int(reached[np.argmax(fits) if fits.any() else -1])
