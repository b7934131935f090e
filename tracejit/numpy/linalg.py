"""numpy.linalg: every name of it, traced where `tracejit.linalg` and its like have a form."""

from numpy.linalg import *  # noqa: F403
from numpy.linalg import __all__ as __all__

import tracejit.catalogue  # noqa: F401  (fills FUNCTIONS)
