"""Batch rules against a Python loop over the lanes, from the sample table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from tests.samples import CORE, OPS, Sample, samples, tolerance
from tracejit.ir import ops
from tracejit.ir.batching import batched, in_lanes
from tracejit.ir.graph import PRIMITIVES, Array, Primitive
from tracejit.ir.interpreter import EagerBuilder
from tracejit.ir.types import F64, type_of

WITHOUT_OPERANDS = {"input", "full", "iota"}
BATCHED = [op for op in OPS if op not in WITHOUT_OPERANDS]


def variants(array: Array, size: int) -> Array:
    """`size` arrays of the same values in other orders: [size, *array.shape]."""
    lanes = [np.roll(array.reshape(-1), lane).reshape(array.shape) for lane in range(size)]
    return np.stack(lanes) if size else np.empty((0, *array.shape), array.dtype)


def patterns(operands: int) -> Iterator[tuple[bool, ...]]:
    """Which operands have lanes: each way for two, all but one and single ones for more."""
    every = (p for p in product((True, False), repeat=operands) if any(p))
    return (p for p in every if operands <= 3 or sum(p) in (1, operands))


def check(prim: Primitive, sample: Sample, size: int, has: tuple[bool, ...]) -> None:
    builder = EagerBuilder()
    values = [variants(a, size) if h else a for a, h in zip(sample.arrays, has, strict=True)]
    lanes, operands = {}, []
    for array, value, h in zip(sample.arrays, values, has, strict=True):
        node = builder.input("x", type_of(value), value)
        if h:
            one = builder.placeholder("one", type_of(array))
            lanes[one] = node
            node = one
        operands.append(node)
    out = builder.emit(prim, *operands, **sample.attrs)
    found = builder.values[in_lanes(out, batched([out], lanes, size), size)]
    assert found.shape == (size, *out.shape)
    for lane in range(size):
        arrays = [v[lane] if h else v for v, h in zip(values, has, strict=True)]
        expected = prim.eval(*arrays, **sample.attrs)
        rtol = tolerance(out.dtype)
        np.testing.assert_allclose(found[lane], expected, rtol=rtol, atol=rtol, err_msg=str(sample))


@pytest.mark.parametrize("op", BATCHED)
def test_lanes_equal_a_loop(op: str) -> None:
    for sample in samples(op, CORE):
        for has in patterns(len(sample.arrays)):
            check(PRIMITIVES[op], sample, 3, has)
        check(PRIMITIVES[op], sample, 1, (True,) * len(sample.arrays))


@pytest.mark.parametrize("op", BATCHED)
def test_no_lanes_at_all(op: str) -> None:
    for sample in samples(op, (F64,)):
        check(PRIMITIVES[op], sample, 0, (True,) * len(sample.arrays))


def test_every_primitive_with_operands_has_a_rule() -> None:
    without = {n for n, p in PRIMITIVES.items() if p.batch is None and not p.elementwise}
    assert without == WITHOUT_OPERANDS


def test_what_no_placeholder_reaches_is_left_alone() -> None:
    builder = EagerBuilder()
    shared = ops.exp(builder.input("w", type_of(np.ones(2)), np.ones(2)))
    one = builder.placeholder("one", type_of(np.ones(2)))
    many = builder.input("x", type_of(np.ones((3, 2))), np.ones((3, 2)))
    out = ops.mul(shared, ops.neg(one))
    known = batched([out, shared], {one: many}, 3)
    assert shared not in known
    assert builder.values[known[out]].shape == (3, 2)


def test_the_check_finds_a_wrong_rule() -> None:
    flipped = replace(
        PRIMITIVES["neg"], batch=lambda lanes: ops.neg(ops.reverse(lanes.nodes[0], (0,)))
    )
    sample = next(s for s in samples("neg", (F64,)) if s.arrays[0].size > 3)
    with pytest.raises(AssertionError):
        check(flipped, sample, 3, (True,))
