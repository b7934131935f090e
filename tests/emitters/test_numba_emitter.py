"""The Numba emitter on hand-built nests, as plain Python and compiled, against the oracles."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import tracejit.ir.primitives  # noqa: F401
from tests.emitters.accuracy import allowed_ulps, operands, ulps
from tracejit.codegen.nest import (
    Acc,
    Arg,
    Buffer,
    Const,
    Fold,
    For,
    IndexValue,
    Kernel,
    Let,
    Load,
    Loop,
    Offset,
    Stmt,
    Store,
)
from tracejit.codegen.numba_emitter import (
    NumbaUnsupported,
    kernel_source,
    module_source,
    run_kernel,
)
from tracejit.ir.affine import affine
from tracejit.ir.graph import PRIMITIVES
from tracejit.ir.primitives.random import philox
from tracejit.ir.types import (
    BOOL,
    DTYPES,
    F32,
    F64,
    I32,
    I64,
    U32,
    DType,
    DTypeError,
    TensorType,
    dtype_name,
)

BINARY = """add sub mul div pow maximum minimum remainder floor_divide and or xor shift_left
    shift_right eq ne lt le gt ge"""
ARITY = {"select": 3} | dict.fromkeys(BINARY.split(), 2)
OPS = sorted(p.name for p in PRIMITIVES.values() if p.elementwise and p.name != "cast")


def at(axis: str = "i", const: int = 0) -> Offset:
    return Offset(affine({axis: 1}, const))


def operand_types(op: str, dtype: DType) -> list[DType]:
    return [BOOL, dtype, dtype] if op == "select" else [dtype] * ARITY.get(op, 1)


def result_type(op: str, dtype: DType) -> DType | None:
    """None where the primitive does not take the dtype."""
    types = [TensorType((1,), d) for d in operand_types(op, dtype)]
    try:
        return PRIMITIVES[op].infer(*types).dtype
    except DTypeError:
        return None


def elementwise_kernel(ops: list[tuple[str, DType]], dtype: DType, size: int) -> Kernel:
    """One loop that applies each op to a, b and p (bool) and stores each result."""
    loads: list[Stmt] = [
        Load(name, kind, f"in_{name}", at())
        for name, kind in (("p", BOOL), ("a", dtype), ("b", dtype))
    ]
    body = list(loads)
    buffers = [
        Buffer("in_p", BOOL, size, "in"),
        *(Buffer(f"in_{n}", dtype, size, "in") for n in "ab"),
    ]
    for op, gives in ops:
        args = ("p", "a", "b") if op == "select" else ("a", "b")[: ARITY.get(op, 1)]
        name = f"{op}_{dtype_name(gives)}"
        body += [Let(f"%{name}", gives, op, args), Store(f"out_{name}", at(), f"%{name}")]
        buffers.append(Buffer(f"out_{name}", gives, size, "out"))
    loop = For(Loop("i", size), tuple(body))
    return Kernel("elementwise", "map", tuple(buffers), (loop,))


def check_elementwise(dtype: DType, use_numba: bool) -> None:
    ops = [(op, gives) for op in OPS if (gives := result_type(op, dtype)) is not None]
    a, b = operands(dtype, 2)
    p = operands(BOOL, 1)[0][np.arange(len(a)) % 2]
    kernel = elementwise_kernel(ops, dtype, len(a))
    results = [np.zeros(len(a), gives) for _, gives in ops]
    run_kernel(kernel, [p, a, b, *results], use_numba=use_numba)
    for (op, gives), result in zip(ops, results, strict=True):
        args = [p, a, b] if op == "select" else [a, b][: ARITY.get(op, 1)]
        want = PRIMITIVES[op].eval(*args)
        assert ulps(result, want) <= allowed_ulps(op, gives), op


@pytest.mark.parametrize("name", DTYPES)
def test_elementwise_in_plain_python(name: str) -> None:
    check_elementwise(DTYPES[name], use_numba=False)


@pytest.mark.parametrize("name", ["f32", "i32", "u64", "bool"])
def test_elementwise_compiled(name: str) -> None:
    check_elementwise(DTYPES[name], use_numba=True)


def one_let(
    op: str, gives: DType, args: tuple[Arg, ...], inputs: dict[str, DType], n: int
) -> Kernel:
    """out[i] = op(args), where the inputs are loaded under their names."""
    body: list[Stmt] = [Load(name, dtype, f"in_{name}", at()) for name, dtype in inputs.items()]
    body += [Let("v", gives, op, args), Store("out", at(), "v")]
    buffers = [Buffer(f"in_{name}", dtype, n, "in") for name, dtype in inputs.items()]
    buffers.append(Buffer("out", gives, n, "out"))
    return Kernel("one", "map", tuple(buffers), (For(Loop("i", n), tuple(body)),))


@pytest.mark.parametrize("source", DTYPES)
def test_casts(source: str) -> None:
    """Exact for every pair of dtypes, where the value fits."""
    x = operands(DTYPES[source], 1)[0]
    for target in DTYPES.values():
        if target.kind in "iu" and x.dtype.kind not in "iub":
            wide = x.astype(F64)
            x_in = x[(np.abs(wide) < 100) & (wide >= (0 if target.kind == "u" else -100))]
        else:
            x_in = x
        got = np.zeros(len(x_in), target)
        kernel = one_let("cast", target, ("a",), {"a": x.dtype}, len(x_in))
        run_kernel(kernel, [x_in, got], use_numba=False)
        want = PRIMITIVES["cast"].eval(x_in, dtype=target)
        assert ulps(got, want) == 0, dtype_name(target)


def test_constants_keep_their_bits() -> None:
    for value in (0.1, -0.0, np.inf, -np.inf, np.nan, 1e-45):
        got = np.zeros(1, F32)
        kernel = one_let(
            "select", F32, (Const(True, BOOL), Const(value, F32), Const(1.0, F32)), {}, 1
        )
        run_kernel(kernel, [got], use_numba=False)
        want = np.array([value], F32)
        assert np.array_equal(got, want, equal_nan=True) and np.signbit(got) == np.signbit(want)
    for use_numba in (False, True):
        least = np.zeros(1, I64)
        kernel = one_let("maximum", I64, (Const(-(2**63), I64), Const(-(2**63), I64)), {}, 1)
        run_kernel(kernel, [least], use_numba=use_numba)
        assert least[0] == -(2**63)


@pytest.mark.parametrize("use_numba", [False, True])
def test_random_words_are_philox(use_numba: bool) -> None:
    """The published vectors: Random123's kat_vectors, philox4x32_10, zeros; and the oracle's."""
    n = 4
    kernel = one_let("random_word", U32, ("k0", "k1", "lo", "hi", "w"),
                     dict.fromkeys(("k0", "k1", "lo", "hi", "w"), U32), n)  # fmt: skip
    words = np.arange(4, dtype=np.uint32)
    zeros, got = np.zeros(n, np.uint32), np.zeros(n, np.uint32)
    run_kernel(kernel, [zeros, zeros, zeros, zeros, words, got], use_numba=use_numba)
    assert [f"{w:08x}" for w in got] == ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]
    key = np.array([0xA4093822, 0x299F31D0], np.uint64)
    counter = np.array([[0x243F6A88], [0x85A308D3], [0], [0]], np.uint64)
    full = [np.full(n, int(v), np.uint32) for v in (*key, *counter[:2, 0])]
    run_kernel(kernel, [*full, words, got], use_numba=use_numba)
    assert np.array_equal(got, philox(counter, key)[:, 0])


FOLDS = [
    ("add", F64, np.add.reduce),
    ("mul", F64, np.multiply.reduce),
    ("max", F32, np.maximum.reduce),
    ("min", F32, np.minimum.reduce),
    ("add", I32, lambda x: np.add.reduce(x, dtype=I32)),
    ("mul", DTYPES["u8"], lambda x: np.multiply.reduce(x, dtype=np.uint8)),
    ("max", I32, np.maximum.reduce),
    ("min", U32, np.minimum.reduce),
    ("and", BOOL, np.logical_and.reduce),
    ("or", BOOL, np.logical_or.reduce),
    ("max", BOOL, np.logical_or.reduce),
    ("and", I32, np.bitwise_and.reduce),
    ("or", U32, np.bitwise_or.reduce),
]


def fold_kernel(op: str, dtype: DType, rows: int, inner: tuple[int, int]) -> Kernel:
    """out[i] = fold of x[i, :, :], read backwards along the last axis."""
    m, n = inner
    index = Offset(affine({"i": m * n, "k0": n, "k1": -1}, n - 1))
    acc = Acc("total", dtype, op, ("x",))
    fold = Fold((Loop("k0", m), Loop("k1", n)), (Load("x", dtype, "x", index),), (acc,), "net.py:3")
    body = (fold, Store("out", at(), "total", "net.py:3"))
    buffers = (Buffer("x", dtype, rows * m * n, "in"), Buffer("out", dtype, rows, "out"))
    return Kernel("fold", "row", buffers, (For(Loop("i", rows, parallel=True), body),))


# NumPy gives no max or min of nothing.
EMPTY = [n for n, (op, dtype, _) in enumerate(FOLDS) if op not in ("max", "min") or dtype == BOOL]


@pytest.mark.parametrize(
    ("case", "inner"),
    [(n, inner) for n in range(len(FOLDS)) for inner in ((3, 5), (1, 7))]
    + [(n, (0, 5)) for n in EMPTY],
)
def test_folds(case: int, inner: tuple[int, int]) -> None:
    op, dtype, oracle = FOLDS[case]
    x = operands(dtype, 1, seed=case)[0][-60:]
    x = np.resize(x, (4, *inner))
    got = np.zeros(4, dtype)
    run_kernel(fold_kernel(op, dtype, 4, inner), [x, got], use_numba=False)
    want = np.stack([oracle(row.reshape(-1)) for row in x]).astype(dtype)
    if op in ("add", "mul") and dtype == F64:
        np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-13)
    else:
        assert np.array_equal(got, want)


def test_max_of_nan_is_nan() -> None:
    x = np.array([[1, np.nan, 3], [np.nan, 1, 2], [5, 1, -np.inf], [-np.inf] * 3], F32)
    for use_numba in (False, True):
        got = np.zeros(4, F32)
        run_kernel(fold_kernel("max", F32, 4, (1, 3)), [x, got], use_numba=use_numba)
        assert np.array_equal(got, [np.nan, np.nan, 5, -np.inf], equal_nan=True)


def softmax_kernel(rows: int, n: int) -> Kernel:
    """Row softmax with the exponentials kept in a scratch row, scaled by the row number."""
    x = Load("x", F32, "x", Offset(affine({"i": n, "k": 1})))
    again = Load("y", F32, "x", Offset(affine({"i": n, "j": 1})))
    top = Fold((Loop("k", n),), (x,), (Acc("top", F32, "max", ("x",)),), "net.py:1")
    body: tuple[Stmt, ...] = (
        again,
        Let("d", F32, "sub", ("y", "top"), "net.py:2"),
        Let("e", F32, "exp", ("d",), "net.py:2"),
        Store("row", Offset(affine({"j": 1})), "e"),
    )
    total = Fold((Loop("j", n),), body, (Acc("sum", F32, "add", ("e",)),), "net.py:2")
    last: tuple[Stmt, ...] = (
        Load("e2", F32, "row", Offset(affine({"k": 1}))),
        Let("q", F32, "div", ("e2", "sum"), "net.py:3"),
        Let("s", F32, "mul", ("q", "scale"), "net.py:3"),
        Store("out", Offset(affine({"i": n, "k": 1})), "s"),
    )
    each = (IndexValue("scale", F32, affine({"i": -1}, rows)), top, total, For(Loop("k", n), last))
    buffers = (
        Buffer("x", F32, rows * n, "in"),
        Buffer("out", F32, rows * n, "out"),
        Buffer("row", F32, n, "scratch"),
    )
    return Kernel("softmax", "row", buffers, (For(Loop("i", rows, parallel=True), each),))


@pytest.mark.parametrize("use_numba", [False, True])
def test_a_row_kernel_with_scratch(use_numba: bool) -> None:
    x = np.random.default_rng(0).normal(size=(7, 11)).astype(F32)
    got = np.zeros_like(x)
    run_kernel(softmax_kernel(7, 11), [x, got], use_numba=use_numba)
    e = np.exp(x - x.max(1, keepdims=True))
    want = e / e.sum(1, keepdims=True) * (7 - np.arange(7, dtype=F32))[:, None]
    np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "use_numba"), [("i32", False), ("u8", False), ("i64", False), ("u8", True)]
)
def test_rows_by_loaded_number(name: str, use_numba: bool) -> None:
    """out[i, j] = table[index[i], j]: an offset that is itself loaded."""
    row = Offset(affine({"j": 1}), (("r", 3),))
    loop = For(
        Loop("i", 5, parallel=True),
        (
            Load("r", DTYPES[name], "index", at()),
            For(Loop("j", 3), (Load("t", F32, "table", row),
                               Store("out", Offset(affine({"i": 3, "j": 1})), "t"))),
        ),
    )  # fmt: skip
    buffers = (Buffer("index", DTYPES[name], 5, "in"), Buffer("table", F32, 12, "in"))
    kernel = Kernel("rows", "map", (*buffers, Buffer("out", F32, 15, "out")), (loop,))
    table = np.arange(12, dtype=F32).reshape(4, 3)
    index, got = np.array([3, 0, 2, 2, 1], DTYPES[name]), np.zeros((5, 3), F32)
    run_kernel(kernel, [index, table, got], use_numba=use_numba)
    assert np.array_equal(got, table[index.astype(int)])


def test_the_source_reads_well() -> None:
    """Source lines as comments, one line per operation, scratch inside the parallel loop."""
    assert (
        kernel_source(softmax_kernel(2, 3), decorator=True)
        == """\
@njit(error_model="numpy", parallel=True)
def softmax(x, out):
    # x: f32[6] in
    # out: f32[6] out
    for i_ in prange(2):
        i = np.int64(i_)
        row = np.empty(3, dtype=np.float32)
        scale = np.float32(np.int64(-i + 2))
        # net.py:1
        top = np.float32(-np.inf)
        for k in range(3):
            x_ = x[3*i + k]
            top = top if top >= x_ or top != top else x_
        # net.py:2
        sum = np.float32(0.0)
        for j in range(3):
            y = x[3*i + j]
            d = y - top
            e = np.exp(d)
            row[j] = e
            sum = sum + e
        for k in range(3):
            e2 = row[k]
            # net.py:3
            q = e2 / sum
            s = q * scale
            out[3*i + k] = s
"""
    )


def test_names_are_made_valid_and_distinct() -> None:
    a, b = np.float32([2]), np.float32([3])
    body = (
        Load("%0", F32, "lambda", at("i.0")),
        Load("0", F32, "np", at("i.0")),
        Let("range", F32, "sub", ("%0", "0")),
        Store("math", at("i.0"), "range"),
    )
    buffers = tuple(Buffer(name, F32, 1, "in") for name in ("lambda", "np", "math"))
    out = np.zeros(1, F32)
    run_kernel(
        Kernel("names", "map", buffers, (For(Loop("i.0", 1), body),)), [a, b, out], use_numba=False
    )
    assert out == -1


def test_what_is_not_supported_is_named() -> None:
    kernel = one_let("shift_left", F32, ("a", "a"), {"a": F32}, 1)
    with pytest.raises(NumbaUnsupported, match="one: shift_left on f32"):
        kernel_source(kernel, decorator=False)


def test_the_printed_file_runs_without_numba() -> None:
    source = module_source([softmax_kernel(2, 3)])
    scope: dict[str, object] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "numba", None)
        exec(compile(source, "printed.py", "exec"), scope)
    x, out = np.zeros(6, F32), np.zeros(6, F32)
    softmax = scope["softmax"]
    assert callable(softmax)
    softmax(x, out)
    np.testing.assert_allclose(out.reshape(2, 3), [[2 / 3] * 3, [1 / 3] * 3], rtol=1e-6)
