"""Bodies of control flow made from nests: what a body read of the graph around becomes an input."""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir.graph import Graph, Nested, Node


def captured_by(nests: Sequence[Nested]) -> list[Node]:
    """What any of several bodies read of the graph around them, each once."""
    return list(dict.fromkeys(node for nest in nests for node in nest.captured))


def closed(
    name: str,
    nest: Nested,
    inputs: Sequence[Node],
    outputs: Sequence[Node],
    at: int = 0,
    captured: Sequence[Node] | None = None,
) -> Graph:
    """The body that was built in `nest`, which takes what it captured before its input `at`.

    captured: more than it read itself, so that all branches take the same operands.
    """
    read = nest.captured if captured is None else captured
    more = [nest.captured.get(n) or nest.input("unused", n.type) for n in read]
    return Graph(name, (*inputs[:at], *more, *inputs[at:]), tuple(outputs))
