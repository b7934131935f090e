"""`Sequential`: layers one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tracejit.models.model import Model
from tracejit.nn.layer import Layer
from tracejit.nn.symbolic import Symbol


class Sequential(Model):
    """layers: Layers, or functions of one array; a `tj.Input` before them builds it."""

    def __init__(self, layers: Iterable[Any] | None = None, name: str | None = None) -> None:
        super().__init__(name=name)
        self.stack: list[Any] = []
        self._input: Symbol | None = None
        for layer in layers or ():
            self.add(layer)

    def add(self, layer: Any) -> None:
        if isinstance(layer, Symbol):
            if self.stack or self._input is not None:
                raise ValueError(f"{self.name}: an Input stands first")
            self._input = layer
            return
        if not callable(layer):
            raise TypeError(
                f"{self.name}: {type(layer).__name__} is neither a layer nor a function"
            )
        self.stack.append(layer)
        self.built = False
        if self._input is not None:
            self.build_with(self._input)

    def pop(self) -> Any:
        self.built = False
        return self.stack.pop()

    def call(self, x: Any) -> Any:
        for layer in self.stack:
            x = layer(x)
        return x

    def get_config(self) -> dict[str, Any]:
        return {"layers": list(self.stack), "name": self.name}

    @property
    def layers(self) -> list[Layer]:
        return [layer for layer in self.stack if isinstance(layer, Layer)]
