"""The part of numpy.linalg that has a traced form."""

from numpy.linalg import (
    cross,
    diagonal,
    matmul,
    matrix_norm,
    matrix_power,
    matrix_transpose,
    multi_dot,
    norm,
    outer,
    solve,
    tensordot,
    trace,
    vecdot,
    vector_norm,
)

from tracejit import linalg as _traced  # noqa: F401  (fills FUNCTIONS)

__all__ = [
    "cross",
    "diagonal",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "solve",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]
