"""NumPy's functions on traced values: the table that `__array_function__` looks into.

A row is made with `@traces(np.name)`, next to the function that gives its traced form. Rows stand
in reductions.py, movement.py, contraction.py and selection.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.types import dtype_name
from tracejit.source import here, user_loc
from tracejit.trace import Trace, current_trace
from tracejit.tracer import Tracer

Function = TypeVar("Function", bound=Callable[..., Any])

FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}
# Functions whose result has a shape that depends on values, and what to write in traced code.
SHAPELESS: dict[Callable[..., Any], str] = {}
_keywords: dict[Callable[..., Any], frozenset[str]] = {}

# Keywords whose usual value asks for nothing.
_DEFAULTS: dict[str, Any] = {
    "out": None, "where": True, "order": "C", "casting": "same_kind", "subok": False,
    "like": None, "dtype": None, "device": None, "copy": True, "mode": "raise",
    "optimize": False, "kind": None,
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
    from tracejit.ufuncs import UFUNCS, apply, unsupported, untraced

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
    if form is None:
        raise unsupported(name_of(function))
    return form(*args, **_accepted(function, form, keywords))


def _accepted(
    function: Callable[..., Any], form: Callable[..., Any], keywords: dict[str, Any]
) -> dict[str, Any]:
    """The keywords that the traced form takes; the others must hold their usual value."""
    if not keywords:
        return keywords
    known = _keywords.get(form)
    if known is None:
        known = _keywords[form] = frozenset(inspect.signature(form).parameters)
    for key in keywords.keys() - known:
        value = keywords[key]
        if key not in _DEFAULTS or (value is not _DEFAULTS[key] and value != _DEFAULTS[key]):
            raise UnsupportedError(
                f"{name_of(function)}: keyword {key}={value!r} has no traced form{here()};"
                " leave it out, or compute this outside the traced function"
            )
    return {k: v for k, v in keywords.items() if k in known}


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
    """NumPy's axis argument as sorted, non-negative axes."""
    if axis is None:
        return tuple(range(x.ndim))
    given = tuple(axis) if isinstance(axis, list | tuple) else (axis,)
    return tuple(sorted(np.lib.array_utils.normalize_axis_tuple(given, x.ndim)))


def axis_of(ndim: int, axis: int) -> int:
    """One axis, non-negative; raises AxisError as NumPy does."""
    return int(np.lib.array_utils.normalize_axis_index(axis, ndim))
