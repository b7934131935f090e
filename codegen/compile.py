"""From a graph to a program that runs: all stages in a row, and their text forms."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from tracejit.codegen.cost import Cost, flops, moved
from tracejit.codegen.layout import choose_layouts
from tracejit.codegen.llvm.emit import emit_kernel
from tracejit.codegen.machine import this_machine
from tracejit.codegen.nest import Kernel, kernel_text
from tracejit.codegen.plan import Plan, lower_all, plan
from tracejit.codegen.program import SYMBOL, emit_program
from tracejit.codegen.runtime.cache import cache_key, disk_cache
from tracejit.codegen.runtime.entry import ArrayArg, DonatedOut, FreshOut, ScalarArg, make_entry
from tracejit.codegen.runtime.team import num_threads, team
from tracejit.codegen.runtime.toolchain import Linked, assembly, compile_ir, link
from tracejit.ir import config
from tracejit.ir.fusion import Fused, fuse
from tracejit.ir.graph import Array, Graph
from tracejit.ir.log import Stopwatch, log
from tracejit.ir.passes import optimize
from tracejit.ir.unfused import fusion_log

STAGES = ("optimized", "fused", "loops", "scheduled", "program", "llvm", "asm", "numba")
# A call that is over sooner would lose more by giving up the interpreter lock than others gain.
RELEASE_SECONDS = 20e-6

_objects: dict[str, bytes] = {}


def compile_graph(graph: Graph) -> Program:
    """Compiles a graph for this machine. The first call of a kernel's code pays for it."""
    return Program(graph)


class Program:
    """A compiled graph. Every stage is kept as a value, so that it can be shown."""

    def __init__(self, graph: Graph) -> None:
        watch = Stopwatch()
        self.graph = graph
        self.optimized = optimize(graph)
        watch.lap("passes")
        self.fused: Fused = fuse(choose_layouts(self.optimized, this_machine()))
        watch.lap("fusion")
        if config.logging("fusion"):
            log("fusion", fusion_log(self.fused))
        lowered = lower_all(self.fused)
        watch.lap("lower")
        self.plan: Plan = plan(self.fused, lowered, this_machine())
        watch.lap("schedule")
        self._linked = self._link(watch)
        watch.lap("link")
        self.compile_seconds = watch.total
        log("times", f"{graph.name}: {watch}")

    # Code

    def _link(self, watch: Stopwatch) -> Linked:
        codes = [_canonical(launch.kernel) for launch in self.plan.launches]
        symbols = [_symbol(code) for code in codes]
        units = {s: c for s, c in zip(symbols, codes, strict=True)}
        kernels = {s: launch.kernel for s, launch in zip(symbols, self.plan.launches, strict=True)}
        program = emit_program(self.plan, symbols)
        units[SYMBOL] = program

        def text(symbol: str) -> str:
            return program if symbol == SYMBOL else _module(kernels[symbol], symbol)

        objects, origins = _object_code(units, text, watch)
        for symbol, origin in origins.items():
            kernel = kernels.get(symbol)
            what = f"{kernel.name} {kernel.kind} {symbol}" if kernel else "the calls of all kernels"
            log("kernels", f"{self.graph.name}: {what}: {origin}")
        barrier = {"tj_barrier": team().symbols["tj_barrier"]}
        return link(objects, [SYMBOL], barrier)

    @property
    def address(self) -> int:
        return self._linked.address(SYMBOL)

    # Calls

    def bind(
        self,
        args: Sequence[ArrayArg | ScalarArg],
        captured: Sequence[Array],
        slow: Callable[..., object],
    ) -> Callable[..., object]:
        """The native entry: call(*leaves) -> tuple of outputs.

        args: one per argument input; captured: the arrays of the remaining inputs, whose addresses
        are fixed and which are kept alive. Outputs that take over a captured array are not
        returned. `slow` is called with the same leaves when they are not as `args` says.
        """
        outs: list[FreshOut | DonatedOut] = []
        for node, donor in zip(self.plan.graph.outputs, self.plan.graph.donated, strict=True):
            if donor is None:
                outs.append(FreshOut(node.shape, node.dtype))
            elif donor < len(args):
                outs.append(DonatedOut(donor))
        entry = make_entry(
            self.address,
            list(args),
            outs,
            captured=[a.ctypes.data for a in captured],
            arena_bytes=self.plan.arena_bytes,
            nthreads=num_threads() if self.plan.parallel else 1,
            release_gil=self.seconds > RELEASE_SECONDS,
            slow=slow,
            keep=(self._linked, tuple(captured)),
        )
        return entry.call

    def run(
        self, arrays: Sequence[np.ndarray[tuple[int, ...], np.dtype[np.generic]]]
    ) -> list[Array]:
        """Runs once on any arrays of the inputs' types; donated ones are updated in place."""
        donated = {d for d in self.graph.donated if d is not None}
        types = [node.type for node in self.graph.inputs]
        args = [ArrayArg(t.shape, t.dtype, i in donated) for i, t in enumerate(types)]
        ready = [_as_passed(array, arg.donated) for array, arg in zip(arrays, args, strict=True)]

        def refuse(*leaves: object) -> object:
            raise TypeError(f"{self.graph.name}: arguments are not {', '.join(map(str, types))}")

        outputs = self.bind(args, [], refuse)(*ready)
        assert isinstance(outputs, tuple)
        return list(outputs)

    # Inspection

    @cached_property
    def seconds(self) -> float:
        """About how long a call takes on one thread."""
        from tracejit.codegen.cost import seconds

        return sum(seconds(launch.plain) for launch in self.plan.launches)

    def cost(self) -> Cost:
        """Counted from the program, not measured."""
        launches = self.plan.launches
        return Cost(
            flops=sum(flops(launch.plain) for launch in launches),
            bytes=sum(moved(launch.plain) for launch in launches),
            kernels=len(launches),
            barriers=self.plan.barriers,
            arena_bytes=self.plan.arena_bytes,
        )

    def dump(self, stage: str) -> str:
        """The text of one of STAGES."""
        kernels = {_symbol(_canonical(u.kernel)): u.kernel for u in self.plan.launches}
        modules = (_module(k, s) for s, k in kernels.items())
        match stage:
            case "optimized":
                return str(self.optimized)
            case "fused":
                return str(self.fused)
            case "loops":
                return "\n\n".join(str(launch.plain) for launch in self.plan.launches)
            case "scheduled":
                return "\n\n".join(str(launch.kernel) for launch in self.plan.launches)
            case "program":
                return str(self.plan)
            case "llvm":
                return "\n".join(modules)
            case "asm":
                return "\n".join(assembly(m) for m in modules)
            case "numba":
                from tracejit.codegen.numba_emitter import program_source

                return program_source(self.plan)
        raise ValueError(f"no stage {stage!r}; there are traced, {', '.join(STAGES)}")


def _as_passed(array: Array, donated: bool) -> Array:
    native = array.dtype.newbyteorder("=")
    ready = np.require(array, native, ["C", "A", "W"] if donated else ["C", "A"])
    return np.asarray(ready) if ready.ndim == array.ndim else ready.reshape(array.shape)


def _canonical(kernel: Kernel) -> str:
    """What the code depends on: the scheduled loops without names and source lines."""
    return kernel_text(kernel, locations=False, name="k")


def _symbol(canonical: str) -> str:
    return f"tj_{hashlib.sha256(canonical.encode()).hexdigest()[:16]}"


def _module(kernel: Kernel, symbol: str) -> str:
    function, declared = emit_kernel(kernel, this_machine(), symbol)
    return "\n".join([f"; {kernel.name}", *declared.values(), function])


@cache
def _emitter_version() -> str:
    """Changes whenever the source of the code generator does."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for source in sorted([*folder.glob("llvm/*.py"), folder / "program.py"]):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _object_code(
    units: Mapping[str, str], text: Callable[[str], str], watch: Stopwatch
) -> tuple[list[bytes], dict[str, str]]:
    """Object code for each unit (symbol -> what identifies it): known, cached on disk, or new.

    And in words where each one's code came from.
    """
    keys = {symbol: cache_key(_emitter_version(), symbol, unit) for symbol, unit in units.items()}
    origins = dict.fromkeys(units, "known in this process")
    missing = [symbol for symbol, key in keys.items() if key not in _objects]
    disk = disk_cache()
    if disk is not None and missing:
        for key, entry in disk.get_many(keys[s] for s in missing).items():
            _objects[key] = entry.payload
        hits = [symbol for symbol in missing if keys[symbol] in _objects]
        missing = [symbol for symbol in missing if keys[symbol] not in _objects]
        origins.update(dict.fromkeys(hits, "from the disk cache"))
        log("cache", f"{len(hits)} hits, {len(missing)} misses in {disk.directory}")
        for word, symbols in (("hit", hits), ("miss", missing)):
            for symbol in symbols:
                log("cache", f"{word} {symbol} {keys[symbol]}")

    def done(position: int, seconds: float) -> None:
        origins[missing[position]] = f"compiled in {seconds * 1e3:.1f} ms"

    texts = [text(symbol) for symbol in missing]
    watch.lap("emit")
    for symbol, code in zip(missing, compile_ir(texts, done=done), strict=True):
        _objects[keys[symbol]] = code
        if disk is not None:
            disk.put(keys[symbol], code, {"symbol": symbol})
    watch.lap("compile")
    return [_objects[keys[symbol]] for symbol in units], origins
