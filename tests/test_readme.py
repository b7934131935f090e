"""What README.md and the docs say is so: the code runs, the files and targets they name exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md")), ROOT / "examples" / "data" / "README.md"]
FENCED = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)[^)]*\)")


def blocks(page: str) -> list[str]:
    """The Python blocks of a page, each padded so that line numbers are the page's."""
    return [
        "\n" * page.count("\n", 0, match.start(1)) + match.group(1)
        for match in FENCED.finditer(page)
    ]


def test_readme_code_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Top to bottom in one namespace, as a reader would paste it."""
    monkeypatch.chdir(tmp_path)
    code = blocks(README.read_text(encoding="utf-8"))
    assert len(code) >= 4
    names: dict[str, object] = {"__name__": "readme"}
    for block in code:
        exec(compile(block, str(README), "exec"), names)

    losses = names["losses"]
    assert isinstance(losses, list)
    assert losses[-1] < losses[0] / 2
    printed = capsys.readouterr().out
    assert f"{losses[0]:.3f} -> {losses[-1]:.3f}" in printed
    assert "README.md" in printed  # the dumps name the lines they come from


def test_readme_names_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"\bmake (\w+)", README.read_text(encoding="utf-8")))
    assert named == {"demo", "test", "bench"}
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_has_links() -> None:
    """Else the test above could not fail."""
    assert LINK.findall(README.read_text(encoding="utf-8"))
