"""The way of a call that fits the last step: Python source made for its structure.

optree takes about half a microsecond per leaf, which is more than many a step runs for. Source that
knows the structure takes the leaves out, calls the native entry and puts the results together:

    def call(args):
        try:
            if len(args) != 2: return MISS
            (v0, v1,) = args
            if type(v0) is not dict or len(v0) != 2: return MISS
            v2 = v0[K0]
            v3 = v0[K1]
        except KeyError: return MISS
        out = native(v2, v3, v1)
        if type(out) is not tuple: return out.result
        return (out[0], {K0: out[1]})

The entry guards what the leaves are, so a list where an array stood goes the slow way from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import optree

from tracejit import tree

MISS = object()
NAMED = optree.PyTreeKind.NAMEDTUPLE

CallPath = Callable[[tuple[Any, ...]], Any]


def call_path(
    spec: tree.Spec,
    held: Sequence[Any],
    statics: dict[int, Any],
    out_spec: tree.Spec,
    native: Callable[..., Any],
) -> CallPath:
    """args -> the function's result, or MISS where they are not of this structure.

    spec: of the tuple of positional arguments. held: per leaf the object that must stand there
    (a Variable), None where an array is taken. statics: position -> value that must stand there.
    Other nodes than tuples, named tuples, lists, dicts and None are left to optree.
    """
    source = _Source()
    try:
        source.take_apart(spec, held, statics)
        result = source.put_together(out_spec)
    except _OtherNode:
        return _by_optree(spec, held, statics, out_spec, native)
    text = [
        "def call(args):",
        "    try:",
        *(f"        {line}" for line in source.lines),
        "    except KeyError: return MISS",
        f"    out = native({', '.join(source.leaves)})",
        "    if type(out) is not tuple: return out.result",
        f"    return {result}",
    ]
    names: dict[str, Any] = {**source.constants, "MISS": MISS, "native": native}
    exec(compile("\n".join(text), "<tracejit call path>", "exec"), names)
    path: CallPath = names["call"]
    return path


def _by_optree(
    spec: tree.Spec,
    held: Sequence[Any],
    statics: dict[int, Any],
    out_spec: tree.Spec,
    native: Callable[..., Any],
) -> CallPath:
    """What the source does, for every structure."""
    fixed = {position: (type(value), value) for position, value in statics.items()}

    def call(args: tuple[Any, ...]) -> Any:
        if fixed:
            now = {i: (type(args[i]), args[i]) for i in fixed if i < len(args)}
            if now != fixed:
                return MISS
            args = tuple(None if i in fixed else a for i, a in enumerate(args))
        leaves, given = tree.flatten(args)
        if given != spec:
            return MISS
        if any(h is not None and h is not v for h, v in zip(held, leaves, strict=True)):
            return MISS
        out = native(*(v for h, v in zip(held, leaves, strict=True) if h is None))
        if type(out) is not tuple:
            return out.result
        return tree.unflatten(out_spec, out[: out_spec.num_leaves])

    return call


class _OtherNode(Exception):
    """A node that the source has no words for."""


class _Source:
    """The lines so far, the variables that hold leaves, and the constants they refer to."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.leaves: list[str] = []
        self.constants: dict[str, Any] = {}
        self._results = 0

    def constant(self, value: Any) -> str:
        name = f"K{len(self.constants)}"
        self.constants[name] = value
        return name

    def take_apart(self, spec: tree.Spec, held: Sequence[Any], statics: dict[int, Any]) -> None:
        pending = list(held)[::-1]
        children = spec.children()
        names = [f"a{i}" for i in range(len(children))]
        self.lines.append(f"if len(args) != {len(children)}: return MISS")
        if names:
            self.lines.append(f"({', '.join(names)},) = args")
        for i, (name, child) in enumerate(zip(names, children, strict=True)):
            if i in statics:
                value = self.constant(statics[i])
                kind = self.constant(type(statics[i]))
                self.lines.append(
                    f"if type({name}) is not {kind} or {name} != {value}: return MISS"
                )
            else:
                self._node(name, child, pending)

    def _node(self, name: str, spec: tree.Spec, held: list[Any]) -> None:
        if spec.is_leaf():
            variable = held.pop()
            if variable is None:
                self.leaves.append(name)
            else:
                self.lines.append(f"if {name} is not {self.constant(variable)}: return MISS")
            return
        children = spec.children()
        if spec.type is type(None) or spec.type is None:
            self.lines.append(f"if {name} is not None: return MISS")
            return
        parts = [f"{name}_{i}" for i in range(len(children))]
        if spec.type not in (tuple, list, dict) and spec.kind != NAMED:
            raise _OtherNode
        kind = self.constant(spec.type)
        self.lines.append(
            f"if type({name}) is not {kind} or len({name}) != {len(parts)}: return MISS"
        )
        if spec.type is dict:
            for part, key in zip(parts, spec.entries(), strict=True):
                self.lines.append(f"{part} = {name}[{self.constant(key)}]")
        elif parts:
            self.lines.append(f"({', '.join(parts)},) = {name}")
        for part, child in zip(parts, children, strict=True):
            self._node(part, child, held)

    def put_together(self, spec: tree.Spec) -> str:
        """The expression of a result of this structure."""
        if spec.is_leaf():
            self._results += 1
            return f"out[{self._results - 1}]"
        if spec.type is type(None) or spec.type is None:
            return "None"
        parts = [self.put_together(child) for child in spec.children()]
        if spec.type is tuple:
            return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
        if spec.type is list:
            return f"[{', '.join(parts)}]"
        if spec.type is dict:
            keys = [self.constant(key) for key in spec.entries()]
            return f"{{{', '.join(f'{k}: {v}' for k, v in zip(keys, parts, strict=True))}}}"
        if spec.kind == NAMED:
            return f"{self.constant(spec.type)}({', '.join(parts)})"
        raise _OtherNode
