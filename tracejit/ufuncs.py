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

_COMPARISONS = {
    np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal,
}  # fmt: skip

# Loops that NumPy does without reading a keyword's value: these mean nothing here.
_IGNORED = {"casting", "order", "subok"}


def apply(ufunc: np.ufunc, *operands: Any, dtype: Any = None) -> Any:
    """ufunc(*operands) where any of them may be traced or a Variable."""
    trace = current_trace()
    if trace is None:
        return ufunc(*map(untraced, operands), **({} if dtype is None else {"dtype": dtype}))
    trace.builder.loc = user_loc()
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
    if ufunc in _COMPARISONS and int in kinds:
        known = _beyond(ufunc, lifted, inputs)
        if known is not None:
            shape = np.broadcast_shapes(*(np.shape(x) for x in lifted))
            return trace.wrap(trace.builder.full(known, TensorType(shape, BOOL)))
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


def _beyond(ufunc: np.ufunc, operands: list[Any], dtypes: Any) -> bool | None:
    """What a comparison with a Python int beyond the dtype says of every element; else None."""
    sides = []
    for value, dtype in zip(operands, dtypes, strict=True):
        limits = np.iinfo(dtype) if type(value) is int and dtype.kind in "iu" else None
        sides.append(0 if limits is None else int(value > limits.max) - int(value < limits.min))
    return bool(ufunc(*sides)) if any(sides) else None


def _constant(trace: Trace, value: Any, dtype: Any) -> Node:
    """A Python number in the dtype of the operation; raises OverflowError as NumPy does."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if not limits.min <= value <= limits.max:
            raise OverflowError(f"Python integer {value} out of bounds for {dtype}{here()}")
    return trace.builder.full(value, TensorType((), dtype))


def _other(ufunc: np.ufunc, operands: tuple[Any, ...], **keywords: Any) -> Any:
    """The ufuncs of vectors and matrices, and those that are programs of others."""
    from tracejit.composed import COMPOSED
    from tracejit.contraction import MATRIX_UFUNCS

    form = MATRIX_UFUNCS.get(ufunc) or COMPOSED.get(ufunc)
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
    from tracejit import methods

    if current_trace() is None:
        return getattr(ufunc, method)(*map(untraced, operands), **keywords)
    if method == "at":
        return methods.at(ufunc, *operands)
    name = f"np.{ufunc.__name__}"
    outs = keywords.pop("out", None) or (None,)
    where = keywords.pop("where", True) if method == "__call__" else True
    if where is not True and outs[0] is None:
        raise UnsupportedError(
            f"{name}: where= leaves elements undefined{here()}; use np.where(mask, result, other)"
        )
    result = _result(ufunc, method, operands, keywords)
    if all(o is None for o in outs):
        return result
    results = result if isinstance(result, tuple) else (result,)
    written = [
        r if o is None else methods.written(name, o, r, where)
        for o, r in zip(outs, results, strict=True)
    ]
    return tuple(written) if isinstance(result, tuple) else written[0]


def _result(ufunc: np.ufunc, method: str, operands: Any, keywords: dict[str, Any]) -> Any:
    from tracejit.methods import METHODS

    if method in METHODS:
        return METHODS[method](ufunc, *operands, **keywords)
    if ufunc is np.vecdot and "axis" in keywords:
        return _other(ufunc, operands, **keywords)
    dtype = keywords.pop("dtype", None)
    left = set(keywords) - _IGNORED
    if left or method != "__call__":
        what = f"keyword {left.pop()!r}" if left else f"method .{method}"
        raise UnsupportedError(f"np.{ufunc.__name__}: {what} has no traced form{here()}")
    return apply(ufunc, *operands, dtype=dtype)
