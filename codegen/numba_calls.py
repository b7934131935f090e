"""Host calls in printed programs: lines of Python that look the function up by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tracejit.codegen.launches import Launch, Slot
from tracejit.codegen.nest import Buffer, Call, View
from tracejit.ir.graph import Attr

# The one thing that a printed program takes from tracejit.
IMPORT = "from tracejit.ir.host import host_function_of\n\n\n"


def call_lines(launch: Launch, where: Callable[[Slot, Buffer], str]) -> Iterator[str]:
    """The call, and the results stored. where: the text of a flat buffer."""
    (call,) = launch.plain.body
    assert isinstance(call, Call)
    places = {
        buffer.name: where(slot, buffer)
        for slot, buffer in zip(launch.slots, launch.plain.buffers, strict=True)
    }

    def array(view: View) -> str:
        kind = f'.view("{view.type.dtype.name}")'
        return f"{places[view.buffer]}{kind}.reshape({view.type.shape})"

    operands = [array(view) for view in call.operands]
    attrs = [f"{name}={_printed(value)}" for name, value in call.attrs]
    yield f'    results = host_function_of("{call.callee}").eval({", ".join([*operands, *attrs])})'
    for number, result in enumerate(call.results):
        if result is not None:
            yield f"    {array(result)}[...] = results[{number}]"


def _printed(value: Attr) -> str:
    if isinstance(value, tuple):
        return f"({''.join(f'{_printed(v)}, ' for v in value)})"
    if isinstance(value, float):
        return f'float("{value!r}")'
    return f'np.dtype("{value.name}")' if isinstance(value, np.dtype) else repr(value)
