"""The tables of primitives, by family. Importing this package registers all of them."""

from tracejit.ir.primitives import (
    contraction,
    elementwise,
    gather,
    movement,
    random,
    reduce,
)

__all__ = ["contraction", "elementwise", "gather", "movement", "random", "reduce"]
