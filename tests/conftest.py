"""What every test runs under: the verifier on, a cache folder of its own, repeatable examples."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile

import hypothesis
import pytest

from tests.golden import golden, pytest_addoption

__all__ = ["golden", "pytest_addoption"]

hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("repeatable")

_cache = tempfile.mkdtemp(prefix="tracejit-tests-")
os.environ["TRACEJIT_VERIFY"] = "1"
os.environ["TRACEJIT_CACHE_DIR"] = _cache

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # So it is for what a shell starts in the background; the processes of the tests would inherit
    # it, and those that are interrupted wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(_cache, ignore_errors=True)
