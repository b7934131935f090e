"""Which elementwise work is worth keeping rather than doing twice."""

# Ops that cost more than storing the value to memory and loading it again.
SLOW = frozenset(
    [
        *("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "erf", "sin", "cos", "pow"),
        *("remainder", "floor_divide", "random_bits"),
    ]
)

# Ops that cost more than storing the value to a row that stays in L1 and loading it again.
EXPENSIVE = SLOW | {"sqrt", "rsqrt", "div", "gather_rows"}
