"""The table of NumPy programs that the front end is tested with."""

from __future__ import annotations

from tests.frontend.more_programs import MORE
from tests.frontend.program import row as _row

_UNARY_FLOAT = (
    "abs fabs sign exp exp2 expm1 tanh sin cos tan sinh cosh square reciprocal cbrt floor ceil rint"
    " trunc negative positive isnan isinf isfinite logical_not deg2rad rad2deg conjugate"
)
_UNARY_POSITIVE = "log log2 log10 log1p sqrt"
_BINARY = (
    "add subtract multiply divide maximum minimum fmax fmin remainder fmod floor_divide"
    " logaddexp equal not_equal less less_equal greater greater_equal logical_and logical_or"
    " logical_xor"
)
_OF_INTEGERS = "abs sign square negative floor rint isnan"
_REDUCED = "sum prod mean max min var std any all argmax argmin ptp count_nonzero"
_REDUCED_BOOL = "sum prod mean max min any all argmax"
_INTEGER_BINARY = "bitwise_and bitwise_or bitwise_xor"

_ELEMENTWISE = [
    *(_row(f"np.{n}(x)", "f32[3,5]") for n in _UNARY_FLOAT.split()),
    *(_row(f"np.{n}(x)", "f64[7]") for n in _UNARY_FLOAT.split()),
    *(_row(f"np.{n}(np.abs(x))", "f32[3,5]") for n in _UNARY_POSITIVE.split()),
    *(_row(f"np.{n}(x, y)", "f32[3,5]", "f32[5]") for n in _BINARY.split()),
    *(_row(f"np.{n}(x, y)", "f64[3,1]", "f32[1,4]") for n in _BINARY.split()),
    *(
        _row(f"np.{n}(x, y)", "i32[6]", "i64[6]")
        for n in f"{_BINARY} {_INTEGER_BINARY}".split()
        if n != "divide"
    ),
    *(_row(f"np.{n}(x)", "i32[6]") for n in _OF_INTEGERS.split()),
    *(_row(f"np.{n}(x)", "i16[6]") for n in ("exp", "tanh")),
    _row("np.divide(x, y + 20)", "i32[6]", "i32[6]"),
    _row("np.true_divide(x, 3)", "i8[6]"),
    _row("np.arctanh(np.tanh(x))", "f64[5]"),
    _row("np.power(np.abs(x), y)", "f32[4]", "f32[4]"),
    _row("(x**2, x**3, x**4, abs(x)**0.5, x**-1, x**0)", "f64[4]"),
    _row("x**2", "i32[4]"),
    _row("(2.0**x, 2**y)", "f32[4]", "f32[3]"),
    _row("np.float_power(np.abs(x), 2)", "f32[4]"),
    _row("(x << 2, x >> 1, ~x, x & 3, x | 8, x ^ 5)", "i32[5]"),
    _row("(x & y, x | y, x ^ y, ~x)", "bool[5]", "bool[5]"),
    _row("divmod(x, 2.5)", "f64[5]"),
    _row("np.divmod(x, y)", "i32[5]", "i32[5]"),
    _row("(x + True, x * 2, x - 1.5, 3 - x, 1 / x, x % 2, x // 2)", "f32[2,3]"),
    _row("(x + True, x * 2, x - 1.5, 3 - x, x / 2, x % 2, x // 2)", "i32[2,3]"),
    _row("(x + 1, x * 1.0, x + x)", "bool[4]"),
    _row("(x * np.float64(2), x * np.float32(2), x + np.int32(1))", "f32[4]"),
    _row("(x < y, x == y, x > 0, 0 <= x)", "u8[4]", "i8[4]"),
    _row("np.add(x, 1, dtype=np.float64)", "f32[4]"),
    _row("(np.add.reduce(x, axis=1), np.maximum.reduce(x), np.multiply.outer(x, x))", "f32[2,3]"),
]

_REDUCTIONS = [
    *(
        _row(f"np.{n}(x, axis={axis}, keepdims={keep})", kind)
        for n in _REDUCED.split()
        for axis, keep in (("None", False), (1, True), (-2, False))
        for kind in ("f32[3,4,5]", "i32[2,3,4]")
    ),
    *(_row(f"np.{n}(x)", "bool[5]") for n in _REDUCED_BOOL.split()),
    _row("(np.sum(x), np.mean(x))", "f16[64]"),
    _row("np.sum(x, axis=(0, 2))", "f64[3,4,5]"),
    _row("np.sum(x, axis=(), keepdims=True)", "f64[3,4]"),
    _row("(np.sum(x), np.prod(x), np.any(x), np.all(x), x.sum(axis=0))", "f32[0,3]"),
    _row("np.sum(x, initial=3.0)", "f64[4]"),
    _row("np.sum(x, where=y)", "f64[4]", "bool[4]"),
    _row("np.max(x, axis=0, initial=1.0)", "f64[0,4]"),
    _row("np.mean(x, where=x > 0)", "f64[30]"),
    _row("np.sum(x, dtype=np.float64)", "f32[9]"),
    _row("np.argmax(np.where(x > 1, np.nan, x), axis=1)", "f64[6,9]"),
    _row("np.var(x, axis=0, ddof=1)", "f64[6,2]"),
    _row("(np.linalg.norm(x), np.linalg.norm(x, axis=1), np.linalg.norm(x, 1, 0))", "f64[4,3]"),
    _row("np.linalg.vector_norm(x, axis=-1, keepdims=True)", "f64[4,3]"),
    _row(
        "(x.sum(0), x.mean(), x.max(1), x.min(), x.std(), x.argmax(), x.any(), x.all())", "f64[4,3]"
    ),
    _row("(np.average(x), np.average(x, 0, np.abs(y)))", "f64[4,3]", "f64[4]"),
    _row("np.average(x, weights=x * x)", "f64[4,3]"),
    _row("np.trace(x)", "f64[4,4]"),
]

_MOVEMENT = [
    _row("x.reshape(6, -1)", "f32[3,4,2]"),
    _row("x.reshape((2, 12)).T", "f32[3,4,2]"),
    _row("(x.ravel(), x.flatten(), np.ravel(x))", "i32[3,4]"),
    _row("(x.transpose(), x.transpose(1, 0, 2), np.transpose(x, (2, 0, 1)), x.mT)", "f32[2,3,4]"),
    _row(
        "(np.swapaxes(x, 0, -1), np.moveaxis(x, 0, 2), np.moveaxis(x, (0, 1), (-1, 0)))",
        "f32[2,3,4]",
    ),
    _row("(np.squeeze(x), np.squeeze(x, 0), np.expand_dims(y, (0, 2)))", "f32[1,3,1]", "f32[4,2]"),
    _row("np.broadcast_to(x, (2, 3, 4))", "f32[3,1]"),
    _row("np.concatenate([x, y], axis=1)", "f32[2,3]", "f64[2,1]"),
    _row(
        "(np.concatenate([x, y], axis=None), np.stack([x, x], 1), np.vstack([x, x]))",
        "i32[2,3]",
        "f32[2]",
    ),
    _row(
        "(np.hstack([x, y]), np.hstack([x[0], y[1]]), np.column_stack([x[:, 0], y]))",
        "f32[2,3]",
        "f32[2,2]",
    ),
    _row("(np.split(x, 3), np.array_split(x, 4), np.split(x, [2, 5], axis=1))", "f32[6,7]"),
    _row(
        "(np.flip(x), np.flip(x, 1), np.roll(x, 1), np.roll(x, -2, 1), np.roll(x, (1, 2), (0, 1)))",
        "f32[3,5]",
    ),
    _row("(np.pad(x, 1), np.pad(x, ((0, 2), (1, 0)), constant_values=3.5))", "f32[2,3]"),
    _row("(np.tile(x, 2), np.tile(x, (2, 1, 3)), np.repeat(x, 2, 1), np.repeat(x, 3))", "f32[2,3]"),
    _row(
        "(np.tril(x), np.triu(x, 1), np.diag(x), np.diag(x[0], 1), np.diagonal(x, -1))", "f32[4,4]"
    ),
    _row("(np.zeros_like(x), np.ones_like(x, dtype=np.int32), np.full_like(x, 2.5))", "f32[2,3]"),
    _row(
        "(x.copy(), np.copy(x), x.astype(np.float64), x.astype(np.int8), x.astype(bool))",
        "f32[2,3]",
    ),
    _row("(np.broadcast_arrays(x, y), np.atleast_2d(y))", "f32[2,3]", "f32[3]"),
    _row("(np.diff(x), np.diff(x, 2, 0))", "f64[4,5]"),
    _row("x * np.size(x) + np.ndim(x) + len(x) + np.shape(x)[1]", "f32[4,5]"),
    _row("[2 * row for row in x]", "f32[3,2]"),
    _row("np.array([[1.0, 2.0]]) + x", "f64[2,1]"),
    _row("[1, 2, 3] * x", "f32[3]"),
]

_INDEXING = [
    *(
        _row(f"x[{index}]", "f32[5,4,3]")
        for index in (
            "0", "-1", "1, 2", "..., 1", ":, None, 1", "1:4", "::-1", "4:0:-2, ::-1",
            "::2, 1:, -1:",
            "None, ..., None", "3:1", "-3:-1", "np.int64(2)", "10:", "..., ::-3",
            "np.array([0, 2, -1])", "[3, 0]", ":, np.array([[0, 1], [2, 3]])",
            "np.array([0, 1]), np.array([2, 3])", "np.array([0, 1]), :, np.array([1, 2])",
            "0, :, np.array([1, 2, 0])", "np.array([[0], [1]]), np.array([1, 2])",
            "np.arange(5), np.array([0, 3, 1, 2, 0])", "1:3, np.array([0, 0])", "()",
        )
    ),
    _row("x[y % 5]", "f32[5,4]", "i32[7]"),
    _row("x[np.arange(4), y % 3]", "f32[4,3]", "i64[4]"),
    _row("x[np.arange(4), y % 3]", "f32[4,3,2]", "i64[4]"),
    _row("(np.take(x, y % 3, axis=1), np.take(x, y % 12))", "f32[4,3]", "i32[2,2]"),
    _row("np.take_along_axis(x, y % 3, 1)", "f32[4,3]", "i64[4,1]"),
    _row("np.take_along_axis(x, y % 4, 0)", "f32[4,3]", "i64[2,3]"),
    _row("np.take_along_axis(x, np.argmax(x, -1)[..., None], -1)", "f32[4,3]"),
]  # fmt: skip

_SELECTION = [
    _row("np.where(x > 0, x, 0)", "f32[3,4]"),
    _row("np.where(x > 0, 1, 0)", "f32[3,4]"),
    _row("np.where(y, x, np.float64(1))", "f32[3,4]", "bool[4]"),
    _row(
        "(np.clip(x, -1, 1), np.clip(x, None, 0.5), x.clip(0, 1), np.clip(x, y, None))",
        "f32[4]",
        "f32[4]",
    ),
    _row("(np.round(x), np.round(x, 2), x.round(1))", "f64[9]"),
    _row("(np.isclose(x, x + 1e-9), np.allclose(x, x))", "f64[4]"),
    _row("np.nan_to_num(np.log(x), nan=1.0, neginf=-2.0)", "f64[9]"),
]

_CONTRACTION = [
    _row("x @ y", "f32[3,4]", "f32[4,5]"),
    _row("(x @ y, y @ z, x @ x)", "f64[4]", "f64[4,3]", "f64[3]"),
    _row("x @ y", "f32[2,3,4]", "f32[4,5]"),
    _row("x @ y", "f32[3,4]", "f32[2,4,5]"),
    _row("x @ y", "f32[2,1,3,4]", "f64[5,4,2]"),
    _row("(x @ y, y @ z)", "f32[4]", "f32[2,4,3]", "f32[3]"),
    _row("x @ y", "i32[3,4]", "i64[4,5]"),
    _row("x @ y", "bool[3,4]", "bool[4,5]"),
    _row("x @ y", "f32[0,4]", "f32[4,5]"),
    _row("x @ y", "f32[3,0]", "f32[0,5]"),
    _row("(np.dot(x, y), np.dot(x, 2.0), x.dot(y))", "f64[2,3,4]", "f64[5,4,2]"),
    _row("(np.inner(x, y), np.outer(x, y), np.vdot(x, x))", "f64[2,4]", "f64[3,4]"),
    _row("np.tensordot(x, y)", "f64[2,3,4]", "f64[3,4,5]"),
    _row("np.tensordot(x, y, axes=([2, 1], [1, 0]))", "f64[2,3,4]", "f64[3,4,5]"),
    _row("np.tensordot(x, y, axes=0)", "f64[2]", "f64[3]"),
    *(
        _row(f"np.einsum({spec!r}, x, y)", a, b)
        for spec, a, b in (
            ("ij,jk->ik", "f64[2,3]", "f64[3,4]"),
            ("ij,jk", "f64[2,3]", "f64[3,4]"),
            ("bij,bjk->bki", "f64[2,3,4]", "f64[2,4,5]"),
            ("i,j->ij", "f64[3]", "f64[4]"),
            ("...i,ij->...j", "f64[2,3,4]", "f64[4,5]"),
            ("bhqd,bhkd->bhqk", "f64[2,2,3,4]", "f64[2,2,5,4]"),
            ("ij,ij->", "f64[3,4]", "f64[3,4]"),
            ("ij,kj->ji", "f64[3,4]", "f64[2,4]"),
            ("ii,i->i", "f64[3,3]", "f64[3]"),
        )
    ),
    _row("(np.einsum('ii', x), np.einsum('ij->ji', x), np.einsum('ii->i', x))", "f64[3,3]"),
    _row("np.einsum('ij,jk,kl->il', x, y, z)", "f64[2,3]", "f64[3,4]", "f64[4,2]"),
]  # fmt: skip

_INVERSE = [
    *(_row(f"np.{n}(x)", kind) for n in ("arctan", "arcsinh") for kind in ("f32[9]", "f64[4,5]")),
    *(_row(f"np.{n}(np.tanh(x))", k) for n in ("arcsin", "arccos") for k in ("f32[9]", "f64[9]")),
    *(_row("np.arccosh(1 + x * x)", kind) for kind in ("f32[9]", "f64[9]")),
    *(_row(f"np.{n}(x, y)", "f64[4,5]", "f64[5]") for n in ("arctan2", "hypot", "copysign")),
    *(_row(f"np.{n}(x, y)", "f32[9]", "f32[9]") for n in ("arctan2", "hypot", "logaddexp2")),
    _row("(np.arctan2(x * 0, y), np.arctan2(y, 0 * x), np.arctan2(-0.0 * x, y))",
         "f64[9]", "f64[9]"),
    _row("np.arctan2([0.0, -0.0, 0.0, -0.0, np.inf, np.inf, -np.inf, 1.0] + x * 0,"
         " [0.0, 0.0, -0.0, -0.0, np.inf, -np.inf, -np.inf, -np.inf])", "f64[8]"),
    _row("np.hypot([np.inf, np.nan, 1e300, 0.0] + x * 0, [np.nan, -np.inf, 1e300, 0.0])", "f64[4]"),
    _row("(np.arcsinh(x * 1e200), np.arccosh(1 + x * x * 1e20), np.arctan(1 / (x * 0)))", "f64[5]"),
    _row("(np.signbit(x), np.signbit(x * 0), np.signbit(y))", "f64[7]", "i32[5]"),
    _row("(np.heaviside(x, 0.5), np.heaviside(0 * x, y))", "f64[5]", "f64[5]"),
    _row("(np.modf(x), np.sinc(x), np.arctan(y))", "f64[5]", "i32[4]"),
    _row("(np.arcsin(np.tanh(x)), np.arctan(x))", "f16[9]"),
    _row("(np.asin(x / 9), np.acos(x / 9), np.atan(x), np.atan2(x, 1), np.pow(x, 2))", "f64[5]"),
]  # fmt: skip

_CUMULATIVE = [
    *(_row(f"np.cum{n}(x, axis={axis})", "f64[3,40]") for n in ("sum", "prod") for axis in (0, 1)),
    *(_row("np.cumsum(x)", t) for t in ("i32[300]", "f64[17]", "f64[0]", "bool[5]", "u8[16]")),
    _row("(x.cumsum(), x.cumprod(1), np.cumsum(x, dtype=np.float64))", "f32[3,4]"),
    _row("np.cumulative_sum(x, axis=1, include_initial=True)", "f64[3,20]"),
    _row("(np.cumulative_prod(x), np.cumulative_sum(x, include_initial=True))", "f64[5]"),
    _row("(np.maximum.accumulate(x, axis=1), np.minimum.accumulate(x), np.add.accumulate(x))",
         "f64[4,33]"),
    _row("(np.maximum.accumulate(x), np.minimum.accumulate(x))", "i32[40]"),
    _row("np.cumsum(np.where(y > 2, np.inf, x))", "f64[40]", "f64[40]"),
]  # fmt: skip

_REARRANGED = [
    _row("(np.unstack(x), np.unstack(x, axis=-1))", "f32[2,3]"),
    _row("np.meshgrid(x, y)", "f32[3]", "f32[4]"),
    _row("np.meshgrid(x, y, indexing='ij', sparse=True)", "f32[3]", "f32[4]"),
    _row("(np.fliplr(x), np.flipud(x), [np.rot90(x, k) for k in range(-1, 4)])", "f32[2,3]"),
    _row("(np.rollaxis(x, 2), np.rollaxis(x, 0, 2), np.rollaxis(x, 1, -1))", "f32[2,3,4]"),
    _row("(np.atleast_3d(y), np.dstack([x, x]), np.append(x, y), np.append(x, x, 1))",
         "f32[2,3]", "f32[4]"),
    _row("(np.hsplit(x, 2), np.vsplit(x, 3), np.delete(x, 1, 0), np.delete(x, [0, 3], axis=1))",
         "f32[3,4]"),
    _row("(np.vander(y), np.vander(y, 5, increasing=True), np.kron(x, y), np.kron(x, x.T))",
         "f64[2,3]", "f64[4]"),
    _row("(np.cross(x, y), np.cross(x.T, y.T, axis=0))", "f64[4,3]", "f64[4,3]"),
    _row("(np.linalg.outer(y, y), np.linalg.trace(x), np.linalg.diagonal(x, offset=1))",
         "f64[2,3,3]", "f64[3]"),
    _row("(np.linalg.matrix_norm(x), np.linalg.matrix_norm(x, ord=1), np.linalg.matrix_power(x, 5),"
         " np.linalg.matrix_norm(x, ord=np.inf, keepdims=True), np.linalg.matrix_power(x, 0))",
         "f64[2,3,3]"),
    _row("np.linalg.multi_dot([x, y, z])", "f64[2,3]", "f64[3,4]", "f64[4]"),
]  # fmt: skip

_SEARCHING = [
    *(
        _row(f"np.searchsorted(np.cumsum(np.abs(x)), y, side={side!r})", kind, "f64[3,5]")
        for side in ("left", "right")
        for kind in ("f64[1]", "f64[7]", "f64[8]", "f64[33]", "f64[0]")
    ),
    _row("(np.searchsorted(x * 0, y * 0), np.searchsorted(x * 0, 0 * y, 'right'))",
         "i32[5]", "i32[3]"),
    _row("(np.digitize(y, np.arange(5.0)), np.digitize(y, np.arange(5.0), right=True))",
         "f64[1]", "f64[9]"),
    _row("np.interp(y, np.cumsum(np.abs(x)) - 2, x)", "f64[9]", "f64[20]"),
    _row("np.interp(y, np.cumsum(np.abs(x)) - 2, x, left=-1, right=7)", "f64[9]", "f64[20]"),
    *(
        _row(f"np.nan{n}(np.where(x > 1, np.nan, x), axis={axis})", "f64[5,6]")
        for n in ("sum", "prod", "mean", "var", "std", "max", "min")
        for axis in ("None", 1)
    ),
    _row("np.nanmean(np.where(x > 1, np.nan, x), 0, keepdims=True)", "f32[5,6]"),
    _row("np.select([x > 1, x > 0], [x, x * 2], default=-1)", "f64[9]"),
    _row("(np.isin(x, [1, 2, -3]), np.isin(x, y, invert=True))", "i32[9]", "i32[4]"),
    _row("(np.array_equal(x, x), np.array_equal(x, x + 1), np.array_equal(x, x[:2]))", "f64[4]"),
    _row("(np.add.reduce(x, axis=1, where=x > 0), np.add.reduce(x, keepdims=True, initial=2.0))",
         "f64[4,5]"),
    _row("(np.maximum.reduce(x, axis=0, where=x > 0, initial=-1), np.add.reduce(x, dtype='f8'))",
         "f32[4,5]"),
    _row("(x[np.array([True, False, True])], x[:, [True, False, False, True]])", "f32[3,4]"),
]  # fmt: skip

PROGRAMS = [
    *MORE,
    *_INVERSE, *_CUMULATIVE, *_REARRANGED, *_SEARCHING,
    *_ELEMENTWISE, *_REDUCTIONS, *_MOVEMENT, *_INDEXING, *_SELECTION, *_CONTRACTION,
]  # fmt: skip
