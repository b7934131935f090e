"""tracejit: a JIT compiler for models written in NumPy style."""

import importlib
from typing import TYPE_CHECKING, Any

from numpy import where

from tracejit import debug, errors, random, tree
from tracejit import numpy as numpy
from tracejit.control import cond, fori_loop, map, scan, switch, while_loop
from tracejit.custom import checkpoint, custom_vjp
from tracejit.debug import disable_jit
from tracejit.derivatives import hessian, jacobian, jvp, vjp
from tracejit.hosted import CustomOp, ShapeDtype, custom_op
from tracejit.ir import config
from tracejit.ir.text import parse
from tracejit.jit import Jitted, jit, make_graph
from tracejit.lowered import Lowered
from tracejit.sorting import top_k
from tracejit.transform import grad, stop_gradient, value_and_grad
from tracejit.variable import Variable
from tracejit.vectorize import vmap

if TYPE_CHECKING:
    from tracejit import callbacks, losses, metrics, nn, optim
    from tracejit.models import Input, Model, Sequential
    from tracejit.saving import load_model

__version__ = "0.1.0"


# Layers, optimizers and models are imported by whoever asks for them.
_LATER = {
    "Input": "models",
    "Model": "models",
    "Sequential": "models",
    "callbacks": "",
    "load_model": "saving",
    "losses": "",
    "metrics": "",
    "nn": "",
    "optim": "",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'tracejit' has no attribute {name!r}")
    home = _LATER[name]
    found = importlib.import_module(f"tracejit.{home or name}")
    value = globals()[name] = getattr(found, name) if home else found
    return value


def set_num_threads(count: int) -> None:
    """How many threads a parallel step runs on, from the next call on."""
    from tracejit.codegen.runtime import team

    team.set_num_threads(count)


__all__ = [
    "CustomOp",
    "Input",
    "Jitted",
    "Lowered",
    "Model",
    "Sequential",
    "ShapeDtype",
    "Variable",
    "callbacks",
    "checkpoint",
    "cond",
    "config",
    "custom_op",
    "custom_vjp",
    "debug",
    "disable_jit",
    "errors",
    "fori_loop",
    "grad",
    "hessian",
    "jacobian",
    "jit",
    "jvp",
    "load_model",
    "losses",
    "make_graph",
    "map",
    "metrics",
    "nn",
    "numpy",
    "optim",
    "parse",
    "random",
    "scan",
    "set_num_threads",
    "stop_gradient",
    "switch",
    "top_k",
    "tree",
    "value_and_grad",
    "vjp",
    "vmap",
    "where",
    "while_loop",
]
