"""What the docs say of the source is so: files and names exist, quoted dumps are those of today."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.codegen.steps import AVX2
from tracejit.codegen import STAGES
from tracejit.codegen.stages import Stages
from tracejit.ir.text import equal, parse

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PATHS = re.compile(r"`((?:ir|codegen|tracejit|tests|examples|docs)/[\w./-]*)`")
PAGES = (
    *("architecture.md", "adding-a-primitive.md", "control-flow.md", "reading-dumps.md"),
    "row-kernels.md",
)


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_files_exist(name: str) -> None:
    named = PATHS.findall(page(name))
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def names_in(path: str) -> set[str]:
    """Functions, classes, methods and constants of a module."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def rows_of(text: str, header: str) -> list[list[str]]:
    """The cells of the table under a header row."""
    lines = text[text.index(header) :].splitlines()[2:]
    table = lines[: next(n for n, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_way_of_a_step() -> None:
    rows = rows_of(page("architecture.md"), "| stage | function | file | gives |")
    for _, function, path, _ in rows:
        assert function.strip("`") in names_in(path.strip("`")), f"{path} has no {function}"
    stages = [stage.strip("`") for stage, *_ in rows if stage]
    assert stages == ["traced", *STAGES]


def test_what_is_decided_where() -> None:
    rows = rows_of(page("architecture.md"), "| question | decided in | by |")
    for _, path, by in rows:
        where = ROOT / path.strip("`")
        source = where.read_text() if where.is_file() else ""
        for name in re.findall(r"`(_?[A-Za-z]\w*(?:\.\w+)?)`", by):
            if where.is_file():
                assert name.split(".")[-1] in source, f"{path} has no {name}"


@pytest.mark.parametrize("name", PAGES[:2])
def test_names_with_their_file_exist(name: str) -> None:
    """`name` (`path.py`), or `name` in `path.py`."""
    pairs = re.findall(r"`([\w.]+)` (?:\(|in )`([\w/]+\.py)`", page(name))
    assert pairs
    for symbol, path in pairs:
        assert symbol.split(".")[-1] in names_in(path), f"{path} has no {symbol}"


def test_the_quoted_dumps_are_those_of_today() -> None:
    text = page("reading-dumps.md")
    quoted = text[text.index("    func layer") : text.index("One line is one node")]
    graph = parse("\n".join(line[4:] for line in quoted.splitlines()))
    stages = Stages(graph, AVX2)
    assert equal(parse(str(graph)), graph)
    for heading, stage in (
        ("## fused", "fused"),
        ("## loops", "loops"),
        ("## scheduled", "scheduled"),
    ):
        section = text[text.index(heading) :].split("\n\n", 2)[1]
        dump = [line.strip() for line in stages.dump(stage).splitlines()]
        lines = [line.strip() for line in section.splitlines()]
        start = dump.index(lines[0])
        assert dump[start : start + len(lines)] == lines, stage


def test_the_loop_of_the_page_on_control_flow() -> None:
    """Its code runs, and the loop that it quotes is in the optimized graph."""
    text = page("control-flow.md")
    scope: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.S):
        exec(compile(block, "control-flow.md", "exec"), scope)
    step = scope["step"]
    dump = step.lower(scope["params"], scope["xs"]).dump("optimized")  # type: ignore[attr-defined]
    (quoted,) = re.findall(r"```text\n(.*?)```", text, re.S)
    lines = dump.splitlines()
    assert [line for line in quoted.splitlines() if f"  {line}" not in lines] == []
