"""Results whose shape depends on values: NumPy's outside a trace; with a size in any code, as JAX.

size: how many places the result has. Where fewer are found fill_value stands at the end.
"""

from __future__ import annotations

import builtins
from typing import Any, NamedTuple

import numpy as np

from tracejit import counting, searching, sorting
from tracejit.errors import UnsupportedError
from tracejit.source import here
from tracejit.trace import current_trace
from tracejit.transform import concrete, tracing


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


def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """Each value once, in rising order; with size=n also in traced code, of all elements.

    fill_value: what stands behind the values, by default the first of them.
    """
    asked = (return_index, return_inverse, return_counts)
    if size is None:
        numpys: Any = np.unique
        return numpys(ar, *asked, axis=axis, equal_nan=equal_nan)
    if axis is not None:
        raise UnsupportedError(f"unique: size= with axis={axis}{here()}; it takes all elements")
    with tracing("unique") as (trace, outermost):
        values, first, inverse, counts = sorting.unique(ar, int(size), fill_value, equal_nan)
        more = (first, np.reshape(inverse, np.shape(ar)), counts)
        wanted = [m for m, is_wanted in zip(more, asked, strict=True) if is_wanted]
        found = (values, *wanted) if wanted else values
        return concrete(trace, found) if outermost else found


class UniqueAll(NamedTuple):
    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCounts(NamedTuple):
    values: Any
    counts: Any


class UniqueInverse(NamedTuple):
    values: Any
    inverse_indices: Any


def unique_all(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> Any:
    """Each value once, where it is first, for each element the place of its value, and counts.

    As all of these, each nan is a value of its own, as the standard says; size: see `unique`.
    """
    if size is None:
        return np.unique_all(x)
    return UniqueAll(
        *unique(x, True, True, True, equal_nan=False, size=size, fill_value=fill_value)
    )


def unique_counts(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> Any:
    if size is None:
        return np.unique_counts(x)
    values, _, _, counts = unique_all(x, size=size, fill_value=fill_value)
    return UniqueCounts(values, counts)


def unique_inverse(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> Any:
    if size is None:
        return np.unique_inverse(x)
    values, _, inverse, _ = unique_all(x, size=size, fill_value=fill_value)
    return UniqueInverse(values, inverse)


def unique_values(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> Any:
    if size is None:
        return np.unique_values(x)
    return unique_all(x, size=size, fill_value=fill_value).values
