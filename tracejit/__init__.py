"""tracejit: a JIT compiler for models written in NumPy style."""

from numpy import where

from tracejit import debug, errors, nn, optim, random, tree
from tracejit import numpy as numpy
from tracejit.custom import checkpoint, custom_vjp
from tracejit.debug import disable_jit
from tracejit.derivatives import hessian, jacobian, jvp, vjp
from tracejit.ir import config
from tracejit.ir.text import parse
from tracejit.jit import Jitted, jit, make_graph
from tracejit.lowered import Lowered
from tracejit.transform import grad, stop_gradient, value_and_grad
from tracejit.variable import Variable
from tracejit.vectorize import vmap

__version__ = "0.1.0"


def set_num_threads(count: int) -> None:
    """How many threads a parallel step runs on, from the next call on."""
    from tracejit.codegen.runtime import team

    team.set_num_threads(count)


__all__ = [
    "Jitted",
    "Lowered",
    "Variable",
    "checkpoint",
    "config",
    "custom_vjp",
    "debug",
    "disable_jit",
    "errors",
    "grad",
    "hessian",
    "jacobian",
    "jit",
    "jvp",
    "make_graph",
    "nn",
    "numpy",
    "optim",
    "parse",
    "random",
    "set_num_threads",
    "stop_gradient",
    "tree",
    "value_and_grad",
    "vjp",
    "vmap",
    "where",
]
