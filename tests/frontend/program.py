"""A row of the tables of NumPy programs, and its operands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.ir.types import parse_type


@dataclass(frozen=True)
class Program:
    name: str
    f: Callable[..., Any]
    types: tuple[str, ...]


def operands(program: Program) -> list[Any]:
    """Seeded operands; floats around 0 with both signs, ints small, of both signs if signed."""
    rng = np.random.default_rng(len(program.name))
    out = []
    for text in program.types:
        tensor = parse_type(text)
        if tensor.dtype.kind == "b":
            value = rng.random(tensor.shape) < 0.5
        elif tensor.dtype.kind in "iu":
            low = -9 if tensor.dtype.kind == "i" else 0
            value = rng.integers(low, 9, tensor.shape)
        else:
            value = rng.standard_normal(tensor.shape) * 1.7
        out.append(np.asarray(value).astype(tensor.dtype))
    return out


def row(source: str, *types: str) -> Program:
    """A program from the source of a lambda's body over x, y, z; its name is that source."""
    names = ", ".join("xyz"[: len(types)])
    f = eval(f"lambda {names}: {source}", {"np": np})
    return Program(f"{source} | {' '.join(types)}", f, types)
