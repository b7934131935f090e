"""tracejit: a JIT compiler for models written in NumPy style."""

from tracejit import debug, errors, tree
from tracejit import contraction as _contraction  # noqa: F401  (fills the table of functions)
from tracejit import movement as _movement  # noqa: F401
from tracejit import reductions as _reductions  # noqa: F401
from tracejit import selection as _selection  # noqa: F401
from tracejit.debug import disable_jit
from tracejit.ir import config
from tracejit.ir.text import parse
from tracejit.jit import jit, make_graph
from tracejit.transform import grad, stop_gradient, value_and_grad
from tracejit.variable import Variable
