"""The elementwise functions of the standard: what they take, and the dtype of what they give."""

from __future__ import annotations

BOOLS = ("bool",)
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTEGERS = SIGNED + UNSIGNED
FLOATS = ("float32", "float64")
HALVES = ("float16", "bfloat16")  # beyond the standard
COMPLEX = ("complex64", "complex128")  # on plain arrays
REAL = INTEGERS + FLOATS
NUMERIC = REAL + COMPLEX

TRANSCENDENTAL = (
    *("acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "exp", "expm1", "log"),
    *("log10", "log1p", "log2", "sin", "sinh", "sqrt", "tan", "tanh", "reciprocal"),
)

# name -> (dtypes of the operands, dtype of the result: "same", a dtype, or "part" of a complex)
UNARY: dict[str, tuple[tuple[str, ...], str]] = {
    **dict.fromkeys(("abs",), (NUMERIC, "part")),
    **dict.fromkeys(
        TRANSCENDENTAL,
        (FLOATS + COMPLEX, "same"),
    ),
    **dict.fromkeys(["conj", "negative", "positive", "sign", "square"], (NUMERIC, "same")),
    "round": (NUMERIC, "same"),
    **dict.fromkeys(["ceil", "floor", "trunc"], (REAL, "same")),
    **dict.fromkeys(["imag", "real"], (COMPLEX, "part")),
    **dict.fromkeys(["isfinite", "isinf", "isnan"], (NUMERIC, "bool")),
    "signbit": (FLOATS, "bool"),
    "logical_not": (BOOLS, "bool"),
    "bitwise_invert": (BOOLS + INTEGERS, "same"),
}
BINARY: dict[str, tuple[tuple[str, ...], str]] = {
    **dict.fromkeys(["add", "multiply", "subtract"], (NUMERIC, "same")),
    "pow": (NUMERIC, "same"),
    "divide": (FLOATS + COMPLEX, "same"),
    **dict.fromkeys(["atan2", "copysign", "hypot", "logaddexp", "nextafter"], (FLOATS, "same")),
    **dict.fromkeys(["floor_divide", "remainder", "maximum", "minimum"], (REAL, "same")),
    **dict.fromkeys(["equal", "not_equal"], (BOOLS + NUMERIC, "bool")),
    **dict.fromkeys(["greater", "greater_equal", "less", "less_equal"], (REAL, "bool")),
    **dict.fromkeys(["logical_and", "logical_or", "logical_xor"], (BOOLS, "bool")),
    **dict.fromkeys(["bitwise_and", "bitwise_or", "bitwise_xor"], (BOOLS + INTEGERS, "same")),
    **dict.fromkeys(["bitwise_left_shift", "bitwise_right_shift"], (INTEGERS, "same")),
}

# The standard's promotions of two dtypes; what is not here is not defined there.
PROMOTIONS: dict[tuple[str, str], str] = {
    **{(a, b): max(a, b, key=lambda d: int(d.strip("uint"))) for a in SIGNED for b in SIGNED},
    **{(a, b): max(a, b, key=lambda d: int(d.strip("uint"))) for a in UNSIGNED for b in UNSIGNED},
    **{
        (u, i): i if SIGNED.index(i) > UNSIGNED.index(u) else SIGNED[UNSIGNED.index(u) + 1]
        for u in UNSIGNED[:3]
        for i in SIGNED
    },
    ("bool", "bool"): "bool",
    ("float32", "float32"): "float32",
    ("float32", "float64"): "float64",
    ("float64", "float64"): "float64",
    ("float32", "complex64"): "complex64",
    ("float32", "complex128"): "complex128",
    ("float64", "complex64"): "complex128",
    ("float64", "complex128"): "complex128",
    ("complex64", "complex64"): "complex64",
    ("complex64", "complex128"): "complex128",
    ("complex128", "complex128"): "complex128",
}


def promoted(a: str, b: str) -> str | None:
    return PROMOTIONS.get((a, b)) or PROMOTIONS.get((b, a))


def result_dtype(rule: str, operand: str) -> str:
    if rule == "part":
        return {"complex64": "float32", "complex128": "float64"}.get(operand, operand)
    return operand if rule == "same" else rule
