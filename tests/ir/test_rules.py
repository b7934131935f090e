"""Every rule of the table: both sides on special values, over all dtypes, bit for bit.

The left sides are generated from the patterns themselves, so a new row is tested without more ado.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, product
from math import prod

import numpy as np
import pytest

from tests.samples import ALL, specials
from tracejit.ir import ops
from tracejit.ir.graph import PRIMITIVES, Array, Attr, Builder, Graph, Node
from tracejit.ir.interpreter import evaluate
from tracejit.ir.patterns import Apply, Const, Number, Pattern, Rule, Var, build, op
from tracejit.ir.rules import BY_OP, RULES, lossless
from tracejit.ir.types import (
    BF16,
    BOOL,
    F16,
    F32,
    F64,
    I8,
    I32,
    I64,
    U8,
    U16,
    DType,
    DTypeError,
    ShapeError,
    TensorType,
    dtype_name,
    is_float,
)

FLAT = 28 * 28  # every pair of the special values of a float dtype fits
SHAPES = ((FLAT,), (), (1,), (3, 1, 4), (0, 2), (2, 3))
INSTANCES = 400  # per rule, dtype and shape, of the combinations of attributes


def attributes(name: str, x: TensorType) -> list[dict[str, Attr]]:
    """Some valid attributes of a unary primitive for an operand of this type."""
    axes = list(range(x.ndim))
    subsets = [tuple(a for a in axes if bits >> a & 1) for bits in range(2**x.ndim)]
    zeros, ones = (0,) * x.ndim, (1,) * x.ndim
    table: dict[str, list[dict[str, Attr]]] = {
        "cast": [{"dtype": d} for d in ALL],
        "mark": [{"id": 0}],
        "reshape": [
            {"shape": s}
            for s in (
                *(x.shape, (prod(x.shape),), (1, *x.shape), (*x.shape, 1)),
                tuple(n for n in x.shape if n != 1),
            )
        ],
        "transpose": [{"perm": tuple(axes)}, {"perm": tuple(axes[1:] + axes[:1])}],
        "broadcast": [
            {"shape": x.shape, "axes": tuple(axes)},
            {"shape": (2, *x.shape), "axes": tuple(a + 1 for a in axes)},
            {"shape": tuple(3 if n == 1 else n for n in x.shape), "axes": tuple(axes)},
            {"shape": (*x.shape, 1), "axes": tuple(axes)},
        ],
        "reverse": [{"axes": s} for s in subsets],
        "slice": [
            {"start": zeros, "stop": x.shape, "step": ones},
            {"start": zeros, "stop": x.shape, "step": tuple(2 for _ in axes)},
            {"start": tuple(min(1, n) for n in x.shape), "stop": x.shape, "step": ones},
            {"start": x.shape, "stop": x.shape, "step": tuple(3 for _ in axes)},
        ],
        "pad": [
            {"value": 0.0 if is_float(x.dtype) else 0, "low": zeros, "high": zeros, "interior": gap}
            for gap in (zeros, ones)
        ],
        "concatenate": [{"axis": a} for a in axes],
    }
    if name.startswith("reduce_"):
        return [{"axes": s} for s in subsets]
    return table.get(name, [{}])


def fill(values: Array, shape: tuple[int, ...], turn: int) -> Array:
    """The values repeated to fill `shape`; another `turn` pairs them with those of the others."""
    size = prod(shape)
    index = np.arange(size)
    position = index if turn == 0 else index // len(values) ** turn
    return values[position % len(values)].reshape(shape)


class Instances:
    """Left sides of a rule as nodes, over operands of one dtype and shape."""

    def __init__(self, dtype: DType, shape: tuple[int, ...]) -> None:
        self.builder = Builder()
        self.type = TensorType(shape, dtype)
        self.inputs: dict[str, Node] = {}

    def of(self, pattern: Pattern, type: TensorType | None) -> Iterator[Node]:
        """type: what the place wants, None where any will do."""
        wanted = type or self.type
        match pattern:
            case Var(name, dtype):
                wanted = wanted if dtype is None else wanted.with_dtype(dtype)
                if name not in self.inputs:
                    self.inputs[name] = self.builder.input(name, wanted)
                yield self.inputs[name]
            case Const():
                few = specials(wanted.dtype)
                for value in few:
                    yield self.builder.full(value.item(), wanted)
            case Number(value):
                yield self.builder.full(value, wanted)
            case Apply():
                yield from self.applied(pattern)

    def applied(self, pattern: Apply) -> Iterator[Node]:
        kinds = [None] * len(pattern.operands)
        if pattern.op == "select":
            kinds = [self.type.with_dtype(BOOL), None, None]
        for operands in product(
            *(list(self.of(p, k)) for p, k in zip(pattern.operands, kinds, strict=True))
        ):
            for attrs in attributes(pattern.op, operands[0].type):
                try:
                    yield self.builder.emit(PRIMITIVES[pattern.op], *operands, **attrs)
                except (ShapeError, DTypeError):
                    continue


def check_rule(rule: Rule) -> int:
    """Both sides of every instance that the rule matches must agree. Returns how many did."""
    matched = 0
    for dtype, shape in product(ALL, SHAPES):
        instances = Instances(dtype, shape)
        for root in islice(instances.of(rule.lhs, None), INSTANCES):
            match = rule.match(root)
            if match is None:
                continue
            matched += 1
            if isinstance(rule.rhs, Pattern):
                better = build(rule.rhs, match, lambda node: node)
            else:
                better = rule.rhs(match)
            assert better.type == root.type, f"{rule.name}: {root.type} becomes {better.type}"
            inputs = tuple(instances.inputs.values())
            graph = Graph("rule", inputs, (root, better))
            arrays = [fill(specials(n.dtype), n.shape, turn) for turn, n in enumerate(inputs)]
            left, right = evaluate(graph, arrays)
            assert same_bits(left, right), f"{rule.name} is not exact for {root.type}:\n{graph}"
    return matched


def same_bits(a: Array, b: Array) -> bool:
    """All nans count as one value."""
    if is_float(a.dtype):
        both_nan = np.isnan(a) & np.isnan(b)
        a, b = np.where(both_nan, a.dtype.type(0), a), np.where(both_nan, b.dtype.type(0), b)
    return a.tobytes() == b.tobytes()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rule_is_exact(rule: Rule) -> None:
    assert check_rule(rule) > 0, "the rule never matched"


def test_rules_have_names_of_their_own() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    assert sum(map(len, BY_OP.values())) == len(RULES)


x, y, c = Var("x"), Var("y"), Const("c")

WRONG = (
    Rule("reduce_sum(x) => x", op("reduce_sum", x), x, lambda m: m.root.type == m["x"].type),
    Rule("abs(-x) => abs(x)", op("abs", -x), op("abs", x)),
    Rule("x * 0 => 0", x * 0, lambda m: ops.zeros_like(m.root)),
    Rule("x + 0 => x", x + 0.0, x),
    Rule("x - x => 0", x - x, lambda m: ops.zeros_like(m.root)),
    Rule("x / x => 1", x / x, lambda m: ops.ones_like(m.root)),
    Rule("-(x - y) => y - x", -(x - y), y - x),
    Rule("x / c => x * (1 / c)", op("div", x, c), lambda m: m["x"] * (1.0 / m["c"])),
    Rule("maximum(x, y) => maximum(y, x)", op("maximum", x, y), op("maximum", y, x)),
    Rule("not(x < y) => x >= y", op("not", op("lt", x, y)), op("ge", x, y)),
    Rule("exp(log(x)) => x", op("exp", op("log", x)), x),
    Rule("transpose(x) => x", op("transpose", x), lambda m: ops.reshape(m["x"], m.root.shape)),
    Rule("cast(cast(x)) => x", op("cast", op("cast", x)), x, lambda m: m.root.type == m["x"].type),
)  # fmt: skip


@pytest.mark.parametrize("rule", WRONG, ids=lambda rule: rule.name)
def test_planted_wrong_rule_is_caught(rule: Rule) -> None:
    with pytest.raises(AssertionError, match="is not exact"):
        check_rule(rule)


def test_lossless_casts() -> None:
    yes = [(BOOL, F16), (I8, I32), (U8, I32), (U8, F16), (F16, F32), (BF16, F32), (F32, F64),
           (I32, F64), (U16, F32), (I8, BF16), (F32, F32)]  # fmt: skip
    no = [(I8, U8), (U8, I8), (U16, F16), (I32, F32), (I64, F64), (F16, BF16), (BF16, F16),
          (F64, F32), (F32, I32), (F32, BOOL), (I32, BOOL)]  # fmt: skip
    for source, target in yes:
        assert lossless(source, target), (dtype_name(source), dtype_name(target))
        if source != BOOL:
            values = specials(source)
            assert same_bits(values.astype(target).astype(source), values)
    for source, target in no:
        assert not lossless(source, target), (dtype_name(source), dtype_name(target))


def test_numbers_match_by_bits() -> None:
    builder = Builder()
    node = builder.input("x", TensorType((2,), F32))
    zero = Rule("x + -0 => x", x + -0.0, x)
    assert zero.match(node + -0.0) is not None
    assert zero.match(node + 0.0) is None
    twice = Rule("x - x", x - x, x)
    other = builder.input("y", node.type)
    assert twice.match(node - node) is not None
    assert twice.match(node - other) is None
