"""Host functions: work that stays in NumPy, called from inside the program. See `table`."""

from tracejit.ir.host import factor, linalg, sorting, squares

__all__ = ["factor", "linalg", "sorting", "squares"]
