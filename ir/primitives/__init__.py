"""The tables of primitives, by family. Importing this package registers all of them."""

from tracejit.ir.primitives import (
    contraction,
    control,
    convolution,
    elementwise,
    gather,
    host,
    movement,
    random,
    reduce,
    tuples,
    window,
)

__all__ = [
    "contraction",
    "control",
    "convolution",
    "elementwise",
    "gather",
    "host",
    "movement",
    "random",
    "reduce",
    "tuples",
    "window",
]
