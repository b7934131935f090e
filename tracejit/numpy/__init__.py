"""NumPy's namespace for traced code: `import tracejit.numpy as np`.

It holds the array API standard 2024.12. Most names here *are* NumPy's functions, which trace by
themselves when an operand is traced; a name that has no traced form is NumPy's own, for plain
arrays. What makes arrays differs in two ways: floats have the default dtype (f32), and inside a
trace the result is part of the graph instead of captured memory.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as _np

import tracejit.catalogue  # noqa: F401  (fills FUNCTIONS)
from tracejit.ir.types import BF16 as _BF16
from tracejit.numpy import fft, linalg
from tracejit.numpy.inspection import (
    __array_namespace_info__,
    can_cast,
    finfo,
    iinfo,
    isdtype,
    result_type,
)
from tracejit.numpy.making import (
    arange,
    array,
    asarray,
    empty,
    eye,
    from_dlpack,
    full,
    geomspace,
    identity,
    linspace,
    logspace,
    ones,
    tri,
    zeros,
)
from tracejit.numpy.sized import (
    argwhere,
    bincount,
    flatnonzero,
    nonzero,
    unique,
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
)
from tracejit.numpy.standard import (
    argsort,
    clip,
    count_nonzero,
    expand_dims,
    full_like,
    sort,
    take,
)

__array_api_version__ = "2024.12"

bfloat16 = _BF16.type


def __getattr__(name: str) -> Any:
    found = getattr(_np, name, None)
    # NumPy's modules stay its own: `random` here would be another than `tracejit.random`.
    if found is None or name.startswith("_") or isinstance(found, ModuleType):
        raise AttributeError(f"tracejit.numpy has no {name!r}")
    return found


newaxis = None


def __dir__() -> list[str]:
    numpys = (n for n in dir(_np) if not isinstance(getattr(_np, n), ModuleType))
    return sorted({*globals(), *(n for n in numpys if not n.startswith("_"))})


__all__ = [
    "__array_api_version__",
    "__array_namespace_info__",
    "arange",
    "argsort",
    "argwhere",
    "array",
    "asarray",
    "bfloat16",
    "bincount",
    "can_cast",
    "clip",
    "count_nonzero",
    "empty",
    "expand_dims",
    "eye",
    "fft",
    "finfo",
    "flatnonzero",
    "from_dlpack",
    "full",
    "full_like",
    "geomspace",
    "identity",
    "iinfo",
    "isdtype",
    "linalg",
    "linspace",
    "logspace",
    "newaxis",
    "nonzero",
    "ones",
    "result_type",
    "sort",
    "take",
    "tri",
    "unique",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
    "zeros",
]
