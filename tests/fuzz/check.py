"""Compares a backend with the interpreter, and shrinks the graphs on which they differ.

Exact values must agree bit for bit (nan with nan, 0.0 with -0.0). For the others the allowance is
measured, not guessed: the graph is evaluated some times with every rounding disturbed by a random
part of what a backend may do, and each output element may be off by a multiple of the spread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from tests.fuzz.choices import is_inexact
from tests.fuzz.inputs import random_inputs
from tests.fuzz.tables import SUMS
from tracejit.ir.copying import rebuild
from tracejit.ir.graph import Array, Builder, Graph, Node
from tracejit.ir.interpreter import evaluate
from tracejit.ir.order import topological
from tracejit.ir.types import BF16, F16, F32, F64, is_float

Backend = Callable[[Graph, Sequence[Array]], list[Array]]

DISTURBED_RUNS = 6
# Before a fault is reported: where only the sign of a rounding error shows, few runs may agree.
CONFIRMING_RUNS = 60
ULPS = 8.0  # the size of a disturbance; more than a backend's own error of 2.5 and the oracle's 4
SPREAD = 16.0  # a result may be this many spreads away
SIGN_OF_ZERO_FREE = SUMS | {
    *("maximum", "minimum", "reduce_max", "reduce_min", "reduce_prod", "window_max")
}
EPSILON = {F64: 2.0**-52, F32: 2.0**-23, F16: 2.0**-10, BF16: 2.0**-7}
LARGEST = {F64: 1.79e308, F32: 3.4e38, F16: 65504.0, BF16: 3.38e38}
TINY = {F64: 2.0**-1074, F32: 2.0**-149, F16: 2.0**-24, BF16: 2.0**-133}


@dataclass(frozen=True)
class Reference:
    """One output: its value, and how far each element may be from it (nan: anything goes)."""

    value: Array
    allowed: Array


def references(
    graph: Graph, arrays: Sequence[Array], count: int = DISTURBED_RUNS
) -> list[Reference]:
    """The interpreter's outputs with an allowance for each element, from `count` runs."""
    base = evaluate(graph, arrays)
    rng = np.random.default_rng(0)
    runs = [_disturbed(graph, arrays, rng) for _ in range(count)]
    found = []
    known = _inexact_nodes(graph)
    for n, (node, value) in enumerate(zip(graph.outputs, base, strict=True)):
        if not is_float(node.dtype):
            moved = np.zeros(value.shape, bool)
            for run in runs:
                moved |= run[n] != value
            found.append(Reference(value, np.where(moved, np.nan, 0.0)))
            continue
        wide = value.astype(F64)
        with np.errstate(all="ignore"):
            spreads = [_distance(run[n].astype(F64), wide) for run in runs]
            allowed = SPREAD * np.max(spreads, axis=0)
            if known[node]:
                allowed = allowed + ULPS * EPSILON[node.dtype] * np.abs(wide) + 2 * TINY[node.dtype]
            allowed = np.where(np.isfinite(wide) | (allowed == 0), allowed, np.nan)
            # An infinity that no disturbance moves must be met; a spread of inf allows anything.
            steady = ~np.isfinite(wide) & (np.max(spreads, axis=0) == 0)
            allowed = np.where(steady, 0.0, np.where(np.isfinite(allowed), allowed, np.nan))
        found.append(Reference(value, allowed))
    return found


def _inexact_nodes(graph: Graph) -> dict[Node, bool]:
    known: dict[Node, bool] = {}
    for node in graph.nodes():
        known[node] = is_inexact(node, known)
    return known


def _distance(a: Array, b: Array) -> Array:
    """|a - b|, 0 for equals, infinities and nans among them; nan against a number: inf."""
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    apart = np.abs(np.subtract(a, b, dtype=F64))
    return np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))


def _disturbed(graph: Graph, arrays: Sequence[Array], rng: np.random.Generator) -> list[Array]:
    """The outputs of one run in which everything inexact is off by some ulps of its own.

    Where the order of a sum decides between numbers, infinities and nan, it is any of them.
    """
    known = _inexact_nodes(graph)
    values: dict[Node, Array] = dict(zip(graph.inputs, arrays, strict=True))
    for node in graph.nodes():
        if node in values:
            continue
        operands = [values[i] for i in node.inputs]
        value = _evaluated(node, operands, rng)
        if is_float(node.dtype):
            if known[node]:
                value = _shaken(node, value, operands, rng)
                unknown = rng.choice((np.nan, 0.0, np.inf, -np.inf), value.shape)
                value = np.where(_order_matters(node, operands), unknown, value).astype(node.dtype)
            if node.op in SIGN_OF_ZERO_FREE:
                value = np.where((value == 0) & (rng.random(value.shape) < 0.5), -value, value)
        values[node] = value
    return [values[node] for node in graph.outputs]


def _evaluated(node: Node, operands: list[Array], rng: np.random.Generator) -> Array:
    """Products with the padding of a conv, nan where the other factor is infinite, are free."""
    if node.op not in ("conv", "conv_weight_grad") or rng.random() < 0.5:
        return node.prim.eval(*operands, **node.attrs)
    x, other = operands
    space = zip(node.ints("low"), node.ints("high"), strict=True)
    none = (0,) * (x.ndim - 3)
    padded = np.pad(x, ((0, 0), *space, (0, 0), (0, 0)))
    return node.prim.eval(padded, other, **{**node.attrs, "low": none, "high": none})


MOVES = frozenset(
    {"broadcast", "reshape", "transpose", "slice", "reverse", "pad", "concatenate", "gather_rows"}
    | {"mark", "contiguous", "stop_gradient", "select", "neg", "abs", "maximum", "minimum"}
    | {"reduce_max", "reduce_min", "window_max"}
)


def _shaken(node: Node, value: Array, operands: list[Array], rng: np.random.Generator) -> Array:
    if node.op in MOVES:
        return value
    unit = ULPS * EPSILON[node.dtype]
    with np.errstate(all="ignore"):
        size = np.abs(value.astype(F64))
        if node.op in SUMS:
            # The error of a sum is relative to the sum of the magnitudes.
            sizes = [np.abs(x) if is_float(x.dtype) else x for x in operands]
            size = node.prim.eval(*sizes, **node.attrs).astype(F64)
            unit = max(unit, 2 * EPSILON[node.dtype] * terms(node) ** 0.5)
        elif node.op == "reduce_prod":
            unit = max(unit, EPSILON[node.dtype] * terms(node))
        off = rng.uniform(-1, 1, value.shape)
        moved = value.astype(F64) + off * (unit * size + 4 * TINY[node.dtype])
        return np.where(np.isfinite(value), moved, value).astype(node.dtype)


def _order_matters(node: Node, operands: list[Array]) -> Array:
    """Where some order of a sum or product leaves the range of the dtype: then anything goes."""
    sizes = [np.abs(x).astype(F64) if is_float(x.dtype) else x for x in operands]
    with np.errstate(all="ignore"):
        if node.op == "reduce_prod":
            x = sizes[0]
            large = node.prim.eval(np.maximum(x, 1), **node.attrs)
            small = node.prim.eval(np.where(x > 0, np.minimum(x, 1), 1), **node.attrs)
            return (large > LARGEST[node.dtype]) | (small < 2**11 * TINY[node.dtype])
        if node.op in SUMS:
            finite = [np.where(np.isfinite(x), x, 0) if x.dtype == F64 else x for x in sizes]
            return np.asarray(node.prim.eval(*finite, **node.attrs) > LARGEST[node.dtype])
    return np.asarray(False)


def terms(node: Node) -> int:
    """How many terms each element of a sum has, at most."""
    x = node.inputs[0]
    if node.op == "dot_general":
        contract = node.attrs["contract"]
        assert isinstance(contract, tuple) and isinstance(contract[0], tuple)
        return prod(x.shape[d] for d in contract[0] if isinstance(d, int))
    if node.op == "conv":
        return prod(node.inputs[1].shape[:-3]) * x.shape[-1]
    if node.op == "conv_weight_grad":
        return prod(node.inputs[1].shape[:-2])
    if node.op in ("window_sum", "window_max"):
        return prod(node.ints("window"))
    if node.op in ("reduce_sum", "reduce_prod"):
        return prod(x.shape[d] for d in node.ints("axes"))
    return max(operand.type.size for operand in node.inputs)


@dataclass(frozen=True)
class Mismatch:
    """What a backend got wrong on a graph, or the exception that it raised."""

    graph: Graph
    seed: int
    backend: str
    message: str

    def __str__(self) -> str:
        return (
            f"{self.backend}: {self.message}\n"
            f"reproduce with:\n\n"
            f"from tests.fuzz.backends import replay\n\n"
            f'print(replay("{self.backend}", {self.seed}, """\n{self.graph}"""))\n'
        )


def compare(graph: Graph, seed: int, name: str, backend: Backend) -> Mismatch | None:
    """The first output on which `backend` is wrong, on the random inputs of `seed`."""
    arrays = random_inputs(graph, seed)
    try:
        got = backend(graph, [a.copy() for a in arrays])
    except Exception as error:
        return Mismatch(graph, seed, name, f"{type(error).__name__}: {error}")
    fault = compare_outputs(graph, arrays, got)
    return None if fault is None else Mismatch(graph, seed, name, fault)


def compare_outputs(graph: Graph, arrays: Sequence[Array], got: Sequence[Array]) -> str | None:
    """What is wrong with the first output that is not within its allowance."""
    fault = None
    for count in (DISTURBED_RUNS, CONFIRMING_RUNS):
        found = (_fault(*pair) for pair in zip(references(graph, arrays, count), got, strict=True))
        fault = next((f"output {n}: {wrong}" for n, wrong in enumerate(found) if wrong), None)
        if fault is None:
            return None
    return fault


def _fault(reference: Reference, got: Array) -> str | None:
    want = reference.value
    if got.dtype != want.dtype or got.shape != want.shape:
        return f"{got.dtype}{list(got.shape)} instead of {want.dtype}{list(want.shape)}"
    if is_float(want.dtype):
        with np.errstate(all="ignore"):
            off = _distance(got.astype(F64), want.astype(F64))
            wrong = off > reference.allowed
    else:
        wrong = (got != want) & ~np.isnan(reference.allowed)
    if not wrong.any():
        return None
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    count = int(wrong.sum())
    return (
        f"{count} of {want.size} elements differ, the first at {at}: "
        f"{got[at]} instead of {want[at]} +- {reference.allowed[at]:.3g}"
    )


# Shrinking


def shrink(found: Mismatch, backend: Backend, attempts: int = 200) -> Mismatch:
    """A smaller graph with a fault: fewer outputs, then cut above and below the fault."""
    for _ in range(attempts):
        smaller = _first_failing(found, backend)
        if smaller is None:
            return found
        found = smaller
    return found


def _first_failing(found: Mismatch, backend: Backend) -> Mismatch | None:
    for graph in _smaller(found.graph):
        fault = compare(graph, found.seed, found.backend, backend)
        if fault is not None and _kind(fault) == _kind(found):
            return fault
    return None


def _kind(fault: Mismatch) -> str:
    """Faults of one kind: wrong values, or the same exception."""
    head = fault.message.split(":")[0]
    return "wrong" if head.startswith("output") else head


def _smaller(graph: Graph) -> list[Graph]:
    """Graphs with strictly fewer outputs, donations, nodes or operands, the smallest first."""
    inner = [n for n in graph.nodes() if n not in graph.inputs]
    result: list[Graph] = []
    if len(graph.outputs) > 1:
        result += [_of_outputs(graph, [node]) for node in dict.fromkeys(graph.outputs)]
    elif inner:
        result += [_of_outputs(graph, [node]) for node in inner if node is not graph.outputs[0]]
    if any(d is not None for d in graph.donated):
        result.append(Graph(graph.name, graph.inputs, graph.outputs))
    result += [_cut(graph, node) for node in reversed(inner) if _may_cut(graph, node)]
    if len(graph.outputs) > 2:
        for n in range(len(graph.outputs)):
            keep = [i for i in range(len(graph.outputs)) if i != n]
            outputs = tuple(graph.outputs[i] for i in keep)
            donated = tuple(graph.donated[i] for i in keep)
            result.append(_used(Graph(graph.name, graph.inputs, outputs, donated)))
    unused = _used(graph)
    if len(unused.inputs) < len(graph.inputs):
        result.insert(0, unused)
    return result


def _of_outputs(graph: Graph, outputs: list[Node]) -> Graph:
    return _used(Graph(graph.name, graph.inputs, tuple(outputs)))


def _used(graph: Graph) -> Graph:
    """Without the inputs that nothing reads and no output takes over."""
    needed = set(topological(graph.outputs))
    kept = [i for i, n in enumerate(graph.inputs) if n in needed or i in graph.donated]
    donated = tuple(None if d is None else kept.index(d) for d in graph.donated)
    return Graph(graph.name, tuple(graph.inputs[i] for i in kept), graph.outputs, donated)


def _may_cut(graph: Graph, node: Node) -> bool:
    """Whether `node` may become an input: not an output, nor what keeps a cast in range."""
    if node in graph.outputs or node.op == "full":
        return False
    users = [n for n in graph.nodes() if node in n.inputs]
    return not any(n.op == "cast" and not is_float(n.dtype) and is_float(node.dtype) for n in users)


def _cut(graph: Graph, node: Node) -> Graph:
    """The same graph, in which `node` is one more input."""
    extra: list[Node] = []

    def keep(builder: Builder, old: Node, inputs: tuple[Node, ...]) -> Node:
        if old is node:
            extra.append(builder.input(f"x{len(graph.inputs)}", old.type))
            return extra[0]
        return builder.emit(old.prim, *inputs, **old.attrs)

    new = rebuild(graph, keep)
    return _used(Graph(new.name, (*new.inputs, *extra), new.outputs, new.donated))
