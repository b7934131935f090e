"""`tracejit run`: a script as it is, with each step that it compiles shown."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tracejit import lowered
from tracejit.cli.failure import CommandError
from tracejit.cli.profile import show_profile
from tracejit.cli.script import Script
from tracejit.cli.show import show
from tracejit.dumps import stages
from tracejit.ir import config

if TYPE_CHECKING:
    from tracejit.codegen.profile import ProfiledProgram
    from tracejit.jit import Jitted


def run(
    path: Path, args: Sequence[str], wanted: Sequence[str], interpret: bool, profile: bool = False
) -> int:
    """Runs the script; its exit code. wanted: the stages to show of each step.

    profile: at the end, show where the time of the compiled steps went.
    """
    if interpret and profile:
        raise CommandError("--profile times compiled kernels, and --interpret compiles none")
    config.update("profile", profile or bool(config.get("profile")))
    if interpret:
        missing = [stage for stage in wanted if stage not in stages("interpreter")]
        if missing:
            raise CommandError(
                f"--interpret runs steps as they are traced, so there is no stage "
                f"{', '.join(missing)}; there are {', '.join(stages('interpreter'))}"
            )
        config.update("interpret", True)
    script = Script(path, args)
    shower = _Shower(wanted)
    lowered.on_trace.append(shower.traced)
    lowered.on_compile.append(shower.compiled)
    try:
        return script.run()
    finally:
        if config.get("profile"):
            show_profile(shower.profiled)
        lowered.on_trace.remove(shower.traced)
        lowered.on_compile.remove(shower.compiled)


class _Shower:
    """Shows "traced" when a step is traced, so that it is there even if compiling fails."""

    def __init__(self, wanted: Sequence[str]) -> None:
        self.wanted = wanted
        self.titles: dict[int, str] = {}  # by id of the step, which its function keeps
        self.counts: Counter[str] = Counter()
        self.profiled: list[tuple[str, lowered.Lowered, ProfiledProgram]] = []

    def traced(self, jitted: Jitted, step: lowered.Lowered) -> None:
        name = step.graph.name
        self.counts[name] += 1
        title = f"{name}, compile {self.counts[name]}"
        self.titles[id(step)] = title
        if "traced" in self.wanted:
            self._show(title, "traced", step)

    def compiled(self, step: lowered.Lowered) -> None:
        title = self.titles.get(id(step), step.graph.name)
        if config.get("profile") and step.target == "cpu":
            self.profiled.append((title, step, step.program))
        there = stages(step.target)
        for stage in self.wanted:
            if stage in there and stage != "traced":
                self._show(title, stage, step)

    def _show(self, title: str, stage: str, step: lowered.Lowered) -> None:
        sys.stdout.flush()
        show(title, stage, step.dump(stage))
