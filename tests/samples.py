"""One table of example operands and attributes per primitive.

The tests of infer, eval and vjp, those of each backend's emitter, and the graph fuzzer draw from
it. Float values are at generic points: away from kinks, jumps and poles. Shapes hold 0, 1, primes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import ml_dtypes
import numpy as np

from tracejit.ir.graph import Array, Attr
from tracejit.ir.types import (
    BF16,
    BOOL,
    DTYPES,
    F16,
    F32,
    F64,
    I32,
    I64,
    U8,
    U32,
    DType,
    TensorType,
    dtype_name,
    is_float,
    type_of,
)

Shape = tuple[int, ...]
Rng = np.random.Generator
Example = tuple[tuple[Array, ...], dict[str, Attr]]

CORE: tuple[DType, ...] = (F32, F64, I32, BOOL)
ALL: tuple[DType, ...] = tuple(DTYPES.values())
FLOATS = tuple(d for d in ALL if is_float(d))
INTS = tuple(d for d in ALL if d.kind in "iu")
NUMBERS = (*FLOATS, *INTS)
BITS = (BOOL, *INTS)

SHAPES: tuple[Shape, ...] = ((), (0,), (1,), (7,), (3, 5), (2, 1, 7), (0, 3))


@dataclass(frozen=True, eq=False)
class Sample:
    """One application of a primitive: the dtype it was drawn for, its operands and attributes."""

    op: str
    dtype: DType
    arrays: tuple[Array, ...]
    attrs: dict[str, Attr]

    @property
    def types(self) -> tuple[TensorType, ...]:
        return tuple(type_of(a) for a in self.arrays)

    def __str__(self) -> str:
        attrs = ", ".join(f"{k}={v}" for k, v in self.attrs.items())
        return f"{self.op}({', '.join(map(str, self.types))}{'; ' if attrs else ''}{attrs})"


def draw(rng: Rng, dtype: DType, shape: Shape, low: float = -2, high: float = 2) -> Array:
    """Uniform values: floats in [low, high), integers in the same range widened fourfold."""
    if dtype == BOOL:
        return np.asarray(rng.random(shape) < 0.5)
    if is_float(dtype):
        return np.asarray(rng.uniform(low, high, shape)).astype(dtype)
    bottom = 0 if dtype.kind == "u" or low >= 0 else int(4 * low)
    return np.asarray(rng.integers(bottom, int(4 * high) + 1, shape)).astype(dtype)


def specials(dtype: DType) -> Array:
    """The values at which rules and kernels go wrong: zeros, infinities, nan, denormals, limits."""
    if dtype == BOOL:
        return np.array([False, True])
    if not is_float(dtype):
        info = np.iinfo(dtype)  # type: ignore[type-var]
        few = {info.min, info.min + 1, info.max, info.max - 1, 0, 1, 2, 7}
        return np.array(sorted(few | ({-1, -2, -7} if info.min < 0 else set())), dtype)
    finfo = ml_dtypes.finfo(dtype)
    tiny, small, big = finfo.smallest_subnormal, finfo.smallest_normal, finfo.max
    positive = [0.0, tiny, 3 * float(tiny), small, 0.1, 0.5, 1.0, 1.5, 2.0, 2.5, 7.0, big, np.inf]
    with np.errstate(all="ignore"):
        values = np.array([float(v) for v in positive]).astype(dtype)
        return np.concatenate([values, -values, np.array([np.nan]).astype(dtype)])


# Elementwise: dtypes, and the range of each operand

_WIDE, _POSITIVE = (-2.0, 2.0), (0.3, 3.0)

ELEMENTWISE: dict[str, tuple[tuple[DType, ...], tuple[tuple[float, float], ...]]] = {
    **dict.fromkeys(("neg", "abs", "sign"), (NUMBERS, (_WIDE,))),
    **dict.fromkeys(("exp", "expm1", "tanh", "sigmoid", "erf", "sin", "cos"), (FLOATS, (_WIDE,))),
    **dict.fromkeys(("log", "sqrt", "rsqrt"), (FLOATS, (_POSITIVE,))),
    "log1p": (FLOATS, ((-0.7, 3.0),)),
    **dict.fromkeys(("floor", "ceil", "round"), (FLOATS, ((-3.3, 3.3),))),
    "not": (BITS, (_WIDE,)),
    **dict.fromkeys(("add", "sub", "mul", "maximum", "minimum"), (NUMBERS, (_WIDE, _WIDE))),
    "div": (FLOATS, (_WIDE, _POSITIVE)),
    "pow": (NUMBERS, (_POSITIVE, (0.0, 2.0))),
    **dict.fromkeys(("remainder", "floor_divide"), (NUMBERS, (_WIDE, (0.6, 1.4)))),
    **dict.fromkeys(("and", "or", "xor"), (BITS, (_WIDE, _WIDE))),
    **dict.fromkeys(("shift_left", "shift_right"), (INTS, (_WIDE, (0.0, 1.5)))),
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge"), (ALL, (_WIDE, _WIDE))),
}


def _cast(rng: Rng, dtype: DType) -> Iterator[Example]:
    for target in ALL:
        for shape in ((), (0,), (3, 5)):
            # Negative floats have no unsigned value, and C leaves open what they become.
            low = 0.0 if target.kind == "u" else -2.0
            yield (draw(rng, dtype, shape, low, 2.0),), {"dtype": target}


def _select(rng: Rng, dtype: DType) -> Iterator[Example]:
    for shape in SHAPES:
        yield (draw(rng, BOOL, shape), draw(rng, dtype, shape), draw(rng, dtype, shape)), {}


# Movement


def _full(rng: Rng, dtype: DType) -> Iterator[Example]:
    for shape in SHAPES:
        yield (), {"value": draw(rng, dtype, ()).item(), "shape": shape, "dtype": dtype}


def _iota(rng: Rng, dtype: DType) -> Iterator[Example]:
    for shape, axis in (((5,), 0), ((0,), 0), ((3, 1, 2), 0), ((2, 7), 1), ((300,), 0)):
        yield (), {"shape": shape, "axis": axis, "dtype": dtype}


def _unary_with(*rows: tuple[Shape, dict[str, Attr]]) -> Callable[[Rng, DType], Iterator[Example]]:
    def examples(rng: Rng, dtype: DType) -> Iterator[Example]:
        for shape, attrs in rows:
            yield (draw(rng, dtype, shape),), attrs

    return examples


_broadcast = _unary_with(
    ((), {"shape": (3,), "axes": ()}),
    ((3,), {"shape": (2, 3), "axes": (1,)}),
    ((3,), {"shape": (3, 2), "axes": (0,)}),
    ((1, 3), {"shape": (4, 5, 3), "axes": (1, 2)}),
    ((7, 1), {"shape": (7, 5), "axes": (0, 1)}),
    ((2, 3), {"shape": (2, 1, 3), "axes": (0, 2)}),
    ((0,), {"shape": (2, 0), "axes": (1,)}),
    ((1,), {"shape": (0,), "axes": (0,)}),
)
_reshape = _unary_with(
    ((6,), {"shape": (2, 3)}),
    ((2, 3), {"shape": (6,)}),
    ((), {"shape": (1, 1)}),
    ((1,), {"shape": ()}),
    ((0, 3), {"shape": (0,)}),
    ((2, 3, 4), {"shape": (4, 6)}),
    ((7,), {"shape": (7, 1)}),
)
_transpose = _unary_with(
    ((), {"perm": ()}),
    ((3, 5), {"perm": (1, 0)}),
    ((0, 2), {"perm": (1, 0)}),
    ((2, 3, 5), {"perm": (2, 0, 1)}),
    ((2, 3, 5), {"perm": (1, 2, 0)}),
)
_reverse = _unary_with(
    ((7,), {"axes": (0,)}),
    ((2, 3), {"axes": (0, 1)}),
    ((2, 3, 5), {"axes": (1,)}),
    ((0,), {"axes": (0,)}),
)
_slice = _unary_with(
    ((), {"start": (), "stop": (), "step": ()}),
    ((7,), {"start": (1,), "stop": (6,), "step": (1,)}),
    ((7,), {"start": (1,), "stop": (7,), "step": (2,)}),
    ((7,), {"start": (0,), "stop": (6,), "step": (3,)}),
    ((7,), {"start": (3,), "stop": (3,), "step": (2,)}),
    ((3, 5), {"start": (0, 2), "stop": (3, 5), "step": (2, 2)}),
    ((0, 3), {"start": (0, 1), "stop": (0, 3), "step": (1, 1)}),
)
_pad = _unary_with(
    ((5,), {"value": 0, "low": (2,), "high": (1,), "interior": (0,)}),
    ((5,), {"value": 1, "low": (0,), "high": (0,), "interior": (2,)}),
    ((1,), {"value": 1, "low": (0,), "high": (3,), "interior": (4,)}),
    ((0,), {"value": 1, "low": (2,), "high": (1,), "interior": (3,)}),
    ((2, 3), {"value": 0, "low": (1, 0), "high": (0, 2), "interior": (1, 0)}),
    ((), {"value": 0, "low": (), "high": (), "interior": ()}),
)


def _typed_pad(rng: Rng, dtype: DType) -> Iterator[Example]:
    """The filling is a Python number of the dtype's kind, as everywhere in a graph."""
    for arrays, attrs in _pad(rng, dtype):
        yield arrays, {**attrs, "value": np.asarray(attrs["value"]).astype(dtype).item()}


def _concatenate(rng: Rng, dtype: DType) -> Iterator[Example]:
    for shapes, axis in (
        (((3,), (2,)), 0),
        (((3,), (0,), (1,)), 0),
        (((2, 3), (2, 1), (2, 5)), 1),
        (((2, 1, 3), (4, 1, 3)), 0),
        (((7,),), 0),
    ):
        yield tuple(draw(rng, dtype, s) for s in shapes), {"axis": axis}


def _mark(rng: Rng, dtype: DType) -> Iterator[Example]:
    yield (draw(rng, dtype, (3,)),), {"id": 0}


def _stop_gradient(rng: Rng, dtype: DType) -> Iterator[Example]:
    yield (draw(rng, dtype, (3,)),), {}


def _contiguous(rng: Rng, dtype: DType) -> Iterator[Example]:
    for shape in ((), (3,), (2, 5), (0, 3)):
        yield (draw(rng, dtype, shape),), {}


# Reductions, contraction, gather, random


def _reduce(has_identity: bool) -> Callable[[Rng, DType], Iterator[Example]]:
    rows: list[tuple[Shape, dict[str, Attr]]] = [
        ((), {"axes": ()}),
        ((7,), {"axes": (0,)}),
        ((1,), {"axes": (0,)}),
        ((3, 5), {"axes": (0,)}),
        ((3, 5), {"axes": (1,)}),
        ((3, 5), {"axes": (0, 1)}),
        ((2, 3, 5), {"axes": (0, 2)}),
        ((2, 1, 7), {"axes": (1,)}),
        ((0, 3), {"axes": (1,)}),
    ]
    if has_identity:
        rows += [((0, 3), {"axes": (0,)}), ((0,), {"axes": (0,)})]
    return _unary_with(*rows)


def _dot_general(rng: Rng, dtype: DType) -> Iterator[Example]:
    none: tuple[Shape, Shape] = ((), ())
    for a, b, contract, batch in (
        ((3, 4), (4, 5), ((1,), (0,)), none),
        ((3, 4), (5, 4), ((1,), (1,)), none),
        ((4, 3), (4, 5), ((0,), (0,)), none),
        ((7,), (7,), ((0,), (0,)), none),
        ((3,), (2,), none, none),
        ((), (), none, none),
        ((1, 1), (1, 1), ((1,), (0,)), none),
        ((3, 0), (0, 2), ((1,), (0,)), none),
        ((0, 3), (3, 2), ((1,), (0,)), none),
        ((2, 3, 4), (2, 4, 5), ((2,), (1,)), ((0,), (0,))),
        ((3, 2, 4), (5, 4, 2), ((2,), (1,)), ((1,), (2,))),
        ((2, 3, 4), (4, 5, 3), ((1, 2), (2, 0)), none),
        ((2, 3, 4), (4, 3), ((2, 1), (0, 1)), none),
        ((2, 3, 4), (3, 2, 4), none, ((0, 2), (1, 2))),
    ):
        yield (draw(rng, dtype, a), draw(rng, dtype, b)), {"contract": contract, "batch": batch}


# (x, w, strides, dilation): x: [N, *S, G, C], w: [*K, G, C, O]
# x, w, strides, dilation, (low, high) of padding on each spatial axis
Pairs = tuple[tuple[int, int], ...]
Convolution = tuple[Shape, Shape, Shape, Shape, Pairs]
CONVOLUTIONS: tuple[Convolution, ...] = (
    ((1, 1, 1, 1), (1, 1, 1, 1), (1,), (1,), ((0, 0),)),
    ((2, 7, 1, 3), (3, 1, 3, 5), (2,), (1,), ((0, 0),)),
    ((1, 8, 2, 2), (2, 2, 2, 3), (3,), (3,), ((1, 0),)),
    ((2, 5, 4, 1, 2), (3, 2, 1, 2, 3), (1, 1), (1, 1), ((1, 1), (0, 0))),
    ((1, 7, 6, 2, 1), (2, 3, 2, 1, 2), (2, 1), (3, 2), ((0, 4), (2, 2))),
    ((1, 5, 6, 3, 1), (3, 3, 3, 1, 1), (2, 2), (1, 1), ((1, 0), (0, 1))),
    ((1, 3, 4, 3, 1, 2), (2, 2, 1, 1, 2, 1), (1, 2, 1), (1, 1, 2), ((0, 0), (1, 1), (0, 2))),
    ((0, 3, 1, 2), (2, 1, 2, 2), (1,), (1,), ((1, 1),)),
    ((2, 3, 1, 0), (2, 1, 0, 2), (1,), (1,), ((0, 0),)),
    ((2, 0, 3, 1, 2), (1, 2, 1, 2, 3), (2, 1), (1, 1), ((0, 0), (0, 0))),
    # Windows wholly on the padding, and an axis that is nothing else.
    ((1, 2, 1, 3), (2, 1, 3, 2), (1,), (2,), ((5, 4),)),
    ((2, 0, 2, 1, 2), (2, 2, 1, 2, 2), (1, 1), (1, 1), ((1, 2), (0, 0))),
)


def _conv(rng: Rng, dtype: DType) -> Iterator[Example]:
    for x, w, *how in CONVOLUTIONS:
        yield (draw(rng, dtype, x), draw(rng, dtype, w)), conv_attrs(*how)


def conv_attrs(strides: Shape, dilation: Shape, around: Pairs) -> dict[str, Attr]:
    low, high = zip(*around, strict=True)
    return {"strides": strides, "dilation": dilation, "low": low, "high": high}


def _conv_weight_grad(rng: Rng, dtype: DType) -> Iterator[Example]:
    for x, w, strides, dilation, around in CONVOLUTIONS:
        window = w[:-3]
        sizes = zip(x[1:-2], around, window, strides, dilation, strict=True)
        counts = [(n + sum(a) - (k - 1) * d - 1) // s + 1 for n, a, k, s, d in sizes]
        dy = (x[0], *counts, x[-2], w[-1])
        attrs = conv_attrs(strides, dilation, around) | {"window": window}
        yield (draw(rng, dtype, x), draw(rng, dtype, dy)), attrs


_window = _unary_with(
    ((), {"window": (), "strides": ()}),
    ((7,), {"window": (3,), "strides": (1,)}),
    ((7,), {"window": (2,), "strides": (2,)}),
    ((8,), {"window": (2,), "strides": (3,)}),
    ((3, 5), {"window": (2, 3), "strides": (1, 2)}),
    ((2, 5, 7, 3), {"window": (1, 3, 2, 1), "strides": (1, 2, 1, 1)}),
    ((1, 3), {"window": (1, 1), "strides": (1, 2)}),
    ((4, 1), {"window": (4, 1), "strides": (1, 1)}),
    ((0, 4), {"window": (1, 2), "strides": (2, 1)}),
)


def _indices(rng: Rng) -> Iterator[tuple[Array, int]]:
    for dtype, shape, rows in ((I32, (3, 2), 5), (I64, (), 7), (U8, (7,), 3), (I32, (0,), 2)):
        low = 0 if dtype.kind == "u" else -rows
        yield np.asarray(rng.integers(low, rows, shape)).astype(dtype), rows
    yield np.array([-9, -6, -5, -1, 0, 4, 5, 99], I32), 5


def _gather_rows(rng: Rng, dtype: DType) -> Iterator[Example]:
    for index, rows in _indices(rng):
        for rest in ((), (3,), (2, 2)):
            yield (draw(rng, dtype, (rows, *rest)), index), {}
    yield (draw(rng, dtype, (0, 3)), np.zeros((0,), I32)), {}


def _scatter_add_rows(rng: Rng, dtype: DType) -> Iterator[Example]:
    for index, rows in _indices(rng):
        for rest in ((), (3,), (2, 2)):
            table = draw(rng, dtype, (rows, *rest))
            yield (table, index, draw(rng, dtype, (*index.shape, *rest))), {}
    yield (draw(rng, dtype, (0, 3)), np.zeros((0,), I32), draw(rng, dtype, (0, 3))), {}


def _scatter_rows(rng: Rng, dtype: DType) -> Iterator[Example]:
    for index in (np.array(2, I32), np.array([3, 0, -1, 3], I32), np.array([[1], [4]], I32)):
        for rest in ((), (3,), (2, 2)):
            table = draw(rng, dtype, (5, *rest))
            yield (table, index, draw(rng, dtype, (*index.shape, *rest))), {}
    yield (draw(rng, dtype, (0, 3)), np.zeros((0,), I32), draw(rng, dtype, (0, 3))), {}


def _random_bits(rng: Rng, dtype: DType) -> Iterator[Example]:
    for shape in ((), (0,), (1,), (4,), (5,), (3, 7)):
        yield (rng.integers(0, 2**32, 2, dtype=np.uint32),), {"shape": shape}


STRUCTURAL: dict[str, tuple[tuple[DType, ...], Callable[[Rng, DType], Iterator[Example]]]] = {
    "cast": (ALL, _cast),
    "select": (ALL, _select),
    "full": (ALL, _full),
    "iota": (NUMBERS, _iota),
    "broadcast": (ALL, _broadcast),
    "reshape": (ALL, _reshape),
    "transpose": (ALL, _transpose),
    "reverse": (ALL, _reverse),
    "slice": (ALL, _slice),
    "pad": (ALL, _typed_pad),
    "concatenate": (ALL, _concatenate),
    "mark": (ALL, _mark),
    "stop_gradient": (ALL, _stop_gradient),
    "contiguous": (ALL, _contiguous),
    "reduce_sum": (NUMBERS, _reduce(True)),
    "reduce_prod": (NUMBERS, _reduce(True)),
    "reduce_max": (ALL, _reduce(False)),
    "reduce_min": (ALL, _reduce(False)),
    "dot_general": (NUMBERS, _dot_general),
    "conv": (NUMBERS, _conv),
    "conv_weight_grad": (NUMBERS, _conv_weight_grad),
    "window_sum": (NUMBERS, _window),
    "window_max": (NUMBERS, _window),
    "gather_rows": (ALL, _gather_rows),
    "scatter_add_rows": (NUMBERS, _scatter_add_rows),
    "scatter_rows": (ALL, _scatter_rows),
    "random_bits": ((U32,), _random_bits),
}

# Operations with several results or with bodies have their own tables: in tests/ir/test_control.py
# and in tests/host_samples.py.
CONTROL = frozenset({"host_call", "item", "pack", "scan", "while_loop", "while_pull", "cond"})
OPS: tuple[str, ...] = (*ELEMENTWISE, *STRUCTURAL)


def dtypes_of(op: str) -> tuple[DType, ...]:
    """Every dtype that the primitive takes."""
    return (ELEMENTWISE.get(op) or STRUCTURAL[op])[0]


def samples(op: str, dtypes: tuple[DType, ...] = CORE) -> Iterator[Sample]:
    """The samples of one primitive in those of `dtypes` that it takes. The same at every call."""
    for dtype in dtypes_of(op):
        if dtype not in dtypes and op != "random_bits":
            continue
        rng = np.random.default_rng([*op.encode(), *dtype_name(dtype).encode()])
        if op in STRUCTURAL:
            for arrays, attrs in STRUCTURAL[op][1](rng, dtype):
                yield Sample(op, dtype, arrays, attrs)
        else:
            for shape in SHAPES:
                ranges = ELEMENTWISE[op][1]
                yield Sample(op, dtype, tuple(draw(rng, dtype, shape, *r) for r in ranges), {})


def tolerance(dtype: DType) -> float:
    """Relative: a few roundings of the dtype; 0 where results must be exact."""
    if not is_float(dtype):
        return 0.0
    return 8 * float(ml_dtypes.finfo(dtype).eps)


HALVES: tuple[DType, ...] = (F16, BF16)
