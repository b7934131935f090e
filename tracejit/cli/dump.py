"""`tracejit dump`: one step of a script. What it runs and when it stops: `cli.DUMP_RULE`."""

from __future__ import annotations

import ast
import difflib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import FrameType

from tracejit import lowered
from tracejit.cli.failure import CommandError
from tracejit.cli.script import Script
from tracejit.cli.show import show
from tracejit.codegen.compile import compile_graph
from tracejit.ir.graph import Graph
from tracejit.jit import Jitted, jit
from tracejit.lowered import Lowered
from tracejit.trace import current_trace

EXAMPLE = "example_inputs"


def dump(target: str, args: Sequence[str], stages: Sequence[str]) -> int:
    """Shows `stages` of the step that `script.py:function` names; the exit code."""
    path, colon, name = target.rpartition(":")
    if not colon or not path or not name.isidentifier():
        raise CommandError(
            f"{target!r} names no function of a script: say script.py:function, "
            "as in train.py:train_step"
        )
    by_example = _defines(Path(path), EXAMPLE)
    script = Script(Path(path), args, Path(path).stem if by_example else "__main__")
    try:
        with redirect_stdout(sys.stderr):  # so that a pipe gets the stages alone
            graph = _of_example(script, name) if by_example else _of_run(script, name)
    except (CommandError, BrokenPipeError):
        raise
    except Exception as error:  # of the user's function, traced or making its arguments
        script.show(error)
        return 1
    if graph is None:
        return 1
    if "traced" in stages:  # first, so that it is there even if compiling fails
        show(name, "traced", str(graph))
    later = [stage for stage in stages if stage != "traced"]
    # For the CPU, even if the script would interpret it.
    program = compile_graph(graph) if later else None
    for stage in later:
        assert program is not None
        show(name, stage, program.dump(stage))
    return 0


def _defines(path: Path, name: str) -> bool:
    """Whether a script defines a function at its top level. It need not parse: running it tells."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return False
    return any(isinstance(node, ast.FunctionDef) and node.name == name for node in tree.body)


def _of_example(script: Script, name: str) -> Graph | None:
    """The graph for what the script's `example_inputs` returns; None if the script failed."""
    if script.run() != 0:
        return None
    f = script.names.get(name)
    if not callable(f):
        raise CommandError(_missing(script, name, set()))
    made = script.names[EXAMPLE]()  # type: ignore[operator]
    if isinstance(made, Mapping):
        return _graph(f, (), made)
    return _graph(f, made if isinstance(made, tuple) else (made,), {})


def _of_run(script: Script, name: str) -> Graph | None:
    """The graph of the first call while the script runs; None if the script failed before."""
    search = _Search(script, name)
    code = 0
    with search.watching():
        try:
            code = script.run()
        except SystemExit as end:
            code = 0 if search.found else _exit_code(end)
    if search.graph is not None:
        return search.graph
    if search.call is not None:
        return _graph(*search.call)
    if code != 0:
        print(f"tracejit: {script.path} failed before it called {name}", file=sys.stderr)
        return None
    raise CommandError(_missing(script, name, search.traced))


def _exit_code(end: SystemExit) -> int:
    if isinstance(end.code, str):
        print(end.code, file=sys.stderr)
    return end.code if isinstance(end.code, int) else int(end.code is not None)


class _Search:
    """Looks at each trace, and at each call of a plain function, for the one that is asked for."""

    def __init__(self, script: Script, name: str) -> None:
        self.script = script
        self.name = name
        self.graph: Graph | None = None
        self.call: tuple[Callable[..., object], tuple[object, ...], dict[str, object]] | None = None
        self.traced: set[str] = set()

    @property
    def found(self) -> bool:
        return self.graph is not None or self.call is not None

    @contextmanager
    def watching(self) -> Iterator[None]:
        before = sys.getprofile()
        lowered.on_trace.append(self.see_trace)
        sys.setprofile(self.see_call)
        try:
            yield
        finally:
            sys.setprofile(before)
            lowered.on_trace.remove(self.see_trace)

    def see_trace(self, jitted: Jitted, step: Lowered) -> None:
        self.traced.add(step.graph.name)
        named = step.graph.name == self.name or self.script.names.get(self.name) is jitted
        if named and self.graph is None:
            self.graph = step.graph
            raise SystemExit  # no `except Exception` stops it, and a thread ends in silence

    def see_call(self, frame: FrameType, event: str, argument: object) -> None:
        """A profile function: called at each call, so the likeliest way out comes first."""
        if event != "call" or frame.f_code.co_name != self.name:
            return
        if frame.f_code.co_filename != str(self.script.path) or current_trace() is not None:
            return  # a function of that name elsewhere, or one that jit is tracing
        f = _function_of(frame)
        if f is not None:
            self.call = (f, *_arguments(frame))
            raise SystemExit


def _function_of(frame: FrameType) -> Callable[..., object] | None:
    """The function that a frame runs, found by name where it was called from; None for a method."""
    name = frame.f_code.co_name
    above = frame.f_back.f_locals if frame.f_back is not None else {}
    for names in (frame.f_globals, above):
        f = names.get(name)
        if inspect.isfunction(f) and f.__code__ is frame.f_code:
            return f
    return None


def _arguments(frame: FrameType) -> tuple[tuple[object, ...], dict[str, object]]:
    """What a frame that has just begun was called with."""
    info = inspect.getargvalues(frame)
    code, values = frame.f_code, info.locals
    positional = [values[name] for name in code.co_varnames[: code.co_argcount]]
    if info.varargs is not None:
        positional += values[info.varargs]
    only = code.co_varnames[code.co_argcount :][: code.co_kwonlyargcount]
    keywords = {name: values[name] for name in only}
    if info.keywords is not None:
        keywords |= values[info.keywords]
    return tuple(positional), keywords


def _graph(
    f: Callable[..., object], args: tuple[object, ...], keywords: Mapping[str, object]
) -> Graph:
    jitted = f if isinstance(f, Jitted) else jit(f)
    return jitted.lower(*args, **keywords).graph


def _missing(script: Script, name: str, traced: set[str]) -> str:
    """Why there is no step to show, and which steps there are."""
    of_script = {key for key, value in script.names.items() if isinstance(value, Jitted)}
    jitted = sorted(of_script | traced)
    near = difflib.get_close_matches(name, jitted, 1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    found = f"jitted there: {', '.join(jitted)}" if jitted else "no function is jitted there"
    if callable(script.names.get(name)):
        problem = f"{script.path} ended without calling {name} outside of other steps"
        return f"{problem}; {found}. Or define {EXAMPLE}(), which returns arguments for {name}"
    return f"{script.path} has no function {name!r}{hint}; {found}"
