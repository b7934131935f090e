"""Ufuncs that are programs of others: several results, tables, loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from tracejit.functions import lift, live
from tracejit.ir.types import is_integer
from tracejit.movement import astype, promoted
from tracejit.selection import take
from tracejit.ufuncs import apply, unsupported


def divmod(x1: Any, x2: Any) -> Any:
    return apply(np.floor_divide, x1, x2), apply(np.remainder, x1, x2)


def modf(x: Any) -> Any:
    """The fraction and the whole part, both with the sign of x."""
    whole = np.trunc(x)
    rest = np.where(np.isinf(x), 0, x - whole)
    return apply(np.copysign, rest, x), whole


def _integers(name: str, *operands: Any) -> list[Any]:
    values = promoted(list(operands))
    if not is_integer(values[0].dtype):
        types = " and ".join(str(v.node.type) for v in values)
        raise unsupported(f"np.{name} of {types}")
    return list(np.broadcast_arrays(*values))


def gcd(x1: Any, x2: Any) -> Any:
    """Euclid's algorithm, for all elements until the last is done."""
    from tracejit.control import while_loop

    def turn(pair: Any) -> Any:
        a, b = pair
        more = b != 0
        return np.where(more, b, a), np.where(more, a % np.where(more, b, 1), b)

    a, b = (np.abs(v) for v in _integers("gcd", x1, x2))
    return while_loop(lambda pair: np.any(pair[1] != 0), turn, (a, b))[0]


def lcm(x1: Any, x2: Any) -> Any:
    a, b = (np.abs(v) for v in _integers("lcm", x1, x2))
    divisor = gcd(a, b)
    return a // np.where(divisor == 0, 1, divisor) * b


def ldexp(x1: Any, x2: Any) -> Any:
    """x1 2**x2, rounded once: the odd part of the exponent first, then large powers."""
    x, count = live().lift(x1), lift(x2)  # a Python float counts in f64 here
    if not is_integer(count.dtype):
        raise unsupported(f"np.ldexp of {x.node.type} and {count.node.type}")
    x = astype(x, np.result_type(x.dtype, np.float16) if is_integer(x.dtype) else x.dtype)
    info: Any = ml_dtypes.finfo(x.dtype)
    large = -int(info.minexp)
    powers = np.ldexp(1.0, np.arange(-large, large + 1)).astype(x.dtype)
    left: Any = np.clip(astype(count, np.int64), -3 * large, 3 * large)
    parts = []
    for _ in range(2):
        parts.append(np.clip(left, -large, large))
        left = left - parts[-1]
    for part in (left, *parts[::-1]):
        x = lift(x * take(powers, part + large))
    return x


def frexp(x: Any) -> Any:
    """(m, e) with x = m 2**e and 0.5 <= |m| < 1; m = x and e = 0 of zero, infinities and nan."""
    value: Any = live().lift(x)
    plain = np.isfinite(value) & (value != 0)
    safe = np.where(plain, value, 1)
    guess = astype(np.floor(np.log2(np.abs(safe))), np.int32) + 1
    m: Any = ldexp(safe, -guess)
    # log2 rounds, and of a denormal may be one off.
    for _ in range(2):
        high, low = np.abs(m) >= 1, np.abs(m) < 0.5
        m = np.where(high, m * 0.5, np.where(low, m * 2, m))
        guess = guess + astype(high, np.int32) - astype(low, np.int32)
    return np.where(plain, m, value), np.where(plain, guess, 0).astype(np.int32)


COMPOSED: dict[np.ufunc, Callable[..., Any]] = {
    np.divmod: divmod,
    np.modf: modf,
    np.gcd: gcd,
    np.lcm: lcm,
    np.ldexp: ldexp,
    np.frexp: frexp,
}
