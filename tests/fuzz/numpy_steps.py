"""The steps that random NumPy programs are made of: source with places for operands and choices.

An operand is named by its kind: f float, i integer, b bool, n number, a any; a capital letter wants
one that is exact, because the step decides something: a comparison, a rounding, an index. Choices
in braces are drawn by `numpy_programs.choices`. A step that NumPy refuses is drawn again, so a
template need not say which shapes it takes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_OPERAND = re.compile(r"\b([fibnaFIBNA])([0-9])\b")


@dataclass(frozen=True)
class Step:
    """source: a template. exact: exact operands give an exact result, bit for bit."""

    source: str
    exact: bool

    @property
    def operands(self) -> list[str]:
        """The kind of each operand, in order."""
        kinds = {int(number): kind for kind, number in _OPERAND.findall(self.source)}
        return [kinds[n] for n in range(len(kinds))]

    def filled(self, names: list[str], choices: dict[str, object]) -> str:
        source = _OPERAND.sub(lambda m: names[int(m[2])], self.source)
        return source.format(**choices)


_EXACT = """
n0 + n1; n0 - n1; n0 * n1; -n0; abs(n0); n0 + {number}; {number} * n0; n0 - {whole}
np.maximum(n0, n1); np.minimum(n0, n1); np.fmax(n0, n1); np.square(n0); np.positive(n0)
np.copysign(f0, F1); np.sign(N0); np.floor(F0); np.ceil(F0); np.rint(F0); np.trunc(F0)
np.round(F0); np.fix(F0); np.signbit(N0); np.isnan(n0); np.isfinite(n0); np.nextafter(F0, F1)
N0 < N1; N0 >= N1; A0 == A1; A0 != A1; N0 > {number}; np.logical_and(A0, A1)
np.logical_xor(A0, A1); np.logical_not(A0); ~b0; b0 & b1; b0; b0 ^ b1; ~i0; i0 & i1; i0 ^ i1
np.bitwise_or(i0, i1); np.left_shift(i0, {shift}); np.right_shift(i0, {shift})
np.bitwise_count(i0); i0 // i1; i0 % i1; np.divmod(i0, i1)[{bit}]; np.fmod(i0, i1)
i0 ** {power}; F0 % {divisor}; np.remainder(F0, {divisor}); F0 // {divisor}; f0 / {divisor}
np.where(b0, n1, n2); np.where(B0, {number}, n1); np.where(N0 > {number}, n0, n1)
np.clip(n0, {low}, {high}); np.clip(N0, None, N1); n0.astype(np.float64); i0.astype(np.float32)
b0.astype(np.int8); F0.astype(np.int64); i0.astype(np.{dtype}); A0.astype(bool)
np.reshape(a0, -1); a0.ravel(); np.transpose(a0); a0.T; np.swapaxes(a0, 0, -1)
np.moveaxis(a0, {axis}, {axis2}); np.expand_dims(a0, {axis}); np.squeeze(a0); a0[None]
a0[..., None]; a0[::-1]; a0[{slice}]; a0[..., {slice}]; a0[{index}]; a0[{slice}, {slice2}]
a0[[{row}, {row2}]]; a0[:, [{row}, {row2}]]; a0[..., [{row}, {row2}], :]; a0[None, {slice}, ...]
a0[np.array([[{row}], [{row2}]]), [{row2}, {row}]]; a0[{row}:]; a0[:{row}]; a0[I1 % len(a0)]
np.flip(a0, {axis}); np.fliplr(a0); np.rot90(a0, {power}); np.roll(a0, {whole}, {axis})
np.roll(a0, {whole}); np.repeat(a0, {times}, {axis}); np.repeat(a0, {times}); np.tile(a0, {times})
np.tile(a0, ({times}, 1)); np.concatenate([a0, a0], {axis}); np.concatenate([n0, n1], {axis})
np.stack([n0, n1]); np.stack([a0, a0], -1); np.hstack([n0, n1]); np.vstack([n0, n1])
np.broadcast_to(a0, ({times}, *np.shape(a0))); np.pad(a0, {times}); np.pad(a0, (0, {times}))
np.pad(a0, {times}, mode='{border}'); np.split(a0, {divisor}, {axis})[0]; np.array_split(a0, 3)[1]
np.tril(a0, {whole}); np.triu(a0, {whole}); np.diagonal(a0, {whole}); np.diag(a0); np.diff(n0)
np.diff(i0, axis={axis}); np.take(a0, [{row}, {row2}]); np.take(a0, [{row}], {axis})
np.take_along_axis(a0, np.argsort(N1, {axis}, stable=True), {axis}); np.max(n0); np.min(n0, {axis})
np.max(n0, {axis}, keepdims=True); np.sum(i0); np.sum(i0, {axis}); np.sum(b0, {axis}, keepdims=True)
np.prod(i0 % 3, {axis}); np.any(A0, {axis}); np.all(A0); np.count_nonzero(A0, {axis})
np.argmax(N0, {axis}); np.argmin(N0); np.argsort(N0, {axis}, stable=True); np.sort(n0, {axis})
np.cumsum(i0, {axis}); np.cumsum(b0); np.maximum.accumulate(n0); np.minimum.accumulate(n0, -1)
np.ptp(n0, {axis}); np.searchsorted(np.sort(N0.ravel()), N1)
np.unravel_index(I0 % 24, (2, 3, 4))[1]
np.isin(I0, [{whole}, {row}]); np.select([N0 > 0, N0 < -1], [n1, n1 + 1], {number})
np.nanmax(n0, {axis}); np.nan_to_num(n0); np.zeros_like(a0); np.full_like(n0, {whole})
np.ones_like(a0, dtype=np.int32); i0 @ i1; np.dot(i0, i1); np.outer(i0, i1)
np.heaviside(F0, {number}); np.atleast_2d(a0); np.meshgrid(n0, n1)[{bit}]
np.insert(n0, {row}, {whole}, {axis}); np.delete(a0, {row}, {axis}); np.ediff1d(n0); np.kron(i0, i1)
np.convolve(i0, i1); np.einsum('...i->...', i0); np.einsum('ij->ji', a0)
np.histogram(F0, [-2, 0, 1, 3])[0]; np.choose(I0 % 2, [n1, n1 + 1])
np.interp(F0, [-1, 0, 2], [0, 1, 0])
"""
_ROUNDED = """
np.exp(-abs(f0)); np.tanh(f0); np.sin(f0); np.cos(f0); np.arctan(f0); np.log1p(abs(f0))
np.sqrt(abs(f0) + 1); 1 / (1 + f0 * f0); np.expm1(-abs(f0)); np.log(abs(f0) + 0.5)
np.hypot(f0, 1); np.hypot(f0, f1); np.arcsinh(f0); np.cbrt(abs(f0) + 1); np.exp2(-abs(f0))
np.logaddexp(f0, f1); np.power(abs(f0) + 0.5, 0.3); (abs(f0) + 0.5) ** np.tanh(f1)
np.arctan2(f0, abs(f1) + 1); np.sinh(np.tanh(f0)); np.cosh(np.sin(f0)); np.arcsin(np.tanh(f0) / 2)
np.sum(f0); np.sum(f0, {axis}); np.sum(f0, {axis}, keepdims=True); np.mean(f0); np.mean(n0, {axis})
np.var(f0, {axis}); np.sqrt(np.var(f0, {axis}) + 1); np.prod(np.tanh(f0) + 1, {axis})
np.cumsum(f0, {axis})
np.cumprod(np.cos(f0)); f0 @ f1; np.dot(f0, f1); np.inner(f0, f1); np.outer(f0, f1)
np.tensordot(f0, f1, 1); np.einsum('ij,jk', f0, f1); np.einsum('...i,...i->...', f0, f1)
np.einsum('ij,j->i', f0, f1); f0 @ np.swapaxes(f0, -1, -2); np.linalg.norm(f0 + 3)
np.average(f0, {axis}); np.trace(f0); np.nansum(f0, {axis}); np.nanmean(f0, {axis})
np.exp(f0 - np.max(f0, {axis}, keepdims=True)); np.sinc(f0); np.gradient(f0, axis={axis})
np.trapezoid(f0); np.convolve(f0, f1, '{mode}'); np.correlate(f0, f1, '{mode}'); np.cov(f0)
np.pad(f0, {times}, mode='mean'); np.pad(f0, {times}, mode='linear_ramp'); np.unwrap(F0)
np.polyval([1.0, -2.0, 0.5], np.tanh(f0)); np.interp(f0, [-1, 0, 2], [0, 1, 0])
np.add.reduce(f0, {axis}); np.add.outer(f0, f1); np.logaddexp.reduce(f0, {axis}); np.kron(f0, f1)
np.quantile(f0, 0.3, {axis}); np.median(f0, {axis}); np.vander(np.tanh(f0), 3)
np.linspace(f0, 1.0, 3)
"""


def _steps(text: str, exact: bool) -> list[Step]:
    return [Step(p.strip(), exact) for line in text.split("\n") for p in line.split("; ") if p]


STEPS = _steps(_EXACT, True) + _steps(_ROUNDED, False)
