"""NumPy's ufunc protocol for traced values: calls, and the methods reduce, accumulate, outer.

What each ufunc means stands in elementwise.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.elementwise import UFUNCS
from tracejit.errors import UnsupportedError
from tracejit.ir.graph import Node
from tracejit.ir.types import BOOL, TensorType
from tracejit.lowering import broadcast_shapes, broadcast_to, cast
from tracejit.promotion import Kind, ufunc_dtypes
from tracejit.source import here, user_loc
from tracejit.trace import Trace, current_trace, escaped
from tracejit.tracer import Tracer
from tracejit.variable import Variable

# Loops that NumPy does without reading a keyword's value: these mean nothing here.
_IGNORED = {"casting", "order", "subok"}


def apply(ufunc: np.ufunc, *operands: Any, dtype: Any = None) -> Any:
    """ufunc(*operands) where any of them may be traced or a Variable."""
    trace = current_trace()
    if trace is None:
        return ufunc(*map(untraced, operands), **({} if dtype is None else {"dtype": dtype}))
    trace.builder.loc = user_loc()
    if ufunc is np.divmod:
        return apply(np.floor_divide, *operands), apply(np.remainder, *operands)
    if ufunc is np.modf:
        whole = np.trunc(operands[0])
        rest = np.where(np.isinf(operands[0]), 0, operands[0] - whole)
        return apply(np.copysign, rest, operands[0]), whole
    rule = UFUNCS.get(ufunc)
    if rule is None:
        return _other(ufunc, operands)
    lifted = [x if type(x) in (int, float) else trace.lift(x) for x in operands]
    kinds: tuple[Kind, ...] = tuple(x.kind if type(x) is Tracer else type(x) for x in lifted)
    if dtype is not None:
        kinds = (np.dtype(dtype),) * len(kinds)
    try:
        inputs, outputs = ufunc_dtypes(ufunc, kinds)
    except UnsupportedError as error:
        raise UnsupportedError(f"{error}{here()}") from None
    nodes = [
        cast(x.node, d) if type(x) is Tracer else _constant(trace, x, d)
        for x, d in zip(lifted, inputs, strict=True)
    ]
    if len(nodes) > 1:
        shape = broadcast_shapes(ufunc.__name__, *nodes)
        nodes = [broadcast_to(n, shape) for n in nodes]
    node = cast(rule(*nodes), outputs[0])
    weak = outputs[0] != BOOL and all(k is int or k is float for k in kinds)
    return Tracer(node, trace, weak)


def _constant(trace: Trace, value: Any, dtype: Any) -> Node:
    """A Python number in the dtype of the operation; raises OverflowError as NumPy does."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if not limits.min <= value <= limits.max:
            raise OverflowError(f"Python integer {value} out of bounds for {dtype}{here()}")
    return trace.builder.full(value, TensorType((), dtype))


def _other(ufunc: np.ufunc, operands: tuple[Any, ...], **keywords: Any) -> Any:
    """The ufuncs of vectors and matrices."""
    from tracejit.contraction import MATRIX_UFUNCS

    form = MATRIX_UFUNCS.get(ufunc)
    if form is None:
        raise unsupported(f"np.{ufunc.__name__}")
    return form(*operands, **keywords)


def unsupported(what: str) -> UnsupportedError:
    """The error for a function without a traced form."""
    return UnsupportedError(
        f"{what} has no traced form{here()}. Write it with functions listed in tracejit.numpy, or"
        " compute it outside the traced function and pass the result in."
    )


def untraced(value: Any) -> Any:
    """An operand as plain NumPy sees it; raises EscapedTracerError for a tracer."""
    kind = type(value)
    if kind is Tracer:
        raise escaped(value)
    if isinstance(value, Variable):
        return value.numpy()
    if kind in (list, tuple):
        return kind(map(untraced, value))
    return value


def call_ufunc(ufunc: np.ufunc, method: str, operands: Any, keywords: dict[str, Any]) -> Any:
    """What `__array_ufunc__` of tracers and Variables does."""
    out = keywords.pop("out", None)
    if out is not None and any(o is not None for o in out):
        raise UnsupportedError(
            f"np.{ufunc.__name__}: out= (or an operator like +=) would write a traced value into"
            f" an existing array{here()}; write `a = a + b`, or assign to a tj.Variable"
        )
    from tracejit.cumulative import ACCUMULATE, accumulate

    if current_trace() is None:
        return getattr(ufunc, method)(*map(untraced, operands), **keywords)
    if method == "reduce":
        return _reduce(ufunc, operands[0], **keywords)
    if keywords.pop("where", True) is not True:
        raise UnsupportedError(
            f"np.{ufunc.__name__}: where= leaves elements undefined{here()};"
            " use np.where(mask, result, other)"
        )
    dtype = keywords.pop("dtype", None)
    if method == "accumulate" and ufunc in ACCUMULATE:
        return accumulate(ufunc, operands[0], dtype=dtype, **keywords)
    if ufunc is np.vecdot and "axis" in keywords:
        return _other(ufunc, operands, **keywords)
    left = set(keywords) - _IGNORED
    if left or method not in ("__call__", "outer"):
        what = f"keyword {left.pop()!r}" if left else f"method .{method}"
        raise UnsupportedError(f"np.{ufunc.__name__}: {what} has no traced form{here()}")
    if method == "outer":
        a, b = (np.asarray(x) if isinstance(x, list) else x for x in operands)
        operands = (np.reshape(a, (*np.shape(a), *(1,) * np.ndim(b))), b)
    return apply(ufunc, *operands, dtype=dtype)


_REDUCTIONS: dict[np.ufunc, Any] = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
    np.logical_and: np.all,
    np.logical_or: np.any,
}


def _reduce(ufunc: np.ufunc, x: Any, axis: Any = 0, dtype: Any = None, **keywords: Any) -> Any:
    function: Any = _REDUCTIONS.get(ufunc)
    if function is None:
        raise unsupported(f"np.{ufunc.__name__}.reduce")
    given = {"dtype": dtype, **keywords}
    asked = {k: v for k, v in given.items() if v is not None and v is not np._NoValue}
    return function(x, axis=axis, **asked)
