"""Every module that gives NumPy's functions a traced form: importing this fills `FUNCTIONS`."""

from tracejit import (
    contraction,
    counting,
    cumulative,
    einsum,
    kinds,
    linalg,
    movement,
    nanaware,
    norms,
    padding,
    placing,
    rearranging,
    reductions,
    searching,
    selection,
    sequences,
)

MODULES = (
    contraction,
    counting,
    cumulative,
    einsum,
    kinds,
    linalg,
    movement,
    nanaware,
    norms,
    padding,
    placing,
    rearranging,
    reductions,
    searching,
    selection,
    sequences,
)
