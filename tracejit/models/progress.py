"""The progress of `fit`: a bar drawn at most ten times a second, or one line an epoch."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol

_SECONDS_BETWEEN = 0.1


def text_of(logs: dict[str, Any]) -> str:
    parts = []
    for name, value in logs.items():
        if isinstance(value, float):
            parts.append(f"{name}: {value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5
                         else f"{name}: {value:.4e}")  # fmt: skip
        else:
            parts.append(f"{name}: {value}")
    return " - ".join(parts)


class Progress(Protocol):
    """What `fit` tells; `due` is asked at every step and must cost next to nothing."""

    def begin(self, epoch: int, epochs: int, steps: int | None) -> None: ...
    def due(self) -> bool: ...
    def update(self, step: int, logs: dict[str, Any]) -> None: ...
    def end(self, step: int, logs: dict[str, Any]) -> None: ...
    def close(self) -> None: ...


class Silent:
    def begin(self, epoch: int, epochs: int, steps: int | None) -> None: ...

    def due(self) -> bool:
        return False

    def update(self, step: int, logs: dict[str, Any]) -> None: ...
    def end(self, step: int, logs: dict[str, Any]) -> None: ...
    def close(self) -> None: ...


class Lines(Silent):
    """One line an epoch."""

    def begin(self, epoch: int, epochs: int, steps: int | None) -> None:
        self.title = f"Epoch {epoch + 1}/{epochs}"
        self.start = time.perf_counter()

    def end(self, step: int, logs: dict[str, Any]) -> None:
        seconds = time.perf_counter() - self.start
        each = seconds / max(step, 1) * 1e3
        print(f"{self.title} - {seconds:.1f}s - {each:.2f} ms/step - {text_of(logs)}", flush=True)


class Bar(Lines):
    """A bar that ends as such a line."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self.shown = RichProgress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeRemainingColumn(), TextColumn("{task.fields[logs]}"),
            auto_refresh=False, transient=True,
        )  # fmt: skip
        self.task: Any = None

    def begin(self, epoch: int, epochs: int, steps: int | None) -> None:
        super().begin(epoch, epochs, steps)
        if self.task is None:
            self.shown.start()
        else:
            self.shown.remove_task(self.task)
        self.task = self.shown.add_task(self.title, total=steps, logs="")
        self.drawn = self.start

    def due(self) -> bool:
        now = time.perf_counter()
        if now - self.drawn < _SECONDS_BETWEEN:
            return False
        self.drawn = now
        return True

    def update(self, step: int, logs: dict[str, Any]) -> None:
        self.shown.update(self.task, completed=step, logs=text_of(logs))
        self.shown.refresh()

    def close(self) -> None:
        if self.task is not None:
            self.shown.stop()


def progress(verbose: Any) -> Progress:
    """verbose: 0, 1 or "auto" (a bar on a terminal, else lines), 2 (lines)."""
    if verbose == 0:
        return Silent()
    return Bar() if verbose in (1, "auto") and sys.stdout.isatty() else Lines()
