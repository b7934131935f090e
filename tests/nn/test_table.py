"""docs/checked.md: a row for everything that is tested against its definition, made from the tests.

`pytest --update-golden` writes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.nn import layer_rows, test_initializers, test_losses, test_optimizers

PREFACE = """# What is checked against its definition

Made by `tests/nn/test_table.py` from the tables that the tests run: each row is one test with these
settings. Layers, losses, metrics and optimizers are compared with the formula written out in NumPy,
eager and compiled; the gradients of layers and losses with differences. What draws random numbers,
and a few more, have tests of their own. Against Keras itself: `tests/nn/test_keras.py`.
"""


def settings(value: Any) -> str:
    """How it was made, on one line, without the f64 that comparisons are made in."""
    value = value() if isinstance(value, type) else value
    args, keywords = value._made_from
    shown = [*map(shortly, args), *(f"{k}={shortly(v)}" for k, v in keywords.items())]
    kept = [text for text in shown if text != "dtype=f64"]
    return f"{type(value).__name__}({', '.join(kept)})"


def shortly(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(shortly, value)) + "]"
    if hasattr(value, "_made_from"):
        return settings(value)
    if callable(value) and hasattr(value, "__name__"):
        return "f64" if value.__name__ == "float64" else value.__name__
    return repr(value)


def shapes(given: Iterable[Any]) -> str:
    return ", ".join(str(list(shape)) for shape in given)


def table(title: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    found = [" | ".join(row) for row in rows]
    yield f"\n## {title} ({len(found)} rows)\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}"
    yield from (f"| {row} |" for row in found)


def pages() -> Iterator[str]:
    yield PREFACE.rstrip()
    yield from table(
        "Layers",
        ("Test", "Made as", "Inputs", "Weights"),
        (
            (name, f"`{settings(row.make())}`", shapes(row.shapes), shapes(row.weights))
            for name, row in layer_rows.ROWS.items()
        ),
    )
    yield from table(
        "Losses",
        ("Test", "Made as"),
        ((name, f"`{settings(row.loss)}`") for name, row in test_losses.ROWS.items()),
    )
    yield from table(
        "Metrics",
        ("Test", "Made as"),
        ((name, f"`{settings(row[0]())}`") for name, row in test_losses.METRICS.items()),
    )
    yield from table(
        "Optimizers",
        ("Test", "Made as"),
        ((name, f"`{settings(row[0]())}`") for name, row in test_optimizers.ROWS.items()),
    )
    yield from table(
        "Schedules",
        ("Test", "Made as"),
        ((name, f"`{settings(row[0])}`") for name, row in test_optimizers.SCHEDULES.items()),
    )
    yield from table(
        "Initialisers: mean, deviation and bounds of what they draw",
        ("Test", "Made as", "Shape"),
        (
            (name, f"`{shortly(row[0])}`", str(list(row[1])))
            for name, row in test_initializers.ROWS.items()
        ),
    )


def test_the_table_is_what_the_tests_check(golden: Callable[[str, str], None]) -> None:
    text = "\n".join(pages())
    assert re.search(r"0x[0-9a-f]{6}", text) is None, "an address: differs from run to run"
    golden("../../docs/checked.md", text)
