"""Two training steps, one for the team and one for a single thread, here and in other processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import training  # noqa: E402  (beside this file, for the scripts too)


class Finished:
    """A process that has ended."""

    def __init__(self, words, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr
        self.words = words

    def losses(self):
        """The JSON of its last line."""
        assert self.code == 0, self.err
        return json.loads(self.out.splitlines()[-1])

    @property
    def warnings(self):
        return [line for line in self.err.splitlines() if "Warning: " in line]


def start(source, warnings="error", **environment):
    """A Python process that runs this source, with `training` to be imported."""
    return subprocess.Popen(
        [sys.executable, "-W", warnings, "-X", "faulthandler", "-c", source],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE)]),
            "TRACEJIT_NUM_THREADS": "2",
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process, timeout=120):
    with process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return Finished(process.args, subprocess.CompletedProcess([], process.returncode, out, err))


@pytest.fixture(scope="session")
def launch():
    return start


@pytest.fixture(scope="session")
def wait():
    return finish


@pytest.fixture(scope="session")
def run():
    """Runs source in a process of its own, to its end."""
    return lambda source, **options: finish(start(source, **options))


@pytest.fixture(scope="session")
def expected():
    """Losses of the wide step by the interpreter."""
    return training.losses(training.jitted("interpreter"), training.WIDE)


@pytest.fixture
def close():
    return lambda found, expected: np.testing.assert_allclose(found, expected, rtol=1e-4)
