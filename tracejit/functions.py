"""NumPy's functions on traced values: the table that `__array_function__` looks into.

A row is made with `@traces(np.name)`, next to the function that gives its traced form.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.types import dtype_name
from tracejit.source import here, user_loc
from tracejit.trace import Trace, current_trace
from tracejit.tracer import Tracer

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class _Parameters:
    """How NumPy's arguments reach a traced form.

    known: the keywords that the form takes. order: NumPy's own order of names. same: as many
    leading parameters stand at the same place in the form; what comes after goes by name.
    any_name: the form takes keywords of every name, for a function of the user's.
    """

    known: frozenset[str]
    order: tuple[str, ...]
    same: int
    any_name: bool


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}
# Functions whose result has a shape that depends on values, and what to write in traced code.
SHAPELESS: dict[Callable[..., Any], str] = {}
# Functions that write into an array, and what gives a new one instead.
WRITERS: dict[Callable[..., Any], str] = {
    np.put: "x = np.reshape(np.ravel(x).at[indices].set(values), x.shape)",
    np.put_along_axis: "x = x.at[index].set(values), with an index for every axis",
    np.place: "x = np.where(mask, values, x)",
    np.putmask: "x = np.where(mask, values, x)",
    np.copyto: "x = np.where(mask, source, x)",
    np.fill_diagonal: "x = x.at[np.diag_indices_from(x)].set(value)",
}
# Functions whose results lie in the memory of their operands.
VIEWS = frozenset(
    {
        np.reshape, np.ravel, np.transpose, np.matrix_transpose, np.swapaxes, np.moveaxis,
        np.squeeze, np.expand_dims, np.broadcast_to, np.broadcast_arrays, np.atleast_1d,
        np.atleast_2d, np.atleast_3d, np.split, np.array_split, np.hsplit, np.vsplit, np.dsplit,
        np.flip, np.fliplr, np.flipud, np.rot90, np.rollaxis, np.diagonal, np.linalg.diagonal,
        np.unstack, np.real, np.real_if_close, np.meshgrid, np.diag,
        np.linalg.matrix_transpose,
    }
)  # fmt: skip
_parameters: dict[Callable[..., Any], _Parameters] = {}

# Keywords whose usual values ask for nothing.
_DEFAULTS: dict[str, tuple[Any, ...]] = {
    "out": (None,), "where": (True,), "order": (None, "C", "K", "A"), "casting": ("same_kind",),
    "subok": (False, True), "like": (None,), "dtype": (None,), "device": (None, "cpu"),
    "copy": (True, None, False), "mode": ("raise",), "kind": (None,),
    "assume_unique": (False, True),
    "optimize": (False, True, "greedy", "optimal"), "correction": (np._NoValue,),
    "mean": (np._NoValue,), "initial": (np._NoValue,), "keepdims": (np._NoValue,),
}  # fmt: skip


def traces(*functions: Callable[..., Any]) -> Callable[[Function], Function]:
    """Makes the decorated function the traced form of these NumPy functions."""

    def row(form: Function) -> Function:
        for function in functions:
            FUNCTIONS[function] = form
        return form

    return row


def live() -> Trace:
    """The current trace; the forms in the table are called inside one only."""
    trace = current_trace()
    assert trace is not None, "a traced form was called outside a trace"
    return trace


def lift(value: Any) -> Tracer:
    """Any operand as a tracer; a Python number takes its default dtype."""
    return live().array(value)


def name_of(function: Callable[..., Any]) -> str:
    module = getattr(function, "__module__", "numpy").replace("numpy", "np", 1)
    return f"{module}.{getattr(function, '__name__', function)}"


def call(function: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """function(*args) where any of them, also inside lists, may be traced or a Variable.

    Raises UnsupportedError where the function or a keyword has no traced form.
    """
    from tracejit.elementwise import UFUNCS
    from tracejit.ufuncs import apply, unsupported, untraced

    trace = current_trace()
    if trace is None:
        plain = {k: untraced(v) for k, v in keywords.items()}
        return function(*(untraced(a) for a in args), **plain)
    trace.builder.loc = user_loc()
    if function in UFUNCS and isinstance(function, np.ufunc):
        return apply(function, *args, **keywords)
    form = FUNCTIONS.get(function)
    if function in SHAPELESS:
        raise UnsupportedError(
            f"{name_of(function)}: the shape of the result depends on values{here()}, and in traced"
            f" code shapes are known; {SHAPELESS[function]}"
        )
    if function in WRITERS:
        raise UnsupportedError(
            f"{name_of(function)}: a traced array cannot be changed in place{here()}; write"
            f" {WRITERS[function]}"
        )
    if form is None:
        raise unsupported(name_of(function))
    args, keywords = _accepted(function, form, args, keywords)
    result = form(*args, **keywords)
    if function in VIEWS:
        _note_views([a for a in args if type(a) is Tracer], result)
    elif type(result) is Tracer and function is not np.astype and any(result is a for a in args):
        result = result.home.wrap(result.node, result.weak)  # nothing to do is still a copy
        result.own = True
    return result


def _note_views(arrays: list[Tracer], result: Any) -> None:
    """The results lie in the memory of the arrays; of several it is not known which in which."""
    views = result if isinstance(result, list | tuple) else (result,)
    for view in views:
        if len(arrays) != 1 and type(view) is Tracer:
            view.own = False
        elif type(view) is Tracer and view is not arrays[0]:
            arrays[0].shares(view)
    if len(arrays) > 1:
        for array in arrays:
            array.own = False


def _accepted(
    function: Callable[..., Any], form: Callable[..., Any], args: Any, keywords: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments that the traced form takes; the others must hold their usual value."""
    known = _parameters.get(function)
    if known is None:
        known = _parameters[function] = _compared(function, form)
    if len(args) > known.same:
        named = dict(zip(known.order[known.same :], args[known.same :], strict=False))
        args, keywords = args[: known.same], {**named, **keywords}
    if not keywords or known.any_name:
        return args, keywords
    for key in keywords.keys() - known.known:
        value = keywords[key]
        if key not in _DEFAULTS or not _usual(value, _DEFAULTS[key]):
            raise UnsupportedError(
                f"{name_of(function)}: keyword {key}={value!r} has no traced form{here()};"
                " leave it out, or compute this outside the traced function"
            )
    given = {k: v for k, v in keywords.items() if k in known.known and v is not np._NoValue}
    return args, given


def _usual(value: Any, usual: tuple[Any, ...]) -> bool:
    return any(value is u or (type(value) is type(u) and value == u) for u in usual)


def _compared(function: Callable[..., Any], form: Callable[..., Any]) -> _Parameters:
    mine = inspect.signature(form).parameters
    known = frozenset(mine)
    any_name = any(p.kind is p.VAR_KEYWORD for p in mine.values())
    if any(p.kind is p.VAR_POSITIONAL for p in mine.values()):
        return _Parameters(known, (), sys.maxsize, any_name)
    try:
        theirs = inspect.signature(function).parameters
    except ValueError:  # a function in C without a signature: its forms keep NumPy's order
        return _Parameters(known, (), sys.maxsize, any_name)
    same = 0
    for name, other in zip(theirs, mine, strict=False):
        by_name_only = theirs[name].kind is not inspect.Parameter.POSITIONAL_ONLY
        # The first array may have any name: it is never given by one.
        if same and by_name_only and name != other:
            break
        same += 1
    return _Parameters(known, tuple(theirs), same, any_name)


def checked_dtype(dtype: Any) -> Any:
    """np.dtype(dtype); raises DTypeError, with the user's line, if tracejit does not know it."""
    from tracejit.errors import DTypeError

    result = np.dtype(dtype)
    try:
        dtype_name(result)
    except DTypeError as error:
        raise DTypeError(f"{error}{here()}") from None
    return result


def axes_of(x: Tracer, axis: Any) -> tuple[int, ...]:
    """NumPy's axis argument as sorted, non-negative axes; 0 and -1 of a scalar are none."""
    if axis is None:
        return tuple(range(x.ndim))
    if x.ndim == 0 and not isinstance(axis, list | tuple) and axis in (0, -1):
        return ()
    given = tuple(axis) if isinstance(axis, list | tuple) else (axis,)
    return tuple(sorted(np.lib.array_utils.normalize_axis_tuple(given, x.ndim)))


def axis_of(ndim: int, axis: int) -> int:
    """One axis, non-negative; raises AxisError as NumPy does."""
    return int(np.lib.array_utils.normalize_axis_index(axis, ndim))
