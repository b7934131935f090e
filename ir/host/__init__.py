"""Host functions: work that stays in NumPy, called from inside the program. See `table`."""

from tracejit.ir.host import linalg

__all__ = ["linalg"]
