"""The meaning of a loop nest, one statement at a time: the oracle of lowering and scheduling.

Parallel iterations run in a drawn order, since no schedule promises one. Along the way it checks
what a kernel must keep: every index inside its buffer, inputs only read, every output written,
names known where they are used. Tiles and lanes are ignored: they may not change what is computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import numpy as np

from tracejit.codegen.nest import (
    Acc,
    Arg,
    Const,
    Each,
    Fold,
    For,
    IndexValue,
    Kernel,
    Let,
    Load,
    Loop,
    Offset,
    Stmt,
    Store,
)
from tracejit.ir.affine import Affine
from tracejit.ir.graph import PRIMITIVES, Array
from tracejit.ir.primitives.random import philox

Names = dict[str, Array]


def interpret(kernel: Kernel, arrays: Sequence[Array], seed: int = 0) -> dict[str, Array]:
    """Runs a kernel on flat arrays, one for each buffer that is not scratch.

    Returns which elements of each buffer it has written or been given.
    """
    machine = _Machine(kernel, arrays, seed)
    machine.run()
    return machine.written


def value_of(index: Affine, axes: Mapping[str, int]) -> int:
    return index.const + sum(c * axes[axis] for axis, c in index.terms)


class _Machine:
    def __init__(self, kernel: Kernel, arrays: Sequence[Array], seed: int) -> None:
        self.kernel = kernel
        self.rng = np.random.default_rng(seed)
        shared = [b for b in kernel.buffers if b.role != "scratch"]
        self.memory = {b.name: a for b, a in zip(shared, arrays, strict=True)}
        for buffer in shared:
            array = self.memory[buffer.name]
            assert array.dtype == buffer.dtype and array.shape == (buffer.size,), buffer
        for buffer in kernel.buffers:
            if buffer.role == "scratch":
                self.memory[buffer.name] = np.empty(buffer.size, buffer.dtype)
        self.roles = {b.name: b.role for b in kernel.buffers}
        # Which elements hold something: all of an input, none of the rest.
        self.written = {b.name: np.full(b.size, b.role in ("in", "inout")) for b in kernel.buffers}

    def run(self) -> None:
        self._block(self.kernel.body, {}, {})
        for buffer in self.kernel.buffers:
            if buffer.role == "out":
                assert self.written[buffer.name].all(), f"{buffer} is not written everywhere"

    def _block(self, body: Sequence[Stmt], axes: dict[str, int], outer: Names) -> Names:
        """Runs a block; names made in it are known only in it."""
        names = dict(outer)
        for stmt in body:
            if isinstance(stmt, For):
                for at in self._iterations((stmt.loop,), axes):
                    self._block(stmt.body, axes | at, names)
            elif isinstance(stmt, Fold):
                self._fold(stmt, axes, names)
            elif isinstance(stmt, Each):
                self._block(stmt.body, axes, names)
            elif isinstance(stmt, Store):
                where = self._element(stmt.buffer, stmt.index, axes, names)
                assert self.roles[stmt.buffer] != "in", f"{stmt} stores to an input"
                self.memory[stmt.buffer][where] = self._arg(stmt.value, names)
                self.written[stmt.buffer][where] = True
            else:
                assert stmt.name not in names, f"{stmt.name} is assigned twice"
                names[stmt.name] = self._value(stmt, axes, names)
        return names

    def _iterations(self, loops: Sequence[Loop], axes: dict[str, int]) -> Iterator[dict[str, int]]:
        spans = []
        for loop in loops:
            assert loop.within is None or not (loop.parallel or loop.tiles), str(loop)
            assert loop.axis not in axes, f"{loop.axis} is bound twice"
            order = list(range(loop.extent))
            if loop.parallel:
                self.rng.shuffle(order)
            spans.append(order)
        for at in product(*spans):
            yield dict(zip([loop.axis for loop in loops], at, strict=True))

    def _fold(self, fold: Fold, axes: dict[str, int], names: Names) -> None:
        totals: dict[str, Array | None] = {acc.name: None for acc in fold.accs}
        for at in self._iterations(fold.loops, axes):
            bounds = [loop.within for loop in fold.loops if loop.within]
            if not all(0 <= value_of(b.at, axes | at) < b.size for b in bounds):
                continue
            inner = self._block(fold.body, axes | at, names)
            for acc in fold.accs:
                totals[acc.name] = self._step(acc, totals[acc.name], inner)
        for acc in fold.accs:
            total = totals[acc.name]
            names[acc.name] = _empty(acc) if total is None else total

    def _step(self, acc: Acc, total: Array | None, names: Names) -> Array:
        args = [self._arg(a, names) for a in acc.args]
        op = {"max": "maximum", "min": "minimum", "fma": "add"}.get(acc.op, acc.op)
        value = PRIMITIVES["mul"].eval(*args) if acc.op == "fma" else args[0]
        assert value.dtype == acc.dtype, acc
        return value if total is None else PRIMITIVES[op].eval(total, value)

    def _value(self, stmt: Let | Load | IndexValue, axes: dict[str, int], names: Names) -> Array:
        if isinstance(stmt, IndexValue):
            return np.asarray(value_of(stmt.index, axes)).astype(stmt.dtype)
        if isinstance(stmt, Load):
            where = self._element(stmt.buffer, stmt.index, axes, names)
            assert self.written[stmt.buffer][where], f"{stmt} reads what nobody has written"
            value = self.memory[stmt.buffer][where]
        else:
            value = _apply(stmt, [self._arg(a, names) for a in stmt.args])
        assert value.dtype == stmt.dtype, f"{stmt}: {value.dtype}"
        return np.asarray(value)

    def _element(self, buffer: str, index: Offset, axes: dict[str, int], names: Names) -> int:
        where = value_of(index.affine, axes)
        where += sum(int(names[v]) * stride for v, stride in index.dynamic)
        size = self.memory[buffer].size
        assert 0 <= where < size, f"{buffer}[{index}] is {where} of {size}"
        return where

    def _arg(self, arg: Arg, names: Names) -> Array:
        return np.asarray(arg.value, arg.dtype) if isinstance(arg, Const) else names[arg]


def _apply(stmt: Let, args: list[Array]) -> Array:
    with np.errstate(all="ignore"):
        if stmt.op == "cast":
            return PRIMITIVES["cast"].eval(*args, dtype=stmt.dtype)
        if stmt.op == "random_word":
            first, second, low, high, word = (int(a) for a in args)
            counter = np.array([[low], [high], [0], [0]], np.uint64)
            block = philox(counter, np.array([first, second], np.uint64))
            return block[word, 0].astype(np.uint32)
        return np.asarray(PRIMITIVES[stmt.op].eval(*args))


def _empty(acc: Acc) -> Array:
    """What a fold over nothing gives; infer forbids those without an identity."""
    values = {"add": 0, "fma": 0, "mul": 1, "or": False, "and": True}
    return np.asarray(values[acc.op]).astype(acc.dtype)
