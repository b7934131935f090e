"""The emit template of every elementwise primitive, one row each, and the reductions' operations.

Results are NumPy's for every input: nan, infinities and zeros of floats, wraparound of integers,
division by zero. Nothing traps. Half floats are computed in f32 and rounded after each operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from tracejit.codegen.llvm import integer, mathlib, remainder
from tracejit.codegen.llvm.builder import Builder
from tracejit.codegen.llvm.values import Vec, is_half, kind_of
from tracejit.ir.types import BOOL, F32, DType

Rule = Callable[..., Vec]
Template = Mapping[str, Rule]  # kind of the operands -> rule; kinds: values.kind_of


def _sign(b: Builder, x: Vec) -> Vec:
    """1, -1, or x + 0 where x is zero or nan."""
    zero, one, minus = b.like(x, 0), b.like(x, 1), b.like(x, -1)
    rest = b.select(b.fcmp("olt", x, zero), minus, b.fadd(x, zero))
    return b.select(b.fcmp("ogt", x, zero), one, rest)


def _rsqrt(b: Builder, x: Vec) -> Vec:
    return b.fdiv(b.like(x, 1), b.call("llvm.sqrt", x))


def _intrinsic(name: str) -> Rule:
    return lambda b, x: b.call(name, x)


def _compare(float_predicate: str, int_predicate: str) -> Template:
    signed = int_predicate if int_predicate in ("eq", "ne") else "s" + int_predicate
    unsigned = int_predicate if int_predicate in ("eq", "ne") else "u" + int_predicate
    return {
        "f": lambda b, x, y: b.fcmp(float_predicate, x, y),
        "i": lambda b, x, y: b.icmp(signed, x, y),
        "u": lambda b, x, y: b.icmp(unsigned, x, y),
        "b": lambda b, x, y: b.icmp(unsigned, x, y),
    }


def _combine(op: str) -> Rule:
    return lambda b, x, y: b.combine(op, x, y)


def _same(b: Builder, x: Vec) -> Vec:
    return x


def _floats(rule: Rule) -> Template:
    return {"f": rule}


def _ints(rule: Rule) -> Template:
    return {"i": rule, "u": rule}


def _numbers(rule: Rule) -> Template:
    return {"f": rule, "i": rule, "u": rule}


def _bits(rule: Rule) -> Template:
    return {"i": rule, "u": rule, "b": rule}


def _all(rule: Rule) -> Template:
    return {"f": rule, "i": rule, "u": rule, "b": rule}


TEMPLATES: Final[dict[str, Template]] = {
    "neg": {"f": Builder.fneg, **_ints(lambda b, x: b.isub(b.like(x, 0), x))},  # -x
    "abs": {"f": _intrinsic("llvm.fabs"), "i": integer.absolute, "u": _same},  # |x|
    "sign": {"f": _sign, "i": integer.sign, "u": integer.sign},  # x / |x|, or x where that is nan
    "exp": _floats(mathlib.exp),  # e**x
    "expm1": _floats(mathlib.expm1),  # e**x - 1
    "log": _floats(mathlib.log),  # ln x
    "log1p": _floats(mathlib.log1p),  # ln(1 + x)
    "sqrt": _floats(_intrinsic("llvm.sqrt")),  # x**(1/2)
    "rsqrt": _floats(_rsqrt),  # x**(-1/2)
    "tanh": _floats(mathlib.tanh),  # (e**2x - 1) / (e**2x + 1)
    "sigmoid": _floats(mathlib.sigmoid),  # 1 / (1 + e**-x)
    "erf": _floats(mathlib.erf),  # 2/sqrt(pi) * integral of e**(-t*t), t = 0..x
    "sin": _floats(mathlib.sin),
    "cos": _floats(mathlib.cos),
    "floor": _floats(_intrinsic("llvm.floor")),
    "ceil": _floats(_intrinsic("llvm.ceil")),
    "round": _floats(_intrinsic("llvm.roundeven")),  # half to even
    "not": _bits(Builder.not_),  # ~x
    "add": {"f": Builder.fadd, **_ints(Builder.iadd)},  # x + y
    "sub": {"f": Builder.fsub, **_ints(Builder.isub)},  # x - y
    "mul": {"f": Builder.fmul, **_ints(Builder.imul)},  # x * y
    "div": _floats(Builder.fdiv),  # x / y
    "pow": {"f": mathlib.power, **_ints(integer.power)},  # x ** y
    "maximum": _numbers(_combine("max")),  # x if x > y else y; nan if either is
    "minimum": _numbers(_combine("min")),  # x if x < y else y; nan if either is
    "remainder": {  # x - floor(x / y) * y
        "f": remainder.remainder,
        "i": integer.signed_remainder,
        "u": integer.unsigned_remainder,
    },
    "floor_divide": {  # floor(x / y)
        "f": remainder.floor_divide,
        "i": integer.signed_floor_divide,
        "u": integer.unsigned_divide,
    },
    "and": _bits(Builder.and_),  # x & y
    "or": _bits(Builder.or_),  # x | y
    "xor": _bits(Builder.xor),  # x ^ y
    "shift_left": _ints(integer.shift_left),  # x << y
    "shift_right": {"i": integer.shift_right_signed, "u": integer.shift_right},  # x >> y
    "eq": _compare("oeq", "eq"),
    "ne": _compare("une", "ne"),
    "lt": _compare("olt", "lt"),
    "le": _compare("ole", "le"),
    "gt": _compare("ogt", "gt"),
    "ge": _compare("oge", "ge"),
    "cast": _all(_same),  # emit converts
    "select": {"b": Builder.select},  # pred ? on_true : on_false
}


def emit(b: Builder, op: str, out_dtype: DType, args: Sequence[Vec]) -> Vec:
    """The value of primitive `op`, of out_dtype, on operands that all have the same lane count."""
    if op == "cast":
        return b.convert(args[0], out_dtype)
    rule = TEMPLATES[op][kind_of(args[0].dtype)]
    if not is_half(args[0].dtype):
        return rule(b, *args)
    result = rule(b, *(b.convert(a, F32) for a in args))
    return result if result.dtype == BOOL else b.convert(result, out_dtype)


def combine(b: Builder, op: str, acc: Vec, value: Vec) -> Vec:
    """One step of a reduction: op in add mul max min and or."""
    return b.combine(op, acc, value)


def identity(op: str, dtype: DType) -> float | int | bool:
    """The value e with combine(op, e, x) = x for all x of dtype."""
    kind = kind_of(dtype)
    if op in ("add", "or"):
        return False if kind == "b" else 0
    if op == "mul":
        return True if kind == "b" else 1
    if kind == "b":
        return op != "max"
    if kind == "f":
        return -np.inf if op == "max" else np.inf
    bits = 8 * dtype.itemsize
    if kind == "u":
        return 0 if op == "max" else 2**bits - 1
    return -1 if op == "and" else -(2 ** (bits - 1)) if op == "max" else 2 ** (bits - 1) - 1
