"""TRACEJIT_DUMP_DIR: each stage of each compile as a file `<folder>/<function>-<n>/<stage>.txt`.

Beside them `source.txt` has the lines of the user's program, and a profiled run leaves its table.
`tracejit view` makes one page of them.
"""

from __future__ import annotations

import linecache
import re
import warnings
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from tracejit.ir import config
from tracejit.ir.loops import every_node

if TYPE_CHECKING:
    from tracejit.lowered import Lowered

SOURCE, PROFILE = "source.txt", "profile.txt"
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
        (folder / SOURCE).write_text(_source(step), encoding="utf-8")
        _folders[step] = folder
    except OSError as error:
        warnings.warn(f"TRACEJIT_DUMP_DIR: nothing written: {error}", stacklevel=2)


_folders: WeakKeyDictionary[Lowered, Path] = WeakKeyDictionary()


def write_profile(step: Lowered, text: str) -> None:
    """Leaves the table of a step's kernels beside its stages, if those were written."""
    folder = _folders.get(step)
    if folder is not None:
        (folder / PROFILE).write_text(text, encoding="utf-8")


def _source(step: Lowered) -> str:
    """Each line of the user's program that some operation comes from: `file.py:12<tab>text`."""
    locs = {(n.loc.file, n.loc.line) for n in every_node(step.graph) if n.loc is not None}
    lines = (
        f"{Path(file).name}:{line}\t{linecache.getline(file, line).strip()}"
        for file, line in sorted(locs)
    )
    return "\n".join(lines) + "\n"


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
