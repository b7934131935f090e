"""The functions that printed kernels call, for what takes more than one expression; and names.

Their source is copied into the printed file, so they name nothing but `np`, `math` and each other,
and they mean the same as plain Python on NumPy scalars and compiled by Numba. Numba turns mixed
integers or floats into f64 or i64, so constants come in as arguments of the operands' own type.
f16 and bf16 lie in buffers as u16 bit patterns, and in variables as the f32 of the same value.
"""

from __future__ import annotations

import inspect
import keyword
import math
from collections.abc import Iterable
from types import FunctionType

import numpy as np


def floor_divide_signed(a: int, b: int) -> int:
    """As NumPy: 0 where b is 0; the lowest number by -1 wraps instead of trapping."""
    if b == 0:
        return a - a
    if b == -1:
        return -a
    return a // b


def remainder_signed(a: int, b: int) -> int:
    """As NumPy: the sign of b; 0 where b is 0."""
    if b == 0 or b == -1:
        return a - a
    return a % b


def power_integer(a: int, b: int, one: int) -> int:
    """a ** b, wrapping; a negative exponent counts as 0."""
    power = one
    while b > 0:
        if b & one:
            power = power * a
        a = a * a
        b = b >> one
    return power


def power_float(a: float, b: float) -> float:
    """As C's pow. NumPy takes the root of scalars for b = 0.5, which has no -inf."""
    if b == 0.5 and (a == 0 or a == -np.inf):
        return abs(a)
    power: float = np.power(a, b)
    return power


def floor_divide_float(a: float, b: float, one: float) -> float:
    """As NumPy: from the exact remainder, not from the rounded quotient."""
    if b == 0:
        return a / b
    rest: float = np.fmod(a, b)
    quotient = (a - rest) / b
    if rest != 0 and (b < 0) != (rest < 0):
        quotient = quotient - one
    if quotient == 0:
        zero: float = np.copysign(quotient, a / b)
        return zero
    floor: float = np.floor(quotient)
    return floor + one if quotient - floor > 0.5 else floor


def remainder_float(a: float, b: float) -> float:
    """As NumPy: the sign of b, also of a zero."""
    rest: float = np.fmod(a, b)
    if rest == 0:
        rest = np.copysign(rest, b)
    elif (b < 0) != (rest < 0):
        rest = rest + b
    return rest


def sigmoid(x: float, one: float) -> float:
    """1 / (1 + exp(-x)), asking exp only for x <= 0: nothing overflows, small results stay."""
    e: float = np.exp(-abs(x))
    return (one if x >= 0 else e) / (one + e)


def small_float_value(bits: int, fraction: int, bias: int) -> np.float32:
    """The value of a 16-bit float with so many fraction bits and that exponent bias."""
    word = int(np.int64(bits))
    exponent = (word & 0x7FFF) >> fraction
    units = word & ((1 << fraction) - 1)
    if exponent == 2 * bias + 1:
        value = np.nan if units else np.inf
    elif exponent == 0:
        value = math.ldexp(float(units), 1 - bias - fraction)
    else:
        value = math.ldexp(float(units + (1 << fraction)), exponent - bias - fraction)
    return np.float32(-value if word & 0x8000 else value)


def small_float_bits(x: float, fraction: int, bias: int) -> np.uint16:
    """The 16-bit float nearest to x, ties to even; rounds once, from f64 too."""
    value = np.float64(x)
    size = abs(value)
    infinity = (2 * bias + 1) << fraction
    if size != size:
        bits = infinity + (1 << (fraction - 1))
    elif size == np.inf:
        bits = infinity
    elif size == 0:
        bits = 0
    else:
        exponent = max(math.frexp(size)[1] - 1, 1 - bias)
        units = int(np.rint(math.ldexp(size, fraction - exponent)))
        bits = min(((exponent + bias - 1) << fraction) + units, infinity)
    sign = 0x8000 if math.copysign(1.0, value) < 0 else 0
    return np.uint16(bits | sign)


def f16_value(bits: int) -> np.float32:
    """The value of an f16 bit pattern."""
    return small_float_value(bits, 10, 15)


def f16_bits(x: float) -> np.uint16:
    """The bit pattern of the f16 nearest to x."""
    return small_float_bits(x, 10, 15)


def bf16_value(bits: int) -> np.float32:
    """The value of a bf16 bit pattern."""
    return small_float_value(bits, 7, 127)


def bf16_bits(x: float) -> np.uint16:
    """The bit pattern of the bf16 nearest to x."""
    return small_float_bits(x, 7, 127)


def random_word(key0: int, key1: int, low: int, high: int, word: int) -> np.uint32:
    """Word `word` of the Philox 4x32-10 block of counter (low, high, 0, 0) under that key."""
    mask, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    k0, k1 = np.uint64(key0), np.uint64(key1)
    c0, c1, c2, c3 = np.uint64(low), np.uint64(high), np.uint64(0), np.uint64(0)
    for _ in range(10):
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (p1 >> half) ^ c1 ^ k0, p1 & mask, (p0 >> half) ^ c3 ^ k1, p0 & mask
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & mask, (k1 + np.uint64(0xBB67AE85)) & mask
    if word < 2:
        return np.uint32(c0 if word == 0 else c1)
    return np.uint32(c2 if word == 2 else c3)


# In the order in which they are printed: those that others call come first.
FUNCTIONS: dict[str, object] = {
    fn.__name__: fn
    for fn in (
        floor_divide_signed,
        remainder_signed,
        power_integer,
        power_float,
        floor_divide_float,
        remainder_float,
        sigmoid,
        small_float_value,
        small_float_bits,
        f16_value,
        f16_bits,
        bf16_value,
        bf16_bits,
        random_word,
    )
}


def library_source(used: Iterable[str], *, decorator: str) -> str:
    """The source of the functions in `used` and of those that they call."""
    needed = set(used)
    if any(name.startswith(("f16", "bf16")) for name in needed):
        needed |= {f"small_float_{part}" for part in ("value", "bits")}
    sources = [
        inspect.getsource(fn)
        for name, fn in FUNCTIONS.items()
        if name in needed and isinstance(fn, FunctionType)
    ]
    return "".join(f"{decorator}{source}\n\n" for source in sources)


RESERVED = {"np", "math", "njit", "prange", "range", "abs", "bool"}


class Names:
    """Valid, distinct Python names for things of several kinds, whatever they are called."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._names: dict[tuple[str, str], str] = {}
        self._taken = RESERVED | {*FUNCTIONS, *keyword.kwlist, *taken}

    def of(self, name: str, kind: str) -> str:
        if (kind, name) not in self._names:
            text = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)
            text = text.strip("_") or "v"
            text = f"v{text}" if text[0].isdigit() else text
            while text in self._taken:
                text += "_"
            self._taken.add(text)
            self._names[kind, name] = text
        return self._names[kind, name]
