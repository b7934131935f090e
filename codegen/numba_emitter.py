"""Prints loop nests as Numba Python source: the readable form of a kernel.

The nest is printed as lowered; tiles and lanes of a schedule are ignored. Each kernel is a function
of flat arrays, in buffer order, without the scratch buffers, which it allocates itself inside its
parallel loop. Every operation of the loop IR is taken, for every dtype: f16 and bf16, which Numba
does not have, are u16 bit patterns in the arrays and exact f32 in variables, rounded after each
operation. Without Numba the printed file is plain Python, slow and with the same results, but for
the last bits of the transcendental functions, which are NumPy's there and libm's under Numba.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from tracejit.codegen.nest import (
    Acc,
    Arg,
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
    walk,
)
from tracejit.codegen.numba_library import FUNCTIONS, Names, library_source
from tracejit.codegen.numba_operations import (
    ACC_OPS,
    BOOL_OPS,
    EXACT,
    buffer_dtype,
    identity,
    is_small,
    literal,
    scalar_type,
    table,
)
from tracejit.ir.affine import ZERO, Affine
from tracejit.ir.graph import Array
from tracejit.ir.types import BF16, BOOL, F64, DType, dtype_name

SERIAL = '@njit(error_model="numpy")\n'
PARALLEL = '@njit(error_model="numpy", parallel=True)\n'
IMPORTS = "from __future__ import annotations\n\nimport math\n\nimport numpy as np\n\n"
NUMBA_OR_PYTHON = """try:
    from numba import njit, prange
except ImportError:  # plain Python: slow, with the same results
    prange = range

    def njit(**options):
        return lambda function: function


"""
PYTHON_ONLY = "prange = range\n\n\n"


class NumbaUnsupported(NotImplementedError):
    """An operation on a dtype that this emitter cannot print; the message names both."""


class _Printer:
    """One kernel's function being written: its lines, and the library functions it uses."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.lines: list[str] = []
        self.indent = 1
        self.dtypes: dict[str, DType] = {}
        self.buffers = {b.name: b for b in kernel.buffers}
        self.used: set[str] = set()
        self.loc: str | None = None
        self._names = Names()
        self._in_parallel = False

    def name(self, name: str, kind: str = "value") -> str:
        """The Python name of a value, axis or buffer."""
        return self._names.of(name, kind)

    def line(self, text: str) -> None:
        self.lines.append("    " * self.indent + text)

    def call(self, function: str, argument: str) -> str:
        self.used.add(function)
        return f"{function}({argument})"

    def arg(self, arg: Arg) -> str:
        return self.name(arg) if isinstance(arg, str) else literal(arg)

    def dtype(self, arg: Arg) -> DType:
        return self.dtypes[arg] if isinstance(arg, str) else arg.dtype

    def rounded(self, text: str, dtype: DType) -> str:
        """`text`, an f32, as the nearest value of the 16-bit float `dtype`."""
        short = dtype_name(dtype)
        return self.call(f"{short}_value", self.call(f"{short}_bits", text))

    def apply(self, op: str, dtype: DType, args: Sequence[Arg]) -> str:
        """The expression of one elementwise operation with a result of `dtype`."""
        if op == "cast":
            return self.cast(args[0], dtype)
        operand = self.dtype(args[1] if op == "select" else args[0])
        row = table(operand).get(op)
        if row is None:
            raise NumbaUnsupported(f"{self.kernel.name}: {op} on {dtype_name(operand)}")
        self.used.update(name for name in FUNCTIONS if f"{name}(" in row)
        names = dict(zip("abcde", map(self.arg, args), strict=False))
        text = row.format(T=scalar_type(dtype), bits=operand.itemsize * 8, **names)
        if is_small(dtype) and op not in EXACT:
            return self.rounded(text, dtype)
        return text

    def cast(self, arg: Arg, dtype: DType) -> str:
        text, source = self.arg(arg), self.dtype(arg)
        if source == dtype:
            return text
        if dtype == BOOL:
            return f"{text} != 0"
        if not is_small(dtype):
            return f"{scalar_type(dtype)}({text})"
        # NumPy rounds f64 to f16 once; everything else goes through f32 on its way.
        direct = is_small(source) or (source == F64 and dtype != BF16)
        return self.rounded(text if direct else f"np.float32({text})", dtype)

    def affine(self, index: Affine) -> str:
        terms = [(self.name(axis, "axis"), c) for axis, c in index.terms]
        parts = [{1: name, -1: f"-{name}"}.get(c, f"{c}*{name}") for name, c in terms]
        if index.const or not parts:
            parts.append(str(index.const))
        return " + ".join(parts).replace("+ -", "- ")

    def element(self, buffer: str, offset: Offset) -> str:
        rows = [f"{stride}*np.int64({self.name(v)})" for v, stride in offset.dynamic]
        return f"{self.name(buffer, 'buffer')}[{' + '.join([self.affine(offset.affine), *rows])}]"

    def block(self, body: Sequence[Stmt]) -> None:
        for stmt in body:
            self.statement(stmt)

    def statement(self, stmt: Stmt) -> None:
        assert not isinstance(stmt, Each), "only schedules make it"
        loc = None if isinstance(stmt, For) else stmt.loc
        if loc is not None and loc != self.loc:
            self.line(f"# {loc}")
            self.loc = loc
        match stmt:
            case For():
                self.loop(stmt)
            case Fold():
                self.fold(stmt)
            case Load(name, dtype, buffer, index):
                text = self.element(buffer, index)
                small = is_small(self.buffers[buffer].dtype)
                short = dtype_name(self.buffers[buffer].dtype)
                self.assign(name, dtype, self.call(f"{short}_value", text) if small else text)
            case Store(buffer, index, value):
                dtype, text = self.buffers[buffer].dtype, self.arg(value)
                text = self.call(f"{dtype_name(dtype)}_bits", text) if is_small(dtype) else text
                self.line(f"{self.element(buffer, index)} = {text}")
            case IndexValue(name, dtype, index):
                text = f"{scalar_type(dtype)}(np.int64({self.affine(index)}))"
                self.assign(name, dtype, self.rounded(text, dtype) if is_small(dtype) else text)
            case Let(name, dtype, op, args):
                self.assign(name, dtype, self.apply(op, dtype, args))

    def assign(self, name: str, dtype: DType, text: str) -> None:
        self.dtypes[name] = dtype
        self.line(f"{self.name(name)} = {text}")

    def loop(self, stmt: For) -> None:
        axis, extent = self.name(stmt.loop.axis, "axis"), stmt.loop.extent
        starts = stmt.loop.parallel and not self._in_parallel
        if starts:
            # Numba's prange counts in u64, and u64 with negative i64 makes f64.
            unsigned = self.name(stmt.loop.axis, "parallel")
            self.line(f"for {unsigned} in prange({extent}):")
        else:
            self.line(f"for {axis} in range({extent}):")
        self._in_parallel |= starts
        self.indent += 1
        if starts:
            self.line(f"{axis} = np.int64({unsigned})")
            self.scratch(walk(stmt.body))
        self.block(stmt.body)
        self.indent -= 1
        self._in_parallel &= not starts

    def fold(self, stmt: Fold) -> None:
        for acc in stmt.accs:
            self.assign(acc.name, acc.dtype, literal(identity(acc.op, acc.dtype)))
        for loop in stmt.loops:
            self.line(f"for {self.name(loop.axis, 'axis')} in range({self.bounds(loop)}):")
            self.indent += 1
        self.block(stmt.body)
        for acc in stmt.accs:
            self.assign(acc.name, acc.dtype, self.combined(acc))
        self.indent -= len(stmt.loops)

    def bounds(self, loop: Loop) -> str:
        """What `range` takes for a fold's loop. Quotients are rounded up: -(a // -b)."""
        if loop.within is None:
            return str(loop.extent)
        rest = loop.within.at.substitute({loop.axis: ZERO})
        step = loop.within.at.coefficient(loop.axis)
        ends = [self.affine(rest * -1 + end) for end in (0, loop.within.size)]
        if step > 1:
            ends = [f"-(({end}) // -{step})" for end in ends]
        return f"max(0, {ends[0]}), min({loop.extent}, {ends[1]})"

    def combined(self, acc: Acc) -> str:
        op = ACC_OPS.get(acc.op, acc.op)
        op = BOOL_OPS.get(op, op) if acc.dtype == BOOL else op
        return self.apply(op, acc.dtype, (acc.name, *acc.args))

    def scratch(self, body: Iterable[Stmt]) -> None:
        """Allocates the scratch buffers that `body` uses; each thread gets its own."""
        used = {stmt.buffer for stmt in body if isinstance(stmt, Load | Store)}
        for buffer in self.kernel.buffers:
            if buffer.role == "scratch" and buffer.name in used:
                dtype = buffer_dtype(buffer.dtype).name
                name = self.name(buffer.name, "buffer")
                self.line(f"{name} = np.empty({buffer.size}, dtype=np.{dtype})")

    def function(self) -> str:
        """The whole function, without its decorator."""
        buffers = [b for b in self.kernel.buffers if b.role != "scratch"]
        params = ", ".join(self.name(b.name, "buffer") for b in buffers)
        for b in buffers:
            self.line(f"# {self.name(b.name, 'buffer')}: {dtype_name(b.dtype)}[{b.size}] {b.role}")
        self.scratch(_serial_part(self.kernel.body))
        self.block(self.kernel.body)
        return "\n".join([f"def {self.kernel.name}({params}):", *self.lines, ""])


def _serial_part(body: Sequence[Stmt]) -> Iterator[Stmt]:
    """Every statement that stands in no parallel loop."""
    for stmt in body:
        if not (isinstance(stmt, For) and stmt.loop.parallel):
            yield stmt
            yield from _serial_part(stmt.body if isinstance(stmt, For | Fold) else ())


def _is_parallel(kernel: Kernel) -> bool:
    return any(isinstance(s, For) and s.loop.parallel for s in walk(kernel.body))


def kernel_source(kernel: Kernel, *, decorator: bool) -> str:
    """The kernel as one Python function of its flat buffers, less the scratch ones."""
    how = (PARALLEL if _is_parallel(kernel) else SERIAL) if decorator else ""
    return how + _Printer(kernel).function()


def library_of(kernels: Iterable[Kernel], *, decorator: bool) -> str:
    """The library functions that the kernels call, as source."""
    used: set[str] = set()
    for kernel in kernels:
        printer = _Printer(kernel)
        printer.function()
        used |= printer.used
    return library_source(used, decorator=SERIAL if decorator else "")


def module_source(kernels: Sequence[Kernel], *, decorator: bool = True) -> str:
    """A module of the kernels with all that they need; with `decorator` it uses Numba if it can."""
    head = IMPORTS + (NUMBA_OR_PYTHON if decorator else PYTHON_ONLY)
    functions = [kernel_source(k, decorator=decorator) for k in kernels]
    return head + library_of(kernels, decorator=decorator) + "\n\n".join(functions)


class PrintedFunction(Protocol):
    """A function of printed source: a kernel on flat arrays, or a program."""

    def __call__(self, *arrays: Array) -> Sequence[Array]: ...


_compiled: dict[tuple[str, str], PrintedFunction] = {}


def printed_function(source: str, name: str) -> PrintedFunction:
    """The function `name` of a printed file, kept by its source: equal ones compile once."""
    if (source, name) not in _compiled:
        scope: dict[str, PrintedFunction] = {}
        exec(compile(source, f"<{name}>", "exec"), scope)
        _compiled[source, name] = scope[name]
    return _compiled[source, name]


def run_kernel(kernel: Kernel, arrays: Sequence[Array], *, use_numba: bool = True) -> None:
    """Runs the kernel on arrays in buffer order without scratch, writing to its outputs in place.

    The arrays are contiguous, of the buffers' dtypes and sizes, in any shape.
    """
    function = printed_function(module_source([kernel], decorator=use_numba), kernel.name)
    with np.errstate(all="ignore"):
        function(*map(_flat, arrays))


def _flat(array: Array) -> Array:
    """The array as a printed kernel takes it: flat, 16-bit floats as their bits."""
    assert array.flags.c_contiguous, "kernels take contiguous arrays"
    return array.reshape(-1).view(buffer_dtype(array.dtype))
