"""What the fuzzer draws from: sizes, dtypes, operations, and how often each comes."""

from __future__ import annotations

MAX_ELEMENTS = 4096
# One graph in twelve is large enough that threads share its kernels.
LARGE_ELEMENTS = 1 << 17
LARGE_SIZES = (1, 3, 31, 64, 100, 127, 256, 257, 384)
SIZES = (1, 2, 3, 4, 5, 7, 8, 11, 13, 16, 17, 31, 32, 33, 64)
# Products from these up are packed, or multiplied as dot products (codegen/layout.py).
PRODUCT_SIZES = {"m": (8, 32, 33, 64), "k": (3, 64, 64, 65, 96), "n": (15, 16, 48, 64, 128, 128)}
PRODUCT_ELEMENTS = 1 << 14
# Most values are read by no output; what these steps make is one now and then.
RARE = ("conv", "window", "narrow", "product")
MOVES = ("broadcast", "reshape", "transpose", "reverse", "slice", "pad", "concatenate")
STEP_WEIGHTS = {
    "unary": 6, "binary": 8, "power": 0.7, "modulo": 0.7, "compare": 1, "select": 1.5, "cast": 1.5,
    "reduce": 3, "row": 1, "move": 6, "dot": 2, "gather": 1, "scatter": 0.7, "source": 1,
    "conv": 1.6, "window": 1, "narrow": 0.7, "product": 0.6,
}  # fmt: skip
DTYPE_WEIGHTS = {
    "f32": 12, "f64": 4, "i32": 3, "bool": 2, "i64": 1, "u8": 1, "u32": 1, "f16": 1, "bf16": 1,
    "i8": 1, "i16": 1, "u16": 1, "u64": 1,
}  # fmt: skip

FLOAT_UNARY = (
    *("neg", "abs", "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "tanh", "sigmoid", "erf"),
    *("sin", "cos", "mark", "contiguous", "stop_gradient"),
)
STEPS = ("sign", "floor", "ceil", "round")
INTEGER_UNARY = ("neg", "abs", "sign", "not")
FLOAT_BINARY = ("add", "sub", "mul", "div", "maximum", "minimum")
INTEGER_BINARY = (
    *("add", "sub", "mul", "maximum", "minimum", "remainder", "floor_divide", "pow"),
    *("and", "or", "xor", "shift_left", "shift_right"),
)
COMPARE = ("eq", "ne", "lt", "le", "gt", "ge")
SUMS = frozenset(
    {"reduce_sum", "dot_general", "scatter_add_rows", "conv", "conv_weight_grad", "window_sum"}
)
INEXACT = frozenset(
    {"exp", "expm1", "log", "log1p", "rsqrt", "tanh", "sigmoid", "erf", "sin", "cos", "pow"}
    | {"reduce_prod", *SUMS}
)
# Mostly those that rewrite rules look for.
CONSTANTS = (0.0, 0.0, 1.0, 1.0, -0.0, -1.0, 2.0, 0.5, 3.0, 1e-3)
