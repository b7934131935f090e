"""The vector mathematics against wider references; docs/vector-math.md states what holds.

The table of that page is the specification: each function's largest error is measured here and must
not exceed what the page says. `python -m tests.codegen.test_mathlib` prints the errors measured.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.codegen.vector_kernel import Array, Kernels, Spec, module_text
from tracejit.codegen.llvm import mathlib
from tracejit.codegen.llvm.builder import Builder
from tracejit.codegen.llvm.values import Vec
from tracejit.codegen.runtime import toolchain
from tracejit.ir.types import F32, F64, DType

Wide = NDArray[np.floating]
PAGE = Path(__file__).parents[2] / "docs" / "vector-math.md"
PROMISED = {"float32": {"exp": 1.1, "log": 1.1}, "float64": {}}
PROMISED_ELSE = {"float32": 2.5, "float64": 2.0}
F32_STRIDE = 2003  # every so many bit patterns of f32
LANES = (1, 4, 8, 16)
EXTENDED = np.finfo(np.longdouble).nmant >= 63
needs_extended = pytest.mark.skipif(not EXTENDED, reason="no reference wider than f64 here")


def sigmoid(x: Wide) -> Wide:
    z = np.exp(-np.abs(x))
    return np.where(x < 0, z, np.ones_like(x)) / (1 + z)


def erf(x: Wide) -> Wide:
    """math.erf for f64; else 2/sqrt(pi) e**-xx * sum of 2**k x**(2k+1) / (2k+1)!!, all one sign."""
    if x.dtype == F64:
        return np.frompyfunc(math.erf, 1, 1)(x).astype(F64)
    size = np.minimum(np.nan_to_num(np.abs(x)), 7)
    term = total = size
    for k in range(1, 400):
        term = term * (2 * size * size) / (2 * k + 1)
        total = total + term
        if not (term > total * np.finfo(x.dtype).epsneg).any():
            break
    root_pi = np.sqrt(np.arccos(x.dtype.type(-1)))
    result = np.copysign(total * np.exp(-size * size) * 2 / root_pi, x)
    return np.where(np.isnan(x), x, result)


REFERENCES: dict[str, Callable[[Wide], Wide]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "erf": erf,
    "sin": np.sin,
    "cos": np.cos,
}
# where an implementation changes its way, or a result overflows, underflows or rounds to 1
THRESHOLDS = {
    "exp": (-745.14, -708.4, 709.78, -103.98, -87.34, 88.73, 0.34657, -0.34657),
    "expm1": (-37.5, 709.78, -17.33, 88.73, 0.34657, -0.34657, 2.0**-54, 2.0**-25),
    "log": (math.sqrt(0.5), math.sqrt(2), 1.0, 2.0**-126, 2.0**-1022),
    "log1p": (math.sqrt(0.5) - 1, math.sqrt(2) - 1, -1.0, 2.0**-54, 2.0**-25),
    "tanh": (0.17329, 9.01, 9.125, 19.06, 19.5),
    "sigmoid": (-745.14, -708.4, -103.98, -87.34, 17.33, 37.5),
    "erf": (0.92, 1.0, 3.92, 4.0, 5.86, 6.0),
    "sin": (math.pi / 4, math.pi, 1e5 * math.pi, 2.0**20, 2.0**20 * math.pi),
    "cos": (math.pi / 4, math.pi / 2, 1e5 * math.pi, 2.0**20, 2.0**20 * math.pi),
    "pow": (),
}
SPECIAL = (
    *(0.0, 0.5, 1.0, math.inf, math.nan, 3.4e38, 1.79e308, 1e22, 1.2e19),
    *(5e-324, 1e-310, 1e-45, 1e-40, 2.0**-126, 2.0**-1022),
    6381956970095103 * 2.0**797,  # nearer to a multiple of pi/2 than any other double
)


def body(name: str, b: Builder, args: list[Vec]) -> list[Vec]:
    return [mathlib.power(b, *args) if name == "pow" else getattr(mathlib, name)(b, *args)]


def specs(lanes: int) -> list[Spec]:
    return [
        Spec(f"{name}.{dtype}.{lanes}", partial(body, name), (dtype,) * count, (dtype,), lanes)
        for dtype in (F32, F64)
        for name, count in (*((name, 1) for name in REFERENCES), ("pow", 2))
    ]


@cache
def kernels(lanes: int, has_fma: bool | None = None) -> Kernels:
    return Kernels(specs(lanes), has_fma)


def near(value: float, dtype: DType, count: int = 1500) -> Array:
    """The floats around value, one by one."""
    bits = np.array(value, dtype).view(f"i{dtype.itemsize}")
    return (bits + np.arange(-count, count, dtype=bits.dtype)).view(dtype)


def special(dtype: DType) -> Array:
    values = np.array(SPECIAL)
    with np.errstate(over="ignore"):
        return np.concatenate([values, -values]).astype(dtype)


def arguments(name: str, dtype: DType, count: int) -> Array:
    """Special values, floats around the thresholds, everyday ranges, and bits of all kinds."""
    rng = np.random.default_rng(7)
    parts = [near(t, dtype) for t in THRESHOLDS[name] if dtype == F64 or abs(t) > 1e-38]
    parts += [rng.uniform(-r, r, count).astype(dtype) for r in (1.5, 20.0, 110.0, 760.0)]
    if dtype == F32:
        every = np.arange(0, 2**32, F32_STRIDE, dtype=np.uint64)
        parts.append(every.astype(np.uint32).view(F32))
    else:
        parts.append(rng.integers(0, 2**64, count, dtype=np.uint64).view(F64))
        parts.append(np.exp(rng.uniform(-60, 60, count)))
    return np.concatenate([special(dtype), *parts])


def pow_arguments(dtype: DType, count: int) -> tuple[Array, Array]:
    """Each special value to each, and pairs of many sizes with a power in range."""
    rng = np.random.default_rng(8)
    values = np.concatenate([special(dtype), np.array([2, 3, 7, -2, -3, 1.5, 2.0**53 - 1], dtype)])
    left, right = np.meshgrid(values, values)
    largest = 85.0 if dtype == F32 else 700.0
    logs = rng.uniform(-1, 1, 4 * count) * np.repeat([largest, 1.0, 1e-3, 1e-6], count)
    exponents = rng.uniform(-largest, largest, 4 * count) / logs
    bases = np.exp(logs) * np.where(rng.integers(0, 4, 4 * count) == 0, -1, 1)
    exponents = np.where(rng.integers(0, 3, 4 * count) == 0, np.rint(exponents), exponents)
    with np.errstate(over="ignore"):
        x = np.concatenate([left.ravel(), bases.astype(dtype)])
        return x, np.concatenate([right.ravel(), exponents.astype(dtype)])


def errors(got: Array, want: Wide) -> NDArray[np.float64]:
    """Distance in ulps of got's type; infinite where a nan, an infinity or a zero's sign is off."""
    limits = np.finfo(got.dtype)
    with np.errstate(all="ignore"):
        rounded = want.astype(got.dtype)
        _, exponent = np.frexp(want)
        step = np.maximum(exponent - limits.nmant - 1, limits.minexp - limits.nmant)
        error = np.abs(got.astype(want.dtype) - want) / np.ldexp(np.ones_like(want), step)
    both_infinite = np.isinf(got) & (got == rounded)
    wrong = (np.isnan(got) != np.isnan(want)) | (np.isinf(want) & ~both_infinite)
    wrong |= (got == 0) & (rounded == 0) & (np.signbit(got) != np.signbit(rounded))
    error = np.where(both_infinite | np.isnan(want), 0, error)
    return np.where(wrong, np.inf, error).astype(F64)


def measured(name: str, dtype: DType, has_fma: bool | None) -> tuple[float, str]:
    """Largest error [ulp] and where."""
    compiled = kernels(8, has_fma)
    count = 100_000 if dtype == F32 else 20_000
    inputs: tuple[Array, ...] = (arguments(name, dtype, count),)
    if name == "pow":
        inputs = pow_arguments(dtype, count)
    reference = np.power if name == "pow" else REFERENCES[name]
    wide = np.float64 if dtype == F32 else np.longdouble
    with np.errstate(all="ignore"):
        want = reference(*(x.astype(wide) for x in inputs))
    (got,) = compiled(f"{name}.{dtype}.8", *inputs)
    error = errors(got, want)
    worst = int(error.argmax())
    where = ", ".join(repr(x[worst]) for x in inputs)
    return float(error[worst]), f"{name}({where}) = {got[worst]!r}, not {want[worst]!r}"


@cache
def stated() -> dict[str, dict[tuple[str, bool], float]]:
    """The page's table: function -> (element type, fused multiply-add) -> ulp."""
    columns = [("float32", True), ("float64", True), ("float32", False), ("float64", False)]
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    table = {}
    for name, cells in rows:
        numbers = [float(cell) for cell in cells.split("|")[:4]]
        table[name] = dict(zip(columns, numbers, strict=True))
    return table


def test_the_page_lists_every_function_and_keeps_the_promise() -> None:
    assert set(stated()) == {*REFERENCES, "pow"}
    assert {name.replace("power", "pow") for name in mathlib.__all__} == set(stated())
    for name, row in stated().items():
        for dtype in ("float32", "float64"):
            assert row[dtype, True] <= PROMISED[dtype].get(name, PROMISED_ELSE[dtype]), name


FUNCTIONS = [*REFERENCES, "pow"]
fused = pytest.mark.parametrize(
    "has_fma",
    [
        pytest.param(
            True, marks=pytest.mark.skipif(not toolchain.host().has_fma, reason="no fma here")
        ),
        False,
    ],
    ids=["fma", "no_fma"],
)


@fused
@pytest.mark.parametrize("name", FUNCTIONS)
def test_f32_error_is_at_most_what_the_page_states(name: str, has_fma: bool) -> None:
    error, where = measured(name, F32, has_fma)
    assert error <= stated()[name]["float32", has_fma], where


@needs_extended
@fused
@pytest.mark.parametrize("name", FUNCTIONS)
def test_f64_error_is_at_most_what_the_page_states(name: str, has_fma: bool) -> None:
    error, where = measured(name, F64, has_fma)
    assert error <= stated()[name]["float64", has_fma], where


@pytest.mark.parametrize("dtype", (F32, F64), ids=str)
@pytest.mark.parametrize("name", REFERENCES)
def test_special_values_are_numpys(name: str, dtype: DType) -> None:
    """Wherever NumPy gives nan, an infinity, zero or one, with its sign; and denormals nearly."""
    x = special(dtype)
    (got,) = kernels(8)(f"{name}.{dtype}.8", x)
    with np.errstate(all="ignore"):
        want = REFERENCES[name](x.astype(np.longdouble)).astype(dtype)
        exact = ~np.isfinite(want) | np.isin(np.abs(want), (0, 1))
        steps = np.abs(got - want) / np.spacing(np.abs(want))
    assert np.array_equal(got[exact], want[exact], equal_nan=True)
    signed = exact & ~np.isnan(want)
    assert np.array_equal(np.signbit(got[signed]), np.signbit(want[signed]))
    assert (steps[~exact] <= 2).all(), list(zip(x[~exact], got[~exact], want[~exact], strict=True))


def test_powers_of_special_values_are_numpys() -> None:
    for dtype in (F32, F64):
        values = special(dtype)
        x, y = (a.ravel() for a in np.meshgrid(values, values))
        (got,) = kernels(8)(f"pow.{dtype}.8", x, y)
        with np.errstate(all="ignore"):
            want = np.power(x, y)
        exact = ~np.isfinite(want) | np.isin(np.abs(want), (0, 1))
        assert np.array_equal(got[exact], want[exact], equal_nan=True)
        assert np.array_equal(np.signbit(got[got == 0]), np.signbit(want[got == 0]))


@pytest.mark.parametrize("dtype", (F32, F64), ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_lane_count_gives_the_same_bits(name: str, dtype: DType) -> None:
    if name == "pow":
        inputs = pow_arguments(dtype, 500)
    else:
        x = arguments(name, dtype, 500)
        inputs = (np.concatenate([x[:20_000], x[-20_000:]]),)
    results = [kernels(lanes)(f"{name}.{dtype}.{lanes}", *inputs)[0] for lanes in LANES]
    for other in results[1:]:
        same = (other.view(np.uint8) == results[0].view(np.uint8)).reshape(other.size, -1).all(1)
        assert (same | np.isnan(other) & np.isnan(results[0])).all()


def test_no_library_is_called() -> None:
    """Every symbol that the machine code calls, or takes the address of, is the module's own."""
    text = module_text(specs(8), toolchain.host().has_fma)
    assembly = toolchain.assembly(text)
    called = re.findall(r"\t(?:callq?|bl|jmpq?)\s+([A-Za-z_][\w.$@]*)", assembly)
    called += re.findall(r"\$([A-Za-z_][\w.]*)", assembly)
    foreign = {symbol for symbol in called if not symbol.startswith(("tj.", "_tj."))}
    assert not foreign
    assert not re.search(r"declare .*@llvm\.(exp|log|sin|cos|pow|tanh)", text)


def main() -> None:
    for name in FUNCTIONS:
        cells = [
            f"{measured(name, dtype, has_fma)[0]:.3f}"
            for has_fma in (True, False)
            for dtype in (F32, F64)
        ]
        print(f"| `{name}` | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
