"""The part of numpy.linalg that has a traced form."""

from numpy.linalg import matmul, matrix_transpose, norm, tensordot, vecdot, vector_norm

__all__ = ["matmul", "matrix_transpose", "norm", "tensordot", "vecdot", "vector_norm"]
