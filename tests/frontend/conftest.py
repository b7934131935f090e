"""Tests that take `target` run compiled and interpreted; those that take `run` eagerly, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tracejit as tj
from tests.frontend.checks import Transformed


@pytest.fixture(params=["interpreter", "cpu"])
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def eager(f: Callable[..., Any]) -> Callable[..., Any]:
    return f


def compiled(f: Callable[..., Any]) -> Callable[..., Any]:
    return tj.jit(f)


def interpreted(f: Callable[..., Any]) -> Callable[..., Any]:
    return tj.jit(f, target="interpreter")


@pytest.fixture(params=[eager, interpreted, compiled])
def run(request: pytest.FixtureRequest) -> Transformed:
    return request.param
