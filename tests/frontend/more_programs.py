"""More rows: keywords of the reductions, borders, histograms, sequences, indices, nan."""

from __future__ import annotations

from tests.frontend.program import row

_NAN = "np.where(x > 1, np.nan, x)"

_KEYWORDS = [
    *(
        row(f"(np.{n}(x, axis=0, where=y > -1), np.{n}(x, where=y[0] > 0, keepdims=True))",
            "f64[5,4]", "f64[5,4]")
        for n in ("sum", "prod", "mean", "var", "std", "any", "all")
    ),
    row("(np.max(x, 0, None, True), np.sum(x, 1, None, None, True), np.argmax(x, 1, None))",
        "f64[3,4]"),
    row("(np.max(x, where=y > 0, initial=-9), np.min(x, 1, where=y > 0, initial=9.0))",
        "f64[3,4]", "f64[4]"),
    row("(np.prod(x, initial=2.0), np.prod(y, 0, initial=2), np.sum(y, initial=3))",
        "f64[5]", "i32[5]"),
    row("(np.var(x, 1, ddof=1), np.std(x, correction=1), np.var(x, 1, mean=np.mean(x, 1,"
        " keepdims=True)))", "f64[3,4]"),
    row("(np.average(x, 1, y), np.average(x, axis=(1, 0), weights=x.T**2 + 1),"
        " np.average(x, returned=True))", "f64[3,4]", "f64[4]"),
    row("(np.trace(x, dtype=np.float64), np.diff(x, prepend=0, append=x[:, :1]), np.diff(x > 0))",
        "f32[4,4]"),
    row("(np.atleast_1d(x, y), np.atleast_2d(x[0], y), np.atleast_3d(y))", "f32[2,3]", "f32[3]"),
    row("(np.stack([x, x], dtype=np.float64), np.vstack([x, x], dtype='f8'),"
        " np.hstack([x, x], dtype='f8'), np.concatenate([x, x], 1, dtype='f8'))", "f32[2,3]"),
    row("(np.array_equal(x, x, equal_nan=True), np.array_equiv(x, x[None]),"
        " np.array_equiv(x, x[0]))",
        "f32[2,3]"),
    row("(np.searchsorted(np.array([2, -1, 0.5]), y, sorter=np.array([1, 2, 0])),"
        " np.nan_to_num(x, True, 1.0))",
        "f64[3]", "f64[5]"),
    row("(np.full_like(x, 2, np.int32, 'C'), np.zeros_like(x, np.int8, 'C', True, (2,)),"
        " np.reshape(x, (3, 2), copy=True), np.astype(x, np.int8, copy=False))", "f32[2,3]"),
]  # fmt: skip

_NANS = [
    *(
        row(f"(np.nan{n}({_NAN}), np.nan{n}({_NAN}, 1), np.nan{n}({_NAN}, axis=0, keepdims=True))",
            "f64[5,6]")
        for n in ("sum", "prod", "mean", "var", "std", "max", "min", "argmax", "argmin")
    ),
    row(f"(np.nancumsum({_NAN}, 1), np.nancumprod({_NAN}), np.nanmean(y), np.nanmax(y, 0))",
        "f64[3,5]", "i32[4]"),
    row(f"(np.nansum({_NAN}, where=x < 0, initial=2.0), np.nanmean({_NAN}, where=x > -1),"
        f" np.nanvar({_NAN}, ddof=1), np.nanmax({_NAN}, initial=0.5, where=x < 0))", "f64[5,6]"),
]  # fmt: skip

_BORDERS = [
    *(
        row(f"np.pad(x, ((1, 2), (4, 5)), mode={mode!r})", kind)
        for mode in ("edge", "reflect", "symmetric", "wrap", "maximum", "minimum", "mean",
                     "linear_ramp")
        for kind in ("f64[3,4]", "i32[3,4]")
    ),
    row("(np.pad(x, 3, 'reflect', reflect_type='odd'), np.pad(x, 2, 'symmetric',"
        " reflect_type='odd'), np.pad(x, (5, 0), 'wrap'), np.pad(x, 9, 'reflect'))", "f64[4]"),
    row("(np.pad(x, ((1, 2), (0, 1)), constant_values=((1, 2), (3, 4))),"
        " np.pad(x, 1, constant_values=(5, 6)), np.pad(x, {1: (2, 1)}))", "f64[2,3]"),
    row("(np.pad(x, 2, 'linear_ramp', end_values=(5, -4)), np.pad(x, 2, 'mean', stat_length=2))",
        "f64[3,4]"),
    row("(np.pad(x, ((1, 2), (2, 1)), lambda v, w, d, k: (v.__setitem__(slice(0, w[0]), k['a']),"
        " v.__setitem__(slice(-w[1], None), -d * v[w[0]])), a=y[0]), np.pad(y, 1, lambda *_: 0))",
        "f64[3,4]", "f64[2]"),
]  # fmt: skip

_COUNTED = [
    row("(np.histogram(x, 5), np.histogram(x, [-1, 0, 0.5, 3]), np.histogram(x, 4, (-1, 2)))",
        "f64[40]"),
    row("(np.histogram(x, 5, density=True), np.histogram(x, 4, (-1, 2), weights=y),"
        " np.histogram_bin_edges(x, 3), np.histogram(x * 0 + 2, 3))", "f64[4,5]", "f64[4,5]"),
    row("np.histogram(x, 4)", "i32[30]"),
    row("(np.cov(x), np.cov(x.T, rowvar=False), np.cov(x[0], x[1], bias=True), np.cov(x[0]),"
        " np.cov(x, ddof=0))", "f64[3,7]"),
    row("(np.cov(x, fweights=np.array([1, 2, 1, 3])), np.cov(x, aweights=y**2),"
        " np.corrcoef(x), np.corrcoef(x[0], x[1]))", "f64[3,4]", "f64[4]"),
]  # fmt: skip

_QUANTILES = [
    *(
        row(f"(np.quantile(x, [0, 1/8, 0.3, 0.5, 0.75, 1], axis=1, method={method!r}),"
            f" np.nanpercentile({_NAN}, [20, 80], 1, method={method!r}),"
            f" np.quantile(y, 0.5, method={method!r}))", "f64[3,8]", "i32[6]")
        for method in ("inverted_cdf", "averaged_inverted_cdf", "closest_observation", "higher",
                       "midpoint", "nearest")
    ),
]  # fmt: skip

_SEQUENCES = [
    *(
        row(f"(np.convolve(x, y, {mode!r}), np.correlate(x, y, {mode!r}),"
            f" np.correlate(y, x, {mode!r}), np.convolve(y, x, {mode!r}))", *kinds)
        for mode in ("full", "same", "valid")
        for kinds in (("f64[7]", "f64[3]"), ("f64[6]", "f64[4]"), ("i32[5]", "i32[5]"))
    ),
    row("(np.ediff1d(x), np.ediff1d(x, 9.0, [1.0, 2.0]))", "f64[2,3]"),
    row("(np.gradient(x), np.gradient(x, 2.0, axis=1), np.gradient(x, 0.5, y, edge_order=2),"
        " np.gradient(x, np.cumsum(y**2 + 1), axis=-1), np.gradient(x, edge_order=2))",
        "f64[4,5]", "f64[5]"),
    row("np.gradient(x)", "i32[6]"),
    row("(np.interp(9 * x, 7 * y, z, period=2.5), np.interp(x, y, z, 3.0, 4.0, -1.0))",
        "f64[20]", "f64[6]", "f64[6]"),
    row("(np.trapezoid(x), np.trapezoid(x, y), np.trapezoid(x, dx=2, axis=0),"
        " np.trapezoid(x, x * x))", "f64[4,5]", "f64[5]"),
    row("(np.unwrap(4 * x), np.unwrap(4 * x, axis=0, discont=4), np.unwrap(9 * x, period=5.0))",
        "f64[4,5]"),
    row("(np.polyval(x, y), np.polyadd(x, y), np.polysub(y, x), np.polymul(x, y), np.polyder(y),"
        " np.polyder(y, 2), np.polyint(x), np.polyint(x, 2, [1.0, 2.0]))", "f64[3]", "f64[5]"),
]  # fmt: skip

_PLACED = [
    row("(np.unravel_index(x % 24, (2, 3, 4)), np.unravel_index(x % 24, (2, 3, 4), 'F'))",
        "u8[5]"),
    row("(np.ravel_multi_index((x % 2, x % 3), (2, 3)), np.ravel_multi_index((x, x), (3, 4),"
        " mode='wrap'), np.ravel_multi_index((x, x), (3, 4), mode=('clip', 'wrap'), order='F'))",
        "i64[5]"),
    row("(x[np.ix_(np.array([2, 0]), np.array([1, 1, 0]))], np.choose(y % 2, x.T))",
        "f64[3,2]", "i32[3]"),
    row("(x[np.tril_indices_from(x)], x[np.triu_indices_from(x, 1)], x[np.diag_indices_from(x)])",
        "f64[3,3]"),
    row("(np.diagflat(x), np.diagflat(x, -1), np.dsplit(x[:, None, :], 2), np.tri(3))", "f64[2,2]"),
    row("(np.compress([True, False, True], x, axis=0), np.compress([False, True], x))",
        "f64[3,2]"),
    row("(np.piecewise(x, [x < 0, x > 1], [lambda v: -v, 3.0, lambda v: v * v]),"
        " np.piecewise(x, [x < 0], [1.0]), np.piecewise(x, x > 0, [7.0, lambda v: v]))", "f64[9]"),
    row("(np.insert(x, 1, 5.0), np.insert(x, [0, 2], y, axis=0), np.insert(x, 1, y, axis=1),"
        " np.insert(x, slice(0, 2), 9.0, axis=0), np.insert(x, -1, [7.0, 8.0]))",
        "f64[2,2]", "f64[2]"),
    row("(np.resize(x, (3, 4)), np.resize(x, 2), np.resize(x[:0], (2,)))", "f64[2,3]"),
    row("(np.block([[x, x], [y, y]]), np.block([y, y]), np.block(x))", "f64[2,3]", "f64[3]"),
    row("(np.apply_along_axis(np.sum, 0, x), np.apply_along_axis(lambda r: r[:2] * r.sum(), 1, x),"
        " np.apply_over_axes(np.sum, x, [0, 2]), np.apply_along_axis(np.sum, 0, x, keepdims=True))",
        "f64[2,3,4]"),
    row("(np.real(x), np.imag(x), np.angle(x), np.angle(x, deg=True), np.isreal(x),"
        " np.iscomplex(x), np.real_if_close(x), np.isposinf(x / 0), np.isneginf(x / 0))", "f64[5]"),
    row("(np.linspace(x[0], x[1], 5), np.linspace(x, 2.0, 4, endpoint=False, axis=-1))", "f64[2]"),
]  # fmt: skip

_EINSUMS = [
    row("np.einsum(x, [0, 1], y, [1, 2], [2, 0])", "f64[2,3]", "f64[3,4]"),
    row("(np.einsum(x, [Ellipsis, 0], [Ellipsis]), np.einsum(x, [0, 0]))", "f64[3,3]"),
    row("np.einsum('ij,jk,kl->', x, y, z, optimize=True)", "f64[2,3]", "f64[3,4]", "f64[4,2]"),
    row("np.einsum('i,ij,j->i', y, x, z)", "f64[5,4]", "f64[5]", "f64[4]"),
    row("np.einsum('ij,kj->ik', x, y, dtype=np.float64)", "f32[2,3]", "f32[4,3]"),
    row("np.einsum('...ij,...jk->...ik', x, y)", "f64[2,1,3,4]", "f64[5,4,2]"),
]  # fmt: skip

_METHODS = [
    *(
        row(f"(np.{n}.reduce(x), np.{n}.reduce(x, axis=1, keepdims=True),"
            f" np.{n}.accumulate(x, axis=1), np.{n}.reduce(x, axis=None))", kind)
        for kind, names in (
            ("i32[5,6]", "bitwise_and bitwise_or bitwise_xor logical_xor add maximum"),
            ("f64[5,7]", "fmax fmin hypot logaddexp logaddexp2 multiply minimum"),
        )
        for n in names.split()
    ),
    row("(np.logaddexp.reduce(x, where=y > 0, axis=1), np.bitwise_or.reduce(z, initial=8),"
        " np.logaddexp.reduce(np.where(y > 0, x, -np.inf)), np.bitwise_and.reduce(z[:0]),"
        " np.hypot.reduce(x, axis=(0, 1)), np.bitwise_xor.reduce(z > 0))",
        "f64[4,5]", "f64[4,5]", "i64[6]"),
    *(
        row(f"(np.{n}.reduceat(x, [2, 0, 3, 3, 5], axis=1), np.{n}.reduceat(x, y % 5),"
            f" np.{n}.reduceat(x, np.arange(40) % 5), np.{n}.reduceat(x, [0], 1),"
            f" np.{n}.reduceat(x, np.array([], int), 1))", kind, "i64[3]")
        for kind, names in (
            ("i8[5,6]", "add maximum bitwise_and fmax logical_or"),
            ("bool[5,6]", "fmin minimum logical_xor bitwise_or"),
            ("f64[5,6]", "multiply minimum fmin logaddexp add"),
        )
        for n in names.split()
    ),
    row("(np.bitwise_and.reduce(x, 1, where=y > 0), np.bitwise_or.reduce(x > 0, where=y > 0))",
        "i32[4,5]", "f64[4,5]"),
    row("(np.add.outer(x, y), np.maximum.outer(x, [1.0, 2.0]), np.power.outer(2.0, y))",
        "f64[2,3]", "f64[4]"),
    row("(x > 300, x != -1, -1 < x, x == 256, 2**70 > x, np.clip(x, -1, 300))", "u8[5]"),
    row("np.where(y > 0, np.spacing(x), np.nextafter(x, y))", "f64[9]", "f64[9]"),
    row("(np.bitwise_count(x), np.bitwise_count(y), np.reciprocal(y - 5))", "i8[9]", "u32[9]"),
    row("(np.gcd(x, y), np.lcm(x, y), np.gcd(x, 12), np.gcd(x * 0, y * 0))", "i32[7]", "i64[7]"),
    row("(np.gcd(x, y[:, None]), np.lcm(x, 6))", "u8[5]", "u8[3]"),
    *(
        row("(np.ldexp(x, y), np.ldexp(x, 40 * y), np.ldexp(x, -15 * y), np.frexp(x),"
            " np.frexp(x * 0), np.frexp(x / 0), np.ldexp(np.frexp(x)[0], np.frexp(x)[1]))",
            kind, "i32[9]")
        for kind in ("f32[9]", "f64[9]", "f16[9]")
    ),
    row("(np.ldexp(1.9999999, y), np.ldexp(x, -1070), np.ldexp(x, -1074 + y % 3),"
        " np.frexp(x * 5e-324), np.frexp(np.exp2(np.floor(x * 3))), np.ldexp(x * 1e-310, 1200))",
        "f64[9]", "i32[9]"),
    row("np.take_along_axis(x, y % 1, 1)", "f64[3,1,1]", "i64[1,1,3]"),
    row("(np.take_along_axis(x, y % 1, 1), np.take_along_axis(x[:, :, [0, 0]], y % 2, -1))",
        "f64[3,1,1]", "i64[1,1,3]"),
    row("(x.trace(), x.trace(offset=1), y.trace(0, 0, 2))", "f64[4,4]", "f64[2,3,4]"),
    row("(np.matmul(x, y), np.vecdot(x[0], y, axis=0))", "f64[4,4]", "f64[4]"),
]  # fmt: skip

MORE = [
    *(*_METHODS, *_KEYWORDS, *_NANS, *_BORDERS, *_COUNTED, *_QUANTILES),
    *(*_SEQUENCES, *_PLACED, *_EINSUMS),
]
