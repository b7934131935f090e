"""Inverse circular and hyperbolic functions, and what else needs the sign of a zero.

Compositions: a few ulp from NumPy's. Each has its own derivative; that of the approximation would
be less accurate, and nan where a branch that is not taken divides by zero. In f16 and bf16 they
compute in f32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log, pi

from tracejit.ir.graph import Node
from tracejit.ir.masking import Parts, elementwise
from tracejit.ir.ops import full_like
from tracejit.ir.types import BOOL, F32, DType
from tracejit.lowering import cast, emit

Rule = Callable[..., Node]
Slopes = Callable[..., Sequence[Node]]

LN2 = log(2.0)


def differentiable(slopes: Slopes) -> Callable[[Rule], Rule]:
    """Gives a rule the derivatives slopes(result, *operands), one per operand."""

    def decorate(rule: Rule) -> Rule:
        def with_slopes(*operands: Node) -> Node:
            wide = [cast(x, _wide(x.dtype)) for x in operands]
            value = rule(*wide)

            def backward(residuals: Sequence[Node], cotangents: Sequence[Node]) -> Parts:
                (g,), (y, *xs) = cotangents, residuals
                return elementwise(lambda g: [g * slope for slope in slopes(y, *xs)], g)

            (fresh,) = value.builder.attach([value], wide, [value, *wide], backward)
            return cast(fresh, operands[0].dtype)

        return with_slopes

    return decorate


def _wide(dtype: DType) -> DType:
    return F32 if dtype.itemsize == 2 else dtype


def _select(pred: Node, on_true: Node, on_false: Node) -> Node:
    return emit("select", pred, on_true, on_false)


def _below(x: Node, bound: float) -> Node:
    return emit("lt", x, full_like(x, bound))


def signbit(x: Node) -> Node:
    """Whether x is negative, -0.0 included. Of a nan: False."""
    if x.dtype.kind in "iu":
        return _below(x, 0) if x.dtype.kind == "i" else cast(full_like(x, 0), BOOL)
    zero = emit("eq", x, full_like(x, 0.0))
    return emit("or", _below(x, 0.0), emit("and", zero, _below(1.0 / x, 0.0)))


def copysign(x: Node, y: Node) -> Node:
    size = emit("abs", x)
    return _select(signbit(y), -size, size)


# Source of the coefficients: S. L. Moshier, Cephes Mathematical Library, atan.c
_P = (-8.750608600031904122785e-1, -1.615753718733365076637e1, -7.500855792314704667340e1,
      -1.228866684490136173410e2, -6.485021904942025371773e1)  # fmt: skip
_Q = (1.0, 2.485846490142306297962e1, 1.650270098316988542046e2, 4.328810604912902668951e2,
      4.853903996359136964868e2, 1.945506571482613964425e2)  # fmt: skip


def _horner(z: Node, coefficients: Sequence[float]) -> Node:
    value = full_like(z, coefficients[0])
    for c in coefficients[1:]:
        value = value * z + c
    return value


def _atan_to_one(t: Node) -> Node:
    """atan of t in [0, 1]: about pi/4 where t > 0.66, so that the polynomial sees |x| <= 0.66."""
    upper = emit("gt", t, full_like(t, 0.66))
    x = _select(upper, (t - 1.0) / (t + 1.0), t)
    z = x * x
    value = x * (z * _horner(z, _P) / _horner(z, _Q)) + x
    return _select(upper, value + pi / 4, value)


@differentiable(lambda y, x: (1.0 / (1.0 + x * x),))
def arctan(x: Node) -> Node:
    size = emit("abs", x)
    large = emit("gt", size, full_like(x, 1.0))
    t = _atan_to_one(_select(large, 1.0 / size, size))
    return copysign(_select(large, pi / 2 - t, t), x)


def _angle_slopes(a: Node, y: Node, x: Node) -> Sequence[Node]:
    """x / r^2 and -y / r^2, divided twice so that r^2 neither overflows nor vanishes."""
    r = _length(y, x)
    return x / r / r, -(y / r / r)


@differentiable(_angle_slopes)
def arctan2(y: Node, x: Node) -> Node:
    return _angle(y, x)


def _angle(y: Node, x: Node) -> Node:
    ay, ax = emit("abs", y), emit("abs", x)
    steep = emit("gt", ay, ax)
    low, high = emit("minimum", ay, ax), emit("maximum", ay, ax)
    # 0/0 is the angle 0, inf/inf that of the diagonal.
    same = emit("eq", low, high)
    corner = _select(emit("eq", high, full_like(high, 0.0)), high, full_like(high, 1.0))
    t = _atan_to_one(_select(same, corner, low / high))
    t = _select(steep, pi / 2 - t, t)
    t = _select(signbit(x), pi - t, t)
    return copysign(t, y)


@differentiable(lambda y, x: (emit("rsqrt", (1.0 - x) * (1.0 + x)),))
def arcsin(x: Node) -> Node:
    return _angle(x, emit("sqrt", (1.0 - x) * (1.0 + x)))


@differentiable(lambda y, x: (-emit("rsqrt", (1.0 - x) * (1.0 + x)),))
def arccos(x: Node) -> Node:
    return _angle(emit("sqrt", (1.0 - x) * (1.0 + x)), x)


def _large(x: Node) -> Node:
    """Where the square of x would overflow, or its 1 be lost."""
    return emit("gt", x, full_like(x, 1e8))


def _arcsinh_slope(y: Node, x: Node) -> Sequence[Node]:
    size = emit("abs", x)
    return (_select(_large(size), 1.0 / size, emit("rsqrt", x * x + 1.0)),)


def _arccosh_slope(y: Node, x: Node) -> Sequence[Node]:
    return (_select(_large(x), 1.0 / x, emit("rsqrt", (x - 1.0) * (x + 1.0))),)


@differentiable(_arcsinh_slope)
def arcsinh(x: Node) -> Node:
    size = emit("abs", x)
    square = size * size
    near = emit("log1p", size + square / (emit("sqrt", square + 1.0) + 1.0))
    value = _select(_large(size), emit("log", size) + LN2, near)
    return copysign(value, x)


@differentiable(_arccosh_slope)
def arccosh(x: Node) -> Node:
    t = x - 1.0
    # Two roots, so that below 1 it is nan however far below.
    near = emit("log1p", t + emit("sqrt", t) * emit("sqrt", t + 2.0))
    return _select(_large(x), emit("log", x) + LN2, near)


def _hypot_slopes(h: Node, x: Node, y: Node) -> Sequence[Node]:
    at_zero = emit("eq", h, full_like(h, 0.0))
    safe = _select(at_zero, full_like(h, 1.0), h)
    return x / safe, y / safe


@differentiable(_hypot_slopes)
def hypot(x: Node, y: Node) -> Node:
    return _length(x, y)


def _length(x: Node, y: Node) -> Node:
    """Scaled by the larger, so that no square overflows; infinite where one is, even beside nan."""
    x, y = emit("abs", x), emit("abs", y)
    low, high = emit("minimum", x, y), emit("maximum", x, y)
    ratio = low / high
    value = high * emit("sqrt", ratio * ratio + 1.0)
    infinity = full_like(x, float("inf"))
    infinite = emit("or", emit("eq", x, infinity), emit("eq", y, infinity))
    value = _select(emit("eq", high, full_like(high, 0.0)), high, value)
    return _select(infinite, infinity, value)
