"""Where CPython and NumPy keep what the native entry reads, and a test that they really do.

Offsets are in bytes from the start of an object. The sources: `PyObject` in CPython's object.h,
`PyArrayObject_fields` and `PyArray_Descr` in NumPy's ndarraytypes.h.
"""

from __future__ import annotations

import ctypes
import sys
import sysconfig
from functools import cache

import numpy as np
import numpy.typing as npt

HEAD = object.__basicsize__
REFCOUNT = 0  # its low 32 bits, the same in every CPython; a live array's count is below that
TYPE = HEAD - 8
DATA = HEAD
NDIM = HEAD + 8  # int
DIMENSIONS = HEAD + 16
BASE = HEAD + 32
DTYPE = HEAD + 40
FLAGS = HEAD + 48  # int
DTYPE_WORD = HEAD + 8  # of a dtype: kind, char, byteorder, (flags), int num
DTYPE_MASK = 0xFFFF_FFFF_00FF_FFFF  # leaves out the flags

C_CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400


Integer = ctypes.c_int64 | ctypes.c_uint64 | ctypes.c_int32


def read(kind: type[Integer], at: int) -> int:
    """The integer at an address."""
    return int(kind.from_address(at).value)


def dtype_word(dtype: np.dtype[np.generic]) -> int:
    """What tells dtypes without parameters apart. Equal dtypes have equal words."""
    codes = bytes([ord(dtype.kind), ord(dtype.char), ord(dtype.byteorder), 0])
    return int.from_bytes(codes + dtype.num.to_bytes(4, "little"), "little")


def counts_references() -> bool:
    """Whether a reference count of 1 means that nobody else can reach the object."""
    if sys.implementation.name != "cpython":
        return False
    return not sysconfig.get_config_var("Py_GIL_DISABLED")


@cache
def layout_ok() -> bool:
    """Whether this interpreter and this NumPy keep arrays as said above.

    False on PyPy, on free-threaded builds (whose counts and locks differ), and on big-endian CPUs.
    """
    if not counts_references():
        return False
    if sys.byteorder != "little" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    return all(_as_expected(array) for array in _samples())


def _samples() -> list[npt.NDArray[np.generic]]:
    base = np.arange(24, dtype=np.float32)
    frozen = np.zeros((5, 1), np.int64)
    frozen.flags.writeable = False
    samples: list[npt.NDArray[np.generic]] = [
        frozen,
        base,
        base[3:],
        base.reshape(2, 3, 4).transpose(2, 0, 1),
    ]
    samples += [np.zeros((), np.float64), np.zeros((3, 0, 2), np.bool_), np.zeros(3, ">i4")]
    return [*samples, base.view(np.uint8)[1:9].view(np.float32)]  # the last is misaligned


def _as_expected(array: npt.NDArray[np.generic]) -> bool:
    at = id(array)
    pointer, base = ctypes.c_uint64, array.base
    dimensions = read(pointer, at + DIMENSIONS)
    found = [read(ctypes.c_int64, dimensions + 8 * axis) for axis in range(array.ndim)]
    word = read(pointer, id(array.dtype) + DTYPE_WORD) & DTYPE_MASK
    held: list[object] = [array]
    count = read(ctypes.c_int32, at + REFCOUNT)
    held.append(array)
    return (
        read(pointer, at + TYPE) == id(type(array))
        and read(pointer, at + DATA) == array.__array_interface__["data"][0]
        and read(ctypes.c_int32, at + NDIM) == array.ndim
        and tuple(found) == array.shape
        and read(pointer, at + BASE) == (0 if base is None else id(base))
        and read(pointer, at + DTYPE) == id(array.dtype)
        and read(ctypes.c_int32, at + FLAGS) == array.flags.num
        and word == dtype_word(array.dtype)
        and read(ctypes.c_int32, at + REFCOUNT) == count + 1
    )
