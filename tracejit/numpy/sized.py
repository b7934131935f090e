"""Results whose shape depends on values: NumPy's outside a trace; with a size in any code, as JAX.

size: how many places the result has. Where fewer are found fill_value stands at the end.
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from tracejit import counting, searching
from tracejit.trace import current_trace


def nonzero(x: Any, /, size: int | None = None, fill_value: Any = 0) -> Any:
    """The indices of what is not 0, one array for each axis; with size=n also in traced code."""
    if size is None:
        return np.nonzero(x)
    if current_trace() is not None:
        return searching.nonzero(x, size, fill_value)
    found = np.nonzero(x)
    filler = np.full(builtins.max(size - len(found[0]), 0), fill_value)
    return tuple(np.concatenate([f, filler])[:size].astype(np.int64) for f in found)


def flatnonzero(a: Any, size: int | None = None, fill_value: Any = 0) -> Any:
    return nonzero(np.ravel(a), size=size, fill_value=fill_value)[0]


def argwhere(a: Any, size: int | None = None, fill_value: Any = 0) -> Any:
    """`nonzero` as rows: [size, a.ndim]."""
    if size is None:
        return np.argwhere(a)
    return np.stack(nonzero(a, size=size, fill_value=fill_value), axis=-1)


def bincount(x: Any, weights: Any = None, minlength: int = 0, *, length: int | None = None) -> Any:
    """How often each integer occurs, or the sum of its weights.

    length: the number of bins, in any code; what is beyond counts for none.
    """
    if length is not None and current_trace() is None:
        x = np.asarray(x)
        kept = (x >= 0) & (x < length)
        given = None if weights is None else np.broadcast_to(weights, x.shape)[kept]
        return np.bincount(x[kept], given, length)
    if length is None:
        return np.bincount(x, weights, minlength)
    return counting.bincount(x, weights, length)
