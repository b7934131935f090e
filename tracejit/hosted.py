"""custom_op: a function of arrays that Python or Numba runs, as an operation of the graph."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.errors import (
    DTypeError,
    GradError,
    ShapeError,
    StaticArgumentError,
    UnsupportedError,
)
from tracejit.functions import live
from tracejit.ir import ops
from tracejit.ir.graph import Array, Node
from tracejit.ir.host.table import HOST, HostFunction
from tracejit.ir.lanes import Lanes
from tracejit.ir.types import TensorType, dtype_name, is_float, type_of
from tracejit.lowering import cast
from tracejit.source import here, user_loc
from tracejit.trace import Trace, current_trace, default_float
from tracejit.tracer import Tracer
from tracejit.transform import function_name
from tracejit.variable import Variable

Function = Callable[..., Any]
Batch = str | Function

_numbers = itertools.count(1)
_taken: set[str] = set()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class ShapeDtype:
    """What a result of a custom op looks like. Anything with a shape and a dtype does as well."""

    shape: tuple[int, ...]
    dtype: Any = np.float32


class CustomOp:
    """A function as an operation. Made by `custom_op`."""

    def __init__(self, f: Function, out: Any, vjp: Function | None, batch: Batch) -> None:
        if not (callable(batch) or batch in ("sequential", "broadcast_all")):
            raise ValueError(
                f"custom_op: batch={batch!r} is neither 'sequential', 'broadcast_all' nor a rule"
            )
        functools.update_wrapper(self, f)
        self.__wrapped__: Function = f
        self.name = f"custom.{_unique(function_name(f))}"
        self.out = out
        self.vjp = vjp
        self.batch = batch
        self.copies = not _reads_only(f)
        self._forms: dict[Any, _Form] = {}

    def defvjp(self, vjp: Function) -> Function:
        """Gives the derivative; as a decorator, or a call."""
        self.vjp = vjp
        return vjp

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **statics: Any) -> Any:
        leaves, spec = tree.flatten(args)
        key = (spec, tuple(sorted(statics.items())))
        with _lock:
            try:
                form = self._forms.get(key)
            except TypeError as error:
                raise StaticArgumentError(
                    f"{self.name}: keywords are static: {error}{here()}; pass arrays by position"
                ) from None
            if form is None:
                form = self._forms[key] = _Form(self, spec, statics, len(self._forms))
        trace = current_trace()
        if trace is None:
            return form.run([_plain(leaf) for leaf in leaves])
        trace.builder.loc = user_loc()
        return form.traced(trace, [trace.array(leaf) for leaf in leaves])


def custom_op(
    f: Function | None = None,
    *,
    out: Any = None,
    vjp: Function | None = None,
    batch: Batch = "sequential",
) -> Any:
    """f as an operation in traced code: compiled steps call it with NumPy arrays.

        @tj.custom_op(out=lambda x: tj.ShapeDtype(x.shape, np.float32))
        @numba.njit
        def smooth(x): ...

    f(*arrays, **statics): any function of arrays (in tuples, lists, dicts too), a `numba.njit` one
    too. It must be pure: it may be called once for equal calls, and not at all where nobody reads
    the result. Keywords are static: hashable, and part of the operation.
    out: what the results look like: `ShapeDtype`, or anything with shape and dtype, in the
    structure of the result; or a function of the arguments that gives that. None: like the first
    argument.
    vjp(cotangent, result, *args, **statics) -> a tuple with a cotangent, or None, per argument. It
    is traced. Also by `@op.defvjp`. Without one a gradient through the operation is an error.
    batch: what vmap does. "sequential": f for each element; "broadcast_all": f takes leading
    dimensions, and every argument has them; or a traced rule(size, batched, *args) -> results with
    the elements along axis 0, as have the arguments for which `batched` is True.
    A jitted step calls f on one thread, holding the interpreter lock unless f is of Numba's
    nogil=True; what it raises, the step raises.
    """
    if f is None:
        return lambda g: CustomOp(g, out, vjp, batch)
    return CustomOp(f, out, vjp, batch)


def _unique(name: str) -> str:
    """Names are looked up when code is bound, so no two operations have one."""
    plain = "".join(c if c.isalnum() or c in "._" else "_" for c in name)
    with _lock:
        unique = plain if plain not in _taken else f"{plain}.{next(_numbers)}"
        _taken.add(unique)
        return unique


def _reads_only(f: Function) -> bool:
    """Numba keeps no argument, and refuses code that changes a read-only one, where it compiles
    for it: that is, unless the user gave the signature."""
    return type(f).__module__.startswith("numba.") and bool(getattr(f, "_can_compile", False))


def _plain(leaf: Any) -> Array:
    """An argument outside a trace, as it would be inside."""
    if isinstance(leaf, Variable):
        return leaf.numpy()
    return np.asarray(leaf, default_float() if type(leaf) is float else None)


class _Form:
    """The operation for one structure of arguments and one set of statics: a host function."""

    def __init__(self, op: CustomOp, spec: tree.Spec, statics: dict[str, Any], number: int) -> None:
        self.op = op
        self.spec = spec
        self.statics = statics
        self.out_spec: tree.Spec | None = None
        self.name = f"{op.name}~{number}"
        self.flat = all(child.is_leaf() for child in spec.children())
        self.last: tuple[object, tuple[TensorType, ...]] = (None, ())
        self.registered: object = None
        self.register()

    def register(self) -> None:
        """Puts the rules that the operation has now into the table of host functions."""
        rules = (self.op.vjp is not None, self.op.batch != "sequential")
        if rules != self.registered:
            self.registered = rules
            HOST[self.name] = HostFunction(
                self.name,
                self.infer,
                self.evaluate,
                self.pulled_back if rules[0] else None,
                self.batched if rules[1] else None,
            )

    def args(self, leaves: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(tree.unflatten(self.spec, list(leaves)))

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        wanted = self.op.out
        if wanted is None:
            if not types:
                raise ShapeError(
                    f"{self.op.name}: out= says nothing of the result, nor an argument"
                )
            self.out_spec = tree.flatten(0)[1]
            return types[:1]
        if callable(wanted) and not hasattr(wanted, "shape"):
            wanted = wanted(*self.args(types), **self.statics)
        leaves, self.out_spec = tree.flatten(wanted)
        return tuple(self._type(leaf) for leaf in leaves)

    def _type(self, leaf: Any) -> TensorType:
        if not (hasattr(leaf, "shape") and hasattr(leaf, "dtype")):
            raise UnsupportedError(
                f"{self.op.name}: out= gives a {type(leaf).__name__};"
                " give tj.ShapeDtype(shape, dtype)"
            )
        dtype = np.dtype(leaf.dtype)
        dtype_name(dtype)
        return TensorType(tuple(int(n) for n in leaf.shape), dtype)

    def evaluate(self, *arrays: Array) -> tuple[Array, ...]:
        # A Python function may keep its arguments, or change them: it has its own.
        given = [a.copy() for a in arrays] if self.op.copies else arrays
        result = self.op.__wrapped__(*(given if self.flat else self.args(given)), **self.statics)
        wanted = self._wanted(arrays)
        alone = type(result) is np.ndarray and len(wanted) == 1
        if alone and (result.shape, result.dtype) == (wanted[0].shape, wanted[0].dtype):
            return (result,)
        leaves, spec = tree.flatten(result)
        if spec != self.out_spec:
            raise UnsupportedError(
                f"{self.op.name}: returned {spec}, but out= says {self.out_spec}"
            )
        return tuple(self._result(a, t) for a, t in zip(leaves, wanted, strict=True))

    def _wanted(self, arrays: Sequence[Array]) -> tuple[TensorType, ...]:
        """`infer`, asked anew only for other types than the last."""
        key = [(a.shape, a.dtype) for a in arrays]
        known, wanted = self.last
        if known != key:
            wanted = self.infer(*map(type_of, arrays))
            self.last = key, wanted
        return wanted

    def _result(self, value: Any, wanted: TensorType) -> Array:
        array = np.asarray(value)
        if array.shape != wanted.shape:
            raise ShapeError(
                f"{self.op.name}: returned shape {list(array.shape)}, but out= says {wanted}"
            )
        if array.dtype != wanted.dtype and not isinstance(value, bool | int | float):
            raise DTypeError(f"{self.op.name}: returned {array.dtype}, but out= says {wanted}")
        return array.astype(wanted.dtype, copy=False)

    def run(self, arrays: list[Array]) -> Any:
        """At once, outside a trace."""
        results = self.evaluate(*arrays)
        assert self.out_spec is not None
        return tree.unflatten(self.out_spec, list(results))

    def traced(self, trace: Trace, leaves: list[Tracer]) -> Any:
        self.register()
        nodes = [leaf.node for leaf in leaves]
        # An operation has operands.
        nodes = nodes or [trace.builder.full(0, TensorType((), np.dtype(np.int32)))]
        results = ops.host_call(self.name, *nodes)
        assert self.out_spec is not None
        return tree.unflatten(self.out_spec, [trace.wrap(n) for n in results])

    def pulled_back(
        self, g: Sequence[Node], y: Sequence[Node], *inputs: Node
    ) -> tuple[Node | None, ...]:
        assert self.op.vjp is not None and self.out_spec is not None
        wrap = live().wrap
        cotangent, result = (tree.unflatten(self.out_spec, list(map(wrap, n))) for n in (g, y))
        args = self.args(list(map(wrap, inputs)))
        given = self.op.vjp(cotangent, result, *args, **self.statics)
        parts = tuple(given) if isinstance(given, list | tuple) else (given,)
        if len(parts) != len(args):
            raise GradError(
                f"{self.op.name}: vjp returned {len(parts)} cotangents for {len(args)} arguments"
            )
        out: list[Node | None] = []
        for part, arg in zip(parts, args, strict=True):
            leaves, spec = tree.flatten(arg)
            values, own = tree.flatten(part) if part is not None else ([None] * len(leaves), spec)
            if own != spec:
                raise GradError(f"{self.op.name}: vjp returned {own} for an argument {spec}")
            out += [self._cotangent(v, leaf) for v, leaf in zip(values, leaves, strict=True)]
        return tuple(out)

    def _cotangent(self, value: Any, leaf: Tracer) -> Node | None:
        if value is None or not is_float(leaf.dtype):
            return None
        node = live().lift(value).node
        if node.shape != leaf.shape:
            raise GradError(
                f"{self.op.name}: vjp returned {node.type} as cotangent of {leaf.node.type}{here()}"
            )
        return cast(node, leaf.dtype)

    def batched(self, lanes: Lanes) -> tuple[Node, ...]:
        rule, trace = self.op.batch, live()
        if not callable(rule):
            found = ops.host_call(self.name, *lanes.every)
            if any(n.shape[:1] != (lanes.size,) for n in found):
                raise ShapeError(
                    f"{self.op.name}: batch='broadcast_all' needs an out= that follows the shapes"
                    f" of the arguments; of {lanes.size} elements it gives {found[0].type}"
                )
            return found
        given = self.args(list(map(trace.wrap, lanes.nodes)))
        has = self.args(lanes.batched)
        results = tree.leaves(rule(lanes.size, has, *given, **self.statics))
        return tuple(trace.lift(value).node for value in results)
