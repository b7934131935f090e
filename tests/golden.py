"""Golden files: texts that are kept, compared, and rewritten by `pytest --update-golden`."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "goldens"
SHOWN_LINES = 60


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files instead of comparing"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """golden(name, text) asserts that tests/goldens/<name> holds `text`."""
    update = bool(request.config.getoption("--update-golden"))

    def check(name: str, text: str) -> None:
        path = FOLDER / name
        text = text.rstrip("\n") + "\n"
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        assert path.exists(), f"no golden file {path.name}: run pytest --update-golden"
        kept = path.read_text(encoding="utf-8")
        if kept != text:
            changed = difflib.unified_diff(
                kept.splitlines(), text.splitlines(), name, "now", lineterm="", n=2
            )
            shown = "\n".join(list(changed)[:SHOWN_LINES])
            pytest.fail(f"{shown}\nIf this is meant: pytest --update-golden, and read the diff")

    return check
