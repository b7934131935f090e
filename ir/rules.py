"""The table of simplifications. Each is exact: on -0.0, infinities, nan, denormals, integer limits.

So `x + 0 => x` is missing (-0.0 + 0 is 0), and so is `x * 0 => 0` (nan). Sums are not reassociated.
A generated test runs both sides of every row on those values.
"""

from __future__ import annotations

import math

import numpy as np

from tracejit.ir import ops
from tracejit.ir.graph import Node
from tracejit.ir.patterns import Const, Match, Rule, Var, op
from tracejit.ir.types import BF16, BOOL, F16, F32, F64, DType, is_float, is_integer

x, y, z = Var("x"), Var("y"), Var("z")
p = Var("p", BOOL)
c = Const("c")

SIGNIFICAND_BITS = {BF16: 8, F16: 11, F32: 24, F64: 53}
EXPONENT_BITS = {BF16: 8, F16: 5, F32: 8, F64: 11}


def _floats(m: Match) -> bool:
    return is_float(m.root.dtype)


def _signed(m: Match) -> bool:
    return m.root.dtype.kind != "u"


def _not_constant(m: Match) -> bool:
    return m["x"].scalar() is None


def _reciprocal(node: Node) -> float | None:
    """1 / c where that is exact in c's dtype: c a power of two, 1 / c not beyond the range."""
    value = node.scalar()
    if value is None or value == 0 or not math.isfinite(value) or not is_float(node.dtype):
        return None
    if abs(math.frexp(value)[0]) != 0.5:
        return None
    with np.errstate(all="ignore"):
        inverse = float(np.divide(1.0, np.float64(value)).astype(node.dtype))
    return inverse if math.isfinite(inverse) and inverse * value == 1 else None


def _times_reciprocal(m: Match) -> Node:
    inverse = _reciprocal(m["c"])
    assert inverse is not None
    return ops.mul(m["x"], ops.full_like(m.root, inverse))


def _times_negated(m: Match) -> Node:
    value = m["c"].scalar()
    assert value is not None
    return ops.mul(m["x"], ops.full_like(m.root, -value))


def _magnitude_bits(dtype: DType) -> int:
    return 8 * dtype.itemsize - (dtype.kind == "i")


def lossless(source: DType, target: DType) -> bool:
    """Whether every value of `source` is one of `target`."""
    if source in (BOOL, target):
        return True
    if is_integer(source) and is_integer(target):
        sign_fits = source.kind == "u" or target.kind == "i"
        return sign_fits and _magnitude_bits(source) <= _magnitude_bits(target)
    if is_integer(source) and is_float(target):
        return _magnitude_bits(source) <= SIGNIFICAND_BITS[target]
    return (
        is_float(source)
        and is_float(target)
        and SIGNIFICAND_BITS[source] <= SIGNIFICAND_BITS[target]
        and EXPONENT_BITS[source] <= EXPONENT_BITS[target]
    )


def _through_lossless(m: Match) -> bool:
    """Whether the way round over the inner dtype gives what the direct way does.

    Integers wrap where they do not fit; what a float out of range becomes is left open, so a float
    on the way to an integer stays. NumPy rounds integers to f16 and bf16 twice, through f32.
    """
    source, between, target = m["x"].dtype, m.inner.dtype, m.root.dtype
    if not lossless(source, between):
        return False
    if lossless(source, target):
        return True
    if is_integer(target):
        return not (is_float(source) or is_float(between))
    return is_float(source) or target not in (F16, BF16)


def _same_type(m: Match) -> bool:
    return m.root.type == m["x"].type


def _uniform(m: Match) -> Node:
    value = m["c"].scalar()
    assert value is not None
    return m.root.builder.full(value, m.root.type)


def _composed_transpose(m: Match) -> Node:
    first, second = m.inner.ints("perm"), m.root.ints("perm")
    return ops.transpose(m["x"], [first[d] for d in second])


def _composed_broadcast(m: Match) -> Node:
    first, second = m.inner.ints("axes"), m.root.ints("axes")
    return ops.broadcast(m["x"], m.root.shape, [second[a] for a in first])


def _kept_axes(m: Match) -> tuple[int, ...] | None:
    """Where the inner reshape only adds axes of size 1: what becomes of x's axes, else None."""
    wanted = list(m["x"].shape)
    axes = []
    for axis, size in enumerate(m.inner.shape):
        if wanted and size == wanted[0]:
            axes.append(axis)
            wanted.pop(0)
        elif size != 1:
            return None
    return None if wanted else tuple(axes)


def _broadcast_of_added(m: Match) -> Node:
    second = m.root.ints("axes")
    return ops.broadcast(m["x"], m.root.shape, [second[a] for a in _kept_axes(m) or ()])


def _axes_with_removed(m: Match) -> tuple[int, ...] | None:
    """Where the inner reshape only removes axes of size 1, and the result has axes to spare for
    them: where x's axes go, else None."""
    kept, last = list(zip(m.inner.shape, m.root.ints("axes"), strict=True)), -1
    axes = []
    for size in m["x"].shape:
        if kept and size == kept[0][0]:
            axis = kept.pop(0)[1]
        elif size == 1:
            axis = last + 1
        else:
            return None
        if not last < axis < m.root.ndim:
            return None
        axes.append(last := axis)
    return None if kept else tuple(axes)


def _broadcast_of_removed(m: Match) -> Node:
    return ops.broadcast(m["x"], m.root.shape, _axes_with_removed(m) or ())


def _composed_slice(m: Match) -> Node:
    inner, outer = m.inner, m.root
    start, stop, step = [], [], []
    for d, size in enumerate(outer.shape):
        begin = inner.ints("start")[d] + inner.ints("step")[d] * outer.ints("start")[d]
        stride = inner.ints("step")[d] * outer.ints("step")[d]
        # An empty slice must still lie inside its axis.
        begin = begin if size else 0
        start.append(begin)
        step.append(stride)
        stop.append(begin + (size - 1) * stride + 1 if size else 0)
    return ops.slice(m["x"], start, stop, step)


def _same_axes(m: Match) -> bool:
    return m.root.ints("axes") == m.inner.ints("axes")


def _unit_axes(m: Match) -> bool:
    return all(m["x"].shape[a] == 1 for a in m.root.ints("axes"))


def _reshaped(m: Match) -> Node:
    return ops.reshape(m["x"], m.root.shape)


ARITHMETIC = (
    Rule("c + x => x + c", op("add", c, x), x + c, _not_constant),
    Rule("c * x => x * c", op("mul", c, x), x * c, _not_constant),
    Rule("x * 1 => x", x * 1, x),
    Rule("x * -1 => -x", x * -1, -x),
    Rule("x / 1 => x", x / 1, x),
    Rule(
        "x / 2^k => x * 2^-k",
        op("div", x, c),
        _times_reciprocal,
        lambda m: _reciprocal(m["c"]) is not None,
    ),
    Rule("x - 0 => x", x - 0.0, x),
    Rule("x + -0 => x", x + -0.0, x),
    Rule("-(-x) => x", op("neg", -x), x),
    Rule("x + (-y) => x - y", x + (-y), x - y),
    Rule("x - (-y) => x + y", x - (-y), x + y),
    Rule("(-x) + y => y - x", (-x) + y, y - x),
    Rule("(-x) * (-y) => x * y", (-x) * (-y), x * y),
    Rule("-(x * c) => x * (-c)", -(x * c), _times_negated, _floats),
    Rule("abs(-x) => abs(x)", op("abs", -x), op("abs", x), _signed),
    Rule("abs(abs(x)) => abs(x)", op("abs", op("abs", x)), op("abs", x)),
    Rule("pow(x, 0) => 1", op("pow", x, 0), lambda m: ops.ones_like(m.root)),
    Rule("pow(x, 1) => x", op("pow", x, 1), x),
    Rule("pow(x, 2) => x * x", op("pow", x, 2), x * x),
    Rule("maximum(x, x) => x", op("maximum", x, x), x),
    Rule("minimum(x, x) => x", op("minimum", x, x), x),
)

LOGIC = (
    Rule("not(not(x)) => x", op("not", op("not", x)), x),
    Rule(
        "not(x == y) => x != y",
        op("not", op("eq", x, y)),
        op("ne", x, y),
        lambda m: m.root.dtype == BOOL,
    ),
    Rule("not(x != y) => x == y", op("not", op("ne", x, y)), op("eq", x, y)),
    Rule("c & x => x & c", op("and", c, x), op("and", x, c), _not_constant),
    Rule("c | x => x | c", op("or", c, x), op("or", x, c), _not_constant),
    Rule("x & x => x", op("and", x, x), x),
    Rule("x | x => x", op("or", x, x), x),
    Rule("x & 0 => 0", op("and", x, 0), lambda m: ops.zeros_like(m.root)),
    Rule("x | 0 => x", op("or", x, 0), x),
    Rule("x & ~0 => x", op("and", x, -1), x),
    Rule("x | ~0 => ~0", op("or", x, -1), lambda m: ops.full_like(m.root, -1)),
    Rule("select(p, x, x) => x", op("select", p, x, x), x),
    Rule("select(true, x, y) => x", op("select", True, x, y), x),
    Rule("select(false, x, y) => y", op("select", False, x, y), y),
    Rule(
        "select(p, true, false) => p",
        op("select", p, True, False),
        p,
        lambda m: m.root.dtype == BOOL,
    ),
    Rule(
        "select(not(p), x, y) => select(p, y, x)",
        op("select", op("not", p), x, y),
        op("select", p, y, x),
    ),
    Rule(
        "select(p, select(p, x, y), z) => select(p, x, z)",
        op("select", p, op("select", p, x, y), z),
        op("select", p, x, z),
    ),
    Rule(
        "select(p, x, select(p, y, z)) => select(p, x, z)",
        op("select", p, x, op("select", p, y, z)),
        op("select", p, x, z),
    ),
)

CASTS = (
    Rule("cast(x) to its dtype => x", op("cast", x), x, _same_type),
    Rule(
        "cast(cast(x)) => cast(x)",
        op("cast", op("cast", x)),
        lambda m: ops.cast(m["x"], m.root.dtype),
        _through_lossless,
    ),
)

MOVEMENT = (
    Rule("mark(x) => x", op("mark", x), x),
    Rule("stop_gradient(x) => x", op("stop_gradient", x), x),
    Rule("reshape(x) to its shape => x", op("reshape", x), x, _same_type),
    Rule("reshape(reshape(x)) => reshape(x)", op("reshape", op("reshape", x)), _reshaped),
    Rule(
        "transpose(x) in order => x",
        op("transpose", x),
        x,
        lambda m: m.root.ints("perm") == tuple(range(m.root.ndim)),
    ),
    Rule(
        "transpose(transpose(x)) => transpose(x)",
        op("transpose", op("transpose", x)),
        _composed_transpose,
    ),
    Rule("broadcast(x) to its shape => x", op("broadcast", x), x, _same_type),
    Rule(
        "broadcast(broadcast(x)) => broadcast(x)",
        op("broadcast", op("broadcast", x)),
        _composed_broadcast,
    ),
    Rule(
        "broadcast(x with 1s added) => broadcast(x)",
        op("broadcast", op("reshape", x)),
        _broadcast_of_added,
        lambda m: _kept_axes(m) is not None,
    ),
    Rule(
        "broadcast(x with 1s removed) => broadcast(x)",
        op("broadcast", op("reshape", x)),
        _broadcast_of_removed,
        lambda m: _axes_with_removed(m) is not None,
    ),
    Rule("slice(x) of all => x", op("slice", x), x, _same_type),
    Rule("slice(slice(x)) => slice(x)", op("slice", op("slice", x)), _composed_slice),
    Rule("reverse(x) of no axis => x", op("reverse", x), x, lambda m: not m.root.ints("axes")),
    Rule("reverse(reverse(x)) => x", op("reverse", op("reverse", x)), x, _same_axes),
    Rule("pad(x) by nothing => x", op("pad", x), x, _same_type),
    Rule("concatenate(x) => x", op("concatenate", x), x),
    *(
        Rule(f"{name}(c) => c", op(name, c), _uniform)
        for name in ("broadcast", "reshape", "transpose", "slice", "reverse")
    ),
)

REDUCTIONS = (
    *(
        Rule(f"{name}(x) over axes of size 1 => reshape(x)", op(name, x), _reshaped, _unit_axes)
        for name in ("reduce_prod", "reduce_max", "reduce_min")
    ),
    # A float sum starts at +0, so the sum of one -0.0 is +0.
    Rule(
        "reduce_sum(x) over axes of size 1 => reshape(x)",
        op("reduce_sum", x),
        _reshaped,
        lambda m: _unit_axes(m) and not _floats(m),
    ),
)

RULES: tuple[Rule, ...] = (*ARITHMETIC, *LOGIC, *CASTS, *MOVEMENT, *REDUCTIONS)

BY_OP: dict[str, tuple[Rule, ...]] = {
    root: tuple(rule for rule in RULES if rule.lhs.op == root)
    for root in dict.fromkeys(rule.lhs.op for rule in RULES)
}
