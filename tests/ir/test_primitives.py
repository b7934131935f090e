"""Every primitive: a row of samples, infer against eval, and meanings that NumPy alone decides."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.samples import ALL, CONTROL, OPS, SHAPES, dtypes_of, samples, specials
from tracejit.ir import ops
from tracejit.ir.graph import PRIMITIVES, Builder, Loc
from tracejit.ir.primitives.random import philox
from tracejit.ir.types import (
    BF16,
    BOOL,
    F16,
    F32,
    F64,
    I8,
    I32,
    U8,
    DTypeError,
    ShapeError,
    TensorType,
    is_float,
    type_of,
)


def test_every_primitive_has_samples() -> None:
    assert set(OPS) == set(PRIMITIVES) - {"input"} - CONTROL


@pytest.mark.parametrize("op", OPS)
def test_infer_agrees_with_eval(op: str) -> None:
    checked = 0
    for sample in samples(op, ALL):
        prim = PRIMITIVES[op]
        inferred = prim.infer(*sample.types, **sample.attrs)
        result = prim.eval(*sample.arrays, **sample.attrs)
        assert isinstance(result, np.ndarray), str(sample)
        assert type_of(result) == inferred, str(sample)
        checked += 1
    assert checked >= len(dtypes_of(op))


@pytest.mark.parametrize("op", [op for op in OPS if PRIMITIVES[op].elementwise])
def test_elementwise_takes_the_listed_dtypes_and_no_other(op: str) -> None:
    operands = len(next(samples(op, ALL)).arrays)
    for dtype in ALL:
        types = [TensorType((2,), dtype)] * operands
        if op == "select":
            types[0] = TensorType((2,), BOOL)
        attrs = {"dtype": F32} if op == "cast" else {}
        if dtype in dtypes_of(op):
            assert PRIMITIVES[op].infer(*types, **attrs).shape == (2,)
        else:
            with pytest.raises(DTypeError, match=f"{op}: takes"):
                PRIMITIVES[op].infer(*types, **attrs)


@pytest.mark.parametrize("op", [op for op in OPS if PRIMITIVES[op].elementwise])
def test_eval_takes_special_values_quietly(op: str) -> None:
    """Overflow, division by zero and the like must not warn: warnings are errors here."""
    operands = len(next(samples(op, ALL)).arrays)
    for dtype in dtypes_of(op):
        values = specials(dtype)
        pairs = np.meshgrid(*[values] * operands)
        arrays = [p.reshape(-1) for p in pairs]
        if op == "select":
            arrays[0] = arrays[0] == arrays[1]
        targets = ALL if op == "cast" else (None,)
        for target in targets:
            attrs = {} if target is None else {"dtype": target}
            result = PRIMITIVES[op].eval(*arrays, **attrs)
            assert result.shape == arrays[0].shape


def test_integers_do_not_trap() -> None:
    low = np.array([-128, 5, 5], I8)
    divisor = np.array([-1, 0, -2], I8)
    assert PRIMITIVES["floor_divide"].eval(low, divisor).tolist() == [-128, 0, -3]
    assert PRIMITIVES["remainder"].eval(low, divisor).tolist() == [0, 0, -1]
    shift = np.array([1, 8, 100], I8)
    assert PRIMITIVES["shift_left"].eval(low, shift).tolist() == [0, 0, 0]
    assert PRIMITIVES["shift_right"].eval(low, shift).tolist() == [-64, 0, 0]
    assert PRIMITIVES["add"].eval(np.array([255], U8), np.array([3], U8)).tolist() == [2]


def test_float_meanings() -> None:
    x = np.array([-np.inf, -800.0, 0.0, 800.0, np.inf, np.nan])
    sigmoid = PRIMITIVES["sigmoid"].eval(x)
    np.testing.assert_array_equal(sigmoid, [0, 0, 0.5, 1, 1, np.nan])
    erf = PRIMITIVES["erf"].eval(np.array([[0.5, -np.inf], [np.nan, 2.0]]))
    np.testing.assert_array_equal(erf, [[math.erf(0.5), -1], [np.nan, math.erf(2.0)]])
    larger = PRIMITIVES["maximum"].eval(np.array([np.nan, 1.0]), np.array([0.0, np.nan]))
    assert np.isnan(larger).all()
    assert PRIMITIVES["round"].eval(np.array([0.5, 1.5, -2.5])).tolist() == [0, 2, -2]


@pytest.mark.parametrize("dtype", [F16, BF16])
def test_half_floats_round_once(dtype: np.dtype[np.generic]) -> None:
    """1 + eps/2 summed 2,000 times stays 1 in the half type itself."""
    x = np.full(2000, 1 / 1024, dtype)
    total = PRIMITIVES["reduce_sum"].eval(x, axes=(0,))
    assert float(total) == pytest.approx(2000 / 1024, rel=1e-2)
    dot = PRIMITIVES["dot_general"].eval(
        x, np.ones(2000, dtype), contract=((0,), (0,)), batch=((), ())
    )
    assert float(dot) == pytest.approx(2000 / 1024, rel=1e-2)


def test_dot_general_is_einsum() -> None:
    letters = "abcdefgh"
    for sample in samples("dot_general", (F64, I32)):
        a, b = sample.arrays
        contract, batch = sample.attrs["contract"], sample.attrs["batch"]
        left, right = list(letters[: a.ndim]), list(letters.upper()[: b.ndim])
        for i, j in (*zip(*contract, strict=True), *zip(*batch, strict=True)):
            right[j] = left[i]
        free = [
            *(left[i] for i in batch[0]),
            *(n for i, n in enumerate(left) if i not in (*contract[0], *batch[0])),
            *(n for j, n in enumerate(right) if j not in (*contract[1], *batch[1])),
        ]
        expected = np.einsum(f"{''.join(left)},{''.join(right)}->{''.join(free)}", a, b)
        result = PRIMITIVES["dot_general"].eval(a, b, **sample.attrs)
        np.testing.assert_allclose(result, expected, rtol=1e-13, err_msg=str(sample))


def test_rows_wrap_once_and_clamp() -> None:
    table = np.arange(5.0)
    index = np.array([-9, -6, -5, -1, 0, 4, 5, 99])
    rows = PRIMITIVES["gather_rows"].eval(table, index)
    assert rows.tolist() == [0, 0, 0, 4, 0, 4, 4, 4]
    counts = PRIMITIVES["scatter_add_rows"].eval(np.zeros(5), index, np.ones(8))
    assert counts.tolist() == [4, 0, 0, 0, 4]
    last = PRIMITIVES["scatter_rows"].eval(table, index, np.arange(10.0, 18.0))
    assert last.tolist() == [14, 1, 2, 3, 17]
    far = np.array([2**64 - 1, 2**63], np.uint64)
    assert PRIMITIVES["gather_rows"].eval(table, far).tolist() == [4, 4]


KNOWN_ANSWERS = (
    # Random123 1.14, kat_vectors, philox4x32 with 10 rounds: counter, key, block.
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
)  # fmt: skip


def _words(text: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    return np.array([int(word, 16) for word in text.split()], np.uint64)


@pytest.mark.parametrize(("counter", "key", "block"), KNOWN_ANSWERS)
def test_philox_known_answers(counter: str, key: str, block: str) -> None:
    out = philox(_words(counter).reshape(4, 1), _words(key))
    assert out.reshape(-1).tolist() == _words(block).tolist()


def test_random_bits_are_one_stream() -> None:
    """A longer draw starts with the shorter one, and element i is word i % 4 of block i // 4."""
    key = np.array([3, 4], np.uint32)
    bits = PRIMITIVES["random_bits"]
    long = bits.eval(key, shape=(3, 7))
    assert bits.eval(key, shape=(6,)).tolist() == long.reshape(-1)[:6].tolist()
    block = philox(np.array([[1], [0], [0], [0]], np.uint64), key.astype(np.uint64))
    assert long.reshape(-1)[4:8].tolist() == block.reshape(-1).tolist()


BAD_TYPES = (
    ("add", ("f32[3]", "f32[4]"), {}, ShapeError, r"add: f32\[3\] and f32\[4\]: shapes differ"),
    ("add", ("f32[3]", "f64[3]"), {}, DTypeError, r"f32\[3\] and f64\[3\]: dtypes differ"),
    ("exp", ("f32[3]", "f32[3]"), {}, ShapeError, r"exp: takes 1 operand\(s\), got 2"),
    ("exp", ("i32[3]",), {}, DTypeError, "exp: takes floats, not i32"),
    ("select", ("f32[3]", "f32[3]", "f32[3]"), {}, DTypeError, "select: takes bool, not f32"),
    ("reduce_sum", ("f32[3]",), {"axes": (1,)}, ShapeError, "axes .* out of range"),
    ("reduce_sum", ("f32[3,3]",), {"axes": (1, 0)}, ShapeError, "must be sorted, each once"),
    ("reduce_sum", ("bool[3]",), {"axes": (0,)}, DTypeError, "takes numbers, not bool"),
    ("reduce_max", ("f32[0,3]",), {"axes": (0,)}, ShapeError, "are empty, and reduce_max has no"),
    ("broadcast", ("f32[3]",), {"shape": (4,), "axes": (0,)}, ShapeError, "does not fit into"),
    ("broadcast", ("f32[3]",), {"shape": (3, 4), "axes": ()}, ShapeError, "one axis per dimension"),
    ("reshape", ("f32[3]",), {"shape": (4,)}, ShapeError, "3 elements do not make 4"),
    ("transpose", ("f32[3]",), {"perm": (1,)}, ShapeError, "not a permutation"),
    ("slice", ("f32[3]",), {"start": (2,), "stop": (1,), "step": (1,)}, ShapeError, "2:1:1"),
    ("slice", ("f32[3]",), {"start": (0, 0), "stop": (1,), "step": (1,)}, ShapeError, "per axis"),
    ("pad", ("f32[3]",), {"value": 0.0, "low": (-1,), "high": (0,), "interior": (0,)},
     ShapeError, "negative padding; slice instead"),
    ("concatenate", ("f32[3]", "f32[3,1]"), {"axis": 0}, ShapeError, "differ beside axis 0"),
    ("concatenate", ("f32[3]", "i32[3]"), {"axis": 0}, DTypeError, "dtypes differ"),
    ("concatenate", (), {"axis": 0}, ShapeError, "at least one operand"),
    ("dot_general", ("f32[4,3]", "f32[2,5]"), {"contract": ((1,), (0,)), "batch": ((), ())},
     ShapeError, r"dot_general: f32\[4,3\] @ f32\[2,5\]: inner sizes 3 and 2 differ"),
    ("dot_general", ("f32[4]", "f32[4]"), {"contract": ((0,), (0,)), "batch": ((0,), (0,))},
     ShapeError, "out of range or repeated"),
    ("dot_general", ("f32[4]", "f64[4]"), {"contract": ((0,), (0,)), "batch": ((), ())},
     DTypeError, "dtypes differ"),
    ("gather_rows", ("f32[4]", "f32[2]"), {}, DTypeError, "takes integers, not f32"),
    ("gather_rows", ("f32[0]", "i32[2]"), {}, ShapeError, "has no rows to take"),
    ("scatter_add_rows", ("f32[3]", "i32[2]", "f32[3]"), {}, ShapeError, r"f32\[2\] expected"),
    ("scatter_rows", ("f32[0]", "i32[2]", "f32[2]"), {}, ShapeError, "without rows"),
    ("scatter_rows", ("f32[3]", "f32[2]", "f32[2]"), {}, DTypeError, "takes integers, not f32"),
    ("random_bits", ("u32[3]",), {"shape": (2,)}, ShapeError, r"a key is u32\[2\]"),
    ("random_bits", ("i32[2]",), {"shape": (2,)}, DTypeError, r"a key is u32\[2\]"),
)  # fmt: skip


@pytest.mark.parametrize(("op", "types", "attrs", "kind", "message"), BAD_TYPES)
def test_type_errors_say_what_is_wrong(
    op: str, types: tuple[str, ...], attrs: dict[str, object], kind: type[Exception], message: str
) -> None:
    from tracejit.ir.types import parse_type

    with pytest.raises(kind, match=message):
        PRIMITIVES[op].infer(*map(parse_type, types), **attrs)


def test_errors_end_with_the_users_line() -> None:
    builder = Builder()
    builder.loc = Loc("train.py", 12)
    a, b = (builder.input(n, TensorType(s, F32)) for n, s in (("a", (4, 3)), ("b", (2, 5))))
    with pytest.raises(ShapeError, match=r"inner sizes 3 and 2 differ \(train.py:12\)$"):
        ops.dot_general(a, b, ((1,), (0,)))


def test_shorthands_follow_numpy() -> None:
    builder = Builder()
    x = builder.input("x", TensorType((2, 3, 5), F32))
    assert ops.sum(x, (-1,), keepdims=True).shape == (2, 3, 1)
    assert ops.max(x, None).shape == ()
    assert ops.broadcast_to(x, (4, 2, 3, 5)).shape == (4, 2, 3, 5)
    assert ops.transpose(x, ops.inverse((2, 0, 1))).shape == (3, 5, 2)
    with pytest.raises(ShapeError, match="name an axis twice"):
        ops.sum(x, (2, -1))
    with pytest.raises(ShapeError, match="out of range"):
        ops.sum(x, (3,))
    unchanged = (ops.reshape(x, x.shape), ops.transpose(x, (0, 1, 2)), ops.cast(x, F32))
    assert all(node is x for node in unchanged)


def test_samples_hold_awkward_sizes() -> None:
    sizes = {size for shape in SHAPES for size in shape}
    assert {0, 1, 7} <= sizes
    assert () in SHAPES
    assert all(np.isnan(specials(d).astype(F64)).any() for d in ALL if is_float(d))
