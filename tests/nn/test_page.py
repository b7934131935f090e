"""docs/layers.md: its code runs, and its table names what there is, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.nn.test_layers import Layer
from tracejit import callbacks, losses, metrics, nn, optim

PAGE = (Path(__file__).parents[2] / "docs" / "layers.md").read_text(encoding="utf-8")


def classes_of(module: object, base: type) -> set[str]:
    held = {n: c for n, c in vars(module).items() if isinstance(c, type) and not n.startswith("_")}
    return {n for n, c in held.items() if issubclass(c, base) and c is not base}


REGULARIZERS, CONSTRAINTS = nn.regularizers.REGULARIZERS, nn.regularizers.CONSTRAINTS
TABLE = {
    "Layers": classes_of(nn, Layer),
    "Losses": set(losses.LOSSES),
    "Metrics": set(metrics.METRICS),
    "Optimizers": set(optim.optimizers.OPTIMIZERS),
    "Schedules": set(optim.schedules.SCHEDULES),
    "Initialisers": set(nn.initializers.INITIALIZERS),
    "Regularisers, constraints": set(REGULARIZERS) | set(CONSTRAINTS),
    "Callbacks": classes_of(callbacks, callbacks.Callback),
}


@pytest.mark.parametrize("row", TABLE)
def test_a_row_of_the_table(row: str) -> None:
    found = re.search(rf"^\| {row} \((\d+)\) \| (.*) \|$", PAGE, re.MULTILINE)
    assert found is not None
    names = found[2].split(", ")
    assert set(names) == TABLE[row]
    assert int(found[1]) == len(names)


def test_the_code_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "layers.md", "exec"), {})
