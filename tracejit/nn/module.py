"""`Module`: an object with Variables in its attributes, and in those of the Modules it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

from tracejit import tree
from tracejit.errors import ShapeError
from tracejit.ir.graph import Array
from tracejit.variable import Variable

Member = Any  # a Variable or a Module


def _members(value: Any, path: str) -> Iterator[tuple[str, Member]]:
    """The Variables and Modules in an attribute, also inside lists, tuples and dicts."""
    if isinstance(value, Variable | Module):
        yield path, value
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _members(item, f"{path}.{i}")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _members(item, f"{path}.{key}")


class Module:
    """Subclass it, set Variables and Modules as attributes, write `__call__` (or `call`).

    Attributes are found in the order they were first set; nothing needs to be registered. The order
    of `variables` is Keras's: a Module's own trainable Variables, its own others, then those of
    the Modules it holds. A Variable that is held twice counts once, where it was met first.

    `self.training` is the mode of this Module as PyTorch has it, set by `train()` and `eval()` and
    False at first: an argument `training=` to a call comes before it. A jitted function keeps the
    mode it was traced in, unless the Module is an argument of it.

    A Module is a pytree of its Variables: it may be an argument of jitted functions.
    """

    __slots__ = ("__dict__", "__weakref__", "_made_from", "_paths")

    training = False
    trainable = True
    _made_from: tuple[tuple[Any, ...], dict[str, Any]]
    _paths: tuple[str, ...] | None
    # Attributes that are no part of the Module.
    untracked: frozenset[str] = frozenset()

    def __new__(cls, *args: Any, **keywords: Any) -> Self:
        self = super().__new__(cls)
        self._made_from = (args, keywords)
        self._paths = None
        return self

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        tree.register(cls, _flatten, _unflatten)

    def members(self) -> Iterator[tuple[str, Member]]:
        """The Variables and Modules held directly, with the attribute they stand in."""
        for name, value in list(vars(self).items()):
            if name not in self.untracked:
                yield from _members(value, name)

    def modules(self) -> Iterator[Module]:
        """This Module and all inside it, each once, outer ones first."""
        for _, module in self.named_modules():
            yield module

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        seen: set[int] = set()
        pending: list[tuple[str, Module]] = [(prefix, self)]
        while pending:
            path, module = pending.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield path, module
            inner = [(n, m) for n, m in module.members() if isinstance(m, Module)]
            pending += [(f"{path}.{n}" if path else n, m) for n, m in reversed(inner)]

    def named_variables(self) -> Iterator[tuple[str, Variable]]:
        """("conv.kernel", Variable) of all Variables, in the order of `variables`."""
        for path, variable, _ in self._walk():
            yield path, variable

    def _walk(self) -> Iterator[tuple[str, Variable, bool]]:
        """Path, Variable, and whether no Module on the way is frozen."""
        seen: set[int] = set()
        pending: list[tuple[str, Module, bool]] = [("", self, True)]
        while pending:
            path, module, free = pending.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            free = free and module.trainable
            held = [(f"{path}.{n}" if path else n, m) for n, m in module.members()]
            own = [(n, m) for n, m in held if isinstance(m, Variable)]
            for name, variable in sorted(own, key=lambda item: not item[1].trainable):
                if id(variable) not in seen:
                    seen.add(id(variable))
                    yield name, variable, free
            pending += [(n, m, free) for n, m in reversed(held) if isinstance(m, Module)]

    @property
    def variables(self) -> list[Variable]:
        return [v for _, v, _ in self._walk()]

    @property
    def trainable_variables(self) -> list[Variable]:
        return [v for _, v, free in self._walk() if free and v.trainable]

    @property
    def non_trainable_variables(self) -> list[Variable]:
        return [v for _, v, free in self._walk() if not (free and v.trainable)]

    def parameters(self) -> list[Variable]:
        """`trainable_variables`, by PyTorch's name."""
        return self.trainable_variables

    def named_parameters(self) -> Iterator[tuple[str, Variable]]:
        return ((n, v) for n, v, free in self._walk() if free and v.trainable)

    def count_params(self) -> int:
        return sum(v.size for v in self.weights)

    @property
    def weights(self) -> list[Variable]:
        """`variables` without the states of random numbers: what `get_weights` copies."""
        return [v for v in self.variables if v.dtype.kind != "u"]

    def get_weights(self) -> list[Array]:
        """Copies of `weights`, in Keras's order."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights: list[Any]) -> None:
        """Raises ShapeError, before anything changes, where the arrays do not fit."""
        own = self.weights
        if len(own) != len(weights):
            raise ShapeError(f"set_weights: {len(weights)} arrays for {len(own)} weights")
        for variable, array in zip(own, weights, strict=True):
            _check_fit("set_weights", variable.name, variable, array)
        for variable, array in zip(own, weights, strict=True):
            variable.assign(array)

    def state_dict(self) -> dict[str, Array]:
        """Copies of all Variables by path."""
        return {name: v.numpy() for name, v in self.named_variables()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:
        """Assigns what `state_dict` gave.

        strict: raise KeyError where names differ. Raises ShapeError for another shape. Nothing is
        assigned where it raises.
        """
        own = dict(self.named_variables())
        if strict and own.keys() != state.keys():
            missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
            hint = "; build the model first" if not own else ""
            raise KeyError(f"load_state_dict: missing {missing}, unknown {unknown}{hint}")
        shared = [(n, own[n], state[n]) for n in own if n in state]
        for name, variable, array in shared:
            _check_fit("load_state_dict", name, variable, array)
        for _, variable, array in shared:
            variable.assign(array)

    def train(self, mode: bool = True) -> Self:
        """Sets `training` here and in all Modules inside."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Sets `trainable`: a frozen Module has no trainable Variables, and none inside it has."""
        self.trainable = requires_grad
        return self

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return self.call(*args, **keywords)

    def call(self, *args: Any, **keywords: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has neither __call__ nor call")

    def __repr__(self) -> str:
        lines = [
            f"  ({name}): " + repr(module).replace("\n", "\n  ")
            for name, module in self.members()
            if isinstance(module, Module)
        ]
        inside = "\n".join(["", *lines, ""]) if lines else self.extra_repr()
        return f"{type(self).__name__}({inside})"

    def extra_repr(self) -> str:
        """What stands between the parentheses of a Module without Modules: its arguments."""
        args, keywords = self._made_from
        return ", ".join([*map(repr, args), *(f"{k}={v!r}" for k, v in keywords.items())])


def _check_fit(what: str, name: str, variable: Variable, array: Any) -> None:
    if np.shape(array) != variable.shape:
        raise ShapeError(
            f"{what}: {name!r} is {variable.type}, the array has shape {list(np.shape(array))}"
        )


class _Structure:
    """What a Module is beside the contents of its Variables; equal where a step may be shared."""

    __slots__ = ("held", "modes", "module")

    def __init__(self, module: Module, held: tuple[Variable, ...]) -> None:
        self.module = module
        self.held = held
        self.modes = tuple((m.training, m.trainable) for m in module.modules())

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Structure)
            and self.module is other.module
            and self.modes == other.modes
            and len(self.held) == len(other.held)
        )

    def __hash__(self) -> int:
        return hash((id(self.module), self.modes))


def _flatten(module: Module) -> tuple[tuple[Any, ...], _Structure]:
    if module._paths is None:
        held: tuple[Any, ...] = tuple(module.variables)
    else:
        held = tuple(_at(module, path) for path in module._paths)
    return held, _Structure(module, held)


def _at(module: Module, path: str) -> Any:
    """What stands where `named_variables` of the original had a Variable."""
    value: Any = module
    for name in path.split("."):
        if isinstance(value, list | tuple):
            value = value[int(name)]
        else:
            value = value[name] if isinstance(value, dict) else vars(value)[name]
    return value


def _unflatten(structure: _Structure, leaves: Any) -> Module:
    """The Module itself with its own Variables; else a copy that holds the leaves instead."""
    leaves = tuple(leaves)
    if all(a is b for a, b in zip(leaves, structure.held, strict=True)):
        return structure.module
    original = structure.module
    paths = original._paths or tuple(name for name, _ in original.named_variables())
    put = {id(v): leaf for v, leaf in zip(structure.held, leaves, strict=True)}
    copy: Module = _with(original, put)
    copy._paths = paths
    return copy


def _with(value: Any, put: dict[int, Any]) -> Any:
    """`value` with what has an id in `put` replaced, through Modules, lists, tuples and dicts."""
    if id(value) in put:
        return put[id(value)]
    if isinstance(value, Module):
        copy = put[id(value)] = Module.__new__(type(value))
        copy._made_from = value._made_from
        for name, held in vars(value).items():
            copy.__dict__[name] = held if name in value.untracked else _with(held, put)
        return copy
    if type(value) in (list, tuple):
        return type(value)(_with(v, put) for v in value)
    if type(value) is dict:
        return {k: _with(v, put) for k, v in value.items()}
    return value
