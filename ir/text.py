"""The text form of graphs: printed by `print_graph`, read back by `parse`.

    text   = graph {body}
    graph  = "func" name "(" [input {"," input}] "):" {line} "return" [result {"," result}]
    body   = graph                                 of control flow: an attribute names it
    input  = "%" name ":" type
    line   = "#" ["grad of "] file ":" number      the source of the lines below it, until the next
           | "# no source"
           | value ":" type "=" op [value {"," value}] {attr "=" literal}
    result = value ["->" value]                    the output takes over the buffer of that input
    value  = "%" (name | number)
    type   = dtype "[" [size {"," size}] "]" | "(" type {"," type} ")"
    literal = "(" [literal ","] {literal ","} ")" | "true" | "false" | integer | float | dtype
           | text | "@" name                       "@" is a body
    text   = a JSON string in which whitespace, parentheses and commas are \\u escapes

Inputs keep their names, made valid and unique; other values are numbered in graph order. Floats are
Python's repr, which reads back to the same bits. `parse(print_graph(g))` equals g, names and source
lines (base names of the files) included.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, pairwise
from typing import TYPE_CHECKING

import numpy as np

import tracejit.ir.primitives  # noqa: F401  (the parser looks ops up)
from tracejit.ir.graph import PRIMITIVES, Attr, Builder, Graph, Loc, Node, attr_key
from tracejit.ir.loops import bodies as bodies_of
from tracejit.ir.types import DTYPES, TensorType, dtype_name, parse_type

if TYPE_CHECKING:
    pass


class ParseError(ValueError):
    """Text that is not a graph; the message starts with the line number."""


# Printing


def print_graph(graph: Graph) -> str:
    """The text form, ending in a newline; the bodies of control flow follow."""
    bodies = body_names(graph)
    texts = []
    for each in bodies:
        nodes = each.nodes()
        names = node_names(each, nodes)
        equations = Equations(names, bodies).of(nodes[len(each.inputs) :])
        texts.append(joined(each, bodies[each], names, equations))
    return "\n".join(texts)


def body_names(graph: Graph) -> dict[Graph, str]:
    """The graph and every body below it, each with a name that no other has."""
    names = {graph: graph.name}
    for node in graph.nodes():
        for body in (b for some in bodies_of(node).values() for b in some):
            for inner in body_names(body):
                if inner not in names:
                    taken = set(names.values())
                    tries = (f"{inner.name}_{n}" if n else inner.name for n in count())
                    names[inner] = next(name for name in tries if name not in taken)
    return names


class Equations:
    """Lines of equations, with the source line wherever it changes."""

    def __init__(self, names: dict[Node, str], bodies: dict[Graph, str]) -> None:
        self.names = names
        self.bodies = bodies
        self.loc: Loc | None = None

    def of(self, nodes: Iterable[Node]) -> Iterator[str]:
        for node in nodes:
            if _source(node.loc) != _source(self.loc):
                self.loc = node.loc
                yield f"  # {_source(self.loc)}"
            yield f"  {print_node(node, self.names, self.bodies)}"


def joined(graph: Graph, name: str, names: dict[Node, str], equations: Iterable[str]) -> str:
    """The equations between the header and the return."""
    inputs = ", ".join(f"{names[n]}: {n.type}" for n in graph.inputs)
    results = []
    for node, donor in zip(graph.outputs, graph.donated, strict=True):
        suffix = "" if donor is None else f" -> {names[graph.inputs[donor]]}"
        results.append(names[node] + suffix)
    last = f"  return {', '.join(results)}".rstrip()
    return "\n".join([f"func {name}({inputs}):", *equations, last]) + "\n"


def node_names(graph: Graph, nodes: Sequence[Node]) -> dict[Node, str]:
    """What the text form calls each node."""
    names: dict[Node, str] = {}
    taken: set[str] = set()
    for node in graph.inputs:
        name = re.sub(r"\W+", "_", graph.input_name(node), flags=re.ASCII).strip("_")
        if not name or name[0].isdigit():
            name = f"arg{name}"
        unique, attempt = name, 1
        while unique in taken:
            unique, attempt = f"{name}_{attempt}", attempt + 1
        taken.add(unique)
        names[node] = f"%{unique}"
    rest = (node for node in nodes if node not in names)
    names.update({node: f"%{number}" for number, node in enumerate(rest)})
    return names


def print_node(
    node: Node, names: Mapping[Node, str], bodies: Mapping[Graph, str] | None = None
) -> str:
    """One equation. `names` must hold the node and its operands."""
    parts = [f"{names[node]}: {node.type} = {node.op}"]
    if node.inputs:
        parts.append(", ".join(names[i] for i in node.inputs))
    parts += [f"{name}={literal(value, bodies)}" for name, value in node.attrs.items()]
    return " ".join(parts)


def _source(loc: Loc | None) -> str:
    return "no source" if loc is None else loc.short


def literal(value: Attr, bodies: Mapping[Graph, str] | None = None) -> str:
    """An attribute's value as the text form shows it; `read_literal` reads it back."""
    if isinstance(value, Graph):
        return f"@{(bodies or {}).get(value, value.name)}"
    if isinstance(value, tuple):
        inner = ",".join(literal(v, bodies) for v in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isnan(value):
        return "-nan" if math.copysign(1, value) < 0 else "nan"
    if isinstance(value, str):
        return re.sub(r"[\s(),]", lambda m: f"\\u{ord(m[0]):04x}", json.dumps(value))
    return dtype_name(value) if isinstance(value, np.dtype) else str(value)


# Parsing

_HEADER = re.compile(r"func\s+([\w.<>-]+)\s*\((.*)\)\s*:")
_SOURCE = re.compile(r"#\s*(grad of )?(.+):(\d+)")
_EQUATION = re.compile(r"(%\w+)\s*:\s*(\w+\[[\d,]*\]|\([^()=]*\))\s*=\s*(\w+)\s*(.*)")
_INPUT = re.compile(r"%(\w+)\s*:\s*(\w+\[[\d,]*\])")
_ATTR = re.compile(r"(\w+)=(\S+)")
_TOKEN = re.compile(r"[(),]|[^(),\s]+")
_INTEGER = re.compile(r"-?\d+")


def parse(text: str) -> Graph:
    """The graph that `text` describes, in a new builder. Raises ParseError with the line number."""
    lines = text.splitlines()
    starts = [n for n, line in enumerate(lines) if line.startswith("func ")][1:]
    bodies = _Bodies()
    for start, end in pairwise([*starts, len(lines)]):
        header = _HEADER.fullmatch(lines[start].strip())
        name = header[1] if header else lines[start]
        bodies.texts[name] = "\n" * start + "\n".join(lines[start:end])
    return _Parser("\n".join(lines[: starts[0]] if starts else lines), bodies).graph()


class _Bodies:
    """The texts of bodies, each parsed when something names it."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.graphs: dict[str, Graph] = {}

    def get(self, name: str) -> Graph:
        """Raises KeyError where there is no such body, or it is part of itself."""
        if name not in self.graphs:
            self.graphs[name] = _Parser(self.texts.pop(name), self).graph()
        return self.graphs[name]


def read_literal(text: str) -> Attr:
    """The attribute that `literal` printed. Raises ParseError."""
    return _Parser("", _Bodies()).literal(text)


class _Parser:
    def __init__(self, text: str, bodies: _Bodies) -> None:
        self.builder = Builder()
        self.bodies = bodies
        self.values: dict[str, Node] = {}
        self.inputs: list[Node] = []
        self.number = 0
        self.lines = self._numbered(text)

    def _numbered(self, text: str) -> Iterator[str]:
        """Stripped lines that are not blank; `number` follows for error messages."""
        for self.number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                yield line.strip()

    def error(self, message: str) -> ParseError:
        return ParseError(f"line {self.number}: {message}")

    def graph(self) -> Graph:
        name = self.header()
        for line in self.lines:
            if line.startswith("#"):
                self.source(line)
            elif line == "return" or line.startswith("return "):
                outputs, donated = self.results(line.removeprefix("return").strip())
                if (extra := next(self.lines, None)) is not None:
                    raise self.error(f"nothing may follow the return, got {extra!r}")
                return Graph(name, tuple(self.inputs), outputs, donated)
            else:
                self.equation(line)
        raise self.error("the graph has no return")

    def header(self) -> str:
        line = next(self.lines, "")
        match = _HEADER.fullmatch(line)
        if match is None:
            raise self.error(f"expected 'func name(%x: f32[2], ...):', got {line!r}")
        rest = match[2]
        while rest.strip():
            item = _INPUT.match(rest.strip())
            if item is None:
                raise self.error(f"expected an input like '%x: f32[2]' at {rest.strip()!r}")
            rest = rest.strip()[item.end() :].strip()
            if rest and not rest.startswith(","):
                raise self.error(f"expected ',' between inputs at {rest!r}")
            rest = rest[1:]
            node = self.builder.input(item[1], self.type(item[2]))
            self.define(f"%{item[1]}", node)
            self.inputs.append(node)
        return match[1]

    def source(self, line: str) -> None:
        """Other comments are skipped."""
        match = _SOURCE.fullmatch(line)
        if match is not None:
            self.builder.loc = Loc(match[2], int(match[3]), match[1] is not None)
        elif line == "# no source":
            self.builder.loc = None

    def equation(self, line: str) -> None:
        match = _EQUATION.fullmatch(line)
        if match is None:
            raise self.error(f"expected '%0: f32[2] = op %x attr=...', got {line!r}")
        name, written, op, rest = match.groups()
        prim = PRIMITIVES.get(op)
        if prim is None or op == "input":
            raise self.error(f"there is no op {op!r}")
        operands, attrs = self.arguments(rest)
        expected = self.type(written)
        try:
            node = self.builder.emit(prim, *operands, **attrs)
        except (TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
            raise self.error(f"{op}: {error}" if op not in str(error) else str(error)) from error
        if node.type != expected:
            raise self.error(f"{op}: the result is {node.type}, but {name} says {expected}")
        self.define(name, node)

    def arguments(self, text: str) -> tuple[list[Node], dict[str, Attr]]:
        operands: list[Node] = []
        attrs: dict[str, Attr] = {}
        for word in text.split():
            attr = _ATTR.fullmatch(word)
            if attr is not None:
                attrs[attr[1]] = self.literal(attr[2])
            else:
                operands.append(self.value(word.removesuffix(",")))
        return operands, attrs

    def results(self, text: str) -> tuple[tuple[Node, ...], tuple[int | None, ...]]:
        outputs: list[Node] = []
        donated: list[int | None] = []
        for item in text.split(",") if text else []:
            name, arrow, donor = (part.strip() for part in item.partition("->"))
            outputs.append(self.value(name))
            if arrow and self.value(donor) not in self.inputs:
                raise self.error(f"{name} -> {donor}: only an input's buffer can be taken over")
            donated.append(self.inputs.index(self.value(donor)) if arrow else None)
        return tuple(outputs), tuple(donated)

    def define(self, name: str, node: Node) -> None:
        if name in self.values:
            raise self.error(f"{name} is defined twice")
        self.values[name] = node

    def value(self, name: str) -> Node:
        if name not in self.values:
            raise self.error(f"{name} is not defined")
        return self.values[name]

    def type(self, text: str) -> TensorType:
        try:
            return parse_type(text)
        except ValueError as error:
            raise self.error(str(error)) from None

    def literal(self, text: str) -> Attr:
        tokens = _TOKEN.findall(text)
        value = self.literal_at(tokens)
        if tokens:
            raise self.error(f"cannot read the attribute {text!r}")
        return value

    def literal_at(self, tokens: list[str]) -> Attr:
        """Reads one literal off the front of `tokens`."""
        token = tokens.pop(0) if tokens else ""
        if token != "(":
            return self.atom(token)
        items: list[Attr] = []
        while tokens and tokens[0] != ")":
            items.append(self.literal_at(tokens))
            if tokens and tokens[0] == ",":
                tokens.pop(0)
        if not tokens:
            raise self.error("a tuple is not closed")
        tokens.pop(0)
        return tuple(items)

    def atom(self, token: str) -> Attr:
        if token.startswith("@"):
            if token[1:] not in self.bodies.graphs | self.bodies.texts:
                raise self.error(f"there is no body {token!r}, or it is part of itself")
            return self.bodies.get(token[1:])
        if token in ("true", "false"):
            return token == "true"
        if token in DTYPES:
            return DTYPES[token]
        if token.startswith('"'):
            return str(json.loads(token))
        if _INTEGER.fullmatch(token):
            return int(token)
        try:
            return float(token)
        except ValueError:
            raise self.error(f"cannot read the attribute value {token!r}") from None


# Comparing


def equal(a: Graph, b: Graph) -> bool:
    """Whether both compute the same by the same nodes in the same order; names may differ."""
    return a.donated == b.donated and _structure(a) == _structure(b)


def _structure(graph: Graph) -> list[object]:
    nodes = graph.nodes()
    index = {node: i for i, node in enumerate(nodes)}
    rows: list[object] = [(len(graph.inputs), [index[n] for n in graph.outputs])]
    for node in nodes:
        attrs = {} if node.op == "input" else {k: attr_key(v) for k, v in node.attrs.items()}
        rows.append((node.op, node.type, [index[i] for i in node.inputs], attrs))
    return rows
