"""Where in the user's program we are: the innermost frame that is neither ours nor NumPy's."""

from __future__ import annotations

import functools
import linecache
import os
import sys
from types import CodeType, FrameType

import numpy
import optree

import tracejit.codegen
import tracejit.ir
from tracejit.ir.graph import Loc


def _folder(module: object) -> str:
    return os.path.dirname(os.path.abspath(str(getattr(module, "__file__", "")))) + os.sep


# The three layers may lie side by side (an editable install), so each folder counts.
_INSIDE = (
    os.path.dirname(os.path.abspath(__file__)) + os.sep,
    *(_folder(m) for m in (tracejit.ir, tracejit.codegen, numpy, optree, functools)),
)
_STANDARD = _folder(functools)
_SITE = os.sep + "site-packages" + os.sep

_inside: dict[CodeType, bool] = {}
_locs: dict[tuple[str, int], Loc] = {}


def _is_inside(code: CodeType) -> bool:
    """Whether code is part of tracejit, NumPy, optree or the standard library."""
    known = _inside.get(code)
    if known is None:
        name = os.path.abspath(code.co_filename)
        in_library = name.startswith(_STANDARD) and _SITE in name[len(_STANDARD) - 1 :]
        known = code.co_filename.startswith("<frozen") or (
            name.startswith(_INSIDE[:-1]) or (name.startswith(_STANDARD) and not in_library)
        )
        _inside[code] = known
    return known


def user_frame() -> FrameType | None:
    """The innermost frame of the user's code, None where there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_inside(frame.f_code):
        frame = frame.f_back
    return frame


def user_loc() -> Loc | None:
    """File and line of `user_frame`."""
    frame = user_frame()
    if frame is None:
        return None
    key = (frame.f_code.co_filename, frame.f_lineno)
    loc = _locs.get(key)
    if loc is None:
        loc = _locs[key] = Loc(*key)
    return loc


def here() -> str:
    """` (train.py:12)` for an error message, empty where the user's line is not known."""
    loc = user_loc()
    return f" ({os.path.basename(loc.file)}:{loc.line})" if loc else ""


def user_line() -> str:
    """The text of the user's line, stripped; empty where the source is not there."""
    loc = user_loc()
    return linecache.getline(loc.file, loc.line).strip() if loc else ""
