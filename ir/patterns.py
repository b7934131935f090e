"""Patterns of nodes, and rewrite rules `lhs => rhs` over them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from tracejit.ir.graph import PRIMITIVES, Builder, Node, Scalar, attr_key
from tracejit.ir.types import DType, TensorType


class Pattern:
    """An expression over pattern variables. As a left side it matches, as a right side it builds.

    A number stands for a `full` of exactly that value: 0.0 does not match -0.0.
    """

    __slots__ = ()

    def __add__(self, other: Pattern | Scalar) -> Apply:
        return op("add", self, other)

    def __sub__(self, other: Pattern | Scalar) -> Apply:
        return op("sub", self, other)

    def __mul__(self, other: Pattern | Scalar) -> Apply:
        return op("mul", self, other)

    def __truediv__(self, other: Pattern | Scalar) -> Apply:
        return op("div", self, other)

    def __neg__(self) -> Apply:
        return op("neg", self)


@dataclass(frozen=True, slots=True)
class Var(Pattern):
    """Whatever node (of `dtype`, where given); the same node at every occurrence."""

    name: str
    dtype: DType | None = None


@dataclass(frozen=True, slots=True)
class Const(Pattern):
    """A `full` node of whatever value."""

    name: str


@dataclass(frozen=True, slots=True)
class Number(Pattern):
    value: Scalar


@dataclass(frozen=True, slots=True)
class Apply(Pattern):
    """The primitive `op` with any attributes; `Match.inner` holds the matched nodes below the root.

    A right side may apply ops without attributes only.
    """

    op: str
    operands: tuple[Pattern, ...]


def op(name: str, *operands: Pattern | Scalar) -> Apply:
    return Apply(name, tuple(p if isinstance(p, Pattern) else Number(p) for p in operands))


@dataclass(slots=True)
class Match:
    """What a left side matched: the root, the variables, and the applied nodes below the root."""

    root: Node
    bound: dict[str, Node] = field(default_factory=dict)
    below: list[Node] = field(default_factory=list)

    def __getitem__(self, name: str) -> Node:
        return self.bound[name]

    @property
    def inner(self) -> Node:
        """The first applied node below the root."""
        return self.below[0]


Rewrite = Callable[[Match], Node]
Condition = Callable[[Match], bool]


def always(match: Match) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Rule:
    """Where `lhs` matches and `when` holds, `rhs` has the same value, bit for bit.

    All nans count as one value. `rhs` is an expression too, or a function of the match where it
    takes attributes; of the nodes that such a function makes, only the last may be new.
    """

    name: str
    lhs: Apply
    rhs: Pattern | Rewrite
    when: Condition = always
    below: tuple[str | None, ...] = field(init=False, repr=False)  # the ops that lhs asks for

    def __post_init__(self) -> None:
        object.__setattr__(self, "below", tuple(map(_required, self.lhs.operands)))

    def match(self, root: Node) -> Match | None:
        for required, operand in zip(self.below, root.inputs, strict=False):
            if required is not None and operand.prim.name != required:
                return None
        found = Match(root)
        return found if _matches(self.lhs, root, found) and self.when(found) else None


def _required(pattern: Pattern) -> str | None:
    """The op of every node that a pattern matches, None if there are several."""
    match pattern:
        case Apply(op):
            return op
        case Const() | Number():
            return "full"
    return None


def _matches(pattern: Pattern, node: Node, match: Match) -> bool:
    match pattern:
        case Var(name, dtype):
            fits = dtype is None or node.dtype == dtype
            return fits and match.bound.setdefault(name, node) is node
        case Const(name):
            return node.scalar() is not None and match.bound.setdefault(name, node) is node
        case Number(value):
            return _is_number(node, value)
        case Apply(op, operands):
            if node.op != op or len(node.inputs) != len(operands):
                return False
            if node is not match.root:
                match.below.append(node)
            pairs = zip(operands, node.inputs, strict=True)
            return all(_matches(p, operand, match) for p, operand in pairs)
    raise AssertionError(pattern)


def _is_number(node: Node, value: Scalar) -> bool:
    """Whether `node` is the constant that `value` becomes in its dtype."""
    own = node.scalar()
    if own is None:
        return False
    return attr_key(own) == _key_in(node.dtype, attr_key(value), value)


@cache
def _key_in(dtype: DType, key: object, value: Scalar) -> object:
    """The key of what `value` becomes in a dtype; its own key tells 0.0 from -0.0."""
    wanted = Builder().full(value, TensorType((), dtype)).scalar()
    assert wanted is not None
    return attr_key(wanted)


def build(pattern: Pattern, match: Match, finish: Callable[[Node], Node]) -> Node:
    """The nodes of a right side, each passed through `finish`. Numbers get the root's type."""
    match pattern:
        case Var(name) | Const(name):
            return match.bound[name]
        case Number(value):
            return match.root.builder.full(value, match.root.type)
        case Apply(op, operands):
            inputs = (build(p, match, finish) for p in operands)
            return finish(match.root.builder.emit(PRIMITIVES[op], *inputs))
    raise AssertionError(pattern)
