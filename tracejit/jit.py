"""`jit`: a function compiled once per structure, types and static values of its arguments."""

from __future__ import annotations

import functools
import importlib
import inspect
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit import debug, tree
from tracejit.arguments import (
    Argument,
    Parameters,
    argument,
    as_leaf,
    check_donation,
    leaf_key,
    plain,
    same_type,
)
from tracejit.callpath import MISS, CallPath
from tracejit.ir import config
from tracejit.ir.graph import Graph
from tracejit.ir.log import log
from tracejit.lowered import TARGETS, Lowered, Statics, on_trace, structured
from tracejit.staging import stage
from tracejit.trace import EagerTrace, current_trace
from tracejit.tracer import Tracer
from tracejit.transform import concrete, tracing


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """Compiled steps of one jitted function, and how its calls were served."""

    entries: int
    hits: int
    misses: int
    compile_seconds: float


class _Finished:
    """What the slow path gives to the native entry: a result that is already in its structure."""

    __slots__ = ("result",)

    def __init__(self, result: Any) -> None:
        self.result = result


class Jitted:
    """A function that runs compiled. Calls with new types or static values compile a new step."""

    def __init__(
        self,
        f: Callable[..., Any],
        static_argnames: Sequence[str],
        donate_argnames: Sequence[str],
        target: str,
    ) -> None:
        functools.update_wrapper(self, f)
        if target == "cpu":
            # Whoever decorates will call: the compiler is loaded here, not in the first call.
            importlib.import_module("tracejit.codegen.stages")
            importlib.import_module("tracejit.codegen.compile")
        if target not in TARGETS:
            raise ValueError(
                f"jit: target {target!r} is not there; targets: {', '.join(map(repr, TARGETS))}"
            )
        self.__wrapped__: Callable[..., Any] = f
        self.parameters = Parameters(f, static_argnames, donate_argnames)
        self.target = target
        self._name = getattr(f, "__name__", type(f).__name__)
        self._steps: dict[Any, Lowered] = {}
        self._bound: dict[int, tuple[weakref.ref[Any], Jitted]] = {}
        self._path: CallPath | None = None
        self._calls = 0
        self._misses = 0
        self._lock = threading.RLock()
        self._busy = threading.local()

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        if current_trace() is not None:
            return self.__wrapped__(*args, **keywords)
        if debug.eager_blocks and debug.eager():
            return self._run_eagerly(args, keywords)
        if keywords:
            args, keywords = self.parameters.positions(args, keywords)
        path = self._path
        if path is not None and not keywords:
            result = path(args)
            if result is not MISS:
                self._calls += 1
                return result
        return self._general(args, keywords)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method: each instance has steps of its own, as if it were captured by a closure."""
        if instance is None:
            return self
        known = self._bound.get(id(instance))
        if known is None or known[0]() is not instance:
            known = self._bound[id(instance)] = self._for_instance(instance)
        return known[1]

    def _for_instance(self, instance: Any) -> tuple[weakref.ref[Any], Jitted]:
        """The method of one instance, which it does not keep alive."""
        f, key = self.__wrapped__, id(instance)
        held = weakref.ref(instance, lambda _: self._bound.pop(key, None))

        def method(*args: Any, **keywords: Any) -> Any:
            return f(held(), *args, **keywords)

        functools.update_wrapper(method, f)
        first, *rest = inspect.signature(f).parameters.values()
        method.__signature__ = inspect.Signature(rest)  # type: ignore[attr-defined]
        names = self.parameters
        static, donated = (sorted(n - {first.name}) for n in (names.static, names.donated))
        return held, Jitted(method, static, donated, self.target)

    def lower(self, *args: Any, **keywords: Any) -> Lowered:
        """The step that a call with these arguments runs, without running it."""
        return self._step(args, keywords)[0]

    def as_numba(self, *args: Any, outputs: str = "returned", **keywords: Any) -> Any:
        """The step that a call with these arguments runs, as a function for `@numba.njit` code.

        It takes the array and number leaves of the arguments, in order: C-contiguous arrays of
        exactly these types and shapes. It returns the output, or a flat tuple of several; donated
        arguments are updated in place, and are results. outputs="passed": the outputs that are new
        arrays are further arguments, and nothing is returned. Variables and captured arrays are
        read, and updated, where they lie.
        What a host call raises (linear algebra, sorts, custom ops) leaves the `@njit` code too,
        which cannot catch it; in a `prange` it may be lost, as all that is raised there. The step
        is never freed.
        """
        return self.lower(*args, **keywords).as_numba(outputs)

    def cache_info(self) -> CacheInfo:
        seconds = sum(step.seconds for step in self._steps.values())
        hits = max(self._calls - self._misses, 0)
        return CacheInfo(len(self._steps), hits, self._misses, seconds)

    def _general(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Any call: finds or makes the step, and brings the arguments into the form it takes."""
        if getattr(self._busy, "now", False):
            raise AssertionError(f"{self._name}: the entry refused arguments that fit")
        step, leaves, is_new = self._step(args, keywords)
        self._calls += 1
        if is_new or step.call is None:
            with self._lock:
                if step.call is None:
                    self._misses += 1
                    fixed = self.parameters.static_positions(step.statics)
                    step.bind(_slow_entry(weakref.ref(self), weakref.ref(step)), fixed)
        given = [leaves[i] for i in step.positions]
        result = step.finish(self._run(step, given))
        self._path = step.path or functools.partial(self._second_call, step)
        return result

    def _run(self, step: Lowered, given: Sequence[Any]) -> tuple[Any, ...]:
        """The outputs for leaves of the step's types, which may lie in any way in memory."""
        if step.donated:
            check_donation(step.passed, given, step.donated)
        taken = [
            plain(v, i in step.donated) if isinstance(v, np.ndarray) else v
            for i, v in enumerate(given)
        ]
        assert step.call is not None, "a step is bound before it is called"
        self._busy.now = True
        try:
            outputs = step.call(*taken)
        finally:
            self._busy.now = False
        return _given_back(outputs, given, taken)

    def _second_call(self, step: Lowered, args: tuple[Any, ...]) -> Any:
        """Makes the way of later calls, which a step that runs once does not need."""
        self._path = step.make_path()
        return self._path(args)

    def _slow(self, step: Lowered, *leaves: Any) -> _Finished:
        """The native entry's guards said no: other types, or arrays it cannot read as they lie."""
        if getattr(self._busy, "now", False):
            raise AssertionError(f"{self._name}: the entry refused arguments that fit")
        if all(map(same_type, leaves, step.passed)):
            return _Finished(step.finish(self._run(step, leaves)))
        self._calls -= 1
        filled = iter(leaves)
        every = [next(filled) if a.variable is None else a.variable for a in step.staged.arguments]
        args, keywords = step.structured(every)
        args, keywords = self.parameters.join(step.statics, args, keywords)
        return _Finished(self._general(args, keywords))

    def _step(
        self, args: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[Lowered, list[Any], bool]:
        args, keywords = self.parameters.bind(args, keywords)
        statics, args, keywords = self.parameters.split(args, keywords)
        raw, spec = tree.flatten((args, keywords) if keywords else args)
        known = self._steps.get((spec, statics, *map(leaf_key, raw)))
        if known is not None:
            return known, raw, False
        paths = self.parameters.describe(args, keywords)
        leaves, arguments = [], []
        for value, path in zip(raw, paths, strict=True):
            label = f"{path[0]}{tree.path_text(path[1:])}"
            leaf = as_leaf(value, label)
            leaves.append(leaf)
            arguments.append(argument(leaf, path))
        key = (spec, statics, *map(leaf_key, leaves))
        step = self._steps.get(key)
        if step is not None:
            return step, leaves, False
        with self._lock:
            step = self._steps.get(key)
            if step is None:
                step = self._trace(arguments, spec, statics, bool(keywords))
                self._steps[key] = step
        return step, leaves, True

    def _trace(
        self, arguments: list[Argument], spec: tree.Spec, statics: Statics, has_keywords: bool
    ) -> Lowered:
        if self._steps and config.logging("retrace"):
            log("retrace", explain(self._name, arguments, spec, statics, self._steps.values()))
        start = time.perf_counter()

        def call(f: Callable[..., Any], leaves: list[Any]) -> Any:
            args, keywords = structured(spec, has_keywords, leaves)
            args, keywords = self.parameters.join(statics, args, keywords)
            return f(*args, **keywords)

        staged = stage(self.__wrapped__, self._name, arguments, call, self.parameters.donated)
        step = Lowered(staged, spec, has_keywords, statics, self.target)
        step.seconds = time.perf_counter() - start
        if config.logging("trace"):
            log("trace", f"{self._name}: {len(staged.graph.nodes())} nodes\n{staged.graph}")
        log("times", f"{self._name}: trace {step.seconds * 1e3:.1f} ms")
        for listener in on_trace:
            listener(self, step)
        return step

    def _run_eagerly(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Define by run, with the values at hand: what disable_jit and check_nans ask for."""
        with tracing(self._name, debug.on_value()) as (trace, _):
            assert isinstance(trace, EagerTrace)

            def known(value: Any) -> Any:
                is_array = isinstance(value, np.ndarray | np.generic)
                return trace.known("argument", np.asarray(value)) if is_array else value

            args, keywords = self.parameters.bind(args, keywords)
            statics, args, keywords = self.parameters.split(args, keywords)
            args, keywords = tree.map(known, args), tree.map(known, keywords)
            args, keywords = self.parameters.join(statics, args, keywords)
            result = self.__wrapped__(*args, **keywords)
            result = tree.map(lambda x: x if isinstance(x, Tracer) else trace.array(x), result)
            return concrete(trace, result)


def _slow_entry(
    function: weakref.ref[Jitted], step: weakref.ref[Lowered]
) -> Callable[..., _Finished]:
    """What the native entry calls on a miss. It must not keep them alive, for they keep it alive
    and the garbage collector cannot look into native code."""

    def slow(*leaves: Any) -> _Finished:
        owner, made = function(), step()
        assert owner is not None and made is not None, "called without its function"
        return owner._slow(made, *leaves)

    return slow


def _given_back(outputs: Any, given: Sequence[Any], taken: Sequence[Any]) -> Any:
    """Donated arrays that were copied for the call: written back, in their copies' place."""
    replaced = {
        id(t): g for g, t in zip(given, taken, strict=True) if g is not t and g.flags.writeable
    }
    if not replaced:
        return outputs
    out = list(outputs)
    for i, value in enumerate(out):
        original = replaced.get(id(value))
        if original is not None:
            original[...] = value
            out[i] = original
    return tuple(out)


def explain(
    name: str,
    arguments: Sequence[Argument],
    spec: tree.Spec,
    statics: Statics,
    known: Any,
) -> str:
    """Why no known step serves: the difference to the nearest."""
    reasons: list[list[str]] = []
    for step in known:
        found = []
        if step.spec != spec:
            found.append(f"the structure of the arguments: {step.spec} -> {spec}")
        else:
            for old, new in zip(step.staged.arguments, arguments, strict=True):
                if old.key != new.key:
                    found.append(f"{new.label}: {old} -> {new}")
        before, now = ({s[0]: s[2] for s in x} for x in (step.statics, statics))
        for key in before.keys() | now.keys():
            if before.get(key) != now.get(key):
                found.append(f"static {key}: {before.get(key)!r} -> {now.get(key)!r}")
        reasons.append(found)
    nearest = min(reasons, key=len)
    return f"{name} is traced again: {'; '.join(nearest)}"


def jit(
    f: Callable[..., Any] | None = None,
    *,
    static_argnames: Sequence[str] = (),
    donate_argnames: Sequence[str] = (),
    target: str = "cpu",
) -> Any:
    """Compiles f: traced once per structure, shapes and dtypes of its arguments, then native code.

    static_argnames: parameters whose values are constants of the step; hashable.
    donate_argnames: parameters whose arrays the results of the same type take over, in place: the
    result *is* the array that was passed, which now holds the new values. It stays valid; only its
    old content is gone.
    target: "cpu"; "numba" (the same kernels as Python source through Numba); or "interpreter" (the
    traced graph, node by node in NumPy).
    As `@jit` or `@jit(...)`. The result has `lower`, `cache_info` and `__wrapped__`.
    """
    if f is None:
        return lambda g: Jitted(g, static_argnames, donate_argnames, target)
    return Jitted(f, static_argnames, donate_argnames, target)


def make_graph(f: Callable[..., Any]) -> Callable[..., Graph]:
    """make_graph(f)(*args): the graph that tracing f on these arguments gives."""

    def trace(*args: Any, **keywords: Any) -> Graph:
        wrapped = f.__wrapped__ if isinstance(f, Jitted) else f
        token = Jitted(wrapped, (), (), "interpreter")
        if isinstance(f, Jitted):
            token.parameters = f.parameters
        return token.lower(*args, **keywords).graph

    return trace
