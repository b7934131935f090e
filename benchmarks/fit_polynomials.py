"""Fits the polynomials of codegen/llvm/coefficients.py and prints that table (needs mpmath).

Each is a weighted minimax fit (Lawson's iteration on a Chebyshev grid). Coefficients are rounded
to the working precision one after another, lowest power first, refitting the rest after each, so
that the others repair what rounding one breaks. Run: python benchmarks/fit_polynomials.py
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import mpmath as mp

mp.mp.prec = 256
GRID = 160
LAWSON_STEPS = 12
Real = Callable[[mp.mpf], mp.mpf]


@dataclass(frozen=True, slots=True)
class Fit:
    """f(x) ~ sum of c[k] * v**k for x in [lo, hi], where v = variable(x).

    weight(x) turns the polynomial's error into the relative error of the function it serves.
    """

    name: str
    function: Real
    weight: Real
    lo: float
    hi: float
    terms: int
    single: bool
    variable: Real = lambda x: x
    comment: str = ""


def round_to(value: mp.mpf, single: bool) -> float:
    """Nearest f32 or f64."""
    nearest = float(value)
    return struct.unpack("<f", struct.pack("<f", nearest))[0] if single else nearest


def minimax(
    points: list[mp.mpf], target: list[mp.mpf], weight: list[mp.mpf], first: int, terms: int
) -> list[mp.mpf]:
    """Coefficients of v**first ... v**(first+terms-1) with about the least weighted largest error.

    Lawson's iteration: least squares, weights multiplied by the error left; the best one is kept.
    It never fails to converge to something, as Remez's exchange does once a rounded coefficient has
    left an error that does not alternate.
    """
    rows = [
        [v**first * w * v**k for k in range(terms)] for v, w in zip(points, weight, strict=True)
    ]
    right = [y * w for y, w in zip(target, weight, strict=True)]
    emphasis = [mp.mpf(1)] * len(points)
    best: list[mp.mpf] = []
    least = mp.inf
    for _ in range(LAWSON_STEPS):
        scaled = [[a * e for a in row] for row, e in zip(rows, emphasis, strict=True)]
        normal = mp.matrix(terms, terms)
        moment = mp.matrix(terms, 1)
        for a in range(terms):
            moment[a] = mp.fdot((s[a], y) for s, y in zip(scaled, right, strict=True))
            for c in range(a, terms):
                normal[a, c] = normal[c, a] = mp.fdot(
                    (s[a], row[c]) for s, row in zip(scaled, rows, strict=True)
                )
        solution = list(mp.lu_solve(normal, moment))
        error = [
            abs(mp.fdot(zip(row, solution, strict=True)) - y)
            for row, y in zip(rows, right, strict=True)
        ]
        largest = max(error)
        if largest < least:
            best, least = solution, largest
        emphasis = [
            w * (e / largest + mp.mpf("1e-3")) for w, e in zip(emphasis, error, strict=True)
        ]
        total = max(emphasis)
        emphasis = [w / total for w in emphasis]
    return best


def solve(fit: Fit) -> tuple[list[float], float]:
    """Rounded coefficients, lowest power first, and the largest weighted error left."""
    middle, radius = (mp.mpf(fit.lo) + fit.hi) / 2, (mp.mpf(fit.hi) - fit.lo) / 2
    xs = [middle - radius * mp.cos(mp.pi * (i + mp.mpf(1) / 2) / GRID) for i in range(GRID)]
    points = [fit.variable(x) for x in xs]
    target = [fit.function(x) for x in xs]
    weight = [fit.weight(x) for x in xs]
    rest = list(target)
    rounded: list[float] = []
    for k in range(fit.terms):
        value = round_to(minimax(points, rest, weight, k, fit.terms - k)[0], fit.single)
        rounded.append(value)
        rest = [y - value * v**k for y, v in zip(rest, points, strict=True)]
    return rounded, float(max(abs(e * w) for e, w in zip(rest, weight, strict=True)))


def expm1_tail(r: mp.mpf) -> mp.mpf:
    return (mp.expm1(r) - r) / r**2


def log1p_tail(r: mp.mpf) -> mp.mpf:
    return (mp.log1p(r) - r + r**2 / 2) / r**3


def atanh_tail(s: mp.mpf) -> mp.mpf:
    """(2 atanh(s) / s - 2) / s**2: log m = 2 atanh(s) for s = (m - 1) / (m + 1)."""
    return (2 * mp.atanh(s) / s - 2) / s**2


def square(x: mp.mpf) -> mp.mpf:
    return x * x


HALF_LN2 = 0.34675  # ln(2)/2 and the slack that rounding x/ln(2) leaves
S_MAX = 0.17158  # (sqrt(2) - 1) / (sqrt(2) + 1)
QUARTER_PI = 0.7855
ERF_SPLIT, ERF_SPLIT_64 = 0.92, 1.0

FITS = (
    Fit(
        "EXP_F32",
        expm1_tail,
        lambda r: r**2 / mp.exp(r),
        -HALF_LN2,
        HALF_LN2,
        5,
        True,
        comment="(e**r - 1 - r) / r**2, for e**r",
    ),
    Fit(
        "EXPM1_F32",
        expm1_tail,
        lambda r: r**2 / abs(mp.expm1(r)),
        -HALF_LN2,
        HALF_LN2,
        6,
        True,
        comment="(e**r - 1 - r) / r**2, for e**r - 1",
    ),
    Fit(
        "EXPM1_F64",
        expm1_tail,
        lambda r: r**2 / abs(mp.expm1(r)),
        -HALF_LN2,
        HALF_LN2,
        11,
        False,
        comment="(e**r - 1 - r) / r**2",
    ),
    Fit(
        "LOG1P_F32",
        log1p_tail,
        lambda r: abs(r**3 / mp.log1p(r)),
        -0.29290,
        0.41422,
        8,
        True,
        comment="(ln(1 + r) - r + r**2 / 2) / r**3",
    ),
    Fit(
        "ATANH_F64",
        atanh_tail,
        lambda s: s**3 / (2 * mp.atanh(s)),
        1e-3,
        S_MAX,
        7,
        False,
        square,
        comment="(2 atanh(s) / s - 2) / s**2, in s**2",
    ),
    Fit(
        "ERF_NEAR_F32",
        lambda x: mp.erf(x) / x - 1,
        lambda x: x / mp.erf(x),
        1e-3,
        ERF_SPLIT + 0.01,
        7,
        True,
        square,
        comment="erf(x) / x - 1, in x**2",
    ),
    Fit(
        "ERFC_LOG_F32",
        lambda x: mp.log(mp.erfc(x)),
        lambda x: mp.erfc(x) / mp.erf(x),
        ERF_SPLIT,
        4.0,
        7,
        True,
        comment="ln(1 - erf(x))",
    ),
    Fit(
        "ERF_NEAR_F64",
        lambda x: mp.erf(x) / x - 1,
        lambda x: x / mp.erf(x),
        1e-3,
        ERF_SPLIT_64,
        12,
        False,
        square,
        comment="erf(x) / x - 1, in x**2",
    ),
    Fit(
        "ERFCX_F64",
        lambda x: mp.exp(x * x) * mp.erfc(x),
        lambda x: mp.exp(-x * x) / mp.erf(x),
        ERF_SPLIT_64,
        6.0,
        13,
        False,
        lambda x: (x - 2) / (x + 2),
        comment="e**(x*x) * (1 - erf(x)), in (x - 2) / (x + 2)",
    ),
    Fit(
        "SIN_F32",
        lambda r: (mp.sin(r) / r - 1) / r**2,
        lambda r: r**3 / mp.sin(r),
        1e-3,
        QUARTER_PI,
        3,
        True,
        square,
        comment="(sin(r) / r - 1) / r**2, in r**2",
    ),
    Fit(
        "COS_F32",
        lambda r: (mp.cos(r) - 1 + r**2 / 2) / r**4,
        lambda r: r**4 / mp.cos(r),
        1e-3,
        QUARTER_PI,
        3,
        True,
        square,
        comment="(cos(r) - 1 + r**2 / 2) / r**4, in r**2",
    ),
    Fit(
        "SIN_F64",
        lambda r: (mp.sin(r) / r - 1) / r**2,
        lambda r: r**3 / mp.sin(r),
        1e-3,
        QUARTER_PI,
        6,
        False,
        square,
        comment="(sin(r) / r - 1) / r**2, in r**2",
    ),
    Fit(
        "COS_F64",
        lambda r: (mp.cos(r) - 1 + r**2 / 2) / r**4,
        lambda r: r**4 / mp.cos(r),
        1e-3,
        QUARTER_PI,
        6,
        False,
        square,
        comment="(cos(r) - 1 + r**2 / 2) / r**4, in r**2",
    ),
    Fit(
        "POW_LOG2",
        lambda s: 2 * mp.atanh(s) / s / mp.ln(2),
        lambda s: s * mp.ln(2) / (2 * mp.atanh(s)),
        1e-4,
        S_MAX,
        5,
        False,
        square,
        comment="log2(m) / s, in s**2, for pow of f32",
    ),
    Fit(
        "POW_EXP2",
        lambda t: mp.mpf(2) ** t,
        lambda t: mp.mpf(2) ** -t,
        -0.5001,
        0.5001,
        7,
        False,
        comment="2**t, for pow of f32",
    ),
    Fit(
        "POW_ATANH",
        lambda s: (2 * mp.atanh(s) / s - 2 - 2 * s**2 / 3) / s**4,
        lambda s: s**5 / (2 * mp.atanh(s)),
        1e-3,
        S_MAX,
        9,
        False,
        square,
        comment="(2 atanh(s) / s - 2 - 2/3 s**2) / s**4, for pow of f64",
    ),
)


HEADER = '''"""Polynomial coefficients of the vector mathematics, lowest power first, as hex floats.

Weighted minimax fits by benchmarks/fit_polynomials.py, which prints this file. The error stated is
the largest relative one that the polynomial leaves in the function it serves, before any rounding.
"""

from __future__ import annotations

from typing import Final


def _table(*coefficients: str) -> tuple[float, ...]:
    return tuple(float.fromhex(c) for c in coefficients)

'''


def main() -> None:
    print(HEADER)
    for fit in FITS:
        coefficients, error = solve(fit)
        exponent = mp.nstr(mp.log(error, 2), 4)
        print(f"# {fit.comment}; x from {fit.lo:g} to {fit.hi:g}: 2**{exponent}")
        print(f"{fit.name}: Final = _table(")
        for c in coefficients:
            print(f'    "{c.hex()}",')
        print(")", flush=True)


if __name__ == "__main__":
    main()
