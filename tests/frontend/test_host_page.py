"""docs/host-calls.md: its code runs, and does what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

PAGE = (Path(__file__).parents[2] / "docs" / "host-calls.md").read_text(encoding="utf-8")


def test_the_code_runs(capfd: Any) -> None:
    code = "\n\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    scope: dict[str, Any] = {"__name__": "page"}
    exec(compile(code, "host-calls.md", "exec"), scope)
    assert capfd.readouterr().out.count("loss ") == 2
    x, smooth = scope["x"], scope["smooth"]
    padded = np.pad(x, ((0, 0), (2, 2)), "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 5, 1)
    np.testing.assert_array_equal(smooth, np.median(windows, -1))
    assert scope["runs"].shape == (4,) and scope["slopes"].shape == (20,)
    assert np.isfinite(scope["total"])
