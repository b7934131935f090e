"""The trace of a loop's body or of a branch: a graph of its own inside another trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tracejit.ir.graph import Array, Graph, Node
from tracejit.ir.types import TensorType
from tracejit.trace import Cell, Trace
from tracejit.tracer import Tracer
from tracejit.variable import Variable


class BodyTrace(Trace):
    """What it reads of the traces around it becomes an input.

    around: the node there -> its input here. Variables that are carried from turn to turn are
    known from the start; others are read as they are outside.
    """

    def __init__(self, name: str, parent: Trace) -> None:
        super().__init__(name)
        self.parent = parent
        self.around: dict[Node, Node] = {}

    def check(self, tracer: Tracer) -> Tracer:
        if tracer.home is self:
            return tracer
        return self._inside(self.parent.check(tracer))

    def _inside(self, outer: Tracer) -> Tracer:
        """A value of the trace around."""
        node, value = outer.node, outer.node.scalar()
        if value is not None:
            return self.wrap(self.builder.full(value, node.type), outer.weak)
        if node not in self.around:
            name = self._unique(f"around{len(self.around)}")
            self.around[node] = self.builder.input(name, node.type)
        return self.wrap(self.around[node], outer.weak)

    def capture(self, array: Array) -> Tracer:
        return self._inside(self.parent.capture(array))

    def cell(self, variable: Variable) -> Cell:
        cell = self.cells.get(variable)
        if cell is None:
            cell = self.cells[variable] = Cell(self._inside(self.parent.read(variable)))
        return cell

    def carried(self, variable: Variable) -> Node:
        """An input for a Variable whose content the body is given, rather than reads outside."""
        tracer = self.argument(variable.name, variable.type)
        self.cells[variable] = Cell(tracer)
        return tracer.node

    def assigned(self) -> list[Variable]:
        return [variable for variable, cell in self.cells.items() if cell.assigned]


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """A traced body. inputs: those of the carried Variables, then of the arguments.

    state: what the Variables hold at the end. results: what the function gave.
    """

    trace: BodyTrace
    inputs: list[Node]
    state: list[Node]
    results: list[Tracer]

    @property
    def around(self) -> list[Node]:
        return list(self.trace.around)

    def graph(self, outputs: Sequence[Node], around: Sequence[Node] | None = None) -> Graph:
        """The body with the consts `around`, its own unless given, before its inputs."""
        known, builder = self.trace.around, self.trace.builder
        first = [
            known[n] if n in known else builder.input(f"unused{k}", n.type)
            for k, n in enumerate(self.around if around is None else around)
        ]
        return Graph(self.trace.name, (*first, *self.inputs), tuple(outputs))


Argument = tuple[str, TensorType, bool]


def trace_body(
    parent: Trace,
    name: str,
    arguments: Sequence[Argument],
    call: Callable[[list[Tracer]], Sequence[Any]],
    variables: Sequence[Variable] = (),
) -> Body:
    """Runs `call` on tracers of these names, types and weakness, in a trace of its own."""
    body = BodyTrace(name, parent)
    with body.active():
        inputs = [body.carried(v) for v in variables]
        tracers = [body.argument(label, type, weak) for label, type, weak in arguments]
        results = [body.lift(value) for value in call(tracers)]
        state = [body.read(v).node for v in variables]
    parent.mapped |= body.mapped
    return Body(body, [*inputs, *(t.node for t in tracers)], state, results)
