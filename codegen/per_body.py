"""What is found out about a kernel, found out once for all kernels that do the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from tracejit.codegen.nest import Kernel

T = TypeVar("T")


class PerBody(Generic[T]):
    """A function of kernels that does not look at their names, computed once for one body.

    Twins share the tuple that is their body; so it is known by its identity, and is kept.
    """

    def __init__(self, function: Callable[[Kernel], T]) -> None:
        self._function = function
        self._known: dict[int, tuple[Kernel, T]] = {}

    def __call__(self, kernel: Kernel) -> T:
        known = self._known.get(id(kernel.body))
        if known is None:
            known = self._known[id(kernel.body)] = kernel, self._function(kernel)
        assert known[0].buffers is kernel.buffers, "one body, and other buffers"
        return known[1]
