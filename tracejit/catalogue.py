"""Every module that gives NumPy's functions a traced form: importing this fills `FUNCTIONS`."""

from importlib import import_module

NAMES = (
    "contraction",
    "counting",
    "cumulative",
    "einsum",
    "fourier",
    "kinds",
    "linalg",
    "movement",
    "nanaware",
    "norms",
    "padding",
    "placing",
    "quantiles",
    "rearranging",
    "reductions",
    "searching",
    "selection",
    "sequences",
    "sorting",
)

for _name in NAMES:
    import_module(f"tracejit.{_name}")
