"""The tables of primitives, by family. Importing this package registers all of them."""

from tracejit.ir.primitives import (
    contraction,
    convolution,
    elementwise,
    gather,
    movement,
    random,
    reduce,
    window,
)

__all__ = [
    "contraction",
    "convolution",
    "elementwise",
    "gather",
    "movement",
    "random",
    "reduce",
    "window",
]
