"""A trace: the graph being built, the arrays it has captured, and the Variables it met.

One trace at most is current in a thread (or task). Under `jit` its tracers have types only; in a
define-by-run trace (`EagerTrace`) every node also has its value at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

import tracejit.ir.primitives  # noqa: F401  (fills the table of primitives)
from tracejit.concrete import concretization_error
from tracejit.errors import EscapedTracerError, UnsupportedError
from tracejit.ir import config
from tracejit.ir.graph import Array, Builder, Nested, Node
from tracejit.ir.interpreter import EagerBuilder, OnValue
from tracejit.ir.types import BOOL, DTYPES, F64, I64, DType, DTypeError, TensorType, type_of
from tracejit.source import here, user_frame, user_loc

if TYPE_CHECKING:
    from tracejit.tracer import Tracer
    from tracejit.variable import Variable

# A Python number is traced at Python's own precision and takes the dtype of what it meets (NEP 50).
WEAK_DTYPES: dict[type, DType] = {bool: BOOL, int: I64, float: F64}

_current: ContextVar[Trace | None] = ContextVar("tracejit_trace", default=None)
current_trace = _current.get


def default_float() -> DType:
    """The dtype of a Python float that met no array."""
    return DTYPES[config.text("default_float")]


class Cell:
    """What one trace knows of a Variable: the input it was read as, and its present content."""

    __slots__ = ("assigned", "now", "read")

    def __init__(self, read: Tracer) -> None:
        self.read = read
        self.now = read
        self.assigned = False


class Trace:
    """Builds one graph. `captured[i]` is the array or Variable behind the i-th captured input."""

    eager = False

    def __init__(self, name: str, builder: Builder | None = None) -> None:
        self.name = name
        self.builder = builder or Builder()
        self.live = True
        self.mapped = False  # whether a vmap ran: only then can an element of one have escaped
        self.inputs: list[Node] = []
        self.captured: list[Array | Variable] = []
        self.captured_nodes: list[Node] = []
        self.cells: dict[Variable, Cell] = {}
        self._arrays: dict[int, Tracer] = {}
        self._names: set[str] = set()
        self.builder.nested = self._nested

    @contextmanager
    def _nested(self) -> Iterator[Nested]:
        """Where rules build a body: a trace too, for the rules that users write."""
        from tracejit.body import BodyTrace

        body = BodyTrace(f"body in {self.name}", self)
        with body.active():
            yield Nested(body.builder, body.around)

    @contextmanager
    def active(self) -> Iterator[Trace]:
        """Makes this the current trace; its tracers are dead after the block."""
        token = _current.set(self)
        self.live = True
        try:
            yield self
        finally:
            _current.reset(token)
            self.live = False

    def wrap(self, node: Node, weak: bool = False) -> Tracer:
        from tracejit.tracer import Tracer

        return Tracer(node, self, weak)

    def argument(self, name: str, type: TensorType, weak: bool = False) -> Tracer:
        """A new input of the graph, in the order of the calls."""
        node = self.builder.input(self._unique(name), type)
        self.inputs.append(node)
        return self.wrap(node, weak)

    def _unique(self, name: str) -> str:
        """The name, with a number behind it where another input has it."""
        unique, attempt = name, 1
        while unique in self._names:
            unique, attempt = f"{name}_{attempt}", attempt + 1
        self._names.add(unique)
        return unique

    def number(self, value: bool | int | float) -> Tracer:
        """A Python number as a weak constant."""
        kind = type(value)
        node = self.builder.full(value, TensorType((), WEAK_DTYPES[kind]))
        return self.wrap(node, weak=kind is not bool)

    def check(self, tracer: Tracer) -> Tracer:
        """The tracer itself; raises EscapedTracerError if another trace made it."""
        if tracer.home is not self:
            raise escaped(tracer)
        return tracer

    def lift(self, value: Any) -> Tracer:
        """Any operand as a tracer of this trace; raises UnsupportedError for what is no array."""
        from tracejit.tracer import Tracer
        from tracejit.variable import Variable

        kind = type(value)
        if kind is Tracer:
            return self.check(value)
        if kind in WEAK_DTYPES:
            return self.number(value)
        if isinstance(value, np.generic):
            return self._numpy_scalar(value)
        if isinstance(value, Variable):
            return self.read(value)
        if isinstance(value, np.ndarray):
            return self.capture(value)
        if isinstance(value, list | tuple):
            return self._sequence(value)
        return self.capture(foreign_array(value))

    def array(self, value: Any) -> Tracer:
        """`lift`, with a Python number as an array of the default dtype."""
        tracer = self.lift(value)
        if not tracer.weak:
            return tracer
        return self.wrap(strengthen(tracer))

    def _numpy_scalar(self, value: np.generic) -> Tracer:
        tensor = type_of(np.asarray(value))
        return self.wrap(self.builder.full(value.item(), tensor))

    def _sequence(self, values: list[Any] | tuple[Any, ...]) -> Tracer:
        """A list as NumPy reads it; one that holds tracers is stacked."""
        from tracejit.movement import stack
        from tracejit.tracer import Tracer
        from tracejit.variable import Variable

        def holds_traced(value: Any) -> bool:
            if isinstance(value, list | tuple):
                return any(holds_traced(v) for v in value)
            return isinstance(value, Tracer | Variable)

        if holds_traced(values):
            return stack([self.array(v) for v in values])
        return self.capture(np.asarray(values))

    def capture(self, array: Array) -> Tracer:
        """An array met during the trace: an input by reference, the same one every time."""
        known = self._arrays.get(id(array))
        if known is None:
            known = self._captured_input(array, _name_of(array, len(self.captured)))
            self._arrays[id(array)] = known
        return known

    def _captured_input(self, array: Array, name: str) -> Tracer:
        node = self.builder.input(self._unique(name), _captured_type(array))
        self.captured.append(array)
        self.captured_nodes.append(node)
        return self.wrap(node)

    def read(self, variable: Variable) -> Tracer:
        """What the Variable holds at this point of the trace."""
        return self.cell(variable).now

    def cell(self, variable: Variable) -> Cell:
        cell = self.cells.get(variable)
        if cell is None:
            node = self.builder.input(self._unique(variable.name), variable.type)
            self.captured.append(variable)
            self.captured_nodes.append(node)
            cell = self.cells[variable] = Cell(self.wrap(node))
        return cell

    def assign(self, variable: Variable, value: Any) -> None:
        """From here on the trace reads `value` from the Variable; it is written back at the end."""
        from tracejit.lowering import broadcast_to, cast

        self.builder.loc = user_loc()
        node = cast(self.lift(value).node, variable.dtype)
        self.put(variable, self.wrap(broadcast_to(node, variable.shape)))

    def put(self, variable: Variable, value: Tracer) -> None:
        """`assign`, of a value that has the Variable's type."""
        cell = self.cell(variable)
        cell.now = value
        cell.assigned = True


class EagerTrace(Trace):
    """Define by run: every node has its value as soon as it is made."""

    eager = True
    builder: EagerBuilder

    def __init__(self, name: str, on_value: OnValue | None = None) -> None:
        super().__init__(name, EagerBuilder(on_value))

    def value(self, tracer: Tracer) -> Array:
        """The value; of a Python float that met no array, in the default dtype.

        Raises ConcretizationError for what stands for an element of a vmap.
        """
        if tracer.node not in self.builder.values:
            raise concretization_error(tracer.node, "value", "under vmap")
        return np.asarray(self.builder.values[tracer.node])

    def result(self, tracer: Tracer) -> Array:
        """`value` as the user gets it back: own memory, weak floats in the default dtype."""
        value = self.value(tracer)
        return np.array(value.astype(default_float()) if is_weak_float(tracer) else value)

    def known(self, name: str, value: Array, weak: bool = False) -> Tracer:
        """An input whose value is given."""
        return self.wrap(self.builder.input(name, type_of(value), value), weak)

    def capture(self, array: Array) -> Tracer:
        # A copy each time: the user may change the array before the backward sweep reads it.
        tensor = _captured_type(array)
        value = np.array(array, dtype=tensor.dtype)
        return self.wrap(self.builder.input("captured", tensor, value))

    def cell(self, variable: Variable) -> Cell:
        cell = self.cells.get(variable)
        if cell is None:
            cell = Cell(self.known(variable.name, variable.numpy()))
            self.cells[variable] = cell
        return cell

    def write_back(self) -> None:
        """Stores what the trace assigned into the Variables."""
        for variable, cell in self.cells.items():
            if cell.assigned:
                variable.store(self.value(cell.now))


def is_weak_float(tracer: Tracer) -> bool:
    return tracer.weak and tracer.node.dtype.kind == "f"


def strengthen(tracer: Tracer) -> Node:
    """The node of a tracer, of a Python float in the default dtype."""
    from tracejit.lowering import cast

    return cast(tracer.node, default_float()) if is_weak_float(tracer) else tracer.node


def escaped(tracer: Tracer) -> EscapedTracerError:
    """The error for a tracer used outside its trace."""
    made = f", made at {tracer.node.loc}," if tracer.node.loc else ""
    return EscapedTracerError(
        f"{tracer.node.op}: {tracer.node.type}{made} escaped the trace of {tracer.home.name!r}"
        f" and is used outside it{here()}. Return the value from the function (with has_aux=True"
        " for grad) or keep it in a tj.Variable; do not store traced values in lists or attributes."
    )


def foreign_array(value: Any) -> Array:
    """An object with __dlpack__ or __array__ as an array, without a copy where it can."""
    if hasattr(value, "__dlpack__"):
        return np.asarray(np.from_dlpack(value))
    if hasattr(value, "__array__"):
        return np.asarray(value)
    raise UnsupportedError(
        f"{type(value).__name__} is not an array or a number{here()}; convert it with np.asarray"
    )


def _captured_type(array: Array) -> TensorType:
    try:
        return type_of(array)
    except DTypeError as error:
        raise DTypeError(f"captured array: {error}{here()}") from None


def _name_of(array: Array, position: int) -> str:
    """The user's name of a captured array, else `captured3`."""
    frame = user_frame()
    if frame is not None:
        for names in (frame.f_locals, frame.f_globals):
            for name, value in names.items():
                if value is array:
                    return name
    return f"captured{position}"
