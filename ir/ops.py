"""One function per primitive, typed, and the few shorthands that derivative rules need.

Nothing is implicit: operands of an elementwise function have one shape and one dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import tracejit.ir.primitives  # noqa: F401  (fills PRIMITIVES)
from tracejit.ir.graph import PRIMITIVES, Attr, Builder, Node, Scalar
from tracejit.ir.types import DType, Shape, ShapeError, TupleType

Ints = Iterable[int]
Unary = Callable[[Node], Node]
Binary = Callable[[Node, Node], Node]


def _ints(values: Ints) -> tuple[int, ...]:
    """Plain ints: an attribute that holds NumPy's would intern apart."""
    return tuple(int(v) for v in values)


def _unary(name: str) -> Unary:
    def op(x: Node) -> Node:
        return x.builder.emit(PRIMITIVES[name], x)

    op.__name__ = op.__qualname__ = name
    return op


def _binary(name: str) -> Binary:
    def op(a: Node, b: Node) -> Node:
        return a.builder.emit(PRIMITIVES[name], a, b)

    op.__name__ = op.__qualname__ = name
    return op


neg: Unary = _unary("neg")
abs: Unary = _unary("abs")
sign: Unary = _unary("sign")
exp: Unary = _unary("exp")
expm1: Unary = _unary("expm1")
log: Unary = _unary("log")
log1p: Unary = _unary("log1p")
sqrt: Unary = _unary("sqrt")
rsqrt: Unary = _unary("rsqrt")
tanh: Unary = _unary("tanh")
sigmoid: Unary = _unary("sigmoid")
erf: Unary = _unary("erf")
sin: Unary = _unary("sin")
cos: Unary = _unary("cos")
floor: Unary = _unary("floor")
ceil: Unary = _unary("ceil")
round: Unary = _unary("round")
not_: Unary = _unary("not")

add: Binary = _binary("add")
sub: Binary = _binary("sub")
mul: Binary = _binary("mul")
div: Binary = _binary("div")
pow: Binary = _binary("pow")
maximum: Binary = _binary("maximum")
minimum: Binary = _binary("minimum")
remainder: Binary = _binary("remainder")
floor_divide: Binary = _binary("floor_divide")
and_: Binary = _binary("and")
or_: Binary = _binary("or")
xor: Binary = _binary("xor")
shift_left: Binary = _binary("shift_left")
shift_right: Binary = _binary("shift_right")
eq: Binary = _binary("eq")
ne: Binary = _binary("ne")
lt: Binary = _binary("lt")
le: Binary = _binary("le")
gt: Binary = _binary("gt")
ge: Binary = _binary("ge")

stop_gradient: Unary = _unary("stop_gradient")
gather_rows: Binary = _binary("gather_rows")


def cast(x: Node, dtype: DType) -> Node:
    """x itself where it has that dtype."""
    return x if x.dtype == dtype else x.builder.emit(PRIMITIVES["cast"], x, dtype=dtype)


def select(pred: Node, on_true: Node, on_false: Node) -> Node:
    return pred.builder.emit(PRIMITIVES["select"], pred, on_true, on_false)


def full_like(x: Node, value: Scalar) -> Node:
    return x.builder.full(value, x.type)


def zeros_like(x: Node) -> Node:
    return x.builder.full(0, x.type)


def ones_like(x: Node) -> Node:
    return x.builder.full(1, x.type)


def iota(builder: Builder, shape: Ints, axis: int, dtype: DType) -> Node:
    return builder.emit(PRIMITIVES["iota"], shape=_ints(shape), axis=int(axis), dtype=dtype)


def broadcast(x: Node, shape: Ints, axes: Ints) -> Node:
    """Dimension d of x becomes dimension axes[d] of `shape`; x itself where nothing changes."""
    shape, axes = _ints(shape), _ints(axes)
    if shape == x.shape and axes == tuple(range(x.ndim)):
        return x
    return x.builder.emit(PRIMITIVES["broadcast"], x, shape=shape, axes=axes)


def broadcast_to(x: Node, shape: Ints) -> Node:
    """NumPy's rule: dimensions align at the end, and sizes 1 repeat."""
    shape = _ints(shape)
    if len(shape) < x.ndim:
        raise ShapeError(f"broadcast: {x.type} has more dimensions than {shape}")
    return broadcast(x, shape, range(len(shape) - x.ndim, len(shape)))


def unreduce(x: Node, shape: Ints, axes: Ints) -> Node:
    """The transpose of a reduction: x repeated along `axes` of `shape`."""
    shape, reduced = _ints(shape), set(axes)
    return broadcast(x, shape, [d for d in range(len(shape)) if d not in reduced])


def reshape(x: Node, shape: Ints) -> Node:
    shape = _ints(shape)
    return x if shape == x.shape else x.builder.emit(PRIMITIVES["reshape"], x, shape=shape)


def transpose(x: Node, perm: Ints) -> Node:
    """Dimension d of the result is dimension perm[d] of x."""
    perm = _ints(perm)
    if perm == tuple(range(x.ndim)):
        return x
    return x.builder.emit(PRIMITIVES["transpose"], x, perm=perm)


def inverse(perm: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes `perm`."""
    return tuple(sorted(range(len(perm)), key=perm.__getitem__))


def slice(x: Node, start: Ints, stop: Ints, step: Ints | None = None) -> Node:
    """x[start:stop:step] per axis, with 0 <= start <= stop <= size and step >= 1."""
    start, stop = _ints(start), _ints(stop)
    step = (1,) * x.ndim if step is None else _ints(step)
    if not any(start) and stop == x.shape and set(step) <= {1}:
        return x
    return x.builder.emit(PRIMITIVES["slice"], x, start=start, stop=stop, step=step)


def reverse(x: Node, axes: Ints) -> Node:
    axes = _ints(axes)
    return x.builder.emit(PRIMITIVES["reverse"], x, axes=axes) if axes else x


def contiguous(x: Node) -> Node:
    """x, lying in memory in row-major order of its own shape."""
    return x.builder.emit(PRIMITIVES["contiguous"], x)


def pad(x: Node, value: Scalar, low: Ints, high: Ints, interior: Ints | None = None) -> Node:
    """`value` before, after and between the elements, so many per axis."""
    low, high = _ints(low), _ints(high)
    interior = (0,) * x.ndim if interior is None else _ints(interior)
    if not (any(low) or any(high) or any(interior)):
        return x
    item = x.builder.full(value, x.type.with_shape(())).scalar()
    assert item is not None
    return x.builder.emit(PRIMITIVES["pad"], x, value=item, low=low, high=high, interior=interior)


def concatenate(xs: Sequence[Node], axis: int) -> Node:
    if not xs:
        raise ShapeError("concatenate: takes at least one operand")
    return xs[0].builder.emit(PRIMITIVES["concatenate"], *xs, axis=int(axis))


def _reduce(name: str, x: Node, axes: Ints) -> Node:
    axes = _ints(axes)
    return x.builder.emit(PRIMITIVES[name], x, axes=axes) if axes else x


def reduce_sum(x: Node, axes: Ints) -> Node:
    return _reduce("reduce_sum", x, axes)


def reduce_prod(x: Node, axes: Ints) -> Node:
    return _reduce("reduce_prod", x, axes)


def reduce_max(x: Node, axes: Ints) -> Node:
    return _reduce("reduce_max", x, axes)


def reduce_min(x: Node, axes: Ints) -> Node:
    return _reduce("reduce_min", x, axes)


def _numpy_reduce(name: str, x: Node, axes: Ints | None, keepdims: bool) -> Node:
    """Axes as NumPy takes them: None for all, negative from the end, in any order."""
    given = range(x.ndim) if axes is None else [int(a) for a in axes]
    if any(not -x.ndim <= a < x.ndim for a in given):
        raise ShapeError(f"{name}: {x.type}: axes {tuple(given)} are out of range")
    chosen = sorted({a % x.ndim for a in given})
    if len(chosen) != len(given):
        raise ShapeError(f"{name}: {x.type}: axes {tuple(given)} name an axis twice")
    y = _reduce(name, x, chosen)
    if not keepdims:
        return y
    return reshape(y, [1 if d in chosen else n for d, n in enumerate(x.shape)])


def sum(x: Node, axes: Ints | None = None, keepdims: bool = False) -> Node:
    return _numpy_reduce("reduce_sum", x, axes, keepdims)


def prod(x: Node, axes: Ints | None = None, keepdims: bool = False) -> Node:
    return _numpy_reduce("reduce_prod", x, axes, keepdims)


def max(x: Node, axes: Ints | None = None, keepdims: bool = False) -> Node:
    return _numpy_reduce("reduce_max", x, axes, keepdims)


def min(x: Node, axes: Ints | None = None, keepdims: bool = False) -> Node:
    return _numpy_reduce("reduce_min", x, axes, keepdims)


Pair = tuple[Sequence[int], Sequence[int]]


def dot_general(a: Node, b: Node, contract: Pair, batch: Pair = ((), ())) -> Node:
    """Sum of products over the paired axes `contract`; the result is batch + a's free + b's."""
    return a.builder.emit(
        PRIMITIVES["dot_general"],
        a,
        b,
        contract=(_ints(contract[0]), _ints(contract[1])),
        batch=(_ints(batch[0]), _ints(batch[1])),
    )


def conv(
    x: Node, w: Node, strides: Ints, dilation: Ints, around: Sequence[Sequence[int]] | None = None
) -> Node:
    """x: [N, *S, G, C] correlated with w: [*K, G, C, O]: [N, *S', G, O].

    around: (low, high) places of padding on each spatial axis, none by default.
    """
    attrs = {"strides": _ints(strides), "dilation": _ints(dilation)}
    attrs |= _padding(around, len(attrs["strides"]))
    return x.builder.emit(PRIMITIVES["conv"], x, w, **attrs)


def conv_weight_grad(
    x: Node,
    dy: Node,
    strides: Ints,
    dilation: Ints,
    window: Ints,
    around: Sequence[Sequence[int]] | None = None,
) -> Node:
    """The gradient of conv at its w: [*window, G, C, O], for dy: [N, *S', G, O]."""
    attrs = {"strides": _ints(strides), "dilation": _ints(dilation), "window": _ints(window)}
    attrs |= _padding(around, len(attrs["strides"]))
    return x.builder.emit(PRIMITIVES["conv_weight_grad"], x, dy, **attrs)


def _padding(around: Sequence[Sequence[int]] | None, axes: int) -> dict[str, Shape]:
    sides = ((0, 0),) * axes if around is None else around
    return {"low": _ints([low for low, _ in sides]), "high": _ints([high for _, high in sides])}


def window_sum(x: Node, window: Ints, strides: Ints) -> Node:
    """The sum of each window: windows of `window` elements, `strides` apart, over every axis."""
    attrs = {"window": _ints(window), "strides": _ints(strides)}
    return x.builder.emit(PRIMITIVES["window_sum"], x, **attrs)


def window_max(x: Node, window: Ints, strides: Ints) -> Node:
    attrs = {"window": _ints(window), "strides": _ints(strides)}
    return x.builder.emit(PRIMITIVES["window_max"], x, **attrs)


def scatter_add_rows(table: Node, index: Node, updates: Node) -> Node:
    """table with updates[i] added to row index[i], in index order."""
    return table.builder.emit(PRIMITIVES["scatter_add_rows"], table, index, updates)


def scatter_rows(table: Node, index: Node, updates: Node) -> Node:
    """table with updates[i] in place of row index[i]; of several for one row the last counts."""
    return table.builder.emit(PRIMITIVES["scatter_rows"], table, index, updates)


def sum_of_rows(index: Node, updates: Node, rows: int) -> Node:
    """Zeros [rows, ...] with updates[i] added to row index[i], in index order."""
    shape = (rows, *updates.shape[index.ndim :])
    return scatter_add_rows(index.builder.full(0, updates.type.with_shape(shape)), index, updates)


def item(packed: Node, index: int) -> Node:
    """One result of an operation that has several."""
    if packed.op == "pack":
        return packed.inputs[index]
    return packed.builder.emit(PRIMITIVES["item"], packed, index=int(index))


def items(packed: Node) -> list[Node]:
    """All results of an operation that has several."""
    assert isinstance(packed.type, TupleType)
    return [item(packed, n) for n in range(len(packed.type.items))]


def pack(nodes: Sequence[Node]) -> Node:
    """Several values as the result of one operation: what a rule for `items` gives."""
    return nodes[0].builder.emit(PRIMITIVES["pack"], *nodes)


def random_bits(key: Node, shape: Shape) -> Node:
    return key.builder.emit(PRIMITIVES["random_bits"], key, shape=_ints(shape))


def host_call(callee: str, *inputs: Node, **attrs: Attr) -> tuple[Node, ...]:
    """The results of a host function, by its name in the table. Takes one operand at least."""
    call = inputs[0].builder.emit(PRIMITIVES["host_call"], *inputs, callee=callee, **attrs)
    return tuple(items(call)) if isinstance(call.type, TupleType) else (call,)
