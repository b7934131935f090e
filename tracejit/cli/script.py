"""Running a user's script inside this process, as `python script.py args...` would."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, TracebackType

from tracejit.cli.failure import CommandError


class Script:
    """A script and its globals. `name` is its `__name__`: only as "__main__" it runs that part."""

    def __init__(self, path: Path, args: Sequence[str], name: str = "__main__") -> None:
        try:
            self.source = path.read_bytes()
        except OSError as error:
            raise CommandError(f"cannot read {path}: {error.strerror}") from None
        self.path = path
        self.args = args
        self.module = ModuleType(name)
        self.module.__file__ = str(path)

    @property
    def names(self) -> dict[str, object]:
        """The script's globals."""
        return self.module.__dict__

    def run(self) -> int:
        """Runs the script to its end; the exit code. An error is shown as Python would show it.

        SystemExit and KeyboardInterrupt go through, as does a closed pipe.
        """
        sys.argv = [str(self.path), *self.args]
        sys.path.insert(0, str(self.path.resolve().parent))
        sys.modules[self.module.__name__] = self.module
        try:
            exec(compile(self.source, str(self.path), "exec"), self.names)
        except BrokenPipeError:
            raise
        except Exception as error:
            self.show(error)
            return 1
        return 0

    def show(self, error: BaseException) -> None:
        """The traceback from the script's first line on: the frames of this command say nothing."""
        sys.stdout.flush()
        traceback.print_exception(error.with_traceback(self._from_script(error.__traceback__)))

    def _from_script(self, trace: TracebackType | None) -> TracebackType | None:
        while trace is not None and trace.tb_frame.f_code.co_filename != str(self.path):
            trace = trace.tb_next
        return trace
