"""Vector mathematics: functions of (builder, x), for f32 and f64 and any number of lanes.

Accuracy and domain of each: docs/vector-math.md. Special values are NumPy's; denormal arguments and
results are right to rounding. No library is called.
"""

from tracejit.codegen.llvm.errorfunction import erf
from tracejit.codegen.llvm.exponential import exp, expm1, sigmoid, tanh
from tracejit.codegen.llvm.logarithm import log, log1p
from tracejit.codegen.llvm.power import power
from tracejit.codegen.llvm.trigonometry import cos, sin

__all__ = ["cos", "erf", "exp", "expm1", "log", "log1p", "power", "sigmoid", "sin", "tanh"]
