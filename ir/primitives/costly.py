"""Which elementwise work is worth keeping rather than doing twice."""

# Ops that cost more than storing the value to a row that stays in L1 and loading it again.
EXPENSIVE = frozenset(
    [
        *("exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "tanh", "sigmoid", "erf", "sin", "cos"),
        *("pow", "div", "remainder", "floor_divide", "gather_rows", "random_bits"),
    ]
)
