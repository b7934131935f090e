"""jit: keys, structures, captured arrays, awkward arguments."""

from __future__ import annotations

import gc
import threading
import weakref
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import pytest

import tracejit as tj
from tracejit import config

RNG = np.random.default_rng(0)


def normal(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


class Point(NamedTuple):
    x: Any
    y: Any


def test_structures_go_in_and_come_out(target: str) -> None:
    @tj.jit(target=target)
    def f(p: Any, q: Any, *rest: Any, **named: Any) -> Any:
        return {"a": (p["u"] + q.x, None), "b": [q.y * named["k"]], "c": Point(rest[0], 3)}

    a, b, c, k = normal(3), normal(3), normal(2), normal(2)
    out = f({"u": a}, Point(b, c), a, k=k)
    np.testing.assert_array_equal(out["a"][0], a + b)
    assert out["a"][1] is None
    np.testing.assert_array_equal(out["b"][0], c * k)
    np.testing.assert_array_equal(out["c"].x, a)
    assert out["c"].x is not a
    assert out["c"].y.shape == () and out["c"].y.item() == 3


def test_one_entry_per_type_structure_and_static_value(target: str) -> None:
    calls = []

    @tj.jit(static_argnames=("n",), target=target)
    def f(x: Any, n: int = 2) -> Any:
        calls.append(n)
        return x * n

    x = normal(4)
    np.testing.assert_array_equal(f(x), x * 2)
    np.testing.assert_array_equal(f(x, 2), x * 2)
    np.testing.assert_array_equal(f(x, n=3), x * 3)
    np.testing.assert_array_equal(f(normal(4), n=3).shape, (4,))
    f(x.astype(np.float64), 3)
    f(x[:2], 3)
    # A default that is left out and the same value given are two keys, traced alike.
    assert calls == [2, 2, 3, 3, 3]
    info = f.cache_info()
    assert (info.entries, info.misses, info.hits) == (5, 5, 1)
    assert info.compile_seconds > 0


def test_positions_and_keywords_are_one_entry() -> None:
    f = tj.jit(lambda x, y: x - y, target="interpreter")
    x, y = normal(3), normal(3)
    np.testing.assert_array_equal(f(x, y), f(y=y, x=x))
    assert f.cache_info().entries == 1


def test_python_numbers_are_weak_inputs(target: str) -> None:
    f = tj.jit(lambda x, a, n, flag: (x * a, x + n, np.where(flag, x, a), a, n), target=target)
    for dtype in (np.float32, np.float64):
        x = normal(3).astype(dtype)
        for a, n, flag in ((0.1, 2, True), (0.3, 5, False)):
            out = f(x, a, n, flag)
            for got, expected in zip(out, (x * a, x + n, np.where(flag, x, a)), strict=False):
                assert got.dtype == dtype
                np.testing.assert_array_equal(got, expected)
            assert out[3].dtype == np.float32 and out[4].dtype == np.int64
    assert f.cache_info().entries == 2


def test_integer_arrays_with_python_numbers(target: str) -> None:
    f = tj.jit(lambda x, n: (x + n, x / n), target=target)
    x = np.arange(5, dtype=np.int32)
    total, ratio = f(x, 3)
    assert total.dtype == np.int32 and ratio.dtype == np.float64
    np.testing.assert_array_equal(ratio, x / 3)


AWKWARD = {
    "transposed": lambda: normal(5, 4).T,
    "negative strides": lambda: normal(4, 5)[::-1, ::-1],
    "every other": lambda: normal(8, 5)[::2],
    "read-only": lambda: np.broadcast_to(normal(5), (4, 5)),
    "misaligned": lambda: np.frombuffer(b"\0" + normal(4, 5).tobytes(), np.float32, 20, 1).reshape(
        4, 5
    ),
    "big-endian": lambda: normal(4, 5).astype(">f4"),
    "0-size": lambda: normal(0, 5),
    "subclass": lambda: normal(4, 5).view(np.matrix),
}


@pytest.mark.parametrize("kind", AWKWARD)
@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_awkward_arrays(kind: str, target: str) -> None:
    f = tj.jit(lambda x: np.exp(x) + 1, target=target)
    f(normal(4, 5))
    x = AWKWARD[kind]()
    expected = np.exp(np.asarray(x, np.float32)) + 1
    for _ in range(2):
        np.testing.assert_allclose(f(x), expected, rtol=1e-6)


@pytest.mark.parametrize("kind", [k for k in AWKWARD if k != "0-size"])
@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_awkward_captured_arrays_are_read_anew(kind: str, target: str) -> None:
    table = AWKWARD[kind]()
    f = tj.jit(lambda x: x + table, target=target)
    x = normal(4, 5)
    np.testing.assert_array_equal(f(x), x + np.asarray(table, np.float32))
    if table.flags.writeable:
        table[...] = 7
        np.testing.assert_array_equal(f(x), x + np.float32(7))


def test_captured_array_is_an_input_by_reference(target: str) -> None:
    table = normal(3)
    f = tj.jit(lambda x: x * table, target=target)
    x = normal(3)
    np.testing.assert_array_equal(f(x), x * table)
    table += 1
    np.testing.assert_array_equal(f(x), x * table)
    assert [n.attrs["name"] for n in f.lower(x).graph.inputs] == ["x", "table"]


class Foreign:
    """An array of another library, with DLPack only."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __dlpack__(self, **keywords: Any) -> Any:
        return self.array.__dlpack__(**keywords)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


def test_foreign_arrays_numpy_scalars_and_lists(target: str) -> None:
    other = normal(2)
    f = tj.jit(lambda x, y: x[0] + x[1] + Foreign(other) + y, target=target)
    a, b = normal(2), normal(2)
    got = f([Foreign(a), b], np.float32(2))
    np.testing.assert_array_equal(got, a + b + other + np.float32(2))


def test_methods_and_metadata(target: str) -> None:
    class Model:
        def __init__(self, k: float) -> None:
            self.k = np.float32(k)
            self.calls = tj.Variable(np.int32(0))

        @tj.jit(static_argnames=("n",), target=target)
        def __call__(self, x: Any, n: int = 1) -> Any:
            """Doc."""
            self.calls.assign(self.calls + 1)
            return x * self.k * n

        @tj.jit(donate_argnames=("x",), target=target)
        def shift(self, x: Any) -> Any:
            return x + self.k

    x = normal(3)
    two, three = Model(2), Model(3)
    for _ in range(3):
        np.testing.assert_array_equal(two(x), x * 2)
        np.testing.assert_array_equal(three(x, n=2), x * 3 * 2)
    assert two.calls.numpy() == three.calls.numpy() == 3
    assert Model.__call__.__doc__ == "Doc." and Model.__call__.__wrapped__
    assert two.shift.lower(x).graph.donated == (0,)
    assert two.shift(x) is x
    assert two.shift.cache_info().entries == 1 and three.shift.cache_info().entries == 0
    gone = weakref.ref(two)
    del two
    gc.collect()
    assert gone() is None


def test_jitted_functions_nest(target: str) -> None:
    inner = tj.jit(lambda x: np.exp(x), target=target)
    outer = tj.jit(lambda x: tj.grad(lambda y: inner(y).sum())(x) + inner(x), target=target)
    x = normal(3)
    np.testing.assert_allclose(outer(x), 2 * np.exp(x), rtol=1e-6)
    np.testing.assert_allclose(tj.grad(lambda y: inner(y).sum())(x), np.exp(x), rtol=1e-6)


def test_retrace_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    def f(x: Any, p: Any, n: int) -> Any:
        return x + p["w"] * n

    step = tj.jit(f, static_argnames=("n",), target="interpreter")
    x, p = normal(4), {"w": normal(4)}
    with config.override("log", "retrace"):
        step(x, p, 1)
        assert capsys.readouterr().err == ""
        step(normal(2), {"w": normal(2)}, 1)
        assert "x: f32[4] -> f32[2]; p['w']: f32[4] -> f32[2]" in capsys.readouterr().err
        step(x, {"w": 2.0}, 1)
        assert "p['w']: f32[4] -> Python float" in capsys.readouterr().err
        step(x, p, 2)
        assert "static n: 1 -> 2" in capsys.readouterr().err
        step(x, {"w": p["w"], "v": None}, 2)
        assert "the structure of the arguments" in capsys.readouterr().err


def test_two_threads_trace_once(target: str) -> None:
    traced = []

    def f(x: Any) -> Any:
        traced.append(threading.get_ident())
        return np.tanh(x) @ x.T

    step = tj.jit(f, target=target)
    x = normal(16, 16)
    want = np.tanh(x) @ x.T
    got: list[Any] = []
    threads = [threading.Thread(target=lambda: got.append(step(x))) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(traced) == 1
    for value in got:
        np.testing.assert_allclose(value, want, rtol=2e-5, atol=2e-5)


def test_lower_shows_stages_and_cost() -> None:
    step = tj.jit(lambda x: np.exp(x).sum())
    low = step.lower(normal(4, 5))
    assert "exp %x" in low.dump("traced")
    for stage in ("optimized", "fused", "loops", "scheduled", "program", "llvm", "asm"):
        assert low.dump(stage)
    assert low.cost().kernels >= 1
    with pytest.raises(ValueError, match="no stage 'machine code'"):
        low.dump("machine code")
    assert step.cache_info().entries == 1


def test_graph_reads_back() -> None:
    graph = tj.make_graph(lambda x, p: x @ p["w"])(normal(2, 3), {"w": normal(3, 4)})
    text = str(graph)
    assert text.startswith("func <lambda>") or text.startswith("func ")
    assert str(tj.parse(text)) == text
    assert "test_jit.py" in text


def test_disable_jit_runs_with_values() -> None:
    seen = []

    @tj.jit
    def f(x: Any) -> Any:
        if x.sum() > 0:
            seen.append(float(x.sum()))
        return x * 2

    x = np.ones(3, np.float32)
    with tj.disable_jit():
        np.testing.assert_array_equal(f(x), x * 2)
    assert seen == [3.0]


def test_creation_inside_a_trace_is_part_of_the_graph(target: str) -> None:
    import tracejit.numpy as tnp

    def f(x: Any) -> Any:
        h = tnp.zeros((2, 3)) + tnp.arange(3) * tnp.ones(3) + tnp.eye(2, 3) + tnp.full((), 2.5)
        return x + h + tnp.asarray([1.0, 2.0, 3.0])

    x = normal(2, 3)
    step = tj.jit(f, target=target)
    np.testing.assert_allclose(step(x), f(x), rtol=1e-6)
    assert tnp.zeros(2).dtype == tnp.asarray([0.5]).dtype == np.float32
    assert tnp.arange(3).dtype == np.int64


STRUCTURES = {
    "flat": lambda a, b: (a, b),
    "trees": lambda a, b: ({"w": a, 3: [b, None]}, (a, ())),
    "named": lambda a, b: (Point(a, {"u": b}), [Point(b, None)]),
    "ordered": lambda a, b: (OrderedDict(z=a, y=b), a),
}


@pytest.mark.parametrize("kind", STRUCTURES)
def test_later_calls_keep_structure(kind: str, target: str) -> None:
    def double(*args: Any) -> Any:
        return tj.tree.map(lambda leaf: 2 * leaf, args)

    step = tj.jit(double, target=target)
    for _ in range(4):
        args = STRUCTURES[kind](normal(2), normal(3))
        got, want = step(*args), double(*args)
        assert tj.tree.structure(got) == tj.tree.structure(want)
        for g, w in zip(tj.tree.leaves(got), tj.tree.leaves(want), strict=True):
            np.testing.assert_array_equal(g, w)
    assert step.cache_info() == tj.jit(double).cache_info().__class__(
        1, 3, 1, step.cache_info().compile_seconds
    )


def test_calls_that_change_structure_after_each_other(target: str) -> None:
    step = tj.jit(lambda p, q: tj.tree.reduce(lambda a, b: a + b, (p, q)), target=target)
    a, b, c = normal(2), normal(2), normal(2)
    for _ in range(3):
        for p, q, want in (
            ({"u": a, "v": b}, c, a + b + c),
            ({"u": a, "w": b}, c, a + b + c),
            ({"u": a}, c, a + c),
            ([a, b], (c,), a + b + c),
            ((a, b), [c], a + b + c),
            (a, [b, [c]], a + b + c),
            (a, None, a),
            (a, b, a + b),
            (a, 2.0, a + 2),
            (a, 2, a + 2),
        ):
            np.testing.assert_allclose(step(p, q), want, rtol=1e-6)
    assert step.cache_info().entries == 10


def test_later_calls_look_at_static_values_and_variables(target: str) -> None:
    u, v = tj.Variable(np.ones(2), name="u"), tj.Variable(np.zeros(2), name="v")
    step = tj.jit(lambda x, n, w: x * n + w, static_argnames=("n",), target=target)
    x = np.ones(2)
    for _ in range(3):
        for n, w in ((2, u), (3, u), (3, v), (3.0, v), (True, v)):
            np.testing.assert_array_equal(step(x, n, w), x * n + w)
            np.testing.assert_array_equal(step(x, w=w, n=n), x * n + w)
    np.testing.assert_array_equal(step(x[::-1], 3, u), x * 3 + u)
    assert step.cache_info().entries == 5


def test_integers_of_more_than_64_bits(target: str) -> None:
    step = tj.jit(lambda n: n + 1, target=target)
    assert step(2**62) == 2**62 + 1
    with pytest.raises(OverflowError, match=r"argument n: .* does not fit into 64 bits"):
        step(2**63)


def test_a_jitted_function_is_garbage_when_nobody_holds_it(target: str) -> None:
    """Also after native code has been given a way back to it, and with what it captured."""

    def used() -> tuple[Any, Any]:
        table = tj.Variable(np.ones(3, np.float32))
        step = tj.jit(lambda x: table.assign(table + x), target=target)
        for _ in range(3):
            step(np.ones(3, np.float32))
        return weakref.ref(step), weakref.ref(table)

    function, variable = used()
    gc.collect()
    assert function() is None and variable() is None


def test_array_namespace(target: str) -> None:
    def standard(x: Any) -> Any:
        xp = x.__array_namespace__()
        return xp.exp(x) + xp.zeros(3)

    x = normal(3)
    np.testing.assert_allclose(tj.jit(standard, target=target)(x), np.exp(x), rtol=1e-6)


def test_python_integers_compare() -> None:
    assert tj.jit(lambda a, b: (a < b, a == b, a >= b))(1, 2) == (True, False, False)
