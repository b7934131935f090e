"""Text from inside a program. The result is a token that the next text takes: so order is kept."""

from __future__ import annotations

import numpy as np

from tracejit.ir.graph import Array
from tracejit.ir.host.table import Types, host_function
from tracejit.ir.types import I32, TensorType


def formatted(text: str, names: tuple[str, ...], values: tuple[Array, ...]) -> str:
    """text.format of the values, those of no name by position; a 0-d array as its number."""
    shown = [v[()] if v.ndim == 0 else v for v in values]
    positional = [v for v, name in zip(shown, names, strict=True) if not name]
    named = {name: v for v, name in zip(shown, names, strict=True) if name}
    return text.format(*positional, **named)


def _infer(*types: TensorType, text: str, names: tuple[str, ...]) -> Types:
    return (TensorType((), I32),)


def _eval(token: Array, *values: Array, text: str, names: tuple[str, ...]) -> tuple[Array, ...]:
    print(formatted(text, names, values))
    return (np.zeros((), I32),)


host_function("debug.print", _infer, _eval, None)
