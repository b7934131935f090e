"""Index maps against brute force: every element's place, asked of NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracejit.ir import ops
from tracejit.ir.affine import (
    MOVEMENT,
    ZERO,
    Affine,
    Index,
    affine,
    axis_index,
    linear,
    operand_index,
    split,
    strides,
)
from tracejit.ir.graph import Builder, Node
from tracejit.ir.types import F32, TensorType

SHAPES = st.lists(st.integers(0, 5), max_size=4).map(tuple).filter(lambda s: prod(s) <= 60)


def value(expression: Affine, at: Mapping[str, int]) -> int:
    return expression.const + sum(c * at[axis] for axis, c in expression.terms)


def points(shape: tuple[int, ...]) -> list[dict[str, int]]:
    names = [f"i{d}" for d in range(len(shape))]
    return [dict(zip(names, p, strict=True)) for p in product(*map(range, shape))]


def whole(shape: tuple[int, ...]) -> Index:
    """The identity index of a space, in which an axis of size 1 does not occur."""
    return tuple(ZERO if n == 1 else axis_index(f"i{d}") for d, n in enumerate(shape))


def extents(shape: tuple[int, ...]) -> dict[str, int]:
    return {f"i{d}": n for d, n in enumerate(shape) if n != 1}


def node_of(shape: tuple[int, ...]) -> Node:
    return Builder().input("x", TensorType(shape, F32))


# Arithmetic


def test_terms_are_canonical() -> None:
    i, j = axis_index("i"), axis_index("j")
    assert j * 3 + i + 4 == affine({"i": 1, "j": 3}, 4)
    assert i + i * -1 == ZERO
    assert i * 0 == ZERO
    assert (i * 2 + j).coefficient("i") == 2
    assert (i * 2 + j).coefficient("k") == 0


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (ZERO, "0"),
        (affine({}, -3), "-3"),
        (axis_index("i"), "i"),
        (affine({"i": 2, "j": -1}, 5), "2*i - 1*j + 5"),
        (affine({"i": 1}, -7), "i - 7"),
    ],
)
def test_text(expression: Affine, text: str) -> None:
    assert str(expression) == text


@given(
    st.dictionaries(st.sampled_from("ijk"), st.integers(-4, 4)),
    st.dictionaries(st.sampled_from("ijk"), st.integers(-4, 4)),
    st.integers(-9, 9),
    st.integers(-4, 4),
)
def test_arithmetic_is_that_of_the_values(
    a: dict[str, int], b: dict[str, int], const: int, factor: int
) -> None:
    at = {"i": 2, "j": -3, "k": 7}
    x, y = affine(a, const), affine(b)
    assert value(x + y, at) == value(x, at) + value(y, at)
    assert value(x * factor, at) == value(x, at) * factor
    replaced = x.substitute({"i": y})
    assert value(replaced, at) == value(x, at | {"i": value(y, at)})


def test_substitution_is_simultaneous() -> None:
    swapped = affine({"i": 2, "j": 5}).substitute({"i": axis_index("j"), "j": axis_index("i")})
    assert swapped == affine({"i": 5, "j": 2})


# linear and split


@given(SHAPES)
def test_linear_is_the_flat_offset(shape: tuple[int, ...]) -> None:
    flat = linear(whole(shape), shape)
    for p in points(shape):
        at = [p[f"i{d}"] for d in range(len(shape))]
        assert value(flat, p) == (np.ravel_multi_index(at, shape) if shape else 0)


@given(SHAPES)
def test_strides_are_those_of_numpy(shape: tuple[int, ...]) -> None:
    if prod(shape):
        assert strides(shape) == tuple(s // 4 for s in np.zeros(shape, "f4").strides)


@st.composite
def reshapes(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes of one size: the same prime factors and ones, gathered in two ways."""
    factors = draw(st.lists(st.sampled_from([2, 2, 2, 3, 3, 5]), max_size=5))

    def gather() -> tuple[int, ...]:
        sizes = [1] * draw(st.integers(1 if factors else 0, 4))
        for f in draw(st.permutations(factors)):
            sizes[draw(st.integers(0, len(sizes) - 1))] *= f
        return tuple(sizes)

    return gather(), gather()


@given(reshapes())
def test_split_finds_the_right_index_or_none(
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
) -> None:
    source, target = shapes
    found = split(linear(whole(source), source), target, extents(source))
    if found is None:
        return
    assert len(found) == len(target)
    for n, p in enumerate(points(source)):
        at = tuple(value(i, p) for i in found)
        assert at == tuple(np.unravel_index(n, target) if target else ())


@given(st.lists(st.sampled_from([1, 2, 3, 4, 6]), max_size=4).map(tuple), st.data())
def test_split_never_gives_up_where_axes_merge_or_stay(
    shape: tuple[int, ...], data: st.DataObject
) -> None:
    """Merging neighbours and adding ones is always affine."""
    merged: list[int] = []
    for n in shape:
        if merged and data.draw(st.booleans()):
            merged[-1] *= n
        else:
            merged.append(n)
        if data.draw(st.booleans()):
            merged.append(1)
    target = tuple(merged)
    if prod(target) == prod(shape):
        assert split(linear(whole(shape), shape), target, extents(shape)) is not None


def test_split_of_one_axis_into_two_is_not_affine() -> None:
    assert split(axis_index("i"), (3, 4), {"i": 12}) is None
    assert split(axis_index("i"), (3, 4), {"i": 4}) == (ZERO, axis_index("i"))


def test_split_with_a_constant_that_carries_is_not_affine() -> None:
    i = axis_index("i")
    assert split(i + 2, (3, 4), {"i": 2}) == (ZERO, i + 2)
    assert split(i + 2, (3, 4), {"i": 3}) is None
    assert split(i + 4, (3, 4), {"i": 4}) == (affine({}, 1), i)


def test_split_of_a_reversed_axis() -> None:
    i = axis_index("i")
    assert split(i * -1 + 3, (3, 4), {"i": 4}) == (ZERO, i * -1 + 3)
    assert split(i * -1 + 4, (3, 4), {"i": 4}) is None


@pytest.mark.parametrize("shape", [(0,), (5, 0, 5), (0, 3), (2, 0)])
def test_split_into_an_empty_shape(shape: tuple[int, ...]) -> None:
    found = split(linear(whole(shape), shape), shape, extents(shape))
    assert found is not None and len(found) == len(shape)


# operand_index


@st.composite
def movements(draw: st.DrawFn) -> Node:
    """A movement node over an input."""
    x = node_of(draw(SHAPES))
    dims = range(x.ndim)
    op = draw(st.sampled_from(sorted(MOVEMENT)))
    if op == "transpose":
        return _emit(x, op, perm=tuple(draw(st.permutations(dims))))
    if op == "reverse":
        return _emit(x, op, axes=tuple(d for d in dims if draw(st.booleans())))
    if op == "slice":
        start = tuple(draw(st.integers(0, n)) for n in x.shape)
        stop = tuple(draw(st.integers(a, n)) for a, n in zip(start, x.shape, strict=True))
        step = tuple(draw(st.integers(1, 3)) for _ in dims)
        return _emit(x, op, start=start, stop=stop, step=step)
    if op == "broadcast":
        ndim = x.ndim + draw(st.integers(0, 2))
        axes = tuple(sorted(draw(st.permutations(range(ndim)))[: x.ndim]))
        shape = [draw(st.integers(0, 3)) for _ in range(ndim)]
        for d, a in enumerate(axes):
            shape[a] = x.shape[d] if x.shape[d] != 1 else shape[a]
        return _emit(x, op, shape=tuple(shape), axes=axes)
    if draw(st.booleans()) and x.ndim > 1 and 0 not in x.shape:
        merged = node_of((x.shape[0] * x.shape[1], *x.shape[2:]))
        return _emit(merged, "reshape", shape=x.shape)  # one axis cut in two; not the reverse
    return _emit(x, "reshape", shape=(1, *x.shape, 1))


def _emit(x: Node, op: str, **attrs: tuple[int, ...]) -> Node:
    from tracejit.ir.graph import PRIMITIVES

    return x.builder.emit(PRIMITIVES[op], x, **attrs)


@given(movements())
def test_operand_index_is_where_eval_reads(node: Node) -> None:
    """Each element of an arange tells where it came from."""
    (x,) = node.inputs
    numbers = np.arange(x.type.size, dtype="f4").reshape(x.shape)
    moved = node.prim.eval(numbers, **node.attrs)
    index = operand_index(node, whole(node.shape), extents(node.shape))
    assert index is not None, "these are all affine"
    assert len(index) == x.ndim
    for p in points(node.shape):
        at = tuple(value(i, p) for i in index)
        assert all(0 <= i < n for i, n in zip(at, x.shape, strict=True))
        assert numbers[at] == moved[tuple(p.values())]


def test_reshape_of_a_transpose_needs_a_copy() -> None:
    x = node_of((3, 4))
    flat = ops.reshape(ops.transpose(x, (1, 0)), (12,))
    index = operand_index(flat, whole(flat.shape), extents(flat.shape))
    assert index is None


@given(movements(), movements())
def test_index_maps_compose(first: Node, second: Node) -> None:
    """The second movement applied to the result of the first, where it fits."""
    if second.inputs[0].shape != first.shape:
        return
    both = first.builder.emit(second.prim, first, **second.attrs)
    middle = operand_index(both, whole(both.shape), extents(both.shape))
    assert middle is not None
    index = operand_index(first, middle, extents(both.shape))
    if index is None:
        return
    numbers = np.arange(first.inputs[0].type.size).reshape(first.inputs[0].shape)
    moved = both.prim.eval(first.prim.eval(numbers, **first.attrs), **both.attrs)
    for p in points(both.shape):
        assert numbers[tuple(value(i, p) for i in index)] == moved[tuple(p.values())]
