"""The entry of a step, native and in Python: what it takes, what it returns, whom it asks."""

import gc
import pickle
import sys
import warnings
import weakref

import ml_dtypes
import numpy as np
import pytest

from tests.runtime.entries import DONATED, F32, I64, U8, VECTOR, X, Y, is_slow
from tracejit.codegen.runtime import entry_native, entry_plan, entry_python
from tracejit.codegen.runtime.entry import ArrayArg, DonatedOut, FreshOut, ScalarArg, make_entry


@pytest.mark.parametrize("release_gil", [False, True])
@pytest.mark.parametrize("nthreads", [1, 2, 3])
def test_add(entry, nthreads, release_gil):
    add = entry(
        "add", [VECTOR, VECTOR], [FreshOut((4,), F32)], nthreads=nthreads, release_gil=release_gil
    )
    for k in range(5):
        (out,) = add(X, Y + np.float32(k))
        assert type(out) is np.ndarray and out.dtype == F32 and out.flags.c_contiguous
        assert out.tolist() == (X + Y + k).tolist()


def test_the_table(entry):
    words, captured = np.zeros(5, I64), np.zeros(3, F32)
    args = [ArrayArg((5,), I64), VECTOR]
    outs = [FreshOut((4,), F32), FreshOut((2, 3), I64)]
    copy = entry("copy_5", args, outs, [captured.ctypes.data], arena=100)
    first, second = copy(words, X)
    assert words[:4].tolist() == [array.ctypes.data for array in (X, captured, first, second)]
    assert second.shape == (2, 3) and second.dtype == I64
    assert words[4] % 64 == first.ctypes.data % 64 == second.ctypes.data % 64 == 0


@pytest.mark.parametrize("arena", [0, 1, 1 << 20])
def test_arena_is_aligned_and_stays(entry, arena):
    words = np.zeros(1, I64)
    copy = entry("copy_1", [ArrayArg((1,), I64)], arena=arena)
    assert copy(words) == ()
    first = words[0]
    assert first != 0 and first % 64 == 0
    copy(words)
    assert words[0] == first


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1, 1), (2, 1, 3, 1, 2, 1, 1, 1)])
@pytest.mark.parametrize("dtype", [F32, I64, np.dtype(bool), np.dtype(ml_dtypes.bfloat16)])
def test_shapes_and_dtypes(entry, shape, dtype):
    words = np.zeros(2, I64)
    copy = entry("copy_2", [ArrayArg((2,), I64), ArrayArg(shape, dtype)], [FreshOut(shape, dtype)])
    array = np.zeros(shape, dtype)
    (out,) = copy(words, array)
    assert words.tolist() == [array.ctypes.data, out.ctypes.data]
    assert out.shape == shape and out.dtype == dtype


class Subclass(np.ndarray):
    pass


MISALIGNED = np.zeros(17, U8)[1:].view(np.float32)
BAD = {
    "list": [1.0, 2.0, 3.0, 4.0],
    "scalar": 1.0,
    "None": None,
    "dtype": np.zeros(4),
    "same size dtype": np.zeros(4, np.int32),
    "byte order": np.zeros(4, ">f4"),
    "length": np.zeros(5, np.float32),
    "fewer axes": np.zeros((), np.float32),
    "more axes": np.zeros((4, 1), np.float32),
    "stride": np.zeros(8, np.float32)[::2],
    "negative stride": np.zeros(4, np.float32)[::-1],
    "misaligned": MISALIGNED,
    "subclass": np.zeros(4, np.float32).view(Subclass),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("nthreads", [1, 2])
def test_other_arguments_go_to_slow(entry, name, nthreads):
    add = entry("add", [VECTOR, VECTOR], [FreshOut((4,), F32)], nthreads=nthreads)
    result = add(X, BAD[name])
    assert is_slow(result)
    assert result[1][0] is X and result[1][1] is BAD[name]
    assert add(X, Y)[0].tolist() == (X + Y).tolist()  # and nothing was left locked


@pytest.mark.parametrize("args", [(), (X,), (X, Y, X)])
def test_another_number_of_arguments_goes_to_slow(entry, args):
    result = entry("add", [VECTOR, VECTOR], [FreshOut((4,), F32)])(*args)
    assert is_slow(result) and len(result[1]) == len(args)


def test_keywords_are_refused(entry):
    with pytest.raises(TypeError):
        entry("nothing", [VECTOR])(x=X)


def test_slow_may_raise(entry):
    def slow(*args):
        raise ValueError("not like that")

    add = entry("add", [VECTOR, VECTOR], [FreshOut((4,), F32)], slow=slow)
    with pytest.raises(ValueError, match="not like that"):
        add(X, None)
    assert add(X, Y)[0].tolist() == (X + Y).tolist()


def test_slow_may_normalise_and_call_again(entry):
    def slow(*args):
        return add(*(np.ascontiguousarray(arg, np.float32) for arg in args))

    add = entry("add", [VECTOR, VECTOR], [FreshOut((4,), F32)], slow=slow)
    assert add(X[::-1], [1, 1, 1, 1])[0].tolist() == [5, 4, 3, 2]


def test_unpickled_arrays_are_taken(entry):
    array = pickle.loads(pickle.dumps(X))
    assert entry("add", [VECTOR, VECTOR], [FreshOut((4,), F32)])(array, array)[0][3] == 8


def test_read_only_arguments(entry):
    frozen = X.copy()
    frozen.flags.writeable = False
    (out,) = entry("add", [VECTOR, VECTOR], [FreshOut((4,), F32)])(frozen, frozen)
    assert out.tolist() == (X + X).tolist()
    assert is_slow(entry("bump", [DONATED], [DonatedOut(0)])(frozen))
    assert frozen.tolist() == X.tolist()


def test_held_outputs_are_never_overwritten(entry):
    add = entry("add", [VECTOR, VECTOR], [FreshOut((4,), F32)])
    held = [add(X, Y + np.float32(k))[0] for k in range(10)]
    for k, out in enumerate(held):
        assert out.tolist() == (X + Y + k).tolist()
    assert len({out.ctypes.data for out in held}) == 10


def test_dropped_outputs_are_used_again(entry):
    add = entry("add", [VECTOR, VECTOR], [FreshOut((4,), F32)])
    out, seen = None, set()
    for _ in range(20):
        (out,) = add(X, Y)  # the last one is still held when the next is made
        seen.add(id(out))
    assert len(seen) == 2


HOLD = {
    "view": lambda out: out[1:3],
    "view of a view": lambda out: out[1:][1:],
    "reinterpreted": lambda out: out.view(np.int32),
    "transposed": lambda out: out.T,
    "memoryview": memoryview,
    "base": lambda out: out.base,
    "ctypes": lambda out: out.ctypes,
    "dlpack": np.from_dlpack,
}


@pytest.mark.parametrize("name", HOLD)
def test_whatever_looks_at_an_output_holds_it(entry, name):
    add = entry("add", [VECTOR, VECTOR], [FreshOut((4,), F32)])
    (out,) = add(X, Y)
    place, held = out.ctypes.data, HOLD[name](out)
    gc.collect()
    del out
    places = [add(X, Y)[0].ctypes.data for _ in range(6)]
    assert place not in places
    assert held is not None


def reshape(out):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        out.shape = (2, 2)


def retype(out):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        out.dtype = np.int32


def freeze(out):
    out.setflags(write=False)


@pytest.mark.parametrize("change", [reshape, retype, freeze])
def test_an_output_that_the_user_changed_is_not_used_again(entry, change):
    add = entry("add", [VECTOR, VECTOR], [FreshOut((4,), F32)])
    for _ in range(5):
        (out,) = add(X, Y)
        assert out.shape == (4,) and out.dtype == F32 and out.flags.writeable
        assert out.tolist() == (X + Y).tolist()
        change(out)
        del out


def test_outputs_are_independent(entry):
    outs = [FreshOut((4,), F32), FreshOut((4,), F32), DonatedOut(0), DonatedOut(0)]
    first, second, third, fourth = entry("nothing", [DONATED], outs)(X)
    assert first is not second and first.ctypes.data != second.ctypes.data
    assert third is X and fourth is X


def test_donated_is_updated_in_place(entry):
    array = X.copy()
    bump = entry("bump", [DONATED], [DonatedOut(0)])
    for k in range(1, 4):
        (out,) = bump(array)
        assert out is array and array.tolist() == (X + k).tolist()


def test_donated_must_lie_apart(entry):
    memory = np.zeros(16, np.float32)
    args = [DONATED, VECTOR, DONATED]
    call = entry("nothing", args, [DonatedOut(0)], captured=[memory[12:].ctypes.data])
    a, b, c, d = memory[0:4], memory[4:8], memory[8:12], memory[12:16]
    other = np.zeros(4, np.float32)
    assert call(a, b, c) == (a,) or call(a, b, c)[0] is a
    shifted = memory[2:6]
    apart = [(a, b, c), (b, a, c), (c, b, a), (a, other, c), (a, b, c), (other, b, a)]
    meeting = [(a, a, c), (a, b, a), (a, b, b), (a, shifted, c), (shifted, b, c), (b, c, c)]
    meeting += [(d, a, b), (a, b, d), (memory[11:15], a, b)]
    for good in apart:
        for bad in meeting:
            assert not is_slow(call(*good)), good
            assert is_slow(call(*bad)), bad
            assert is_slow(call(*bad)), bad  # the same pointers again are no better


def test_arguments_that_are_not_donated_may_meet(entry):
    (out,) = entry("add", [VECTOR, VECTOR], [FreshOut((4,), F32)])(X, X)
    assert out.tolist() == (X + X).tolist()
    (donated,) = entry("nothing", [DONATED, VECTOR, VECTOR], [DonatedOut(0)])(X, Y, Y)
    assert donated is X


def test_empty_donated_arrays_meet_nobody(entry):
    empty, line = ArrayArg((0,), F32, donated=True), ArrayArg((4,), F32, donated=True)
    call = entry("nothing", [empty, empty, line], [DonatedOut(2)])
    middle = np.ndarray((0,), F32, buffer=X, offset=8)
    assert call(middle, middle, X)[0] is X


def test_plans_that_make_no_sense(entry):
    with pytest.raises(ValueError, match="not donated"):
        entry("nothing", [VECTOR], [DonatedOut(0)])
    with pytest.raises(ValueError, match="not donated"):
        entry("nothing", [VECTOR], [DonatedOut(3)])
    with pytest.raises(ValueError, match="0 threads"):
        entry("nothing", [VECTOR], nthreads=0)


def test_no_memory_for_an_output(entry, monkeypatch):
    add = entry("add", [VECTOR, VECTOR], [FreshOut((4,), F32)])
    (held,) = add(X, Y)

    def no_memory(*args):
        raise MemoryError("no room")

    with monkeypatch.context() as patch:
        for module in (entry_native, entry_python, entry_plan):
            patch.setattr(module, "aligned_empty", no_memory)
        with pytest.raises(MemoryError, match="no room"):
            add(X, Y)
    assert add(X, Y)[0].tolist() == held.tolist()


def test_no_reference_is_lost_or_kept(entry):
    array, y, number = X.copy(), Y.copy(), 1234.5
    outs = [DonatedOut(0), FreshOut((4,), F32), FreshOut((), F32)]
    call = entry("nothing", [DONATED, VECTOR, ScalarArg(F32)], outs)
    bad = [(array, y, 1), (array, None, number), (array, array, number), (array, y)]

    def counts():
        return [sys.getrefcount(thing) for thing in (array, y, number, None, X)]

    call(array, y, number)
    before = counts()
    for _ in range(2000):
        call(array, y, number)
        for args in bad:
            call(*args)
    assert all(abs(a - b) < 100 for a, b in zip(before, counts(), strict=True))


def test_an_entry_goes_when_nobody_holds_it(entry, code):
    class Keep:
        pass

    keep = Keep()
    kept = weakref.ref(keep)

    class Slow:
        def __call__(self, *args):
            return self.call(*args)

    slow = Slow()
    kept_slow = weakref.ref(slow)
    slow.call = call = make_entry(
        code.address("add"), [VECTOR, VECTOR], [FreshOut((4,), F32)], [], 64, 1, False, slow, keep
    ).call
    (out,) = call(X, Y)
    del keep, slow
    gc.collect()
    assert kept() is not None and kept_slow() is not None
    del call
    gc.collect()
    assert kept() is None and kept_slow() is None
    assert out.tolist() == (X + Y).tolist()


def test_call_outlives_the_entry(entry):
    add = entry("add", [VECTOR, VECTOR], [FreshOut((4,), F32)])
    gc.collect()
    assert add(X, Y)[0].tolist() == (X + Y).tolist()
