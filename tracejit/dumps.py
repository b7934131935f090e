"""TRACEJIT_DUMP_DIR: each stage of each compile as a file `<folder>/<function>-<n>/<stage>.txt`."""

from __future__ import annotations

import re
import warnings
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from tracejit.ir import config

if TYPE_CHECKING:
    from tracejit.lowered import Lowered

SUFFIXES = {"llvm": ".ll", "asm": ".s", "numba": ".py"}


def stages(target: str = "cpu") -> tuple[str, ...]:
    """What `Lowered.dump` takes, in the order of the pipeline."""
    if target == "interpreter" or config.get("interpret"):
        return ("traced", "optimized")
    from tracejit.codegen.compile import STAGES

    return ("traced", *STAGES)


def write(step: Lowered) -> None:
    """Writes all stages of a step that has been compiled, if the setting `dump_dir` is on.

    A folder that cannot be written costs a warning, not the run.
    """
    if not (root := config.text("dump_dir")):
        return
    try:
        folder = _new_folder(Path(root), step.graph.name)
        for stage in stages(step.target):
            name = f"{stage}{SUFFIXES.get(stage, '.txt')}"
            (folder / name).write_text(step.dump(stage), encoding="utf-8")
    except OSError as error:
        warnings.warn(f"TRACEJIT_DUMP_DIR: nothing written: {error}", stacklevel=2)


def _new_folder(root: Path, function: str) -> Path:
    """`<function>-<n>` with the first n that is free, also to other processes that write here."""
    root.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"\W+", "_", function).strip("_") or "step"
    for n in count():
        folder = root / f"{name}-{n}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError("count() ended")
