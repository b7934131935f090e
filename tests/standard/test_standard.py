"""tracejit.numpy is the array API standard 2024.12: names, signatures, dtypes, special values.

Every call runs on plain arrays, define by run, and traced by `jit`: all three agree.
"""

from __future__ import annotations

import array
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import tracejit as tj
import tracejit.numpy as xp
from tests.standard.calls import CALLS, OF_DTYPES, Call
from tests.standard.elementwise import (
    BINARY,
    COMPLEX,
    FLOATS,
    HALVES,
    PROMOTIONS,
    UNARY,
    promoted,
    result_dtype,
)
from tests.standard.signatures import ATTRIBUTES, CONSTANTS, DTYPES, METHODS, SIGNATURES
from tracejit.elementwise import UFUNCS
from tracejit.ir.types import DTYPES as DTYPES_OF_GRAPHS
from tracejit.tracer import Tracer


def dtype_of(name: str) -> Any:
    return np.dtype(getattr(xp, name))


def samples(name: str, shape: tuple[int, ...] = (2, 3)) -> Any:
    """Rising values that every function is defined at: 0 and small numbers."""
    count = int(np.prod(shape))
    values = np.arange(count) % 2 if name == "bool" else np.arange(count)
    values = values / 8 if np.dtype(dtype_of(name)).kind in "fcV" else values
    return values.reshape(shape).astype(dtype_of(name))


def leaves(result: Any) -> list[Any]:
    return [np.asarray(leaf) for leaf in tj.tree.leaves(result)]


def same_everywhere(f: Callable[..., Any], *args: Any, exact: bool = True) -> list[Any]:
    """The result on plain arrays, which define by run and jit must equal."""
    with np.errstate(all="ignore"):
        plain = leaves(f(*args))
        with tj.disable_jit():
            eager = leaves(tj.jit(f)(*args))
    traced = leaves(tj.jit(f, target="interpreter")(*args))
    for others in (eager, traced):
        assert len(others) == len(plain)
        for got, want in zip(others, plain, strict=True):
            assert (got.dtype, got.shape) == (want.dtype, want.shape)
            whole = exact or want.dtype.kind in "biu"
            tolerance = 0.0 if whole else 4 * float(ml_dtypes.finfo(want.dtype).eps)
            np.testing.assert_allclose(
                got.astype(float), want.astype(float), rtol=tolerance, atol=tolerance
            )
    return plain


# Names


def parameters(text: str) -> list[inspect.Parameter]:
    return list(inspect.signature(eval(f"lambda {text[1:-1]}: 0")).parameters.values())


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_function_takes_what_the_standard_says(name: str) -> None:
    function = getattr(xp, name)
    wanted = parameters(SIGNATURES[name])
    if isinstance(function, np.ufunc):
        assert function.nin == sum(p.kind is p.POSITIONAL_ONLY for p in wanted)
        return
    given = inspect.signature(function).parameters
    takes_keywords = any(p.kind is p.VAR_KEYWORD for p in given.values())
    positions = list(given.values())
    for place, parameter in enumerate(wanted):
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert parameter.name in given or takes_keywords
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            assert positions[place].kind in (
                inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD,
                inspect.Parameter.VAR_POSITIONAL,
            )  # fmt: skip
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
                assert positions[place].name == parameter.name


def test_every_function_is_called() -> None:
    called = {c.function for c in CALLS} | set(UNARY) | set(BINARY) | OF_DTYPES
    assert set(SIGNATURES) == called


def test_constants_dtypes_and_attributes() -> None:
    assert [n for n in (*CONSTANTS, *DTYPES) if not hasattr(xp, n)] == []
    assert xp.__array_api_version__ == "2024.12"
    for owner in (xp.zeros((2, 2)), Tracer):
        assert [n for n in (*METHODS, *ATTRIBUTES) if not hasattr(owner, n)] == []


# Elementwise


@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str) -> None:
    takes, gives = UNARY[name]
    f = getattr(xp, name)
    for dtype in takes:
        x = samples(dtype) + (1 if name == "acosh" else 0)
        x = x.astype(dtype_of(dtype))
        exact = dtype not in FLOATS or gives == "bool"
        if dtype in COMPLEX:
            with np.errstate(all="ignore"):
                assert f(x).dtype == result_dtype(gives, dtype)
        else:
            (out,) = same_everywhere(f, x, exact=exact)
            assert out.dtype == result_dtype(gives, dtype) and out.shape == x.shape


@pytest.mark.parametrize("name", BINARY)
def test_binary(name: str) -> None:
    takes, gives = BINARY[name]
    f = getattr(xp, name)
    for first, second in PROMOTIONS:
        if first not in takes or second not in takes:
            continue
        x, y = samples(first), samples(second, (3,))
        joint = promoted(first, second)
        assert joint is not None
        with np.errstate(all="ignore"):
            assert f(x, y).dtype == f(y[None], x).dtype == result_dtype(gives, joint)
        if joint not in COMPLEX:
            same_everywhere(f, x, y, exact=joint not in FLOATS)


@pytest.mark.parametrize("name", [n for n in UNARY if "float32" in UNARY[n][0]])
def test_halves(name: str) -> None:
    for dtype in HALVES:
        x = (samples(dtype) + 1).astype(dtype_of(dtype))
        f = getattr(xp, name)
        with np.errstate(all="ignore"):
            eager = tj.make_graph(f)(x)
        want = "bool" if UNARY[name][1] == "bool" else dtype
        assert eager.outputs[0].dtype == dtype_of(want)


def dtype_or_none(f: Callable[..., Any], *args: Any) -> Any:
    """The dtype of a result; None where the operands are not taken."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return f(*args).dtype
    except TypeError:
        return None


def test_any_two_dtypes_promote_as_in_numpy() -> None:
    """Halves and pairs that the standard leaves open included."""
    functions = (np.add, np.divide, np.less, np.left_shift)
    arrays = [np.ones(2, d) for d in DTYPES_OF_GRAPHS.values()]
    for x in arrays:
        for y in arrays:
            for f in functions:
                want = dtype_or_none(f, x, y)
                got = dtype_or_none(lambda *a, f=f: tj.make_graph(f)(*a).outputs[0], x, y)  # type: ignore[misc]
                assert got == want, f"{f.__name__}: {x.dtype}, {y.dtype}"
        for f in UFUNCS:
            if f.nin == 1:
                got = dtype_or_none(lambda a, f=f: tj.make_graph(f)(a).outputs[0], x)  # type: ignore[misc]
                assert got == dtype_or_none(f, x), f"{f.__name__}: {x.dtype}"


def test_python_numbers_are_weak() -> None:
    for dtype in ("int8", "uint64", "float32", "float64"):
        x = samples(dtype)
        for f in (xp.add, xp.multiply, xp.maximum, xp.subtract, xp.pow):
            (out,) = same_everywhere(lambda x, f=f: f(x, 2), x)  # type: ignore[misc]
            assert out.dtype == dtype
    (out,) = same_everywhere(lambda x: xp.divide(1.5, x + 1), samples("float32"), exact=False)
    assert out.dtype == np.float32


# Everything else

RULES: dict[str, Callable[[str], str]] = {
    "index": lambda d: "int64",
    "default": lambda d: "float32",
    "sum": lambda d: "int64" if d[0] in "bi" else "uint64" if d[0] == "u" else d,
}


@pytest.mark.parametrize("call", CALLS, ids=lambda c: c.source)
def test_call(call: Call) -> None:
    f = eval(f"lambda x, y, i: {call.source}", {"xp": xp})
    for dtype in call.takes:
        args = (samples(dtype), samples(dtype, (3,)), np.array([2, 0]))
        want = RULES.get(call.gives, lambda d: result_dtype(call.gives, d))(dtype)
        if call.sized:
            out = leaves(f(*args))
            with pytest.raises(tj.errors.UnsupportedError, match="shape of the result depends"):
                tj.make_graph(f)(*args)
        else:
            out = same_everywhere(f, *args, exact=dtype not in FLOATS)
        assert {a.dtype.name for a in out} == {want}


def test_made_arrays_are_those_of_numpy() -> None:
    for f, want in (
        (lambda: xp.arange(3, 20, 4), np.arange(3, 20, 4)),
        (lambda: xp.arange(0.1, 2, 0.3), np.arange(0.1, 2, 0.3).astype(np.float32)),
        (lambda: xp.arange(4, dtype=xp.uint8), np.arange(4, dtype=np.uint8)),
        (lambda: xp.linspace(0, 10, 5, dtype=xp.int32), np.linspace(0, 10, 5, dtype=np.int32)),
        (lambda: xp.eye(3, 4, k=-1), np.eye(3, 4, k=-1, dtype=np.float32)),
        (lambda: xp.tri(3, 4, 1), np.tri(3, 4, 1, np.float32)),
        (lambda: xp.logspace(0, 2, 3), np.array([1, 10, 100], np.float32)),
        (lambda: xp.geomspace(1, 8, 4), np.array([1, 2, 4, 8], np.float32)),
    ):
        (out,) = same_everywhere(f, exact=False) if want.dtype.kind == "f" else same_everywhere(f)
        assert out.dtype == want.dtype
        np.testing.assert_allclose(out, want, rtol=1e-6)


# dtypes and the namespace


def test_asarray_keeps_dtypes_that_are_there_and_defaults_the_others() -> None:
    assert xp.asarray(1.0).dtype == xp.asarray([1, 2.0]).dtype == xp.float32
    assert xp.asarray(1j).dtype == xp.full(2, 1j).dtype == xp.complex64
    assert xp.asarray(np.float64(1)).dtype == xp.asarray([np.float64(1)]).dtype == xp.float64
    assert xp.asarray(array.array("d", [1.0])).dtype == xp.float64
    assert xp.asarray(memoryview(b"ab")).dtype == xp.uint8
    assert xp.asarray([]).dtype == xp.float32
    assert xp.full(2, np.float64(3)).dtype == xp.float64
    assert xp.asarray([1, 2], dtype=xp.complex128).dtype == xp.complex128
    assert xp.asarray(np.ones(2)).dtype == xp.float64


def test_asarray_copies_as_asked() -> None:
    x = np.arange(3.0)
    assert xp.asarray(x) is x and xp.asarray(x, copy=False) is x
    assert not np.shares_memory(xp.asarray(x, copy=True), x)
    assert np.shares_memory(xp.from_dlpack(x), x)
    assert not np.shares_memory(xp.from_dlpack(x, copy=True), x)
    with pytest.raises(ValueError, match="copy"):
        xp.asarray(x, dtype=xp.float32, copy=False)
    with pytest.raises(ValueError, match="copy"):
        xp.asarray([1.0], copy=False)
    for f in (xp.zeros, xp.ones, xp.empty, xp.arange, xp.asarray):
        with pytest.raises(ValueError, match="'cpu'"):
            f(3, device="gpu")


def test_finfo_and_iinfo() -> None:
    for dtype in (*FLOATS, *COMPLEX, *HALVES):
        part = dtype_of({"complex64": "float32", "complex128": "float64"}.get(dtype, dtype))
        for asked in (dtype_of(dtype), xp.ones(1, dtype=dtype_of(dtype))):
            info = xp.finfo(asked)
            known = ml_dtypes.finfo(part)
            assert info.bits == known.bits and info.dtype == part
            for field in ("eps", "max", "min", "smallest_normal"):
                value = getattr(info, field)
                assert type(value) is float and value == float(getattr(known, field))
    for dtype in ("int8", "uint64"):
        info = xp.iinfo(xp.zeros(1, dtype=dtype_of(dtype)))
        assert (info.min, info.max) == (np.iinfo(dtype).min, np.iinfo(dtype).max)
        assert type(info.max) is type(info.bits) is int and info.dtype == dtype


KINDS = {
    "bool": ("bool",),
    "signed integer": DTYPES[1:5],
    "unsigned integer": DTYPES[5:9],
    "integral": DTYPES[1:9],
    "real floating": DTYPES[9:11],
    "complex floating": DTYPES[11:],
    "numeric": DTYPES[1:],
}


def test_isdtype_and_can_cast() -> None:
    for kind, members in KINDS.items():
        for name in DTYPES:
            assert xp.isdtype(dtype_of(name), kind) is (name in members)
            assert xp.isdtype(dtype_of(name), (kind, "bool")) is (name in (*members, "bool"))
    assert xp.isdtype(xp.float32, xp.float32) and not xp.isdtype(xp.float32, xp.float64)
    assert xp.isdtype(xp.bfloat16, "real floating") and not xp.isdtype(xp.bfloat16, "integral")
    for first, second in PROMOTIONS:
        joint = promoted(first, second)
        assert joint is not None
        assert xp.can_cast(dtype_of(first), dtype_of(joint))
        assert xp.can_cast(xp.ones(2, dtype=dtype_of(second)), dtype_of(joint))
        assert xp.result_type(dtype_of(first), samples(second)) == joint
    assert not xp.can_cast(xp.float64, xp.float32) and not xp.can_cast(xp.int8, xp.uint64)
    assert xp.result_type(xp.float32, 1.0) == xp.result_type(xp.float32, 1) == xp.float32
    assert xp.result_type(xp.bfloat16, 1.0) == xp.bfloat16
    assert xp.result_type(xp.int8, 1, xp.int16) == xp.int16


def test_what_the_namespace_says_of_itself() -> None:
    info = xp.__array_namespace_info__()
    assert info.capabilities() == {
        "boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64
    }  # fmt: skip
    assert info.default_device() == "cpu" and info.devices() == ["cpu"]
    assert info.default_dtypes(device="cpu") == {
        "real floating": xp.float32, "complex floating": xp.complex64, "integral": xp.int64,
        "indexing": xp.int64,
    }  # fmt: skip
    assert list(info.dtypes()) == list(DTYPES)
    for kind, members in KINDS.items():
        assert info.dtypes(kind=kind) == {n: dtype_of(n) for n in members}
    assert list(info.dtypes(kind=("bool", "integral"))) == list(DTYPES[:9])
    graph = tj.make_graph(lambda x: x.__array_namespace__().exp(x.to_device(x.device)))(np.ones(2))
    assert graph.outputs[0].op == "exp"


def test_default_dtypes_follow_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEJIT_DEFAULT_FLOAT", "f64")
    assert xp.zeros(1).dtype == xp.linspace(0, 1, 3).dtype == xp.asarray(1.0).dtype == xp.float64
    assert xp.asarray(1j).dtype == xp.complex128
