"""Polynomial coefficients of the vector mathematics, lowest power first, as hex floats.

Weighted minimax fits by benchmarks/fit_polynomials.py, which prints this file. The error stated is
the largest relative one that the polynomial leaves in the function it serves, before any rounding.
"""

from __future__ import annotations

from typing import Final


def _table(*coefficients: str) -> tuple[float, ...]:
    return tuple(float.fromhex(c) for c in coefficients)


# (e**r - 1 - r) / r**2, for e**r; x from -0.34675 to 0.34675: 2**-28.25
EXP_F32: Final = _table(
    "0x1.fffffc0000000p-2",
    "0x1.5554920000000p-3",
    "0x1.5558b00000000p-5",
    "0x1.12398c0000000p-7",
    "0x1.6a4d160000000p-10",
)
# (e**r - 1 - r) / r**2, for e**r - 1; x from -0.34675 to 0.34675: 2**-31.1
EXPM1_F32: Final = _table(
    "0x1.0000000000000p-1",
    "0x1.5555540000000p-3",
    "0x1.5554f80000000p-5",
    "0x1.1112d80000000p-7",
    "0x1.6d3a4a0000000p-10",
    "0x1.9e73520000000p-13",
)
# (e**r - 1 - r) / r**2; x from -0.34675 to 0.34675: 2**-61.58
EXPM1_F64: Final = _table(
    "0x1.0000000000000p-1",
    "0x1.5555555555559p-3",
    "0x1.5555555555552p-5",
    "0x1.111111110f653p-7",
    "0x1.6c16c16c186e0p-10",
    "0x1.a01a01b004d7fp-13",
    "0x1.a01a0199644e2p-16",
    "0x1.71ddf80aa23b7p-19",
    "0x1.27e4fb59ac821p-22",
    "0x1.af5f36d5a1dadp-26",
    "0x1.1f3e46eedac51p-29",
)
# (ln(1 + r) - r + r**2 / 2) / r**3; x from -0.2929 to 0.41422: 2**-27.35
LOG1P_F32: Final = _table(
    "0x1.5555540000000p-2",
    "-0x1.0002280000000p-2",
    "0x1.99a0220000000p-3",
    "-0x1.5472180000000p-3",
    "0x1.22d88c0000000p-3",
    "-0x1.0d859c0000000p-3",
    "0x1.05633e0000000p-3",
    "-0x1.38c25a0000000p-4",
)
# (2 atanh(s) / s - 2) / s**2, in s**2; x from 0.001 to 0.17158: 2**-59.5
ATANH_F64: Final = _table(
    "0x1.5555555555592p-1",
    "0x1.999999997ff68p-2",
    "0x1.24924941daef5p-2",
    "0x1.c71c521a597ebp-3",
    "0x1.74663b9ab67a7p-3",
    "0x1.39a20be28ccf4p-3",
    "0x1.2f025655a3e56p-3",
)
# erf(x) / x - 1, in x**2; x from 0.001 to 0.93: 2**-30.05
ERF_NEAR_F32: Final = _table(
    "0x1.06eba80000000p-3",
    "-0x1.8127400000000p-2",
    "0x1.ce2d660000000p-4",
    "-0x1.b8015e0000000p-6",
    "0x1.544d320000000p-8",
    "-0x1.a628440000000p-11",
    "0x1.4fcfee0000000p-14",
)
# ln(1 - erf(x)); x from 0.92 to 4: 2**-29.27
ERFC_LOG_F32: Final = _table(
    "-0x1.99ea660000000p-13",
    "-0x1.20af6a0000000p+0",
    "-0x1.463c820000000p-1",
    "-0x1.a9b6200000000p-4",
    "0x1.6c2ec40000000p-6",
    "-0x1.8eeb640000000p-9",
    "0x1.9afbc80000000p-13",
)
# erf(x) / x - 1, in x**2; x from 0.001 to 1: 2**-56.03
ERF_NEAR_F64: Final = _table(
    "0x1.06eba8214db68p-3",
    "-0x1.812746b0379a2p-2",
    "0x1.ce2f21a03feb3p-4",
    "-0x1.b82ce311c8245p-6",
    "0x1.565bccf359722p-8",
    "-0x1.c02daf71eda87p-11",
    "0x1.f9a2a90f85e67p-14",
    "-0x1.f4c951a03dc50p-17",
    "0x1.b976badeaf692p-20",
    "-0x1.5bd2a56650a01p-23",
    "0x1.d5c334407934dp-27",
    "-0x1.a7deb80132f7bp-31",
)
# e**(x*x) * (1 - erf(x)), in (x - 2) / (x + 2); x from 1 to 6: 2**-60.54
ERFCX_F64: Final = _table(
    "0x1.058671b52c776p-2",
    "-0x1.b57034efd3f5dp-2",
    "0x1.eeea7dc8a78aep-3",
    "-0x1.437f0b68cc24fp-4",
    "0x1.e947158c43103p-9",
    "0x1.ca95ed8945d83p-8",
    "-0x1.bc258e380470dp-11",
    "-0x1.016b566d6e561p-10",
    "0x1.6d3419155ae6fp-15",
    "0x1.6d82e386371abp-13",
    "0x1.cf972c2766723p-16",
    "-0x1.be1fcae0218d6p-16",
    "-0x1.a7ba458160010p-17",
)
# (sin(r) / r - 1) / r**2, in r**2; x from 0.001 to 0.7855: 2**-27.91
SIN_F32: Final = _table(
    "-0x1.5555460000000p-3",
    "0x1.1107780000000p-7",
    "-0x1.9953fe0000000p-13",
)
# (cos(r) - 1 + r**2 / 2) / r**4, in r**2; x from 0.001 to 0.7855: 2**-32.99
COS_F32: Final = _table(
    "0x1.55554a0000000p-5",
    "-0x1.6c0c2a0000000p-10",
    "0x1.99e9100000000p-16",
)
# (sin(r) / r - 1) / r**2, in r**2; x from 0.001 to 0.7855: 2**-57.88
SIN_F64: Final = _table(
    "-0x1.5555555555548p-3",
    "0x1.111111110f757p-7",
    "-0x1.a01a019bf1579p-13",
    "0x1.71de355e6aaacp-19",
    "-0x1.ae5e540cfff5bp-26",
    "0x1.5d8e1d1a263e8p-33",
)
# (cos(r) - 1 + r**2 / 2) / r**4, in r**2; x from 0.001 to 0.7855: 2**-63.93
COS_F64: Final = _table(
    "0x1.555555555554bp-5",
    "-0x1.6c16c16c15016p-10",
    "0x1.a01a019c8f401p-16",
    "-0x1.27e4f7f19f1d6p-22",
    "0x1.1ee9dbd2ab2b2p-29",
    "-0x1.8fa68315b3f76p-37",
)
# log2(m) / s, in s**2, for pow of f32; x from 0.0001 to 0.17158: 2**-37.78
POW_LOG2: Final = _table(
    "0x1.71547652beb6cp+1",
    "0x1.ec709d1411639p-1",
    "0x1.27777f4598f0ap-1",
    "0x1.a58dc48a6dd05p-2",
    "0x1.5ce4b707f7dd7p-2",
)
# 2**t, for pow of f32; x from -0.5001 to 0.5001: 2**-29.0
POW_EXP2: Final = _table(
    "0x1.0000000262d29p+0",
    "0x1.62e430c827308p-1",
    "0x1.ebfbdad9dfa84p-3",
    "0x1.c6aed4659ee9bp-5",
    "0x1.3b2dbde47778ep-7",
    "0x1.5f4594e62ff42p-10",
    "0x1.41d1c2ca1e8c1p-13",
)
# (2 atanh(s) / s - 2 - 2/3 s**2) / s**4, for pow of f64; x from 0.001 to 0.17158: 2**-76.98
POW_ATANH: Final = _table(
    "0x1.999999999999ap-2",
    "0x1.2492492492363p-2",
    "0x1.c71c71c747ea0p-3",
    "0x1.745d172bc87c2p-3",
    "0x1.3b13ba5adffb9p-3",
    "0x1.110f1c1330731p-3",
    "0x1.e2658e3ca005ap-4",
    "0x1.a507511428227p-4",
    "0x1.ecb20a5799ef6p-4",
)
