"""The loop IR: what a fused group computes, as loops over flat buffers. Names no target.

    kernel = Kernel(name, kind, buffers, body)
    buffer = Buffer(name, dtype, size, role)         role: in | out | inout | part | scratch
    stmt   = For(loop, body)                         body for each value of the loop's axis
           | Fold(loops, body, accs)                 body, then acc = op(acc, args), over loops;
                                                     afterwards each acc is an ordinary value
           | Each(axis, body)                 in a tile of `axis`: body for each of its iterations
                                              that no earlier tile has done, one at a time
           | Load(name, dtype, buffer, index)        name = buffer[index]
           | Store(buffer, index, value)             buffer[index] = value
           | IndexValue(name, dtype, index)          name = index, as an integer
           | Let(name, dtype, op, args)              name = op(args), op elementwise
           | Call(callee, attrs, operands, results)  whole buffers, by a host function
           | Flow(op, operands, results, ...)     whole buffers, by programs: see the class
    loop   = Loop(axis, extent, parallel, tiles, lanes, within)
    within = Within(at, size)                        an iteration where `at` is elsewhere is none
    index  = Offset(affine, dynamic)                 affine in the axes, plus loaded rows
    arg    = a name | Const(value, dtype)

Every name is assigned once. A schedule changes only the order of perfectly nested loops and the
annotations of `Loop`: `tiles` cuts the extent into runs of `count` tiles of `width` iterations,
which are executed together (unrolled and jammed), `lanes` of them in one vector.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tracejit.ir.affine import Affine
from tracejit.ir.graph import Attr
from tracejit.ir.text import literal
from tracejit.ir.types import DType, TensorType, dtype_name

if TYPE_CHECKING:
    from tracejit.codegen.launches import Plan
    from tracejit.ir.fusion import Fused

Value = bool | int | float


@dataclass(frozen=True, slots=True)
class Const:
    value: Value
    dtype: DType

    def __str__(self) -> str:
        return f"{self.value!r}:{dtype_name(self.dtype)}"


Arg = str | Const


@dataclass(frozen=True, slots=True)
class Buffer:
    """A flat array of `size` elements.

    role: read, written as a whole, both, written in `part`, or `scratch`: of one thread, for as
    long as the kernel runs.
    """

    name: str
    dtype: DType
    size: int
    role: str

    def __str__(self) -> str:
        return f"{self.name}: {dtype_name(self.dtype)}[{self.size}] {self.role}"


@dataclass(frozen=True, slots=True)
class Offset:
    """A flat element offset: an affine part, plus value * stride for each integer value loaded."""

    affine: Affine
    dynamic: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        return " + ".join([str(self.affine), *(f"{s}*{v}" for v, s in self.dynamic)])


@dataclass(frozen=True, slots=True)
class Tile:
    """`count` tiles of `width` iterations each; the last one is moved back where it would reach
    over the end of the loop, and computes again what its neighbour did."""

    count: int
    width: int


# An extent, or a count of tiles, that the caller of a kernel's code tells it.
ANY = -1


@dataclass(frozen=True, slots=True)
class Within:
    """0 <= at < size. Bounds of a fold's loop: the iterations where it does not hold are left out.

    at: affine in the axis of the loop, with a positive coefficient, and in axes around the fold.
    """

    at: Affine
    size: int

    def __str__(self) -> str:
        return f"0 <= {self.at} < {self.size}"


@dataclass(frozen=True, slots=True)
class Loop:
    """An axis with its extent and schedule. No tiles: one iteration at a time."""

    axis: str
    extent: int
    parallel: bool = False
    tiles: tuple[Tile, ...] = ()
    lanes: int = 1
    within: Within | None = None

    def runs(self) -> tuple[Tile, ...]:
        return self.tiles or (Tile(self.extent, 1),)

    def steps(self) -> int:
        """How many tiles the axis has."""
        return sum(t.count for t in self.runs())

    def __str__(self) -> str:
        text = f"{'parallel ' if self.parallel else ''}{self.axis} in "
        if self.extent == ANY:
            return f"{text}any tiles of {self.tiles[0].width} lanes {self.lanes}"
        text += f"{self.extent}"
        if self.tiles:
            text += " tiles " + " + ".join(f"{t.count}x{t.width}" for t in self.tiles)
        text += f" lanes {self.lanes}" if self.lanes > 1 else ""
        return text + (f" where {self.within}" if self.within else "")


@dataclass(frozen=True, slots=True)
class Let:
    name: str
    dtype: DType
    op: str
    args: tuple[Arg, ...]
    loc: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.name}: {dtype_name(self.dtype)} = {self.op} {', '.join(map(str, self.args))}"


@dataclass(frozen=True, slots=True)
class IndexValue:
    name: str
    dtype: DType
    index: Affine
    loc: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.name}: {dtype_name(self.dtype)} = index {self.index}"


@dataclass(frozen=True, slots=True)
class Load:
    name: str
    dtype: DType
    buffer: str
    index: Offset
    loc: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.name}: {dtype_name(self.dtype)} = load {self.buffer}[{self.index}]"


@dataclass(frozen=True, slots=True)
class Store:
    buffer: str
    index: Offset
    value: Arg
    loc: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"store {self.buffer}[{self.index}] = {self.value}"


@dataclass(frozen=True, slots=True)
class Acc:
    """`name = op(name, args)` from op's identity; op: add mul max min and or, fma (+= a * b)."""

    name: str
    dtype: DType
    op: str
    args: tuple[Arg, ...]

    def __str__(self) -> str:
        args = ", ".join(map(str, self.args))
        return f"{self.name}: {dtype_name(self.dtype)} = {self.op}({args})"


@dataclass(frozen=True, slots=True)
class Fold:
    loops: tuple[Loop, ...]
    body: tuple[Stmt, ...]
    accs: tuple[Acc, ...]
    loc: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class For:
    loop: Loop
    body: tuple[Stmt, ...]


@dataclass(frozen=True, slots=True)
class Each:
    """What schedules put behind a fold whose tiles are many: the rest, once for each iteration.

    It keeps code short, and lets a tile that was moved back leave alone what its neighbour did.
    """

    axis: str
    body: tuple[Stmt, ...]


@dataclass(frozen=True, slots=True)
class View:
    """A whole buffer as an array."""

    buffer: str
    type: TensorType

    def __str__(self) -> str:
        return f"{self.buffer}: {self.type}"


@dataclass(frozen=True, slots=True)
class Call:
    """results = callee(operands, **attrs), run by Python. A result that nobody reads is None."""

    callee: str
    attrs: tuple[tuple[str, Attr], ...]
    operands: tuple[View, ...]
    results: tuple[View | None, ...]
    loc: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        results = ", ".join("_" if r is None else str(r) for r in self.results)
        attrs = "".join(f" {name}={literal(value)}" for name, value in self.attrs)
        return f"{results} = call {self.callee} {', '.join(map(str, self.operands))}{attrs}"


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """A scan, while_loop or cond: what a kernel of that kind does, and the programs that do it.

    operands, results: buffers, in the order of the node's. turns: of a scan; a guess for others.
    bodies: the body; condition and body; or the branches. plans: the same, in the same order.
    apart: no turn needs another, and threads take turns for themselves.
    """

    op: str
    operands: tuple[str, ...]
    results: tuple[str, ...]
    consts: int
    carries: int
    turns: int
    reverse: bool
    types: tuple[TensorType, ...]  # of the operands, then of the results
    bodies: tuple[Fused, ...]
    plans: tuple[Plan, ...] = ()
    apart: bool = False
    loc: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        names = ", ".join(f"@{body.graph.name}" for body in self.bodies)
        how = f" {self.turns} turns" if self.op == "scan" else ""
        how += " backwards" if self.reverse else ""
        given, found = ", ".join(self.operands), ", ".join(self.results)
        return f"{found} = {self.op} {names}{how} {given}"


Stmt = For | Fold | Each | Load | Store | IndexValue | Let | Call | Flow


@dataclass(frozen=True, slots=True)
class Kernel:
    """One fused group as loops. `kind` is that of the group: see `ir/fusion.py`."""

    name: str
    kind: str
    buffers: tuple[Buffer, ...]
    body: tuple[Stmt, ...]

    def __str__(self) -> str:
        return kernel_text(self)


def kernel_text(kernel: Kernel, *, locations: bool = True, name: str | None = None) -> str:
    """The text form. Without locations and under a fixed name it identifies the code."""
    head = ", ".join(map(str, kernel.buffers))
    lines = [f"kernel {name or kernel.name} {kernel.kind}({head}):"]
    shown: list[str | None] = [None]
    _block_text(kernel.body, "  ", lines, shown if locations else None)
    return "\n".join(lines)


def _block_text(
    body: Sequence[Stmt], indent: str, lines: list[str], shown: list[str | None] | None
) -> None:
    for stmt in body:
        loc = None if isinstance(stmt, For | Each) else stmt.loc
        if shown is not None and loc is not None and loc != shown[0]:
            lines.append(f"{indent}# {loc}")
            shown[0] = loc
        match stmt:
            case For(loop, inner):
                lines.append(f"{indent}for {loop}:")
                _block_text(inner, indent + "  ", lines, shown)
            case Each(axis, inner):
                lines.append(f"{indent}each {axis}:")
                _block_text(inner, indent + "  ", lines, shown)
            case Fold(loops, inner, accs):
                over = ", ".join(map(str, loops))
                lines.append(f"{indent}fold {over} -> {'; '.join(map(str, accs))}:")
                _block_text(inner, indent + "  ", lines, shown)
            case _:
                lines.append(f"{indent}{stmt}")


def walk(body: Sequence[Stmt]) -> Iterator[Stmt]:
    """Every statement, outer ones first, in program order."""
    for stmt in body:
        yield stmt
        if isinstance(stmt, For | Fold | Each):
            yield from walk(stmt.body)


def parallel_loops(body: tuple[Stmt, ...]) -> tuple[list[Loop], tuple[Stmt, ...]]:
    """The perfectly nested parallel loops that a block is, and what is inside them."""
    loops: list[Loop] = []
    while len(body) == 1 and isinstance(body[0], For) and body[0].loop.parallel:
        loops.append(body[0].loop)
        body = body[0].body
    return loops, body


def substituted(stmt: Stmt, values: Mapping[str, Affine]) -> Stmt:
    """A statement, no loop, with axes replaced by expressions in its index."""
    match stmt:
        case Load() | Store():
            return replace(
                stmt, index=Offset(stmt.index.affine.substitute(values), stmt.index.dynamic)
            )
        case IndexValue():
            return replace(stmt, index=stmt.index.substitute(values))
        case _:
            return stmt


def loops_of(body: Sequence[Stmt]) -> Iterator[Loop]:
    """Every loop, For and Fold alike, in program order."""
    for stmt in walk(body):
        if isinstance(stmt, For):
            yield stmt.loop
        elif isinstance(stmt, Fold):
            yield from stmt.loops
