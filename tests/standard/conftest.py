"""Every test that takes `target` runs compiled and interpreted."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["interpreter", "cpu"])
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)
