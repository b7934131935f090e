"""What may be passed to a traced function, and how the program takes it."""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from tracejit import tree
from tracejit.errors import DonationError, DTypeError, StaticArgumentError
from tracejit.ir.graph import Array
from tracejit.ir.types import TensorType, type_of
from tracejit.source import here
from tracejit.trace import WEAK_DTYPES, escaped, foreign_array
from tracejit.tracer import Tracer
from tracejit.variable import Variable

NUMBERS = (bool, int, float)


@dataclass(frozen=True, slots=True)
class Argument:
    """One leaf of the arguments: where it stands, and what a compiled step depends on of it.

    number: the Python type of a Python number, else None. variable: its Variable, else None.
    """

    path: tuple[Any, ...]
    label: str
    type: TensorType
    number: builtins.type | None = None
    variable: Variable | None = None

    @property
    def key(self) -> object:
        if self.variable is not None:
            return id(self.variable)
        return self.number or (self.type.shape, self.type.dtype)

    def __str__(self) -> str:
        if self.variable is not None:
            return f"Variable {self.variable.name!r}"
        return f"Python {self.number.__name__}" if self.number else str(self.type)


def leaf_key(value: Any) -> object:
    """What the choice of a step depends on; None for a leaf that `as_leaf` has to look at first."""
    kind = type(value)
    if kind is np.ndarray:
        return (value.shape, value.dtype) if value.dtype.isnative else None
    if kind is Variable:
        return id(value)
    if kind in NUMBERS:
        return kind if kind is not int or -(2**63) <= value < 2**63 else None
    return None


def as_leaf(value: Any, label: str) -> Any:
    """An ndarray in native byte order, a Python number or a Variable.

    Raises DTypeError naming the argument where `value` is none of these and cannot become one.
    """
    kind = type(value)
    if kind in NUMBERS or isinstance(value, Variable):
        if kind is int and not -(2**63) <= value < 2**63:
            raise OverflowError(f"argument {label}: {value} does not fit into 64 bits{here()}")
        return value
    if kind is Tracer:
        raise escaped(value)
    if not isinstance(value, np.ndarray):
        if not (isinstance(value, np.generic) or hasattr(value, "__dlpack__")) and not hasattr(
            value, "__array__"
        ):
            raise DTypeError(
                f"argument {label}: {kind.__name__} is not an array{here()}; name it in"
                " static_argnames, or register its class with tj.tree.register"
            )
        value = np.asarray(value) if isinstance(value, np.generic) else foreign_array(value)
    array = np.asarray(value)
    try:
        wanted = type_of(array).dtype
    except DTypeError as error:
        raise DTypeError(f"argument {label}: {error}{here()}; cast it with .astype") from None
    return array if array.dtype == wanted and array.dtype.isnative else array.astype(wanted)


class Parameters:
    """The parameters of a function: which are static, which are donated, and their names."""

    def __init__(
        self, f: Callable[..., Any], static: Sequence[str], donated: Sequence[str]
    ) -> None:
        try:
            self.signature: inspect.Signature | None = inspect.signature(f)
        except (TypeError, ValueError):
            self.signature = None
        names = list(self.signature.parameters) if self.signature else []
        self.positional = [
            p.name
            for p in (self.signature.parameters.values() if self.signature else ())
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        self.static = frozenset((static,) if isinstance(static, str) else static)
        self.donated = frozenset((donated,) if isinstance(donated, str) else donated)
        for name in (*self.static, *self.donated):
            if name not in names:
                raise StaticArgumentError(
                    f"jit: {getattr(f, '__name__', f)} has no parameter {name!r};"
                    f" it has {', '.join(names) or 'none'}"
                )

    def bind(
        self, args: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The same call with keywords put in their positions where they have one."""
        if not keywords or self.signature is None:
            return args, keywords
        bound = self.signature.bind(*args, **keywords)
        if self.static:
            bound.apply_defaults()
        return bound.args, bound.kwargs

    def positions(
        self, args: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """`bind` for the usual case, quickly: the keywords are all the parameters left."""
        left = self.positional[len(args) :]
        if len(left) == len(keywords) and all(name in keywords for name in left):
            return (*args, *(keywords[name] for name in left)), {}
        return args, keywords

    def static_positions(self, statics: tuple[Any, ...]) -> dict[int, Any]:
        """The static values that stand in a position."""
        return {
            self.positional.index(name): value
            for name, _, value in statics
            if name in self.positional
        }

    def name(self, position: int) -> str:
        if position < len(self.positional):
            return self.positional[position]
        return f"args{position}"

    def split(
        self, args: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[tuple[Any, ...], tuple[Any, ...], dict[str, Any]]:
        """Static values, and the arguments with None in their places.

        Raises StaticArgumentError for a static value that is not hashable.
        """
        if not self.static:
            return (), args, keywords
        statics, rest = [], list(args)
        for position, value in enumerate(args):
            name = self.name(position)
            if name in self.static:
                statics.append(_hashable(name, value))
                rest[position] = None
        kept = dict(keywords)
        for name in sorted(self.static & kept.keys()):
            statics.append(_hashable(name, kept[name]))
            kept[name] = None
        return tuple(statics), tuple(rest), kept

    def join(
        self, statics: tuple[Any, ...], args: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The inverse of `split`."""
        values = {name: value for name, _, value in statics}
        out = [values.get(self.name(i), a) for i, a in enumerate(args)]
        return tuple(out), {k: values.get(k, v) for k, v in keywords.items()}

    def describe(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> list[tuple[str, ...]]:
        """For each leaf its path, with the parameter's name first."""
        named: list[tuple[str, ...]] = []
        for position, value in enumerate(args):
            named += [(self.name(position), *p) for p in tree.paths(value)]
        # A dict is flattened in the order of its sorted keys.
        for name in sorted(keywords):
            named += [(name, *p) for p in tree.paths(keywords[name])]
        return named


def _hashable(name: str, value: Any) -> tuple[str, type, Any]:
    try:
        hash(value)
    except TypeError:
        raise StaticArgumentError(
            f"static argument {name}: {type(value).__name__} is not hashable, so it cannot decide"
            f" which compiled step serves{here()}; pass a tuple or a frozen dataclass, or leave"
            f" {name!r} out of static_argnames"
        ) from None
    return name, type(value), value


def argument(value: Any, path: tuple[Any, ...]) -> Argument:
    """What the step depends on, of a leaf that `as_leaf` gave."""
    label = f"{path[0]}{tree.path_text(path[1:])}"
    kind = type(value)
    if kind in WEAK_DTYPES:
        return Argument(path, label, TensorType((), WEAK_DTYPES[kind]), number=kind)
    if isinstance(value, Variable):
        return Argument(path, label, value.type, variable=value)
    return Argument(path, label, type_of(value))


def input_name(argument: Argument) -> str:
    """The name of a graph input: `params_w1`."""
    return "_".join(str(p) for p in argument.path)


def check_donation(arguments: Sequence[Argument], leaves: Sequence[Any], donated: set[int]) -> None:
    """Raises DonationError where donated memory is also another argument's."""
    arrays = [(i, leaf) for i, leaf in enumerate(leaves) if isinstance(leaf, np.ndarray)]
    spans = sorted((*byte_bounds(array), i) for i, array in arrays if array.size)
    for n, (_, end, i) in enumerate(spans):
        for k in range(n + 1, len(spans)):
            start, _, j = spans[k]
            if start >= end:
                break
            if not donated.isdisjoint((i, j)) and np.shares_memory(leaves[i], leaves[j]):
                first, second = sorted((i, j), key=lambda k: (k not in donated, k))
                raise DonationError(
                    f"{arguments[first].label} is donated, but {arguments[second].label} uses the"
                    f" same memory{here()}; pass a copy of one of them"
                )


def same_type(value: Any, argument: Argument) -> bool:
    """Whether a leaf is what the argument was traced as, however it lies in memory."""
    if argument.number is not None:
        return type(value) is argument.number and (
            type(value) is not int or -(2**63) <= value < 2**63
        )
    return (
        isinstance(value, np.ndarray)
        and value.shape == argument.type.shape
        and value.dtype == argument.type.dtype
        and value.dtype.isnative
    )


def plain(array: Array, writeable: bool) -> Array:
    """The array as compiled code takes it: contiguous, aligned, of the exact type; else a copy."""
    flags = array.flags
    usable = type(array) is np.ndarray and flags.c_contiguous and flags.aligned
    if usable and (flags.writeable or not writeable):
        return array
    return np.array(array, order="C", copy=True, subok=False)
