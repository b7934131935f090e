"""Every elementwise template on every element type against its primitive's meaning in NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest

import tracejit.ir.primitives  # noqa: F401
from tests.codegen.vector_kernel import Array, Kernels, Spec
from tracejit.codegen.llvm.builder import Builder
from tracejit.codegen.llvm.elementwise import TEMPLATES, combine, emit, identity
from tracejit.codegen.llvm.philox import philox
from tracejit.codegen.llvm.values import Vec, is_float, is_half, kind_of
from tracejit.ir.graph import PRIMITIVES
from tracejit.ir.types import BF16, BOOL, F16, F64, U32, DType, DTypeError, ShapeError, TensorType

INTS = tuple(np.dtype(f"{sign}{size}") for sign in "iu" for size in (1, 2, 4, 8))
FLOATS = (F16, BF16, np.dtype(np.float32), F64)
DTYPES = (BOOL, *INTS, *FLOATS)
LANES = (1, 8)
# Polynomials, against NumPy's own rounding of the same function: ulps of the result allowed.
INEXACT = dict.fromkeys(
    ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "erf", "sin", "cos", "pow"), 4.0
)
ZEROS_MAY_SWAP = ("maximum", "minimum")


def operand_count(op: str, dtype: DType) -> int | None:
    """How many operands of dtype primitive `op` takes; None if it does not take them."""
    for count in (1, 2):
        try:
            PRIMITIVES[op].infer(*[TensorType((1,), dtype)] * count)
        except (DTypeError, ShapeError):
            continue
        return count
    return None


CASES = [
    (op, dtype, count)
    for op in TEMPLATES
    if op not in ("cast", "select")
    for dtype in DTYPES
    if (count := operand_count(op, dtype)) is not None
]


def special(dtype: DType) -> Array:
    """Values at which rules change: zeros, ones, limits, halves, denormals, infinities, nan."""
    if dtype == BOOL:
        return np.array([False, True])
    if not is_float(dtype):
        limits = np.iinfo(dtype)
        around = [0, 1, 2, 3, 7, 8, 31, 63, 64, limits.max, limits.max - 1, limits.min]
        values = [v for v in [*around, -1, -2, -3, -7] if limits.min <= v <= limits.max]
        return np.array(values, dtype)
    plain = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 7.25, 100.5, 1e-3, 1e4, 3e38, 1e300, 1e-7, 1e-39]
    tiny = np.array([1, 2, 3], f"u{dtype.itemsize}").view(dtype)
    with np.errstate(over="ignore"):
        values = np.concatenate([np.array(plain).astype(dtype), tiny])
    return np.concatenate([values, -values, np.array([np.inf, -np.inf, np.nan], dtype)])


def random(dtype: DType, count: int, seed: int) -> Array:
    """Half of any bits but signalling nan (of which C makes nan ** 0), half of everyday size."""
    rng = np.random.default_rng(seed)
    if dtype == BOOL:
        return rng.integers(0, 2, count).astype(BOOL)
    anything = rng.integers(0, 256, count // 2 * dtype.itemsize, dtype=np.uint8).view(dtype)
    if is_float(dtype):
        with np.errstate(invalid="ignore"):
            anything[np.isnan(anything)] = np.nan
    low = 0 if dtype.kind == "u" else -9
    usual = rng.uniform(low, 9, count - count // 2).astype(dtype)
    return np.concatenate([anything, usual])


def operands(dtype: DType, count: int) -> list[Array]:
    """Every pair of special values, and random ones."""
    values = special(dtype)
    if count == 1:
        return [np.concatenate([values, random(dtype, 400, 1)])]
    left, right = np.meshgrid(values, values)
    return [
        np.concatenate([left.ravel(), random(dtype, 400, 2)]),
        np.concatenate([right.ravel(), random(dtype, 400, 3)]),
    ]


def result_dtype(op: str, dtype: DType, count: int) -> DType:
    return PRIMITIVES[op].infer(*[TensorType((1,), dtype)] * count).dtype


@cache
def compiled() -> Kernels:
    """One module of every op on every dtype at every lane count."""
    specs = []
    for op, dtype, count in CASES:
        out = result_dtype(op, dtype, count)
        for lanes in LANES:

            def body(b: Builder, args: list[Vec], op: str = op, out: DType = out) -> list[Vec]:
                return [emit(b, op, out, args)]

            specs.append(Spec(f"{op}.{dtype}.{lanes}", body, (dtype,) * count, (out,), lanes))
    return Kernels(specs)


def as_bits(array: Array) -> Array:
    return array.view(f"u{array.dtype.itemsize}")


def assert_same(got: Array, want: Array, *inputs: Array, signs: bool = True) -> None:
    """Equal bit for bit; any nan equals any nan, and zeros of both signs if not `signs`."""
    equal = as_bits(got) == as_bits(want)
    if is_float(want.dtype):
        with np.errstate(invalid="ignore"):  # ml_dtypes warns of a signalling nan
            equal |= np.isnan(got) & np.isnan(want)
            equal |= (got == want) & ~np.bool_(signs)
    wrong = np.flatnonzero(~equal)[:5]
    assert not wrong.size, [(*(x[i] for x in inputs), got[i], want[i]) for i in wrong]


def assert_close(got: Array, want: Array, ulps: float, *inputs: Array) -> None:
    """Within `ulps` of want; infinities, nan and zeros alike."""
    with np.errstate(invalid="ignore"):
        finite = np.isfinite(want.astype(F64)) & np.isfinite(got.astype(F64))
    wide = np.where(finite, want, 0).astype(F64)
    spacing = np.spacing(np.abs(np.where(finite, want, 0)).astype(want.dtype)).astype(F64)
    error = np.abs(np.where(finite, got, 0).astype(F64) - wide) / spacing
    wrong = np.flatnonzero(error > ulps)[:5]
    assert not wrong.size, [(*(x[i] for x in inputs), got[i], want[i], error[i]) for i in wrong]
    assert_same(got[~finite], want[~finite], *(x[~finite] for x in inputs))


def test_there_is_a_template_for_exactly_what_each_primitive_takes() -> None:
    primitives = {name for name, primitive in PRIMITIVES.items() if primitive.elementwise}
    assert set(TEMPLATES) == primitives
    for op, template in TEMPLATES.items():
        if op in ("cast", "select"):
            continue
        taken = {kind_of(dtype) for dtype in DTYPES if operand_count(op, dtype) is not None}
        assert set(template) == taken, op


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("op", [op for op in TEMPLATES if op not in ("cast", "select")])
def test_template_gives_what_numpy_gives(op: str, dtype: DType, lanes: int) -> None:
    count = operand_count(op, dtype)
    if count is None:
        assert kind_of(dtype) not in TEMPLATES[op]
        return
    inputs = operands(dtype, count)
    with np.errstate(all="ignore"):
        want = PRIMITIVES[op].eval(*inputs)
    (got,) = compiled()(f"{op}.{dtype}.{lanes}", *inputs)
    if is_float(dtype) and op in INEXACT:
        assert_close(got, want, 1.0 if is_half(dtype) else INEXACT[op], *inputs)
    else:
        assert_same(got, want, *inputs, signs=op not in ZEROS_MAY_SWAP)


def constant_cases() -> Iterator[tuple[str, DType, float]]:
    for dtype in (*INTS, np.dtype(np.float32), F64):
        for op in ("maximum", "minimum", "pow", "remainder", "floor_divide"):
            for value in (0, 1, 2, 3, 7, *((-1, -2, -3) if dtype.kind != "u" else ())):
                yield op, dtype, value


def test_a_constant_right_operand_changes_no_result() -> None:
    cases = list(constant_cases())
    specs = []
    for op, dtype, value in cases:

        def body(b: Builder, args: list[Vec], op: str = op, value: float = value) -> list[Vec]:
            return [emit(b, op, args[0].dtype, [args[0], b.like(args[0], value)])]

        specs.append(Spec(f"{op}.{dtype}.{value}", body, (dtype,), (dtype,), 8))
    kernels = Kernels(specs)
    for op, dtype, value in cases:
        (x,) = operands(dtype, 1)
        with np.errstate(all="ignore"):
            want = PRIMITIVES[op].eval(x, np.full_like(x, value))
        (got,) = kernels(f"{op}.{dtype}.{value}", x)
        if is_float(dtype) and op == "pow":
            assert_close(got, want, INEXACT[op], x)
        else:
            assert_same(got, want, x, signs=op not in ZEROS_MAY_SWAP)


@pytest.mark.parametrize("has_fma", (True, False))
@pytest.mark.parametrize("target", DTYPES, ids=str)
def test_cast_gives_what_astype_gives(target: DType, has_fma: bool) -> None:
    """has_fma False stands for a machine that does not convert f16 either."""

    def body(b: Builder, args: list[Vec]) -> list[Vec]:
        return [emit(b, "cast", target, args)]

    specs = [Spec(f"from.{d}", body, (d,), (target,), 8) for d in DTYPES]
    kernels = Kernels(specs, has_fma=has_fma and None)
    for dtype in DTYPES:
        (x,) = operands(dtype, 1)
        if is_float(dtype) and not is_float(target) and target != BOOL:
            limits = np.iinfo(target)
            bound = 2.0 ** (8 * target.itemsize - (target.kind == "i"))
            low = limits.min if dtype == F64 else -bound * (target.kind == "i")
            with np.errstate(invalid="ignore"):
                x = x[(x.astype(F64) < bound) & (x.astype(F64) >= low)]
        with np.errstate(all="ignore"):
            want = PRIMITIVES["cast"].eval(x, dtype=target)
        (got,) = kernels(f"from.{dtype}", x)
        assert_same(got, want, x)


def test_every_f16_bit_pattern_widens_and_rounds_back_in_integers() -> None:
    def body(b: Builder, args: list[Vec]) -> list[Vec]:
        wide = b.convert(args[0], np.dtype(np.float32))
        return [wide, b.convert(wide, args[0].dtype)]

    f32 = np.dtype(np.float32)
    specs = [Spec(str(d), body, (d,), (f32, d), 8) for d in (F16, BF16)]
    kernels = Kernels(specs, has_fma=False)
    for dtype in (F16, BF16):
        x = np.arange(2**16, dtype=np.uint16).view(dtype)
        wide, back = kernels(str(dtype), x)
        assert_same(wide, x.astype(f32), x)
        assert_same(back, x, x)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_select_takes_the_side_the_predicate_says(dtype: DType) -> None:
    def body(b: Builder, args: list[Vec]) -> list[Vec]:
        return [emit(b, "select", dtype, args)]

    kernels = Kernels([Spec(f"select.{n}", body, (BOOL, dtype, dtype), (dtype,), n) for n in LANES])
    a, c = operands(dtype, 2)
    predicate = random(BOOL, a.size, 5)
    for lanes in LANES:
        (got,) = kernels(f"select.{lanes}", predicate, a, c)
        assert_same(got, np.where(predicate, a, c), a, c)


REDUCTIONS = {
    "add": np.add,
    "mul": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_combine_horizontal_and_identity_of_reductions(dtype: DType) -> None:
    ops = [op for op in REDUCTIONS if not is_float(dtype) or op not in ("and", "or")]

    def body(b: Builder, args: list[Vec]) -> list[Vec]:
        x = args[0]
        results = []
        for op in ops:
            e = b.like(x, identity(op, dtype))
            results += [combine(b, op, e, x), b.splat(b.horizontal(op, x), x.lanes)]
        return results

    kernels = Kernels([Spec("reduce", body, (dtype,), (dtype,) * 2 * len(ops), 8)])
    (x,) = operands(dtype, 1)
    x = x[: x.size // 8 * 8]
    outputs = kernels("reduce", x)
    for i, op in enumerate(ops):
        combined, reduced = outputs[2 * i : 2 * i + 2]
        with np.errstate(all="ignore"):
            assert_same(combined, x + np.zeros(1, dtype) if op == "add" else x, x)
            want = tree(op, x.reshape(-1, 8))
        assert_same(reduced.reshape(-1, 8)[:, 0], want, x.reshape(-1, 8), signs=False)


def tree(op: str, x: Array) -> Array:
    """The reduction over the last axis in the order that `horizontal` documents."""
    wide = x.astype(np.float32) if is_half(x.dtype) else x
    while wide.shape[-1] > 1:
        half = wide.shape[-1] // 2
        wide = REDUCTIONS[op](wide[:, :half], wide[:, half:])
    return wide[:, 0].astype(x.dtype)


PHILOX_ANSWERS = (
    # counter, key, output: kat_vectors of Random123, philox4x32-10
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
)


@pytest.mark.parametrize("lanes", (1, 4, 8, 16))
def test_philox_gives_the_published_answers(lanes: int) -> None:
    def body(b: Builder, args: list[Vec]) -> list[Vec]:
        c0, c1, c2, c3, key0, key1 = args
        return list(philox(b, key0, key1, c0, c1, c2, c3))

    kernels = Kernels([Spec("philox", body, (U32,) * 6, (U32,) * 4, lanes)])
    table = np.array([(*counter, *key) for counter, key, _ in PHILOX_ANSWERS], np.uint32)
    got = kernels("philox", *np.ascontiguousarray(table.T))
    assert np.stack(got, axis=1).tolist() == [list(answer) for _, _, answer in PHILOX_ANSWERS]


def test_philox_with_two_counter_words_has_zeros_above() -> None:
    def body(b: Builder, args: list[Vec]) -> list[Vec]:
        zero = b.like(args[0], 0)
        short = philox(b, zero, zero, args[0], args[1])
        long = philox(b, zero, zero, args[0], args[1], zero, zero)
        return [*short, *long]

    kernels = Kernels([Spec("philox", body, (U32,) * 2, (U32,) * 8, 8)])
    counter = np.arange(64, dtype=np.uint32)
    got = kernels("philox", counter, counter[::-1].copy())
    for short, long in zip(got[:4], got[4:], strict=True):
        assert_same(short, long, counter)
    assert len({tuple(words) for words in zip(*got[:4], strict=True)}) == 64
