"""`tracejit view`: the stages in a TRACEJIT_DUMP_DIR side by side, as one page of HTML."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import TypedDict

from tracejit.cli.failure import CommandError
from tracejit.cli.view_page import PAGE
from tracejit.dumps import PROFILE, SOURCE, SUFFIXES, stages


class Step(TypedDict):
    """What the page shows of one compile: texts by stage, source lines with their place."""

    stages: dict[str, str]
    source: list[tuple[str, str]]
    profile: str


def view(directory: Path, target: Path | None = None) -> int:
    """Writes the page, by default `index.html` in the folder, and says where it is.

    Raises CommandError where the folder holds no dumps.
    """
    steps = read(directory)
    if not steps:
        raise CommandError(
            f"{directory} holds no dumps; run the script with TRACEJIT_DUMP_DIR={directory} first"
        )
    page = target or directory / "index.html"
    page.write_text(rendered(directory.name, steps), encoding="utf-8")
    print(page)
    return 0


def read(directory: Path) -> dict[str, Step]:
    """The compiles in the folder, by the name of their own."""
    if not directory.is_dir():
        raise CommandError(f"there is no folder {directory}")
    steps: dict[str, Step] = {}
    for folder in sorted(path for path in directory.iterdir() if path.is_dir()):
        texts = {}
        for stage in stages():
            path = folder / f"{stage}{SUFFIXES.get(stage, '.txt')}"
            if path.is_file():
                texts[stage] = path.read_text(encoding="utf-8")
        if texts:
            steps[folder.name] = Step(
                stages=texts, source=_source(folder / SOURCE), profile=_text(folder / PROFILE)
            )
    return steps


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _source(path: Path) -> list[tuple[str, str]]:
    """Lines of `file.py:12<tab>text`."""
    rows = (line.partition("\t") for line in _text(path).splitlines())
    return [(at, text) for at, _, text in rows]


def rendered(title: str, steps: dict[str, Step]) -> str:
    """The page. Text of the user's never ends the element that it stands in."""
    data = json.dumps(steps).replace("<", "\\u003c")
    return PAGE.replace("__TITLE__", html.escape(title)).replace("__DATA__", data)
