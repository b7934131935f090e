"""NumPy's ufuncs on traced values: one row each, from operands of one dtype and shape to a node.

`UFUNCS` is the whole list. A rule sees operands as NumPy's loop would: already cast to the dtype
that NumPy computes in, and broadcast. Names are NumPy's; so is the treatment of nan.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Any

import ml_dtypes
import numpy as np

from tracejit import inverse
from tracejit.ir.graph import Node
from tracejit.ir.ops import full_like
from tracejit.ir.types import BOOL, TensorType, is_float
from tracejit.lowering import cast, emit
from tracejit.source import here

Rule = Callable[..., Node]

INF = float("inf")


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
    if x.dtype == BOOL:
        return emit("or", x, y)
    return select(emit("ne", x, x), y, select(emit("ne", y, y), x, emit("maximum", x, y)))


def fmin(x: Node, y: Node) -> Node:
    if x.dtype == BOOL:
        return emit("and", x, y)
    return select(emit("ne", x, x), y, select(emit("ne", y, y), x, emit("minimum", x, y)))


def logaddexp(x: Node, y: Node) -> Node:
    """max + log1p(exp(-|x - y|)); equal infinities have difference 0, not nan."""
    gap = x - y
    gap = select(emit("eq", x, y), full_like(gap, 0.0), gap)
    return emit("maximum", x, y) + emit("log1p", emit("exp", -emit("abs", gap)))


@inverse.differentiable(lambda y, x: (_cosh(x),))
def sinh(x: Node) -> Node:
    return _sinh(x)


@inverse.differentiable(lambda y, x: (_sinh(x),))
def cosh(x: Node) -> Node:
    return _cosh(x)


def _sinh(x: Node) -> Node:
    """2 sinh(x/2) cosh(x/2), from expm1: accurate near 0, no early overflow."""
    u = emit("expm1", emit("abs", x) * 0.5)
    # u / (u + 1), also where u is infinite.
    share = select(emit("eq", u, full_like(u, INF)), full_like(u, 1.0), u / (u + 1.0))
    half_sinh = (u + share) * 0.5
    half_cosh = ((u + 1.0) + 1.0 / (u + 1.0)) * 0.5
    return inverse.copysign(half_sinh * half_cosh * 2.0, x)


def _cosh(x: Node) -> Node:
    root = emit("exp", emit("abs", x) * 0.5)
    return (root * 0.5) * root + (0.5 / root) / root


def arctanh(x: Node) -> Node:
    return emit("log1p", (x * 2.0) / (1.0 - x)) * 0.5


def cbrt(x: Node) -> Node:
    return emit("sign", x) * emit("pow", emit("abs", x), full_like(x, 1 / 3))


def reciprocal(x: Node) -> Node:
    """1 / x; of integers without the fraction, and 0 of 0."""
    if is_float(x.dtype):
        return 1.0 / x
    one = emit("eq", emit("abs", x), full_like(x, 1))
    return select(one, x, full_like(x, 0))


def heaviside(x: Node, y: Node) -> Node:
    """0, y at 0, 1."""
    zero = full_like(x, 0.0)
    step = select(emit("lt", x, zero), zero, select(emit("eq", x, zero), y, full_like(x, 1.0)))
    return select(emit("ne", x, x), x, step)


def nextafter(x: Node, y: Node) -> Node:
    """The neighbour of x towards y.

    Source: Rump, Zimmermann, Boldo & Melquiond 2009, "Computing predecessor and successor in
    rounding to nearest", algorithm 2; small numbers are scaled, so that nothing is rounded twice.
    """
    info: Any = ml_dtypes.finfo(x.dtype)
    unit, least = float(info.eps) / 2, float(info.smallest_subnormal)
    size = emit("abs", x)
    up = emit("gt", y, x)

    def moved(of: Node, by: Node) -> Node:
        return select(up, of + by, of - by)

    phi = unit * (1 + 2 * unit)
    scaled = x * (1 / unit)
    beside = moved(scaled, emit("abs", scaled) * phi) * unit
    small = emit("lt", size, full_like(x, least / unit))
    beside = select(small, moved(x, full_like(x, least)), beside)
    large = emit("ge", size, full_like(x, least / unit**2 / 2))
    beside = select(large, moved(x, size * phi), beside)
    infinite = emit("eq", size, full_like(x, INF))
    beside = select(infinite, inverse.copysign(full_like(x, float(info.max)), x), beside)
    zero = emit("eq", beside, full_like(x, 0.0))
    beside = select(zero, inverse.copysign(beside, x), beside)
    beside = select(emit("eq", x, y), y, beside)
    return select(emit("or", emit("ne", x, x), emit("ne", y, y)), x + y, beside)


def spacing(x: Node) -> Node:
    """The distance to the neighbour away from 0, with the sign of x."""
    return nextafter(x, inverse.copysign(full_like(x, INF), x)) - x


def bitwise_count(x: Node) -> Node:
    """The ones among the bits of |x|. Source: Warren 2012, Hacker's Delight, section 5-1."""
    x = emit("abs", x) if x.dtype.kind == "i" else x
    wide = cast(cast(x, np.dtype(f"u{x.dtype.itemsize}")), np.dtype(np.uint64))

    def shifted(v: Node, by: int) -> Node:
        return emit("shift_right", v, full_like(v, by))

    def masked(v: Node, mask: int) -> Node:
        return emit("and", v, full_like(v, mask))

    wide = wide - masked(shifted(wide, 1), 0x5555555555555555)
    wide = masked(wide, 0x3333333333333333) + masked(shifted(wide, 2), 0x3333333333333333)
    wide = masked(wide + shifted(wide, 4), 0x0F0F0F0F0F0F0F0F)
    return shifted(wide * 0x0101010101010101, 56)


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
    np.reciprocal: reciprocal,
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
    np.nextafter: nextafter,
    np.spacing: spacing,
    np.bitwise_count: bitwise_count,
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
