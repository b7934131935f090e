"""The command line. Exit codes: 0 done, 1 the script or a check failed, 2 the command is wrong."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tracejit.cli.failure import CommandError
from tracejit.dumps import stages

EXAMPLES = """examples:
  tracejit run --dump fused,llvm train.py --epochs 1
  tracejit run --profile train.py
  tracejit dump train.py:train_step --stage fused
  tracejit dump train.py:train_step --stage loops,asm -- --epochs 1
  TRACEJIT_DUMP_DIR=dumps tracejit run --profile train.py && tracejit view dumps
  tracejit doctor
"""

DUMP_RULE = """\
Shows one step of a script. The script runs as `python script.py args...` would, until FUNCTION is
called for the first time under jit; it is then traced, shown, and the script ends. A plain function
that is called outside jit is jitted for those arguments. FUNCTION is the name of the function, or
of a variable of the script that holds it jitted. What the script prints goes to stderr.

A script that defines example_inputs() is imported instead (its `__main__` part does not run), and
FUNCTION traced for what that returns: a tuple of arguments, a dict of keywords, or one argument.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    arguments = _parse(given)
    try:
        code: int = arguments.command(arguments)
        sys.stdout.flush()
    except CommandError as error:
        print(f"tracejit: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever read us has seen enough; the flush at exit must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _parse(given: list[str]) -> argparse.Namespace:
    """The words of the command line. Those behind `--` are for the script that `dump` runs."""
    if given[:1] == ["dump"] and "--" in given:
        cut = given.index("--")
        arguments = _parser().parse_args(given[:cut])
        arguments.args = given[cut + 1 :]
        return arguments
    return _parser().parse_args(given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tracejit",
        description="Shows what tracejit compiles, and how this machine is set up for it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands)
    _add_dump(commands)
    view = commands.add_parser(
        "view", help="the dumps of a run as one page: stages side by side, with their source lines"
    )
    view.add_argument("directory", type=Path, help="what TRACEJIT_DUMP_DIR was")
    view.add_argument("--out", type=Path, help="the page; by default index.html in the folder")
    view.set_defaults(command=_view)
    cache = commands.add_parser("cache", help="the compiled code kept on disk")
    cache.add_argument("action", choices=("info", "clear"))
    cache.set_defaults(command=_cache)
    doctor = commands.add_parser("doctor", help="CPU, threads, cache, versions, and a self-test")
    doctor.set_defaults(command=_doctor)
    return parser


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = commands.add_parser("run", help="run a script and show each step that it compiles")
    run.add_argument(
        "--dump", metavar="STAGE,...", type=_stages, default=(), help="stages to show, or `all`"
    )
    run.add_argument(
        "--interpret",
        action="store_true",
        help="run each step as traced, operation by operation in NumPy: slow, and the reference",
    )
    run.add_argument(
        "--profile",
        action="store_true",
        help="time every kernel, and tell at the end where the time went; steps run slower so",
    )
    run.add_argument("script", type=Path)
    run.add_argument("args", nargs=argparse.REMAINDER, help="passed to the script")
    run.set_defaults(command=_run)


def _add_dump(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    dump = commands.add_parser(
        "dump",
        help="show one step of a script",
        usage="tracejit dump [-h] [--stage STAGE,...] SCRIPT:FUNCTION [-- ARG ...]",
        description=DUMP_RULE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    dump.add_argument("target", metavar="SCRIPT:FUNCTION")
    dump.add_argument(
        "--stage",
        metavar="STAGE,...",
        type=_stages,
        default=("fused",),
        help="stages to show, or `all`; by default fused",
    )
    dump.set_defaults(command=_dump, args=[])


def _stages(text: str) -> tuple[str, ...]:
    """Stages by name, in the order asked for. Raises the error that argparse shows."""
    known = stages()
    if text == "all":
        return known
    named = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in named:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise argparse.ArgumentTypeError(
                f"no stage {name!r}{hint}; stages: {', '.join(known)}, or all"
            )
    if not named:
        raise argparse.ArgumentTypeError(f"no stage named; stages: {', '.join(known)}, or all")
    return named


# Each command is imported when it runs: `cache info` needs no tracer, `run` no self-test.


def _run(arguments: argparse.Namespace) -> int:
    from tracejit.cli.run import run

    args = arguments.args[1:] if arguments.args[:1] == ["--"] else arguments.args
    return run(arguments.script, args, arguments.dump, arguments.interpret, arguments.profile)


def _dump(arguments: argparse.Namespace) -> int:
    from tracejit.cli.dump import dump

    return dump(arguments.target, arguments.args, arguments.stage)


def _view(arguments: argparse.Namespace) -> int:
    from tracejit.cli.view import view

    return view(arguments.directory, arguments.out)


def _cache(arguments: argparse.Namespace) -> int:
    from tracejit.cli.cache import clear, info

    return info() if arguments.action == "info" else clear()


def _doctor(arguments: argparse.Namespace) -> int:
    from tracejit.cli.doctor import doctor

    return doctor()
