"""The passes, in the order in which they run. A pass is a function from graph to graph.

Common subexpressions and dead nodes need none: builders intern, and `Graph.nodes` lists what an
output needs.
"""

from __future__ import annotations

from collections.abc import Callable

from tracejit.ir import config
from tracejit.ir.graph import Graph
from tracejit.ir.log import Stopwatch, log
from tracejit.ir.loops import each_body
from tracejit.ir.passes.collect import collect
from tracejit.ir.passes.hoist import hoist
from tracejit.ir.passes.merge import merge
from tracejit.ir.passes.narrow import narrow
from tracejit.ir.passes.simplify import simplify
from tracejit.ir.passes.sink import sink
from tracejit.ir.passes.trim import trim
from tracejit.ir.verify import verify

Pass = Callable[[Graph], Graph]


def inner(graph: Graph) -> Graph:
    """The graph with its bodies optimized."""
    return each_body(graph, optimize)


PIPELINE: tuple[Pass, ...] = (
    # First, so that all later stages see one form of each expression and no node without effect.
    simplify,
    # Derivatives leave scans that do the same twice, and results that nobody asked for: before
    # anything is done with bodies.
    merge,
    trim,
    # Bodies are graphs, for which all of this holds.
    inner,
    # Before what they move out is looked at below.
    hoist,
    sink,
    # Again: for what was moved out of bodies.
    trim,
    # Unrolled loops leave one product per step for the gradient of a weight.
    collect,
    # Before fusion, which stores all of a padded or convolved value: what is cut off is left out.
    narrow,
    # Again: a pad of nothing and a slice of everything are no operations.
    simplify,
)


def optimize(graph: Graph) -> Graph:
    """The graph after all passes, verified between them where the setting `verify` is on."""
    check = verify if config.get("verify") else _trust
    check(graph)
    made: dict[Pass, Graph] = {}
    for step in PIPELINE:
        if made.get(step) is graph:
            continue  # nothing has changed since it ran
        watch, before = Stopwatch(), graph
        graph = made[step] = check(step(graph))
        if config.logging("passes"):
            name = getattr(step, "__name__", str(step))
            sizes = f"{len(before.nodes())} -> {len(graph.nodes())} nodes"
            log("passes", f"{graph.name}: {name}: {sizes}, {watch.lap(name) * 1e3:.1f} ms")
    return graph


def _trust(graph: Graph) -> Graph:
    return graph
