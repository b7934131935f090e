"""Templates of integer primitives: NumPy's wraparound, its division by zero (0), and no traps."""

from __future__ import annotations

from tracejit.codegen.llvm.builder import Builder
from tracejit.codegen.llvm.loops import repeat_while_any
from tracejit.codegen.llvm.values import Vec
from tracejit.ir.types import F32, F64, DType


def absolute(b: Builder, x: Vec) -> Vec:
    """|x|; the minimum stays itself."""
    zero = b.like(x, 0)
    return b.select(b.icmp("slt", x, zero), b.isub(zero, x), x)


def sign(b: Builder, x: Vec) -> Vec:
    """(x > 0) - (x < 0)."""
    zero = b.like(x, 0)
    if x.dtype.kind == "u":
        return b.cast("zext", b.icmp("ne", x, zero), x.dtype)
    negative = b.cast("sext", b.icmp("slt", x, zero), x.dtype)
    positive = b.cast("zext", b.icmp("sgt", x, zero), x.dtype)
    return b.or_(positive, negative)


def shift_left(b: Builder, x: Vec, y: Vec) -> Vec:
    """x << y; 0 where y is negative or not below the width."""
    fits = b.icmp("ult", y, b.like(y, 8 * y.dtype.itemsize))
    return b.select(fits, b.shl(x, y), b.like(x, 0))


def shift_right(b: Builder, x: Vec, y: Vec) -> Vec:
    """x >> y of unsigned x; 0 where y is not below the width."""
    fits = b.icmp("ult", y, b.like(y, 8 * y.dtype.itemsize))
    return b.select(fits, b.lshr(x, y), b.like(x, 0))


def shift_right_signed(b: Builder, x: Vec, y: Vec) -> Vec:
    """x >> y of signed x; all sign where y is negative or not below the width."""
    last = b.like(y, 8 * y.dtype.itemsize - 1)
    return b.ashr(x, b.select(b.icmp("ult", y, last), y, last))


def unsigned_divide(b: Builder, x: Vec, y: Vec) -> Vec:
    """x // y; 0 where y is 0."""
    if y.literal:
        return b.udiv(x, y)
    zero = b.like(y, 0)
    absent = b.icmp("eq", y, zero)
    return b.select(absent, zero, _quotient(b, x, b.select(absent, b.like(y, 1), y)))


def unsigned_remainder(b: Builder, x: Vec, y: Vec) -> Vec:
    """x % y; 0 where y is 0."""
    quotient = unsigned_divide(b, x, y)
    rest = b.isub(x, b.imul(quotient, y))
    zero = b.like(y, 0)
    return rest if y.literal else b.select(b.icmp("eq", y, zero), zero, rest)


def signed_floor_divide(b: Builder, x: Vec, y: Vec) -> Vec:
    """floor(x / y); 0 where y is 0, and minimum // -1 is the minimum."""
    quotient, rest = _truncated(b, x, y)
    # -1 as a bool: floor is one below the truncated quotient where the signs differ
    return b.iadd(quotient, b.cast("sext", _rounds_down(b, rest, y), x.dtype))


def signed_remainder(b: Builder, x: Vec, y: Vec) -> Vec:
    """x - floor(x / y) * y, of y's sign; 0 where y is 0."""
    _, rest = _truncated(b, x, y)
    return b.iadd(rest, b.select(_rounds_down(b, rest, y), y, b.like(y, 0)))


def _rounds_down(b: Builder, rest: Vec, y: Vec) -> Vec:
    """Where the truncated division left a rest of the other sign than y's."""
    zero = b.like(y, 0)
    return b.and_(b.icmp("ne", rest, zero), b.icmp("slt", b.xor(rest, y), zero))


def _truncated(b: Builder, x: Vec, y: Vec) -> tuple[Vec, Vec]:
    """Quotient towards zero and rest; (0, 0) where y is 0, (-x, 0) where it is -1."""
    if y.literal not in (None, 0, -1):
        quotient = b.sdiv(x, y)
        return quotient, b.isub(x, b.imul(quotient, y))
    zero = b.like(y, 0)
    absent, minus = b.icmp("eq", y, zero), b.icmp("eq", y, b.like(y, -1))
    safe = b.select(b.or_(absent, minus), b.like(y, 1), y)
    quotient = _quotient(b, x, safe)
    rest = b.isub(x, b.imul(quotient, safe))
    negated = b.select(minus, b.isub(zero, x), quotient)
    return b.select(absent, zero, negated), rest


def _quotient(b: Builder, x: Vec, y: Vec) -> Vec:
    """x / y towards zero, for y neither 0 nor (signed) -1.

    No vector unit divides integers, so divide floats with more bits than the integer has. That
    truncates to the exact quotient q: x/y lies at least 1/y below q + 1, which is 1/x of itself,
    more than half an ulp, so it does not round up to q + 1.
    """
    width = 8 * x.dtype.itemsize
    signed = x.dtype.kind == "i"
    if width == 64 or x.lanes == 1:
        return b.sdiv(x, y) if signed else b.udiv(x, y)
    wide: DType = F32 if width <= 16 else F64
    real = b.fdiv(b.convert(x, wide), b.convert(y, wide))
    return b.cast("fptosi" if signed else "fptoui", real, x.dtype)


def power(b: Builder, x: Vec, y: Vec) -> Vec:
    """x ** y, wrapped around; a negative y counts as 0."""
    exponent = y.literal
    if exponent is not None and 0 <= exponent <= 64:
        return _constant_power(b, x, int(exponent))
    if x.dtype.kind == "i":
        y = b.combine("max", y, b.like(y, 0))
    return b.outlined("ipow", x.dtype, _power_loop, x, y)


def _constant_power(b: Builder, x: Vec, exponent: int) -> Vec:
    result = b.like(x, 1) if exponent == 0 else x
    for bit in bin(exponent)[3:]:
        result = b.imul(result, result)
        if bit == "1":
            result = b.imul(result, x)
    return result


def _power_loop(b: Builder, args: list[Vec]) -> Vec:
    """Square and multiply until no lane has exponent bits left: width steps at most."""
    x, y = args
    zero, one = b.like(x, 0), b.like(x, 1)

    def step(values: list[Vec]) -> tuple[list[Vec], Vec]:
        base, exponent, result = values
        odd = b.icmp("ne", b.and_(exponent, one), zero)
        result = b.select(odd, b.imul(result, base), result)
        exponent = b.lshr(exponent, one)
        return [b.imul(base, base), exponent, result], b.icmp("ne", exponent, zero)

    return repeat_while_any(b, [x, y, one], step)[2]
