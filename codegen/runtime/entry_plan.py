"""What an entry is made from: the arguments, outputs and memory of one compiled step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tracejit.codegen.runtime import layout

ALIGNMENT = 64  # of fresh outputs and the arena [bytes]
WAYS = 2  # arrays kept per output: the user still holds the last one when asking for the next

Array = npt.NDArray[np.generic]


class Step(Protocol):
    """What can be called with a step's arguments."""

    def __call__(self, *args: object) -> object: ...


@dataclass(frozen=True, slots=True)
class ArrayArg:
    """An ndarray, C-contiguous and aligned; its buffer is updated in place if donated."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    donated: bool = False

    @property
    def flags(self) -> int:
        """NumPy's flags that it must have."""
        needed = layout.C_CONTIGUOUS | layout.ALIGNED
        return needed | layout.WRITEABLE if self.donated else needed

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class ScalarArg:
    """A Python scalar of exactly this type, converted to a dtype; the type follows from the dtype.

    Raises TypeError for a type that does not convert to the dtype without loss of meaning.
    """

    dtype: np.dtype[np.generic]
    pytype: type[float] | type[int] | type[bool] | None = None

    def __post_init__(self) -> None:
        natural = {"b": bool, "i": int, "u": int}.get(self.dtype.kind, float)
        if self.pytype is None:
            object.__setattr__(self, "pytype", natural)
        elif (self.pytype, natural) not in _CONVERSIONS:
            raise TypeError(f"a {self.pytype.__name__} argument as {self.dtype}")


_CONVERSIONS = {(bool, bool), (bool, int), (bool, float), (int, int), (int, float), (float, float)}


@dataclass(frozen=True, slots=True)
class FreshOut:
    """A new ndarray at each call."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]


@dataclass(frozen=True, slots=True)
class DonatedOut:
    """The argument object of that position itself, which the program updated in place."""

    arg: int


Arg = ArrayArg | ScalarArg
Out = FreshOut | DonatedOut


@dataclass(frozen=True, slots=True)
class Plan:
    """All that an entry needs to know. Addresses hold as long as `keep` lives."""

    program: int
    args: tuple[Arg, ...]
    outs: tuple[Out, ...]
    captured: tuple[int, ...]
    arena_bytes: int
    nthreads: int
    release_gil: bool
    slow: Step
    keep: object

    @property
    def fresh(self) -> tuple[FreshOut, ...]:
        """The outputs that are new arrays."""
        return tuple(out for out in self.outs if isinstance(out, FreshOut))

    def check(self) -> None:
        """Raises ValueError for a plan that contradicts itself."""
        if self.nthreads < 1:
            raise ValueError(f"{self.nthreads} threads")
        for out in self.outs:
            if isinstance(out, DonatedOut):
                arg = self.args[out.arg] if 0 <= out.arg < len(self.args) else None
                if not (isinstance(arg, ArrayArg) and arg.donated):
                    raise ValueError(f"output of argument {out.arg}, which is not donated")


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
    """A new array at a multiple of ALIGNMENT, of any contents; its base is held by it alone."""
    nbytes = math.prod(shape) * dtype.itemsize
    base = np.empty(nbytes + ALIGNMENT, np.uint8)
    offset = -address(base) % ALIGNMENT
    return np.ndarray(shape, dtype, buffer=base, offset=offset)


def address(array: Array) -> int:
    """Where an array's first element lies."""
    return int(array.__array_interface__["data"][0])


def scalar_bits(arg: ScalarArg, value: object) -> bytes:
    """The scalar in its dtype, as NumPy converts it. Raises OverflowError if it has no place there.

    A float beyond the dtype's range is infinite.
    """
    with np.errstate(over="ignore"):
        return np.array(value, arg.dtype).tobytes()
