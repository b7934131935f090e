"""A builder of textual LLVM IR over vectors of one lane count, in SSA form.

It emits no fast-math flags: an operation means what IEEE 754 says, and an fma stands only where one
was asked for, so equal expressions give equal bits whatever surrounds them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from tracejit.codegen.llvm.convert import convert
from tracejit.codegen.llvm.values import (
    Vec,
    is_float,
    is_half,
    kind_of,
    literal_text,
    llvm_type,
    overload_suffix,
)
from tracejit.ir.types import BOOL, DType

__all__ = ["Builder", "Vec"]

# op of a reduction -> instruction, for the ops that are one instruction on integers
_COMBINE_INT: Final = {"add": "add", "mul": "mul", "and": "and", "or": "or"}
# on bools + and max are "or", * and min are "and", as in NumPy
_COMBINE_BOOL: Final = {
    "add": "or",
    "max": "or",
    "or": "or",
    "mul": "and",
    "min": "and",
    "and": "and",
}


class Builder:
    """Appends instructions to `lines`; collects what the module must declare in `declares`.

    declares: symbol -> module-level text, a `declare` or the whole body of an outlined internal
    function; print each once per module.
    has_fma: the target has a fused multiply-add instruction (else `fma` is mul, then add: LLVM
    would call libm's). has_f16: it converts f16 in hardware; by default that goes with fma.
    passed_bits: the widest vector given to an outlined function. Where the CPU has wider registers
    than the kernel is for, both must take them for legal, or they would pass it in different ones.
    """

    def __init__(self, has_fma: bool = True, has_f16: bool | None = None) -> None:
        self.lines: list[str] = []
        self.declares: dict[str, str] = {}
        self.passed_bits = 0
        self.has_fma = has_fma
        self.has_f16 = has_fma if has_f16 is None else has_f16
        self._count = 0

    # Names, constants, raw instructions

    def fresh(self, hint: str = "v") -> str:
        """A name not used before in this function, with its %."""
        self._count += 1
        return f"%{hint}{self._count}"

    def const(self, value: float | np.generic, dtype: DType, lanes: int) -> Vec:
        """The constant with exactly these bits in every lane."""
        text = literal_text(value, dtype)
        return Vec(text if lanes == 1 else f"splat ({llvm_type(dtype)} {text})", dtype, lanes)

    def like(self, x: Vec, value: float | np.generic) -> Vec:
        """`value` as a constant of x's dtype and lanes."""
        return self.const(value, x.dtype, x.lanes)

    def inst(self, text: str, dtype: DType, lanes: int) -> Vec:
        """Append `%v12 = text`; dtype and lanes are those of the result."""
        name = self.fresh()
        self.lines.append(f"  {name} = {text}")
        return Vec(name, dtype, lanes)

    def call(self, intrinsic: str, *args: Vec, lanes: int | None = None) -> Vec:
        """Call an intrinsic overloaded on its first argument's type, which is the result's too.

        lanes: those of the result, if not the argument's.
        """
        first = args[0]
        result = llvm_type(first.dtype, first.lanes if lanes is None else lanes)
        name = f"{intrinsic}.{overload_suffix(first.dtype, first.lanes)}"
        self.declares[name] = f"declare {result} @{name}({', '.join(a.type for a in args)})"
        text = f"call {result} @{name}({', '.join(a.typed for a in args)})"
        return self.inst(text, first.dtype, first.lanes if lanes is None else lanes)

    def outlined(
        self, name: str, result: DType, body: Callable[[Builder, list[Vec]], Vec], *args: Vec
    ) -> Vec:
        """Call an internal function, defined once per module, whose code `body` builds.

        For code with branches, or too long to repeat in every kernel. `body` starts in the block
        `entry`, may open blocks, and returns a Vec of dtype `result` with the arguments' lanes.
        """
        first = args[0]
        symbol = f"tj.{name}.{overload_suffix(first.dtype, first.lanes)}"
        if symbol not in self.declares:
            inner = Builder(self.has_fma, self.has_f16)
            params = [Vec(f"%p{i}", a.dtype, a.lanes) for i, a in enumerate(args)]
            returned = body(inner, params)
            width = max(128, 8 * first.dtype.itemsize * first.lanes)
            legal = max(width, inner.passed_bits)
            attributes = (
                f'nounwind "prefer-vector-width"="{width}" "min-legal-vector-width"="{legal}"'
            )
            signature = ", ".join(p.typed for p in params)
            self.declares.update(inner.declares)
            self.declares[symbol] = "\n".join(
                [
                    f"define internal {returned.type} @{symbol}({signature}) {attributes} {{",
                    "entry:",
                    *inner.lines,
                    f"  ret {returned.typed}",
                    "}",
                ]
            )
        self.passed_bits = max(self.passed_bits, 8 * first.dtype.itemsize * first.lanes)
        text = f"call {llvm_type(result, first.lanes)} @{symbol}"
        return self.inst(f"{text}({', '.join(a.typed for a in args)})", result, first.lanes)

    # Arithmetic; operands of one type, which is the result's

    def _binary(self, instruction: str, x: Vec, y: Vec) -> Vec:
        return self.inst(f"{instruction} {x.typed}, {y.ref}", x.dtype, x.lanes)

    def fadd(self, x: Vec, y: Vec) -> Vec:
        return self._binary("fadd", x, y)

    def fsub(self, x: Vec, y: Vec) -> Vec:
        return self._binary("fsub", x, y)

    def fmul(self, x: Vec, y: Vec) -> Vec:
        return self._binary("fmul", x, y)

    def fdiv(self, x: Vec, y: Vec) -> Vec:
        return self._binary("fdiv", x, y)

    def fneg(self, x: Vec) -> Vec:
        return self.inst(f"fneg {x.typed}", x.dtype, x.lanes)

    def fma(self, x: Vec, y: Vec, z: Vec) -> Vec:
        """x*y + z, rounded once where the target can."""
        if self.has_fma:
            return self.call("llvm.fma", x, y, z)
        return self.fadd(self.fmul(x, y), z)

    def iadd(self, x: Vec, y: Vec) -> Vec:
        return self._binary("add", x, y)

    def isub(self, x: Vec, y: Vec) -> Vec:
        return self._binary("sub", x, y)

    def imul(self, x: Vec, y: Vec) -> Vec:
        return self._binary("mul", x, y)

    def sdiv(self, x: Vec, y: Vec) -> Vec:
        """Truncated signed quotient; traps or is undefined for y = 0 and for minimum / -1."""
        return self._binary("sdiv", x, y)

    def udiv(self, x: Vec, y: Vec) -> Vec:
        """Unsigned quotient; traps or is undefined for y = 0."""
        return self._binary("udiv", x, y)

    def shl(self, x: Vec, y: Vec) -> Vec:
        """x << y; undefined for y >= width."""
        return self._binary("shl", x, y)

    def lshr(self, x: Vec, y: Vec) -> Vec:
        """x >> y, filled with zeros; undefined for y >= width."""
        return self._binary("lshr", x, y)

    def ashr(self, x: Vec, y: Vec) -> Vec:
        """x >> y, filled with the sign; undefined for y >= width."""
        return self._binary("ashr", x, y)

    def and_(self, x: Vec, y: Vec) -> Vec:
        return self._binary("and", x, y)

    def or_(self, x: Vec, y: Vec) -> Vec:
        return self._binary("or", x, y)

    def xor(self, x: Vec, y: Vec) -> Vec:
        return self._binary("xor", x, y)

    def not_(self, x: Vec) -> Vec:
        if x.dtype == BOOL:
            return self.xor(x, self.like(x, True))
        return self.xor(
            x, self.like(x, -1 if x.dtype.kind == "i" else 2 ** (8 * x.dtype.itemsize) - 1)
        )

    # Comparison and choice

    def icmp(self, predicate: str, x: Vec, y: Vec) -> Vec:
        """predicate: LLVM's (`eq`, `slt`, `ult`, ...); the result is bool."""
        return self.inst(f"icmp {predicate} {x.typed}, {y.ref}", BOOL, x.lanes)

    def fcmp(self, predicate: str, x: Vec, y: Vec) -> Vec:
        """predicate: LLVM's (`olt`, `une`, `uno`, ...); the result is bool."""
        return self.inst(f"fcmp {predicate} {x.typed}, {y.ref}", BOOL, x.lanes)

    def select(self, predicate: Vec, on_true: Vec, on_false: Vec) -> Vec:
        text = f"select {predicate.typed}, {on_true.typed}, {on_false.typed}"
        return self.inst(text, on_true.dtype, on_true.lanes)

    def maximum(self, x: Vec, y: Vec) -> Vec:
        """max with nan in if nan out; of zeros of both signs either may come back."""
        return self._extremum("ogt", x, y)

    def minimum(self, x: Vec, y: Vec) -> Vec:
        """min with nan in if nan out; of zeros of both signs either may come back."""
        return self._extremum("olt", x, y)

    def _extremum(self, predicate: str, x: Vec, y: Vec) -> Vec:
        # "x beats y ? x : y" gives y when either is nan, and is one vmaxps. So a constant that is
        # no nan goes first, and that is all; else a nan in x is put back.
        if _is_number(y):
            x, y = y, x
        chosen = self.select(self.fcmp(predicate, x, y), x, y)
        return chosen if _is_number(x) else self.select(self.fcmp("uno", x, x), x, chosen)

    # Change of type

    def bitcast(self, x: Vec, dtype: DType) -> Vec:
        """The same bits as dtype, which must be as wide; between signed and unsigned it is free."""
        if llvm_type(x.dtype) == llvm_type(dtype):
            return Vec(x.ref, dtype, x.lanes)
        return self.inst(f"bitcast {x.typed} to {llvm_type(dtype, x.lanes)}", dtype, x.lanes)

    def cast(self, instruction: str, x: Vec, dtype: DType) -> Vec:
        """One LLVM conversion: `fpext`, `sitofp`, `trunc`, ..."""
        text = f"{instruction} {x.typed} to {llvm_type(dtype, x.lanes)}"
        return self.inst(text, dtype, x.lanes)

    def convert(self, x: Vec, dtype: DType) -> Vec:
        """x as dtype, with NumPy's `astype` values; a float out of an integer's range gives any."""
        return convert(self, x, dtype)

    # Lanes

    def splat(self, scalar: Vec, lanes: int) -> Vec:
        """The scalar in every lane."""
        if lanes == 1:
            return scalar
        if not scalar.ref.startswith("%"):
            return Vec(f"splat ({scalar.typed})", scalar.dtype, lanes)
        vector = llvm_type(scalar.dtype, lanes)
        first = self.inst(
            f"insertelement {vector} poison, {scalar.typed}, i64 0", scalar.dtype, lanes
        )
        text = f"shufflevector {first.typed}, {vector} poison, <{lanes} x i32> zeroinitializer"
        return self.inst(text, scalar.dtype, lanes)

    def extract(self, x: Vec, lane: int) -> Vec:
        """One lane as a scalar."""
        if x.lanes == 1:
            return x
        return self.inst(f"extractelement {x.typed}, i64 {lane}", x.dtype, 1)

    def insert(self, x: Vec, scalar: Vec, lane: int) -> Vec:
        """x with the scalar in one lane."""
        if x.lanes == 1:
            return scalar
        text = f"insertelement {x.typed}, {scalar.typed}, i64 {lane}"
        return self.inst(text, x.dtype, x.lanes)

    def combine(self, op: str, x: Vec, y: Vec) -> Vec:
        """One step of a reduction: op in add mul max min and or; max and min propagate nan."""
        kind = kind_of(x.dtype)
        if is_half(x.dtype):
            f32 = np.dtype(np.float32)
            return self.convert(
                self.combine(op, self.convert(x, f32), self.convert(y, f32)), x.dtype
            )
        if kind == "b":
            return self._binary(_COMBINE_BOOL[op], x, y)
        if op in ("max", "min"):
            if kind == "f":
                return self.maximum(x, y) if op == "max" else self.minimum(x, y)
            predicate = ("s" if kind == "i" else "u") + ("gt" if op == "max" else "lt")
            return self.select(self.icmp(predicate, x, y), x, y)
        if is_float(x.dtype):
            return self.fadd(x, y) if op == "add" else self.fmul(x, y)
        return self._binary(_COMBINE_INT[op], x, y)

    def horizontal(self, op: str, x: Vec) -> Vec:
        """Reduce the lanes (a power of two) to a scalar: lane i with lane i + lanes/2, and again.

        Half floats are summed in f32 and rounded once.
        """
        if is_half(x.dtype):
            return self.convert(self.horizontal(op, self.convert(x, np.dtype(np.float32))), x.dtype)
        if x.dtype == BOOL and x.lanes > 1:  # one movmsk or ptest instead of a tree
            return self.call(f"llvm.vector.reduce.{_COMBINE_BOOL[op]}", x, lanes=1)
        while x.lanes > 1:
            half = x.lanes // 2
            x = self.combine(op, self._lanes_from(x, 0, half), self._lanes_from(x, half, half))
        return x

    def transposed(self, rows: list[Vec]) -> list[Vec]:
        """The columns of a square block: for each bit of their numbers, rows and lanes are swapped.

        The lowest bits first: within 16 bytes a swap is one cheap instruction on every CPU.
        """
        rows = list(rows)
        bit = 1
        while bit < len(rows):
            for n in range(len(rows)):
                if not n & bit:
                    pair = rows[n], rows[n | bit]
                    rows[n] = self._swapped(*pair, bit, 0)
                    rows[n | bit] = self._swapped(*pair, bit, bit)
            bit *= 2
        return rows

    def _swapped(self, x: Vec, y: Vec, bit: int, which: int) -> Vec:
        """The lanes of x and y whose number has `bit` as in `which`; those of y have it set."""
        lanes = [n & ~bit | which for n in range(x.lanes)]
        mask = ", ".join(f"i32 {k + x.lanes * bool(n & bit)}" for n, k in enumerate(lanes))
        text = f"shufflevector {x.typed}, {y.typed}, <{x.lanes} x i32> <{mask}>"
        return self.inst(text, x.dtype, x.lanes)

    def _lanes_from(self, x: Vec, start: int, lanes: int) -> Vec:
        if lanes == 1:
            return self.extract(x, start)
        mask = ", ".join(f"i32 {i}" for i in range(start, start + lanes))
        text = f"shufflevector {x.typed}, {x.type} poison, <{lanes} x i32> <{mask}>"
        return self.inst(text, x.dtype, lanes)


def _is_number(x: Vec) -> bool:
    """Is x a constant, and no nan?"""
    value = x.literal
    return value is not None and value == value
