"""Looking inside: define by run, stopping at the first nan, printing from compiled code."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tracejit.errors import NanError
from tracejit.ir.graph import Array, Node
from tracejit.ir.interpreter import OnValue
from tracejit.ir.types import is_float

if TYPE_CHECKING:
    from tracejit.variable import Variable

# How many blocks are open in any thread: a call path that finds 0 need not ask the context.
eager_blocks = 0
_counting = threading.Lock()

_disabled: ContextVar[bool] = ContextVar("tracejit_disable_jit", default=False)
_checking: ContextVar[bool] = ContextVar("tracejit_check_nans", default=False)


def eager() -> bool:
    """Whether jitted functions run define by run here."""
    return _disabled.get() or _checking.get()


def on_value() -> OnValue | None:
    """What a define-by-run trace shows each value to."""
    return _no_nan if _checking.get() else None


@contextmanager
def _setting(variable: ContextVar[bool]) -> Iterator[None]:
    global eager_blocks
    token = variable.set(True)
    with _counting:
        eager_blocks += 1
    try:
        yield
    finally:
        with _counting:
            eager_blocks -= 1
        variable.reset(token)


def disable_jit() -> AbstractContextManager[None]:
    """Inside the block jitted functions run define by run: print, `if` and pdb see values."""
    return _setting(_disabled)


def check_nans() -> AbstractContextManager[None]:
    """Inside the block the first nan that an operation makes raises NanError with its line."""
    return _setting(_checking)


def _no_nan(node: Node, value: Array) -> None:
    if not is_float(node.dtype) or node.op in ("input", "full"):
        return
    bad = np.isnan(value)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        operands = ", ".join(str(i.type) for i in node.inputs)
        place = f" ({node.loc})" if node.loc else ""
        raise NanError(
            f"{node.op}({operands}) -> {node.type}: nan in {int(bad.sum())} of {value.size}"
            f" elements, the first at {list(first)}{place}"
        )


@cache
def printed() -> Variable:
    """What a text that is printed assigns, and the next one reads: so all come, and in order.

    Loops and branches carry it as they do any Variable.
    """
    from tracejit.variable import Variable

    return Variable(np.zeros((), np.int32), name="printed", trainable=False)


def print(text: str, *args: Any, **named: Any) -> None:
    """Prints text.format(*args, **named) when the step runs; as `jax.debug.print`.

    The values are NumPy arrays, or NumPy scalars where they have no dimensions. Texts come in the
    order of the program, in loops and branches as often as those run, under vmap once for each
    element, and once for a function that is differentiated.
    """
    from tracejit.ir import ops
    from tracejit.ir.host.printing import formatted
    from tracejit.trace import current_trace

    names = ("",) * len(args) + tuple(named)
    trace = current_trace()
    if trace is None:
        values = tuple(np.asarray(v) for v in (*args, *named.values()))
        builtins.print(formatted(text, names, values))
        return
    nodes = [trace.array(v).node for v in (*args, *named.values())]
    # A field that is missing is an error here, with the user's line, and not when the step runs.
    formatted(text, names, tuple(np.zeros(n.shape, n.dtype) for n in nodes))
    token = trace.read(printed()).node
    (after,) = ops.host_call("debug.print", token, *nodes, text=text, names=names)
    trace.assign(printed(), trace.wrap(after))
