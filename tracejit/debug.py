"""Looking inside: running jitted functions define by run, and stopping at the first nan."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

import numpy as np

from tracejit.errors import NanError
from tracejit.ir.graph import Array, Node
from tracejit.ir.interpreter import OnValue
from tracejit.ir.types import is_float

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
