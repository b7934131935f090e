"""The log: lines on stderr, each with its topic. TRACEJIT_LOG names the topics that are wanted."""

from __future__ import annotations

import sys
import time

from tracejit.ir import config


def log(topic: str, message: str) -> None:
    """Writes `message` if `topic` is wanted; every line of it says the topic, so grep finds it.

    Where building the message costs something, ask `config.logging` first.
    """
    if config.logging(topic):
        lines = message.splitlines() or [""]
        # One write, so that the messages of two threads do not mix.
        sys.stderr.write("".join(f"[tracejit {topic}] {line}\n" for line in lines))


class Stopwatch:
    """How long the stages of one piece of work take."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> float:
        """Counts the time since the last lap as that of `stage`, and returns it [seconds]."""
        now = time.perf_counter()
        spent, self._last = now - self._last, now
        self.seconds[stage] = self.seconds.get(stage, 0.0) + spent
        return spent

    def resume(self) -> None:
        """Leaves out the time since the last lap."""
        self._last = time.perf_counter()

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    def __str__(self) -> str:
        stages = ", ".join(f"{stage} {spent * 1e3:.1f}" for stage, spent in self.seconds.items())
        return f"{stages} = {self.total * 1e3:.1f} ms"
