"""Every kind of error that user code can meet says what was done, where, and what to do instead."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit import errors

HERE = r"\(.*test_errors\.py:\d+\)"
X = np.ones((4, 3), np.float32)


def jitted(f: Callable[..., Any], *args: Any, **options: Any) -> Any:
    return tj.jit(f, target="interpreter", **options)(*args)


def message(kind: type[Exception], f: Callable[[], Any]) -> str:
    with pytest.raises(kind) as caught:
        f()
    return str(caught.value)


SHAPES = {
    "dot: f32[4,3] @ f32[2,5]: inner sizes 3 and 2 differ": lambda x: x @ np.ones((2, 5), "f4"),
    "add: f32[4,3] and f32[4,2] do not broadcast: sizes 2 and 3 differ": lambda x: x + x[:, :2],
    "where: bool[4,3] and f32[4,3] and f32[2] do not broadcast": lambda x: np.where(
        x > 0, x, x[0, :2]
    ),
    "reshape: f32[4,3] has 12 elements, which do not fit into shape [5, -1]": lambda x: x.reshape(
        5, -1
    ),
    "concatenate: f32[4,3] and f32[4,2] differ outside axis 0": lambda x: np.concatenate(
        [x, x[:, :2]]
    ),
    "stack: f32[4,3] and f32[3]: all shapes must be the same": lambda x: np.stack([x, x[0]]),
    "squeeze: axis 0 of f32[4,3] does not have size 1": lambda x: np.squeeze(x, 0),
    "matmul: f32[2,1,1] @ f32[3,1,1]: batch sizes [2] and [3] do not broadcast": lambda x: (
        x[:2, :1, None] @ x[:3, :1, None]
    ),
    "split: axis 0 has size 4, not a multiple of 3": lambda x: np.split(x, 3),
    "einsum: 'ij,jk': sizes 3 and 4 of 'j' differ": lambda x: np.einsum("ij,jk", x, x),
    "broadcast: f32[4,3] does not broadcast to f32[4,2]": lambda x: np.broadcast_to(x, (4, 2)),
    "index: i64[2] and i64[3] do not broadcast": lambda x: x[np.arange(2), np.arange(3)],
    "logits [4, 3] take labels [4] (classes) or [4, 3] (probabilities), not [2]": lambda x: (
        tj.nn.softmax_cross_entropy(x, np.zeros(2, int))
    ),
}


@pytest.mark.parametrize("text", SHAPES)
def test_wrong_shapes(text: str) -> None:
    said = message(errors.ShapeError, lambda: jitted(SHAPES[text], X))
    assert text in said
    assert re.search(HERE, said)


def test_index_out_of_bounds() -> None:
    said = message(IndexError, lambda: jitted(lambda x: x[4], X))
    assert "index 4 is out of bounds for axis 0 of f32[4,3]" in said
    assert re.search(HERE, said)
    said = message(IndexError, lambda: jitted(lambda x: x[np.array([0, -5])], X))
    assert "index -5 is out of bounds for axis 0 of f32[4,3]" in said
    said = message(IndexError, lambda: jitted(lambda x: x[0, 0, 0], X))
    assert "3 indices for f32[4,3]" in said


def test_if_on_a_traced_value_quotes_the_line_and_rewrites_it() -> None:
    def f(x: Any) -> Any:
        if x.sum() > 0:  # the branch
            return x
        return -x

    said = message(errors.ConcretizationError, lambda: jitted(f, X))
    assert "gt: bool[] has no value while jit traces, so Python cannot branch on it" in said
    assert re.search(HERE, said)
    assert "    if x.sum() > 0:  # the branch\n" in said
    assert "    result = tj.where(x.sum() > 0, value_if_true, value_if_false)\n" in said
    assert "static_argnames" in said


def test_while_assert_and_logic_on_traced_values() -> None:
    def loop(x: Any) -> Any:
        while x[0, 0] < 10:
            x = x * 2
        return x

    def check(x: Any) -> Any:
        assert (x > 0).all()
        return x

    assert "state = tj.while_loop(lambda state: x[0, 0] < 10, body, state)" in message(
        errors.ConcretizationError, lambda: jitted(loop, X)
    )
    assert "a check outside the traced function" in message(
        errors.ConcretizationError, lambda: jitted(check, X)
    )
    said = message(errors.ConcretizationError, lambda: jitted(lambda x: max(x[0, 0], x[0, 1]), X))
    assert "np.maximum" in said


VALUES = {
    "float": (lambda x: math.exp(x[0, 0]), "Use np's functions"),
    "int": (lambda x: int(x[0, 0]), "static_argnames"),
    "index": (lambda x: list(range(x.argmax())), "static_argnames"),
    "array": (lambda x: np.arange(9)[x.argmax()], "np.take(table, index, axis=0)"),
    "format": (lambda x: f"{x[0, 0]:.3f}", "tj.disable_jit()"),
    "item": (lambda x: x[0, 0].item(), "Return the value"),
}


@pytest.mark.parametrize("wanted", VALUES)
def test_asking_for_a_value(wanted: str) -> None:
    f, way_out = VALUES[wanted]
    said = message(errors.ConcretizationError, lambda: jitted(f, X))
    assert f"has no value while jit traces, so {wanted}() of it is not known" in said
    assert re.search(HERE, said)
    assert way_out in said


UNSUPPORTED = {
    "np.packbits has no traced form": lambda x: np.packbits(x),
    "np.i0 has no traced form": lambda x: np.i0(x),
    "np.gcd of f32[4,3] and f32[4,3] has no traced form": lambda x: np.gcd(x, x),
    "np.add: keyword 'signature'": lambda x: np.add(x, x, signature="ff->f"),
    "np.multiply: where= leaves elements undefined": lambda x: np.multiply(x, x, where=x > 0),
    "np.dot: keyword out=": lambda x: np.dot(x, x.T, out=np.ones((4, 4), np.float32)),
    "np.pad: mode='round' has no traced form": lambda x: np.pad(x, 1, mode="round"),
    "np.putmask: a traced array cannot be changed in place": lambda x: np.putmask(x, x > 0, 0),
    "write x = x.at[np.diag_indices_from(x)].set(value)": lambda x: np.fill_diagonal(x[:3], 0),
    "np.compress: the shape of the result depends": lambda x: np.compress(x[:, 0] > 0, x, axis=0),
    "np.delete: the indices must be known": lambda x: np.delete(x, x.argmax(0), 0),
    "np.insert: the indices must be known": lambda x: np.insert(x, x.argmax(0), 1, 0),
    "np.bincount: the shape of the result depends": lambda x: np.bincount(x.argmax(0)),
    "np.where(condition) has a shape that depends on values": lambda x: np.where(x > 0),
    "index: a mask gives a result whose shape depends on values": lambda x: x[x > 0],
    "index: str is no index": lambda x: x["a"],
    "item assignment: a traced f32[4,3], an argument, a view, or an array": lambda x: x.__setitem__(
        0, 1
    ),
    "out= (or an operator like +=) would write": lambda x: np.add(x, 1, out=np.ones((4, 3))),
    "result[0] is a str": lambda x: ("text", x),
    "bitwise_and is not defined for (f32, f32)": lambda x: x & x,
    "object is not an array or a number": lambda x: x + object(),
    "np.repeat: the number of each row's repeats": lambda x: np.repeat(x, x[:, 0].astype(int), 0),
}


@pytest.mark.parametrize("text", UNSUPPORTED)
def test_unsupported(text: str) -> None:
    said = message(errors.UnsupportedError, lambda: jitted(UNSUPPORTED[text], X))
    assert text in said
    assert re.search(HERE, said)


def test_in_place_addition_to_a_captured_array() -> None:
    total = np.zeros((4, 3))

    def f(x: Any) -> Any:
        nonlocal total
        total += x
        return total

    assert "write `a = a + b`" in message(errors.UnsupportedError, lambda: jitted(f, X))


def test_unsupported_dtypes_name_the_argument() -> None:
    def f(x: Any, p: Any = None) -> Any:
        return x

    said = message(errors.DTypeError, lambda: jitted(f, X, {"w": [X, X.astype(complex)]}))
    assert "argument p['w'][1]: dtype complex128 is not supported" in said
    assert re.search(HERE, said)
    assert "argument x: dtype object" in message(
        errors.DTypeError, lambda: jitted(f, np.array([None]))
    )
    said = message(errors.DTypeError, lambda: jitted(f, "text"))
    assert "argument x: str is not an array" in said and "static_argnames" in said
    said = message(errors.DTypeError, lambda: jitted(lambda x: x + np.ones(3, complex), X))
    assert "captured array: dtype complex128 is not supported" in said
    said = message(errors.DTypeError, lambda: jitted(lambda x: x.astype(complex), X))
    assert "dtype complex128 is not supported" in said and re.search(HERE, said)
    said = message(errors.DTypeError, lambda: jitted(lambda x: x[x], X))
    assert "index: f32[4,3] does not hold integers" in said


def test_donated_twice() -> None:
    f = tj.jit(lambda a, p: (a + p["w"], p), donate_argnames=("a",), target="interpreter")
    x = X.copy()
    said = message(errors.DonationError, lambda: f(x, {"w": x}))
    assert "a is donated, but p['w'] uses the same memory" in said
    assert re.search(HERE, said)
    assert "a is donated" in message(errors.DonationError, lambda: f(x[:2], {"w": x[1:3]}))


def test_donated_twice_after_a_good_call() -> None:
    f = tj.jit(lambda a, b: (a + b, b + 1), donate_argnames=("a", "b"))
    f(X.copy(), X.copy())
    x = X.copy()
    assert "b uses the same memory" in message(errors.DonationError, lambda: f(x, x))


def test_donated_memory_is_found_among_many_arrays() -> None:
    """Whatever begins or ends between; neighbours, interleaved and empty arrays are apart."""
    f = tj.jit(lambda a, p: (a + 1, p), donate_argnames=("a",), target="interpreter")
    x = np.zeros(40, np.float32)
    apart = [x[:4], x[9:], x[4:9:2], x[6:6], np.zeros(3, np.float32)]
    f(x[5:9:2], apart)
    said = message(errors.DonationError, lambda: f(x[30:32], [*apart, x[1:3]]))
    assert "a is donated, but p[1] uses the same memory" in said


def test_static_arguments() -> None:
    said = message(
        errors.StaticArgumentError, lambda: jitted(lambda x, n: x, X, [1], static_argnames=("n",))
    )
    assert "static argument n: list is not hashable" in said
    assert "pass a tuple or a frozen dataclass" in said
    assert re.search(HERE, said)
    said = message(
        errors.StaticArgumentError, lambda: jitted(lambda x: x, X, static_argnames=("m",))
    )
    assert "has no parameter 'm'; it has x" in said


def test_escaped_tracers_say_where_they_were_made() -> None:
    kept: list[Any] = []

    def f(x: Any) -> Any:
        kept.append(np.exp(x))
        return x

    jitted(f, X)
    for use in (
        lambda: kept[0] + 1,
        lambda: np.exp(kept[0]),
        lambda: np.sum(kept[0]),
        lambda: kept[0][0],
        lambda: jitted(lambda x: x * kept[0], X),
        lambda: jitted(lambda x: np.stack([x, kept[0]]), X),
        lambda: jitted(lambda x: kept[0], X),
    ):
        said = message(errors.EscapedTracerError, use)
        assert re.search(r"exp: f32\[4,3\], made at .*test_errors\.py:\d+,", said)
        assert "escaped the trace of 'f'" in said
        assert re.search(HERE, said)
        assert "tj.Variable" in said


def test_escaped_tracer_as_an_argument() -> None:
    kept: list[Any] = []
    jitted(lambda x: kept.append(x * 2), X)
    said = message(errors.EscapedTracerError, lambda: jitted(lambda x: x, kept[0]))
    assert "escaped the trace" in said


GRADS = {
    "returned f32[4,3]": (lambda: tj.grad(lambda x: x * 2)(X), "reduce it with .mean() or .sum()"),
    "returned a tuple": (lambda: tj.grad(lambda x: (x.sum(), x))(X), "has_aux=True"),
    "must return (loss, aux), not": (
        lambda: tj.grad(lambda x: x.sum(), has_aux=True)(X),
        "has_aux=True",
    ),
    "argument 0 is a Python int": (lambda: tj.grad(lambda x: x * 2.0)(3), "pass 3.0"),
    "argument 1['n'] is i32[2]": (
        lambda: tj.grad(lambda x, p: x.sum(), argnums=(0, 1))(X, {"n": np.ones(2, "i4")}),
        ".astype(np.float32)",
    ),
    "called with 1 positional arguments, argnums asks for 2": (
        lambda: tj.grad(lambda x: x, argnums=2)(X),
        "pass that argument by position",
    ),
    "variable 'n' is i64[2]": (
        lambda: tj.grad(lambda: 0.0, wrt=[tj.Variable(np.ones(2, int), name="n")])(),
        "floats",
    ),
}


@pytest.mark.parametrize("text", GRADS)
def test_gradients_that_do_not_exist(text: str) -> None:
    f, way_out = GRADS[text]
    said = message(errors.GradError, f)
    assert text in said and way_out in said
    assert re.search(HERE, said)


def test_variable_keeps_its_shape() -> None:
    v = tj.Variable(np.ones(3, np.float32), name="w")
    assert "variable 'w' is f32[3], the value has shape [2]" in message(
        errors.ShapeError, lambda: v.assign(np.ones(2))
    )


def test_python_integers_out_of_bounds_and_negative_powers() -> None:
    said = message(OverflowError, lambda: jitted(lambda x: x + 300, np.ones(2, np.uint8)))
    assert "Python integer 300 out of bounds for uint8" in said and re.search(HERE, said)
    said = message(ValueError, lambda: jitted(lambda x: x**-1, np.ones(2, np.int32)))
    assert "Integers to negative integer powers are not allowed" in said


def test_check_nans_stops_at_the_line() -> None:
    step = tj.jit(lambda x: np.log(x).sum())
    with tj.debug.check_nans():
        step(X)
        said = message(errors.NanError, lambda: step(-X))
    assert "log(f32[4,3]) -> f32[4,3]: nan in 12 of 12 elements, the first at [0, 0]" in said
    assert re.search(HERE, said)


def test_unknown_target() -> None:
    assert "target 'tpu' is not there" in message(
        ValueError, lambda: tj.jit(lambda x: x, target="tpu")
    )


def test_names_that_are_numpys_own_or_missing() -> None:
    import tracejit.numpy as tnp

    assert tnp.polyfit is np.polyfit and not hasattr(tnp, "random")
    assert str(message(AttributeError, lambda: tnp.nonsense)).endswith("no 'nonsense'")
