"""What each operation of the loop IR is in printed Python: one row of a table per operation.

A row is an expression over the operands a, b, c, ...; T makes a scalar of the result's type. Numba
computes all integers in 64 bits, so the rows cut results back to their width.
"""

from __future__ import annotations

import math

import numpy as np

from tracejit.codegen.nest import Const
from tracejit.ir.types import BOOL, DType, is_float, is_integer

COMPARISONS = {
    "eq": "{a} == {b}",
    "ne": "{a} != {b}",
    "lt": "{a} < {b}",
    "le": "{a} <= {b}",
    "gt": "{a} > {b}",
    "ge": "{a} >= {b}",
    "select": "{b} if {a} else {c}",
}
FLOAT = COMPARISONS | {
    "neg": "-{a}",
    "abs": "abs({a})",
    "sign": "{T}(1) if {a} > 0 else {T}(-1) if {a} < 0 else {T}(0) if {a} == 0 else {a}",
    "exp": "np.exp({a})",
    "expm1": "np.expm1({a})",
    "log": "np.log({a})",
    "log1p": "np.log1p({a})",
    "sqrt": "np.sqrt({a})",
    "rsqrt": "{T}(1) / np.sqrt({a})",
    "tanh": "np.tanh({a})",
    "sigmoid": "sigmoid({a}, {T}(1))",
    "erf": "{T}(math.erf({a}))",
    "sin": "np.sin({a})",
    "cos": "np.cos({a})",
    "floor": "np.floor({a})",
    "ceil": "np.ceil({a})",
    "round": "np.rint({a})",
    "add": "{a} + {b}",
    "sub": "{a} - {b}",
    "mul": "{a} * {b}",
    "fma": "{a} + {b} * {c}",
    "div": "{a} / {b}",
    "pow": "power_float({a}, {b})",
    "maximum": "{a} if {a} >= {b} or {a} != {a} else {b}",
    "minimum": "{a} if {a} <= {b} or {a} != {a} else {b}",
    "remainder": "remainder_float({a}, {b})",
    "floor_divide": "floor_divide_float({a}, {b}, {T}(1))",
}
SIGNED = COMPARISONS | {
    "neg": "{T}({T}(0) - {a})",
    "abs": "{T}(abs({a}))",
    "sign": "{T}(1) if {a} > 0 else {T}(-1) if {a} < 0 else {T}(0)",
    "add": "{T}({a} + {b})",
    "sub": "{T}({a} - {b})",
    "mul": "{T}({a} * {b})",
    "fma": "{T}({a} + {b} * {c})",
    "pow": "{T}(power_integer({a}, {b}, {T}(1)))",
    "maximum": "{a} if {a} > {b} else {b}",
    "minimum": "{a} if {a} < {b} else {b}",
    "remainder": "{T}(remainder_signed({a}, {b}))",
    "floor_divide": "{T}(floor_divide_signed({a}, {b}))",
    "not": "{T}(~{a})",
    "and": "{T}({a} & {b})",
    "or": "{T}({a} | {b})",
    "xor": "{T}({a} ^ {b})",
    "shift_left": "{T}({a} << {b}) if 0 <= {b} < {bits} else {T}(0)",
    "shift_right": "{T}({a} >> {b}) if 0 <= {b} < {bits} else {T}(-1 if {a} < 0 else 0)",
}
UNSIGNED = SIGNED | {
    "abs": "{a}",
    "sign": "{T}(1) if {a} > 0 else {T}(0)",
    "remainder": "{T}({a} % {b}) if {b} != 0 else {T}(0)",
    "floor_divide": "{T}({a} // {b}) if {b} != 0 else {T}(0)",
    "shift_left": "{T}({a} << {b}) if {b} < {bits} else {T}(0)",
    "shift_right": "{T}({a} >> {b}) if {b} < {bits} else {T}(0)",
    "random_word": "random_word({a}, {b}, {c}, {d}, {e})",
}
BOOLEAN = COMPARISONS | {
    "not": "not {a}",
    "and": "{a} and {b}",
    "or": "{a} or {b}",
    "xor": "{a} != {b}",
}
# Exact on 16-bit floats, as which the results need no rounding.
EXACT = frozenset({"neg", "abs", "sign", "select", "maximum", "minimum", "floor", "ceil", "round"})


def table(dtype: DType) -> dict[str, str]:
    if is_float(dtype):
        return FLOAT
    return {"i": SIGNED, "u": UNSIGNED, "b": BOOLEAN}[dtype.kind]


def is_small(dtype: DType) -> bool:
    """Whether variables hold the f32 of the value, and buffers its bits."""
    return is_float(dtype) and dtype.itemsize == 2


def scalar_type(dtype: DType) -> str:
    """What makes a scalar of `dtype` in the printed source."""
    if dtype == BOOL:
        return "bool"
    return "np.float32" if is_small(dtype) else f"np.{dtype.name}"


def buffer_dtype(dtype: DType) -> DType:
    return np.dtype(np.uint16) if is_small(dtype) else dtype


def literal(const: Const) -> str:
    value, dtype = const.value, const.dtype
    if dtype == BOOL:
        return str(bool(value))
    text = repr(value if is_integer(dtype) else float(value))
    if isinstance(value, float) and not math.isfinite(value):
        text = "np.nan" if math.isnan(value) else "np.inf" if value > 0 else "-np.inf"
    return f"{scalar_type(dtype)}({text})"


# What an accumulator starts from; max and min of ints start from the dtype's own limits.
START: dict[str, float] = {"add": 0, "fma": 0, "mul": 1, "and": -1, "or": 0}
ACC_OPS = {"max": "maximum", "min": "minimum"}
BOOL_OPS = {"maximum": "or", "minimum": "and", "add": "or", "mul": "and"}


def identity(op: str, dtype: DType) -> Const:
    if op in START:
        return Const(START[op] if is_float(dtype) else int(START[op]), dtype)
    if is_integer(dtype):
        return Const(_limit(dtype, lowest=op == "max"), dtype)
    if dtype == BOOL:
        return Const(op == "min", dtype)
    return Const(-np.inf if op == "max" else np.inf, dtype)


def _limit(dtype: DType, lowest: bool) -> int:
    bits: int = dtype.itemsize * 8
    if dtype.kind == "u":
        return 0 if lowest else (1 << bits) - 1
    return -(1 << (bits - 1)) if lowest else (1 << (bits - 1)) - 1
