"""numpy.fft: every name of it; all that transform trace, by `tracejit.fourier`."""

from numpy.fft import *  # noqa: F403
from numpy.fft import __all__ as __all__

import tracejit.catalogue  # noqa: F401  (fills FUNCTIONS)
