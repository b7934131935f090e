"""Objects that remember what they were made with: the description that is saved with a model.

No pickle: only the classes of a registry are made again, from JSON. See `tracejit.saving`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, Self


def config_of(cls: type[Any], made_from: tuple[tuple[Any, ...], dict[str, Any]]) -> dict[str, Any]:
    """The arguments of a constructor by name, defaults left out."""
    args, keywords = made_from
    bound = inspect.signature(cls.__init__).bind(None, *args, **keywords)
    config: dict[str, Any] = {}
    for name, value in list(bound.arguments.items())[1:]:
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            config.update(value)
        else:
            config[name] = list(value) if kind is inspect.Parameter.VAR_POSITIONAL else value
    return config


class Configured:
    """A small object that is decided by its arguments: an initialiser, a loss, a schedule."""

    _made_from: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **keywords: Any) -> Self:
        self = super().__new__(cls)
        self._made_from = (args, keywords)
        return self

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with, by name."""
        return config_of(type(self), self._made_from)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(**config)

    def __repr__(self) -> str:
        args, keywords = self._made_from
        inside = ", ".join([*map(repr, args), *(f"{k}={v!r}" for k, v in keywords.items())])
        return f"{type(self).__name__}({inside})"


def snake(name: str) -> str:
    """Keras's spelling of a class's name: GlorotUniform -> glorot_uniform, Conv2D -> conv2d."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def squeezed(name: str) -> str:
    """What all spellings of a name have in common."""
    return name.replace("_", "").lower()


def lookup(identifier: Any, table: Mapping[str, type[Any]], what: str) -> Any:
    """An object by its class's name in either spelling; None and callables pass through.

    A class is made without arguments. Raises ValueError, with the names, for another name.
    """
    if isinstance(identifier, type):
        return identifier()
    if identifier is None or callable(identifier):
        return identifier
    for name, cls in table.items():
        if isinstance(identifier, str) and squeezed(identifier) == squeezed(name):
            return cls()
    known = ", ".join(snake(name) for name in table)
    raise ValueError(f"{what} {identifier!r} is not there; there are {known}")
