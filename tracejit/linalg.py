"""numpy.linalg on traced arrays: host calls into LAPACK, with gradients in the graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.functions import traces
from tracejit.ir import ops
from tracejit.ir.types import F32, F64, ShapeError
from tracejit.lowering import broadcast_to, cast
from tracejit.movement import promoted
from tracejit.source import here
from tracejit.tracer import Tracer


def matrices(name: str, *values: Any) -> list[Tracer]:
    """The operands in the float dtype that numpy.linalg computes in: f64 for integers."""
    tracers = promoted(list(values))
    wide = F32 if tracers[0].dtype == F32 else F64
    for x in tracers:
        if x.ndim < 1 or (x.dtype.itemsize == 2 and x.dtype.kind not in "iu"):
            raise ShapeError(
                f"{name}: {x.node.type} is no matrix of f32 or f64{here()}; cast it first"
            )
    return [x.trace.wrap(cast(x.node, wide)) for x in tracers]


@traces(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """A vector b [n], or matrices b [..., n, k]; stacks broadcast."""
    x, y = matrices("linalg.solve", a, b)
    vector = y.ndim == 1
    right = ops.reshape(y.node, (*y.shape, 1)) if vector else y.node
    lead = np.broadcast_shapes(x.shape[:-2], right.shape[:-2])
    left = broadcast_to(x.node, (*lead, *x.shape[-2:]))
    right = broadcast_to(right, (*lead, *right.shape[-2:]))
    (out,) = ops.host_call("linalg.solve", left, right)
    return x.trace.wrap(ops.reshape(out, out.shape[:-1]) if vector else out)
