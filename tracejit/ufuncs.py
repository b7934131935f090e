"""NumPy's ufuncs on traced values: one row each, from operands of one dtype and shape to a node.

`UFUNCS` is the whole list. A rule sees operands as NumPy's loop would: already cast to the dtype
that NumPy computes in, and broadcast. Names are NumPy's; so is the treatment of nan.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Any

import numpy as np

from tracejit import inverse
from tracejit.errors import UnsupportedError
from tracejit.ir.graph import Node
from tracejit.ir.ops import full_like
from tracejit.ir.types import BOOL, TensorType, is_float
from tracejit.lowering import broadcast_shapes, broadcast_to, cast, emit
from tracejit.promotion import Kind, ufunc_dtypes
from tracejit.source import here, user_loc
from tracejit.trace import Trace, current_trace, escaped
from tracejit.tracer import Tracer
from tracejit.variable import Variable

Rule = Callable[..., Node]


def op(name: str) -> Rule:
    """The rule of a ufunc that is a primitive."""
    return lambda *operands: emit(name, *operands)


def logic_or(logic: str, name: str) -> Rule:
    """Arithmetic that is logic on bool."""
    return lambda x, y: emit(logic if x.dtype == BOOL else name, x, y)


def float_test(rule: Rule, of_integer: bool) -> Rule:
    """A test like isnan, whose answer for integers is known."""
    return lambda x: (
        rule(x) if is_float(x.dtype) else x.builder.full(of_integer, TensorType(x.shape, BOOL))
    )


def rounding(rule: Rule) -> Rule:
    """floor and its kin: integers are whole already."""
    return lambda x: rule(x) if is_float(x.dtype) else x


def truth(x: Node) -> Node:
    return cast(x, BOOL)


def select(pred: Node, on_true: Node, on_false: Node | float) -> Node:
    if not isinstance(on_false, Node):
        on_false = full_like(on_true, on_false)
    return emit("select", pred, on_true, on_false)


def trunc(x: Node) -> Node:
    return select(emit("lt", x, full_like(x, 0)), emit("ceil", x), emit("floor", x))


def power(x: Node, y: Node) -> Node:
    """x**y; the small constant exponents without pow, as NumPy's own operator does."""
    exponent = y.scalar()
    if exponent is None:
        return emit("pow", x, y)
    if not is_float(x.dtype) and exponent < 0:
        raise ValueError(f"Integers to negative integer powers are not allowed{here()}.")
    small: dict[float, Callable[[], Node]] = {
        1: lambda: x,
        2: lambda: x * x,
        3: lambda: x * x * x,
        4: lambda: (x * x) * (x * x),
    }
    if is_float(x.dtype):
        small |= {0.5: lambda: emit("sqrt", x), -1: lambda: 1.0 / x, -2: lambda: 1.0 / (x * x)}
    return small[exponent]() if exponent in small else emit("pow", x, y)


def fmod(x: Node, y: Node) -> Node:
    """The remainder with the sign of x, exact."""
    rest = emit("remainder", emit("abs", x), emit("abs", y))
    return select(emit("lt", x, full_like(x, 0)), -rest, rest)


def fmax(x: Node, y: Node) -> Node:
    return select(emit("ne", x, x), y, select(emit("ne", y, y), x, emit("maximum", x, y)))


def fmin(x: Node, y: Node) -> Node:
    return select(emit("ne", x, x), y, select(emit("ne", y, y), x, emit("minimum", x, y)))


def logaddexp(x: Node, y: Node) -> Node:
    """max + log1p(exp(-|x - y|)); equal infinities have difference 0, not nan."""
    gap = x - y
    gap = select(emit("eq", x, y), full_like(gap, 0.0), gap)
    return emit("maximum", x, y) + emit("log1p", emit("exp", -emit("abs", gap)))


def sinh(x: Node) -> Node:
    """2 sinh(x/2) cosh(x/2), from expm1: accurate near 0, no early overflow."""
    u = emit("expm1", emit("abs", x) * 0.5)
    half_sinh = (u + u / (u + 1.0)) * 0.5
    half_cosh = ((u + 1.0) + 1.0 / (u + 1.0)) * 0.5
    value = half_sinh * half_cosh * 2.0
    return select(emit("lt", x, full_like(x, 0.0)), -value, value)


def cosh(x: Node) -> Node:
    root = emit("exp", emit("abs", x) * 0.5)
    return (root * 0.5) * root + (0.5 / root) / root


def arctanh(x: Node) -> Node:
    return emit("log1p", (x * 2.0) / (1.0 - x)) * 0.5


def cbrt(x: Node) -> Node:
    return emit("sign", x) * emit("pow", emit("abs", x), full_like(x, 1 / 3))


def heaviside(x: Node, y: Node) -> Node:
    """0, y at 0, 1."""
    zero = full_like(x, 0.0)
    step = select(emit("lt", x, zero), zero, select(emit("eq", x, zero), y, full_like(x, 1.0)))
    return select(emit("ne", x, x), x, step)


INF = float("inf")

UFUNCS: dict[np.ufunc, Rule] = {
    np.add: logic_or("or", "add"),
    np.subtract: op("sub"),
    np.multiply: logic_or("and", "mul"),
    np.divide: op("div"),
    np.power: power,
    np.float_power: power,
    np.negative: op("neg"),
    np.positive: lambda x: x,
    np.conjugate: lambda x: x,
    np.absolute: lambda x: x if x.dtype == BOOL else emit("abs", x),
    np.fabs: op("abs"),
    np.sign: op("sign"),
    np.exp: op("exp"),
    np.exp2: lambda x: emit("pow", full_like(x, 2.0), x),
    np.expm1: op("expm1"),
    np.log: op("log"),
    np.log2: lambda x: emit("log", x) / log(2.0),
    np.log10: lambda x: emit("log", x) / log(10.0),
    np.log1p: op("log1p"),
    np.sqrt: op("sqrt"),
    np.cbrt: cbrt,
    np.square: lambda x: x * x,
    np.reciprocal: lambda x: 1.0 / x,
    np.tanh: op("tanh"),
    np.sin: op("sin"),
    np.cos: op("cos"),
    np.tan: lambda x: emit("sin", x) / emit("cos", x),
    np.sinh: sinh,
    np.cosh: cosh,
    np.arctanh: arctanh,
    np.arcsin: inverse.arcsin,
    np.arccos: inverse.arccos,
    np.arctan: inverse.arctan,
    np.arctan2: inverse.arctan2,
    np.arcsinh: inverse.arcsinh,
    np.arccosh: inverse.arccosh,
    np.hypot: inverse.hypot,
    np.signbit: inverse.signbit,
    np.copysign: inverse.copysign,
    np.heaviside: heaviside,
    np.deg2rad: lambda x: x * (np.pi / 180),
    np.radians: lambda x: x * (np.pi / 180),
    np.rad2deg: lambda x: x * (180 / np.pi),
    np.degrees: lambda x: x * (180 / np.pi),
    np.maximum: logic_or("or", "maximum"),
    np.minimum: logic_or("and", "minimum"),
    np.fmax: fmax,
    np.fmin: fmin,
    np.remainder: op("remainder"),
    np.fmod: fmod,
    np.floor_divide: op("floor_divide"),
    np.floor: rounding(op("floor")),
    np.ceil: rounding(op("ceil")),
    np.rint: rounding(op("round")),
    np.trunc: rounding(trunc),
    np.logaddexp: logaddexp,
    np.logaddexp2: lambda x, y: logaddexp(x * log(2.0), y * log(2.0)) / log(2.0),
    np.isnan: float_test(lambda x: emit("ne", x, x), False),
    np.isinf: float_test(lambda x: emit("eq", emit("abs", x), full_like(x, INF)), False),
    np.isfinite: float_test(lambda x: emit("lt", emit("abs", x), full_like(x, INF)), True),
    np.logical_and: lambda x, y: emit("and", truth(x), truth(y)),
    np.logical_or: lambda x, y: emit("or", truth(x), truth(y)),
    np.logical_xor: lambda x, y: emit("xor", truth(x), truth(y)),
    np.logical_not: lambda x: emit("not", truth(x)),
    np.bitwise_and: op("and"),
    np.bitwise_or: op("or"),
    np.bitwise_xor: op("xor"),
    np.invert: op("not"),
    np.left_shift: op("shift_left"),
    np.right_shift: op("shift_right"),
    np.equal: op("eq"),
    np.not_equal: op("ne"),
    np.less: op("lt"),
    np.less_equal: op("le"),
    np.greater: op("gt"),
    np.greater_equal: op("ge"),
}

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
        return apply(np.copysign, operands[0] - np.trunc(operands[0]), operands[0]), np.trunc(
            operands[0]
        )
    rule = UFUNCS.get(ufunc)
    if rule is None:
        return _other(ufunc, trace, operands)
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


def _other(ufunc: np.ufunc, trace: Trace, operands: tuple[Any, ...]) -> Any:
    from tracejit.contraction import matmul, vecdot

    if ufunc is np.matmul:
        return matmul(*operands)
    if ufunc is np.vecdot:
        return vecdot(*operands)
    raise unsupported(f"np.{ufunc.__name__}")


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
