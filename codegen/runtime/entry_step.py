"""A step as the native entry sees it: the structures that Python writes and the entry reads."""

from __future__ import annotations

import ctypes

from tracejit.codegen.runtime import native

ARRAY, FLOAT64, FLOAT32, INTEGER, UNSIGNED64, OTHER = range(6)
FRESH = -1  # the `arg` of an output that is no argument


class Argument(ctypes.Structure):
    """What one argument, or one output kept for reuse, must be."""

    _fields_ = (
        ("kind", ctypes.c_int64),  # ARRAY, or how to convert a scalar
        ("type", ctypes.c_void_p),
        ("dtype", ctypes.c_void_p),
        ("word", ctypes.c_int64),  # layout.dtype_word
        ("dims", ctypes.c_void_p),
        ("ndim", ctypes.c_int32),
        ("flags", ctypes.c_int32),  # that must be set
        ("nbytes", ctypes.c_int64),
        ("donated", ctypes.c_int64),
        ("low", ctypes.c_int64),  # of an integer
        ("high", ctypes.c_int64),
    )


class Step(ctypes.Structure):
    """One step, as the entry sees it. The table holds arguments, captured, fresh outputs, arena."""

    _fields_ = (
        ("nargs", ctypes.c_int64),
        ("nranges", ctypes.c_int64),  # arguments and captured
        ("ndonated", ctypes.c_int64),
        ("nscalars", ctypes.c_int64),
        ("nouts", ctypes.c_int64),
        ("nfresh", ctypes.c_int64),
        ("nthreads", ctypes.c_int64),
        ("release_gil", ctypes.c_int64),
        ("verified", ctypes.c_int64),  # the pointers in the table were found distinct
        ("program", ctypes.c_void_p),
        ("team", ctypes.c_void_p),
        ("cell", ctypes.c_void_p),
        ("table", ctypes.c_void_p),
        ("arguments", ctypes.c_void_p),  # Argument[nranges]
        ("scalars", ctypes.c_void_p),  # i64[nscalars]: their positions
        ("outs", ctypes.c_void_p),  # i64[nouts]: the argument, or FRESH
        ("fresh", ctypes.c_void_p),  # Argument[nfresh]
        ("kept", ctypes.c_void_p),  # list of nfresh * WAYS arrays or None
        ("make", ctypes.c_void_p),  # callable: makes fresh output k, keeps it, returns it
        ("bits", ctypes.c_void_p),  # callable: the bits of scalar argument k, given its value
        ("ensure", ctypes.c_void_p),  # callable: starts the team's threads
        ("slow", ctypes.c_void_p),  # callable: takes the arguments
    )


STEP = native.Fields("Step", Step)
ARGUMENT = native.Fields("Argument", Argument)


def word(result: str, base: str, offset: int, kind: str = "ptr") -> str:
    """Two instructions: `result` = what lies `offset` bytes into the object at `base`."""
    at = f"{result}.at"
    return f"{at} = getelementptr i8, ptr {base}, i64 {offset}\n  {result} = load {kind}, ptr {at}"
