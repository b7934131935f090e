"""Elementwise primitives: one output element from one element of each operand.

All operands have one shape and one dtype (`select`'s predicate: bool); broadcasts and casts are
nodes of their own. A row reads: name, dtypes taken, meaning in NumPy, derivative.
In a vjp, g is the cotangent of the result y. At kinks the subgradients are JAX's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tracejit.ir import ops
from tracejit.ir.graph import Array, Node, primitive
from tracejit.ir.primitives.checks import (
    ANY,
    BITS,
    BOOLS,
    FLOATS,
    INTS,
    NUMBERS,
    Domain,
    arity,
    in_numpy,
    same_type,
)
from tracejit.ir.types import BOOL, DType, TensorType, dtype_name, is_float

Infer = Callable[..., TensorType]
Vjp = Callable[..., tuple[Node | None, ...]]


def _infer(op: str, operands: int, takes: Domain, gives: DType | None) -> Infer:
    def infer(*types: TensorType) -> TensorType:
        arity(op, operands, types)
        same_type(op, types)
        takes.check(op, types[0].dtype)
        return types[0] if gives is None else types[0].with_dtype(gives)

    return infer


def _unary(op: str, takes: Domain, fn: Callable[..., object], vjp: Vjp | None = None) -> None:
    primitive(op, _infer(op, 1, takes, None), in_numpy(fn), vjp, elementwise=True)


def _binary(op: str, takes: Domain, fn: Callable[..., object], vjp: Vjp | None = None) -> None:
    primitive(op, _infer(op, 2, takes, None), in_numpy(fn), vjp, elementwise=True)


def _compare(op: str, fn: Callable[..., object]) -> None:
    primitive(op, _infer(op, 2, ANY, BOOL), in_numpy(fn, BOOL), None, elementwise=True)


def _sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)) without overflow: exp is only asked for x <= 0."""
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(np.greater_equal(x, 0), 1, e) / (1 + e))


_erf = np.frompyfunc(math.erf, 1, 1)
_ERF_SLOPE = 2 / math.sqrt(math.pi)


def _integer_power(x: Array, y: Array) -> Array:
    """A negative exponent of an integer has no meaning; it counts as 0, so that nothing traps."""
    return np.asarray(np.power(x, np.maximum(y, 0)))


def _power(x: Array, y: Array) -> Array:
    if x.dtype.kind != "f":
        return _integer_power(x, y)
    # As NumPy's `**` has it: its power is a square for an exponent of 2, else within an ulp or two,
    # which of them depends on the CPU.
    return np.asarray(np.where(y == 2, np.multiply(x, x), np.power(x, y)))


_unary("neg", NUMBERS, np.negative, lambda g, y, x: (-g,))
_unary("abs", NUMBERS, np.abs, lambda g, y, x: (g * ops.sign(x),))
_unary("sign", NUMBERS, np.sign)
_unary("exp", FLOATS, np.exp, lambda g, y, x: (g * y,))
_unary("expm1", FLOATS, np.expm1, lambda g, y, x: (g * (y + 1),))
_unary("log", FLOATS, np.log, lambda g, y, x: (g / x,))
_unary("log1p", FLOATS, np.log1p, lambda g, y, x: (g / (x + 1),))
_unary("sqrt", FLOATS, np.sqrt, lambda g, y, x: (g * 0.5 / y,))
_unary("rsqrt", FLOATS, lambda x: 1 / np.sqrt(x), lambda g, y, x: (g * -0.5 * y / x,))
_unary("tanh", FLOATS, np.tanh, lambda g, y, x: (g * (1 - y * y),))
_unary("sigmoid", FLOATS, _sigmoid, lambda g, y, x: (g * (y * (1 - y)),))
_unary("erf", FLOATS, _erf, lambda g, y, x: (g * (ops.exp(-(x * x)) * _ERF_SLOPE),))
_unary("sin", FLOATS, np.sin, lambda g, y, x: (g * ops.cos(x),))
_unary("cos", FLOATS, np.cos, lambda g, y, x: (-(g * ops.sin(x)),))
_unary("floor", FLOATS, np.floor)
_unary("ceil", FLOATS, np.ceil)
_unary("round", FLOATS, np.rint)
_unary("not", BITS, np.invert)


def _pow_vjp(g: Node, y: Node, a: Node, b: Node) -> tuple[Node, Node]:
    """b a^(b-1) and log(a) a^b, both kept finite where the true limit is (b = 0, a = 0)."""
    zero, one = ops.full_like(b, 0), ops.full_like(b, 1)
    flat = ops.eq(b, zero)
    slope = ops.select(flat, zero, b * ops.pow(a, ops.select(flat, one, b - 1)))
    base = ops.select(ops.eq(a, zero), one, a)
    return g * slope, g * (ops.log(base) * y)


def _larger(g: Node, a: Node, b: Node) -> Node:
    """g where a > b, half of it where they tie, else 0."""
    tied = ops.select(ops.eq(a, b), g * 0.5, ops.zeros_like(g))
    return ops.select(ops.gt(a, b), g, tied)


def _div_vjp(g: Node, y: Node, a: Node, b: Node) -> tuple[Node, Node]:
    q = g / b
    return q, -(q * y)


_binary("add", NUMBERS, np.add, lambda g, y, a, b: (g, g))
_binary("sub", NUMBERS, np.subtract, lambda g, y, a, b: (g, -g))
_binary("mul", NUMBERS, np.multiply, lambda g, y, a, b: (g * b, g * a))
_binary("div", FLOATS, np.divide, _div_vjp)
_binary("pow", NUMBERS, _power, _pow_vjp)
_binary("maximum", NUMBERS, np.maximum, lambda g, y, a, b: (_larger(g, a, b), _larger(g, b, a)))
_binary("minimum", NUMBERS, np.minimum, lambda g, y, a, b: (_larger(g, b, a), _larger(g, a, b)))
_binary("remainder", NUMBERS, np.remainder, lambda g, y, a, b: (g, -(g * ops.floor_divide(a, b))))
_binary("floor_divide", NUMBERS, np.floor_divide)
_binary("and", BITS, np.bitwise_and)
_binary("or", BITS, np.bitwise_or)
_binary("xor", BITS, np.bitwise_xor)
_binary("shift_left", INTS, np.left_shift)
_binary("shift_right", INTS, np.right_shift)

_compare("eq", np.equal)
_compare("ne", np.not_equal)
_compare("lt", np.less)
_compare("le", np.less_equal)
_compare("gt", np.greater)
_compare("ge", np.greater_equal)


def _cast_infer(*types: TensorType, dtype: DType) -> TensorType:
    arity("cast", 1, types)
    dtype_name(dtype)
    return types[0].with_dtype(dtype)


def _cast_eval(x: Array, dtype: DType) -> Array:
    with np.errstate(all="ignore"):
        return x.astype(dtype, copy=False)


def _cast_vjp(g: Node, y: Node, x: Node, dtype: DType) -> tuple[Node | None]:
    return (ops.cast(g, x.dtype) if is_float(x.dtype) else None,)


def _select_infer(*types: TensorType) -> TensorType:
    arity("select", 3, types)
    pred, on_true, on_false = types
    BOOLS.check("select", pred.dtype)
    same_type("select", (pred, on_true.with_dtype(BOOL)))
    same_type("select", (on_true, on_false))
    return on_true


def _select_eval(pred: Array, a: Array, b: Array) -> Array:
    return np.asarray(np.where(pred, a, b))


def _select_vjp(g: Node, y: Node, pred: Node, a: Node, b: Node) -> tuple[None, Node, Node]:
    zero = ops.zeros_like(g)
    return None, ops.select(pred, g, zero), ops.select(pred, zero, g)


primitive("cast", _cast_infer, _cast_eval, _cast_vjp, elementwise=True)
primitive("select", _select_infer, _select_eval, _select_vjp, elementwise=True)
