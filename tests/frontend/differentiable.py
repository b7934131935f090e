"""Every function of the NumPy front end: calls whose derivatives are checked, or why it has none.

In a call x is f64[2,3], y f64[3] and a f64[3,3], all between 0.2 and 0.9 and no two equal.
"""

from __future__ import annotations

from collections.abc import Iterable

_UNARY = """
negative positive conjugate absolute fabs exp exp2 expm1 log log2 log10 log1p sqrt cbrt square
reciprocal tanh sin cos tan sinh cosh arctanh arcsin arccos arctan arcsinh deg2rad radians rad2deg
degrees sinc nan_to_num real real_if_close ravel transpose matrix_transpose squeeze atleast_1d
atleast_2d atleast_3d copy fliplr flipud rot90 tril triu unwrap gradient trapezoid ediff1d
sum prod mean average var std max min ptp nansum nanprod nanmean nanvar nanstd nanmax nanmin cumsum
cumprod nancumsum nancumprod diff diagflat vander unstack cov corrcoef histogram_bin_edges polyder
polyint flip linalg.norm linalg.vector_norm linalg.matrix_norm
sort median nanmedian
"""
_OF_VECTORS = "vander polyder polyint"
_OF_MATRICES = "diagonal diag trace linalg.diagonal linalg.trace"
_BINARY = """
add subtract multiply divide power float_power arctan2 hypot copysign maximum minimum fmax fmin
remainder fmod logaddexp logaddexp2 inner matmul vecdot linalg.matmul linalg.vecdot outer kron
broadcast_arrays matvec
"""
_BETWEEN_VECTORS = """
dot vdot convolve correlate polyval polyadd polysub polymul cross linalg.cross linalg.outer append
heaviside
"""


_REGULAR = "(a + 2 * np.eye(3))"
_POSITIVE = "(a @ a.T + np.eye(3))"


def _call(name: str, *operands: str) -> str:
    return f"np.{name}({', '.join(operands)})"


CALLS: dict[str, tuple[str, ...]] = {
    **{n: (_call(n, "x"),) for n in _UNARY.split()},
    **{n: (_call(n, "y"),) for n in _OF_VECTORS.split()},
    **{n: (_call(n, "a"),) for n in _OF_MATRICES.split()},
    **{n: (_call(n, "x", "y"), _call(n, "a", "y")) for n in _BINARY.split()},
    **{n: (_call(n, "y", "a[0]"), _call(n, "y", "y")) for n in _BETWEEN_VECTORS.split()},
    "arccosh": ("np.arccosh(1 + x)",),
    "angle": ("np.angle(x) * x",),
    "spacing": ("x + np.spacing(x)",),
    "nextafter": ("np.nextafter(x, 2.0) - 0.0",),
    "divmod": ("np.divmod(3 * x, y)[1]",),
    "modf": ("np.modf(3 * x)[0] * x",),
    "ldexp": ("np.ldexp(x, np.array([1, -2, 3]))",),
    "frexp": ("np.frexp(x)[0] * x",),
    "heaviside": ("np.heaviside(x - 0.5, y) * x",),
    "vecmat": ("np.vecmat(y, a)",),
    "reshape": ("np.reshape(x, (3, -1))",),
    "swapaxes": ("np.swapaxes(x, 0, 1)",),
    "moveaxis": ("np.moveaxis(x, 0, 1)",),
    "rollaxis": ("np.rollaxis(x, 1)",),
    "expand_dims": ("np.expand_dims(x, (0, 2))",),
    "broadcast_to": ("np.broadcast_to(y, (2, 3))",),
    "concatenate": ("np.concatenate([x, a, x])", "np.concatenate([x, y], axis=None)"),
    "stack": ("np.stack([y, a[0]], axis=1)",),
    "vstack": ("np.vstack([x, y])",),
    "hstack": ("np.hstack([x, x[:, :1]])",),
    "dstack": ("np.dstack([x, x])",),
    "column_stack": ("np.column_stack([y, a])",),
    "block": ("np.block([[x], [y]])",),
    "split": ("np.split(x, 3, axis=1)",),
    "array_split": ("np.array_split(y, 2)",),
    "hsplit": ("np.hsplit(x, 3)",),
    "vsplit": ("np.vsplit(x, 2)",),
    "dsplit": ("np.dsplit(x[None], 3)",),
    "tile": ("np.tile(x, (2, 1))",),
    "repeat": ("np.repeat(x, 2, 1)", "np.repeat(y, [1, 0, 2])"),
    "roll": ("np.roll(x, (1, 2), (0, 1))",),
    "astype": ("np.astype(x, np.float64)",),
    "full_like": ("np.full_like(x, y)",),
    "pad": tuple(
        f"np.pad(x, 2, mode={m!r})"
        for m in ("constant", "edge", "reflect", "symmetric", "wrap", "linear_ramp", "maximum",
                  "mean")
    ),
    "meshgrid": ("np.meshgrid(y, a[0])",),
    "delete": ("np.delete(x, 1, axis=1)",),
    "insert": ("np.insert(x, 1, y[:2], axis=1)",),
    "resize": ("np.resize(x, (4, 2))",),
    "where": ("np.where(x > 0.5, x * x, y)",),
    "select": ("np.select([x > 0.6, x > 0.4], [x * x, y], 3 * x)",),
    "piecewise": ("np.piecewise(x, [x > 0.5], [np.exp, lambda v: v * v])",),
    "choose": ("np.choose(np.array([0, 1, 1]), x)",),
    "compress": ("np.compress([True, False, True], a, axis=1)",),
    "clip": ("np.clip(x, 0.4, 0.7)", "np.clip(x, None, y)"),
    "take": ("np.take(x, np.array([2, 0, 2]), axis=1)",),
    "take_along_axis": ("np.take_along_axis(x, np.array([[2, 0], [1, 1]]), 1)",),
    "apply_along_axis": ("np.apply_along_axis(np.cumprod, 1, x)",),
    "apply_over_axes": ("np.apply_over_axes(np.prod, x, [0, 1])",),
    "interp": ("np.interp(y, np.cumsum(a[0]), a[1])",),
    "histogram": ("np.histogram(np.array([0.1, 0.4]), [0, 1], weights=y[:2])[0]",),
    "cumulative_sum": ("np.cumulative_sum(x, axis=1, include_initial=True)",),
    "cumulative_prod": ("np.cumulative_prod(x, axis=0)",),
    "tensordot": ("np.tensordot(x, a, axes=1)",),
    "linalg.tensordot": ("np.linalg.tensordot(x, a, axes=1)",),
    "einsum": ("np.einsum('ij,j,jk->ik', x, y, a)", "np.einsum('ii->i', a)"),
    "linalg.multi_dot": ("np.linalg.multi_dot([x, a, y])",),
    "linalg.matrix_power": ("np.linalg.matrix_power(a, 3)",),
    "linspace": ("np.linspace(y, 2 * y, 4)",),
    "logspace": ("np.logspace(y, 1, 3)",),
    "geomspace": ("np.geomspace(y, 2, 4)",),
    **{
        n: (f"np.{n}(x, {q}, axis=1)",)
        for n, q in (("quantile", 0.4), ("nanquantile", 0.4), ("percentile", 30),
                     ("nanpercentile", 30), ("partition", 1))
    },
    "linalg.solve": (f"np.linalg.solve({_REGULAR}, y)",),
    **{
        n: (_call(n, _REGULAR),)
        for n in ("linalg.inv", "linalg.det", "linalg.pinv", "linalg.svdvals", "linalg.cond",
                  "linalg.matrix_transpose")
    },
    "linalg.slogdet": (f"np.linalg.slogdet({_REGULAR})[1]",),
    "linalg.cholesky": (f"np.linalg.cholesky({_POSITIVE})",),
    "linalg.eigvalsh": (f"np.linalg.eigvalsh({_POSITIVE})",),
    # Of vectors whose sign is free, their squares.
    "linalg.eigh": (f"[r * r for r in np.linalg.eigh({_POSITIVE})]",),
    "linalg.svd": (f"[r * r for r in np.linalg.svd({_REGULAR})]",),
    "linalg.qr": (f"[r * r for r in np.linalg.qr({_REGULAR})]",),
    "linalg.lstsq": ("np.linalg.lstsq(x.T, y, rcond=None)[0]",),
    "linalg.tensorinv": (f"np.linalg.tensorinv({_REGULAR}, ind=1)",),
    "linalg.tensorsolve": (f"np.linalg.tensorsolve({_REGULAR}, y)",),
    **{
        f"fft.{n}": (f"(lambda z: [z.real, z.imag])(np.fft.{n}(x))",)
        for n in ("fft", "ifft", "rfft", "fft2", "ifft2", "rfft2", "fftn", "ifftn", "rfftn",
                  "ihfft")
    },
    **{
        f"fft.{n}": (f"np.fft.{n}(x)", f"np.fft.{n}(np.fft.fft(x))")
        for n in ("irfft", "irfft2", "irfftn", "hfft")
    },
    "fft.fftshift": ("np.fft.fftshift(x)",),
    "fft.ifftshift": ("np.fft.ifftshift(x)",),
    "bincount": ("tnp.bincount(np.array([0, 2, 2]), y, length=4)",),
    "full": ("tnp.full((2, 3), y)",),
    "asarray": ("tnp.asarray([y, y])",),
    "array": ("tnp.array([y[0], 2.0])",),
    "from_dlpack": ("tnp.from_dlpack(x)",),
}  # fmt: skip

# Constant wherever they are continuous.
FLAT = """
sign signbit floor ceil rint trunc fix round around floor_divide zeros_like ones_like empty_like
imag isnan isinf isfinite isposinf isneginf isclose allclose equal not_equal less less_equal greater
greater_equal logical_and logical_or logical_xor logical_not any all count_nonzero argmax argmin
nanargmax nanargmin searchsorted digitize isin array_equal array_equiv isreal iscomplex
"""
# On integers or bits.
OF_INTEGERS = """
bitwise_and bitwise_or bitwise_xor invert left_shift right_shift bitwise_count unravel_index
ravel_multi_index ix_ gcd lcm
"""
# Their results are no arrays, or made of nothing.
NO_ARRAYS = """
shape ndim size result_type common_type can_cast min_scalar_type iscomplexobj isrealobj
tril_indices_from triu_indices_from diag_indices_from finfo iinfo isdtype __array_namespace_info__
__array_api_version__ bfloat16 fft linalg newaxis arange empty eye identity ones tri zeros
"""
# Complex, or whole numbers.
OTHERS = "linalg.eig linalg.eigvals linalg.matrix_rank"
# The shape depends on values: eager, or with a size.
SIZED = """
argwhere flatnonzero nonzero unique unique_all unique_counts unique_inverse unique_values
"""
# Integers.
ORDERS = "argsort lexsort argpartition"


def names(*lists: str) -> Iterable[str]:
    return (name for text in lists for name in text.split())


WITHOUT = set(names(FLAT, OF_INTEGERS, NO_ARRAYS, OTHERS, SIZED, ORDERS))
