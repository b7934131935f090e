"""Host functions: work that stays in NumPy, called from inside the program. See `table`."""

from tracejit.ir.host import factor, linalg, squares

__all__ = ["factor", "linalg", "squares"]
