"""`tj.Model(inputs, outputs)`: the calls that lead from Symbols to Symbols, replayed."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit import tree
from tracejit.models.model import Model
from tracejit.nn.layer import Layer
from tracejit.nn.symbolic import Call, Symbol


class Functional(Model):
    """inputs, outputs: Symbols, or lists or dicts of them. Several Calls may share a layer."""

    untracked = Model.untracked | {"calls", "inputs", "outputs"}

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None) -> None:
        super().__init__(name=name)
        self.inputs, self.outputs = inputs, outputs
        self.calls = _in_order(tree.leaves(outputs), tree.leaves(inputs))
        self.stack: list[Any] = []
        for call in self.calls:
            if isinstance(call.function, Layer) and call.function not in self.stack:
                self.stack.append(call.function)
        self.built = True
        self.input_types = tree.map(lambda s: ((None, *s.shape[1:]), str(s.dtype)), inputs)

    @property
    def layers(self) -> list[Layer]:
        return list(self.stack)

    def call(self, x: Any) -> Any:
        values = dict(zip(map(id, tree.leaves(self.inputs)), self._given(x), strict=True))
        results: dict[int, list[Any]] = {}

        def value(symbol: Any) -> Any:
            if not isinstance(symbol, Symbol):
                return symbol
            known = values.get(id(symbol))
            return results[id(symbol.call)][symbol.position] if known is None else known

        for call in self.calls:
            args, keywords = tree.map(value, (call.args, call.keywords))
            results[id(call)] = tree.leaves(call.function(*args, **keywords))
        return tree.map(value, self.outputs)

    def _given(self, x: Any) -> list[Any]:
        """The arrays in the order of the inputs."""
        if isinstance(x, dict) and isinstance(self.inputs, list | tuple):
            return [x[symbol.name] for symbol in self.inputs]
        given, wanted = tree.leaves(x), tree.leaves(self.inputs)
        if len(given) != len(wanted):
            raise ValueError(f"{self.name}: {len(given)} arrays for {len(wanted)} inputs")
        return [
            np.expand_dims(a, -1) if a.ndim == s.ndim - 1 and s.shape[-1] == 1 else a
            for a, s in zip(given, wanted, strict=True)
        ]


def _in_order(outputs: list[Symbol], inputs: list[Symbol]) -> list[Call]:
    """All calls behind the outputs, in Keras's order: by how far they are from the outputs.

    Raises ValueError where an output needs an input that is not given.
    """
    known = {id(s) for s in inputs}
    found: list[Call] = []
    state: dict[int, bool] = {}  # False while its inputs are being visited
    pending = [s for s in reversed(outputs)]
    while pending:
        symbol = pending[-1]
        call = symbol.call
        if id(symbol) in known or (call is not None and state.get(id(call))):
            pending.pop()
            continue
        if call is None:
            raise ValueError(f"Model: the outputs depend on {symbol!r}, which is not in inputs")
        if id(call) not in state:
            state[id(call)] = False
            pending += reversed(call.inputs())
        else:
            state[id(call)] = True
            found.append(call)
            pending.pop()
    depth = {id(call): 0 for call in found}
    for call in reversed(found):
        for symbol in call.inputs():
            if symbol.call is not None and id(symbol.call) in depth:
                depth[id(symbol.call)] = max(depth[id(symbol.call)], depth[id(call)] + 1)
    return sorted(found, key=lambda call: -depth[id(call)])
