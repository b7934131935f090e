"""Host functions: work that stays in NumPy, called from inside the program. See `table`."""

from tracejit.ir.host import factor, fourier, linalg, printing, sorting, squares
from tracejit.ir.host.looped import host_function_of

__all__ = ["factor", "fourier", "host_function_of", "linalg", "printing", "sorting", "squares"]
