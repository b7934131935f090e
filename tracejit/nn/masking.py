"""Masks: which steps of a sequence count. They go with an array from layer to layer, as in Keras.

A mask is bool[N, T] beside an array [N, T, ...], True where the step counts. Layers put masks on
what they give (`Embedding(mask_zero=True)`, `Masking`) and pass them on; recurrent layers,
attention, means over time, losses and metrics heed them. What NumPy makes of an array has none.
"""

from __future__ import annotations

import weakref
from functools import partial
from typing import Any

import numpy as np

# By id: arrays are not hashable. An entry goes when its array does.
_masks: dict[int, tuple[weakref.ref[Any], Any]] = {}


def put(x: Any, mask: Any) -> None:
    """Puts a mask on an array; of lists of both, each on its own. None puts nothing."""
    if mask is None:
        return
    if isinstance(x, list | tuple):
        for part, one in zip(x, mask, strict=True):
            put(part, one)
    elif hasattr(x, "ndim"):
        forget = partial(_forget, id(x))
        _masks[id(x)] = (weakref.ref(x, forget), mask)


def _forget(key: int, gone: weakref.ref[Any]) -> None:
    entry = _masks.get(key)
    if entry is not None and entry[0] is gone:
        del _masks[key]


def of(x: Any) -> Any:
    """The mask on an array, None if it has none; of a list the list, None if none has one."""
    if not _masks:
        return None
    if isinstance(x, list | tuple):
        found = [of(part) for part in x]
        return None if all(one is None for one in found) else found
    entry = _masks.get(id(x))
    return entry[1] if entry is not None and entry[0]() is x else None


def wide(mask: Any, x: Any) -> Any:
    """A mask [N, T] as one that broadcasts to x: [N, T, ...]."""
    return np.reshape(mask, (*mask.shape, *(1,) * (x.ndim - mask.ndim)))
