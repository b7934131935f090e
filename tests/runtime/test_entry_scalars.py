"""Numbers as arguments of an entry: every kind that fits is converted, others go to slow."""

import ctypes

import ml_dtypes
import numpy as np
import pytest

from tracejit.codegen.runtime.entry import ScalarArg

SCALARS = [
    (np.float64, 0.1),
    (np.float64, float("inf")),
    (np.float64, -1.0),
    (np.float32, 0.1),
    (np.float32, -1.0),
    (np.float32, 1e300),
    (np.float32, 1e-45),
    (np.float16, 0.1),
    (np.float16, 1e9),
    (ml_dtypes.bfloat16, 0.1),
    (ml_dtypes.bfloat16, -3.5),
    (np.int64, -(2**63)),
    (np.int64, 2**63 - 1),
    (np.int32, -1),
    (np.int8, -128),
    (np.uint8, 255),
    (np.uint64, 2**64 - 1),
    (np.uint64, 7),
    (np.bool_, True),
    (np.bool_, False),
]


@pytest.mark.parametrize(("dtype", "value"), SCALARS)
def test_scalars(entry, dtype, value):
    assert scalar_through(entry, ScalarArg(np.dtype(dtype)), value) == bits(value, dtype)


def bits(value, dtype):
    with np.errstate(over="ignore"):
        return np.array(value, dtype).tobytes()


@ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
def look_at_cell(table, tid, nthreads, team):
    """A program: keeps the bytes of its one scalar, whose cell is there only while it runs."""
    cell = ctypes.c_void_p.from_address(table).value
    look_at_cell.seen = ctypes.string_at(cell, look_at_cell.size)


def scalar_through(entry, arg, value):
    """The bytes of a scalar's cell, or "slow"."""
    look_at_cell.seen, look_at_cell.size = None, arg.dtype.itemsize
    call = entry(ctypes.cast(look_at_cell, ctypes.c_void_p).value, [arg], slow=lambda _: "slow")
    return look_at_cell.seen if call(value) == () else "slow"


@pytest.mark.parametrize(
    ("dtype", "kind", "value"),
    [
        (np.float32, int, 2**24 + 1),
        (np.float64, int, 2**63 + 5),
        (np.float32, bool, True),
        (np.int32, bool, True),
        (np.uint64, bool, True),
        (np.float16, int, 3),
    ],
)
def test_scalars_of_another_kind(entry, dtype, kind, value):
    assert scalar_through(entry, ScalarArg(np.dtype(dtype), kind), value) == bits(value, dtype)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (np.float32, 1),
        (np.float32, True),
        (np.float32, np.float32(1)),
        (np.float32, np.float64(1)),
        (np.float32, "1"),
        (np.float32, np.ones(())),
        (np.int32, 1.0),
        (np.int32, True),
        (np.int32, 2**31),
        (np.int32, -(2**31) - 1),
        (np.int8, 128),
        (np.uint8, -1),
        (np.uint8, 256),
        (np.int64, 2**63),
        (np.int64, -(2**63) - 1),
        (np.uint64, -1),
        (np.uint64, 2**64),
        (np.bool_, 1),
        (np.bool_, None),
    ],
)
def test_scalars_that_do_not_fit_go_to_slow(entry, dtype, value):
    assert scalar_through(entry, ScalarArg(np.dtype(dtype)), value) == "slow"


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_integers_beyond_all_floats_go_to_slow(entry, dtype):
    assert scalar_through(entry, ScalarArg(np.dtype(dtype), int), 10**400) == "slow"


def test_scalar_kinds_that_make_no_sense():
    for dtype, kind in ((np.int32, float), (np.bool_, int), (np.bool_, float)):
        with pytest.raises(TypeError, match=kind.__name__):
            ScalarArg(np.dtype(dtype), kind)
