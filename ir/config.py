"""The one table of settings.

Every setting has a name, an environment variable, a default, and says whether compiled code depends
on it (then it is part of the cache key). `tracejit.config` is this module.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

Setting = str | int | bool

LOG_TOPICS = ("trace", "passes", "fusion", "kernels", "cache", "retrace", "times")


def _default_cache() -> str:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return str(Path(home) / "tracejit")


@dataclass(frozen=True, slots=True)
class Flag:
    variable: str
    parse: Callable[[str], Setting]
    default: Callable[[], Setting]
    in_cache_key: bool
    doc: str


def _on(text: str) -> bool:
    return text.strip().lower() not in ("", "0", "false", "no", "off")


FLAGS: dict[str, Flag] = {
    "log": Flag("TRACEJIT_LOG", str, lambda: "", False,
                f"comma-separated topics: {', '.join(LOG_TOPICS)}"),
    "dump_dir": Flag("TRACEJIT_DUMP_DIR", str, lambda: "", False,
                     "a folder that every stage of every compile is written to"),
    "cache_dir": Flag("TRACEJIT_CACHE_DIR", str, _default_cache, False,
                      "where compiled code is kept between processes"),
    "cache": Flag("TRACEJIT_CACHE", _on, lambda: True, False, "whether to use the disk cache"),
    "num_threads": Flag("TRACEJIT_NUM_THREADS", int,
                        lambda: int(os.environ.get("NUMBA_NUM_THREADS", "0")), False,
                        "threads of a parallel step; 0: all CPUs this process may use"),
    "default_float": Flag("TRACEJIT_DEFAULT_FLOAT", str, lambda: "f32", False,
                          "dtype of a Python float where nothing else decides"),
    "interpret": Flag("TRACEJIT_INTERPRET", _on, lambda: False, False,
                      "run each step as traced, operation by operation in NumPy, not compiled"),
    "profile": Flag("TRACEJIT_PROFILE", _on, lambda: False, False,
                    "time every kernel of the steps compiled from now on; they run slower"),
    "verify": Flag("TRACEJIT_VERIFY", _on, lambda: False, False,
                   "run the IR verifier between passes"),
}  # fmt: skip

_values: dict[str, Setting] = {}


def get(name: str) -> Setting:
    """The value in force: set by `update`, else from the environment, else the default."""
    if name in _values:
        return _values[name]
    flag = FLAGS[name]
    text = os.environ.get(flag.variable)
    return flag.parse(text) if text is not None else flag.default()


def key_values() -> str:
    """The values in force of all settings that compiled code depends on."""
    return repr([(name, get(name)) for name, flag in FLAGS.items() if flag.in_cache_key])


def update(name: str, value: Setting) -> None:
    """Sets one flag for this process. Raises KeyError with the known names for an unknown one."""
    if name not in FLAGS:
        raise KeyError(f"no setting {name!r}; known: {', '.join(FLAGS)}")
    _values[name] = value


@contextmanager
def override(name: str, value: Setting) -> Iterator[None]:
    """Sets one flag inside the block."""
    saved = _values.get(name)
    update(name, value)
    try:
        yield
    finally:
        if saved is None:
            _values.pop(name)
        else:
            _values[name] = saved


def logging(topic: str) -> bool:
    """Whether `topic` is among those of TRACEJIT_LOG."""
    return topic in _topics(text("log"))


@cache
def _topics(setting: str) -> frozenset[str]:
    """The topics that a value of TRACEJIT_LOG names. Warns, once, of those that do not exist."""
    named = frozenset(name.strip() for name in setting.split(",")) - {""}
    unknown = sorted(named.difference(LOG_TOPICS))
    if unknown:
        warnings.warn(
            f"TRACEJIT_LOG: no topic {', '.join(map(repr, unknown))}; "
            f"topics: {', '.join(LOG_TOPICS)}",
            stacklevel=3,
        )
    return named


def text(name: str) -> str:
    return str(get(name))
