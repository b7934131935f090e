"""Addresses, loads and stores of the LLVM emitter, and the scopes in which they are shared.

A scope is a stretch of code that is entered and left as a whole: a loop body, one side of a branch.
Each keeps the addresses and broadcasts computed in it. The part of an address that an outer loop
decides is computed at the start of that loop's body.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tracejit.codegen.llvm.builder import Builder
from tracejit.codegen.llvm.values import Vec, llvm_type, overload_suffix
from tracejit.codegen.nest import IndexValue, Kernel, Load, Store
from tracejit.ir.affine import Affine
from tracejit.ir.types import BOOL, I64, U8, DType

# Bytes of a cache line on every CPU that this is meant for.
LINE = 64

Dynamic = Sequence[tuple[Vec, int]]


@dataclass(slots=True)
class _Scope:
    number: int
    start: list[str] = field(default_factory=list)
    known: dict[object, str] = field(default_factory=dict)


class Access:
    """Where the axes stand, and how buffers are read and written there."""

    def __init__(self, b: Builder, kernel: Kernel) -> None:
        self.b = b
        self.dtypes: dict[str, DType] = {buffer.name: buffer.dtype for buffer in kernel.buffers}
        self.scratch = [buffer for buffer in kernel.buffers if buffer.role == "scratch"]
        self.scopes: list[_Scope] = []
        self._all: list[_Scope] = []
        self._axis: dict[str, tuple[str | int, int]] = {}
        self._active: Vec | None = None

    # Scopes and axes

    @contextmanager
    def scope(self) -> Iterator[None]:
        outermost = not self.scopes
        scope = _Scope(len(self._all))
        self._all.append(scope)
        self.scopes.append(scope)
        self.b.lines.append(f";scope {scope.number}")
        if outermost:
            for buffer in self.scratch:
                memory = llvm_type(_in_memory(buffer.dtype))
                scope.start.append(
                    f"  %{buffer.name} = alloca [{buffer.size} x {memory}], align 64"
                )
        yield
        self.scopes.pop()

    def flattened(self, lines: Sequence[str]) -> list[str]:
        """The function's lines with each scope's opening instructions in their place."""
        done: list[str] = []
        for line in lines:
            if line.startswith(";scope "):
                done += self._all[int(line[7:])].start
            else:
                done.append(line)
        return done

    def bind(self, axis: str, ref: str) -> None:
        """Inside the present scope, `axis` is the i64 value `ref`."""
        self._axis[axis] = (ref, len(self.scopes) - 1)

    def fix(self, axis: str, value: int) -> None:
        """Inside the present scope, `axis` is a constant."""
        self._axis[axis] = (value, 0)

    @contextmanager
    def advanced(self, axis: str, by: str) -> Iterator[None]:
        """A scope in which the axis stands `by` iterations further on."""
        before = self._axis[axis]
        name = self.b.fresh("a")
        self.b.lines.append(f"  {name} = add i64 {before[0]}, {by}")
        with self.scope():
            self.bind(axis, name)
            yield
        self._axis[axis] = before

    def stack(self, like: Vec, count: int) -> str:
        """The address of memory for `count` values of one type, for as long as the kernel runs."""
        name = self.b.fresh("stack")
        self._all[0].start.append(f"  {name} = alloca [{count} x {like.type}]")
        return name

    def _address(self, buffer: str, index: Affine) -> tuple[str, int]:
        """The address that the axes give, and the constant number of elements beyond it."""
        const = index.const
        terms: list[tuple[int, str, int]] = []
        for axis, c in index.terms:
            ref, depth = self._axis[axis]
            if isinstance(ref, int):
                const += c * ref
            else:
                terms.append((depth, ref, c))
        terms.sort()
        pointer = f"%{buffer}"
        element = llvm_type(_in_memory(self.dtypes[buffer]))
        for depth, ref, c in terms:
            offset = (
                self._in_scope(depth, ("mul", ref, c), f"mul i64 {ref}, {c}") if c != 1 else ref
            )
            text = f"getelementptr {element}, ptr {pointer}, i64 {offset}"
            pointer = self._in_scope(depth, ("gep", element, pointer, offset), text)
        return pointer, const

    def _in_scope(self, depth: int, key: object, text: str) -> str:
        scope = self.scopes[depth]
        if key not in scope.known:
            name = self.b.fresh("a")
            scope.start.append(f"  {name} = {text}")
            scope.known[key] = name
        return scope.known[key]

    def _element(
        self, buffer: str, index: Affine, point: Mapping[str, int], dynamic: Dynamic, lane: int = 0
    ) -> str:
        """The address of one element; of a dynamic index that is a vector, `lane` is taken."""
        pointer, const = self._address(buffer, index)
        const += sum(index.coefficient(axis) * offset for axis, offset in point.items())
        element = llvm_type(_in_memory(self.dtypes[buffer]))
        for value, stride in dynamic:
            scalar = self.b.extract(value, lane)
            scaled = self.b.imul(scalar, self.b.const(stride, I64, 1))
            text = f"getelementptr {element}, ptr {pointer}, i64 {scaled.ref}"
            pointer = self.b.fresh("a")
            self.b.lines.append(f"  {pointer} = {text}")
        if not const:
            return pointer
        key = ("at", element, pointer, const)
        scope = self.scopes[-1]
        if key not in scope.known:
            name = scope.known[key] = self.b.fresh("a")
            self.b.lines.append(f"  {name} = getelementptr {element}, ptr {pointer}, i64 {const}")
        return scope.known[key]

    @contextmanager
    def masked(self, mask: Vec) -> Iterator[None]:
        """Inside, vectors are loaded and stored in the lanes of `mask` only."""
        self._active = mask
        yield
        self._active = None

    # Values

    def splat(self, scalar: Vec, lanes: int) -> Vec:
        """A scalar in every lane, broadcast once per scope."""
        key = ("splat", scalar.ref, lanes)
        for scope in reversed(self.scopes):
            if key in scope.known:
                return Vec(scope.known[key], scalar.dtype, lanes)
        vec = self.b.splat(scalar, lanes)
        self.scopes[-1].known[key] = vec.ref
        return vec

    def mask(self, lanes: int, active: int) -> Vec:
        """True in the first `active` lanes."""
        bits = ", ".join(f"i1 {'true' if n < active else 'false'}" for n in range(lanes))
        return Vec(f"<{bits}>", BOOL, lanes)

    def index_value(
        self, stmt: IndexValue, point: Mapping[str, int], vector: str | None, lanes: int
    ) -> Vec:
        """An affine expression as integers, one for each lane."""
        narrow = self.b.convert(self.value_of(stmt.index, point), stmt.dtype)
        if lanes == 1 or vector is None:
            return narrow
        step = stmt.index.coefficient(vector)
        ramp = [self.b.const(n * step % (1 << 63), I64, 1) for n in range(lanes)]
        text = ", ".join(f"{v.typed}" for v in ramp)
        steps = self.b.convert(Vec(f"<{text}>", I64, lanes), stmt.dtype)
        return self.b.iadd(self.splat(narrow, lanes), steps)

    def value_of(self, index: Affine, point: Mapping[str, int]) -> Vec:
        """An affine expression where the axes stand, as an i64."""
        const = index.const
        total = self.b.const(0, I64, 1)
        for axis, c in index.terms:
            const += c * point.get(axis, 0)
            ref, _ = self._axis[axis]
            if isinstance(ref, int):
                const += c * ref
                continue
            scaled = self.b.imul(Vec(ref, I64, 1), self.b.const(c, I64, 1))
            total = self.b.iadd(total, scaled)
        return self.b.iadd(total, self.b.const(const, I64, 1))

    # Memory

    def load(
        self,
        stmt: Load,
        point: Mapping[str, int],
        vector: str | None,
        lanes: int,
        active: int,
        dynamic: Dynamic,
    ) -> Vec:
        """The element, or the vector of elements, at `point`."""
        memory = _in_memory(stmt.dtype)
        step = stmt.index.affine.coefficient(vector) if vector is not None and lanes > 1 else 0
        together = all(v.lanes == 1 for v, _ in dynamic)
        if lanes == 1:
            address = self._element(stmt.buffer, stmt.index.affine, point, dynamic)
            vec = self._load_text(address, memory, 1)
        elif together and step == 1:
            address = self._element(stmt.buffer, stmt.index.affine, point, dynamic)
            vec = self._vector_load(address, memory, lanes, active)
        elif together and step == -1 and active == lanes:
            last = stmt.index.affine + (1 - lanes)
            address = self._element(stmt.buffer, last, point, dynamic)
            vec = self._reversed(self._load_text(address, memory, lanes))
        else:
            vec = self._gathered(stmt, point, memory, lanes, active, step, dynamic)
        return self.loaded(vec, stmt.dtype)

    def load_rows(
        self, stmt: Load, corner: Mapping[str, int], vector: str, lanes: int, active: int
    ) -> list[Vec]:
        """For each lane of the vector axis a vector of what lies together in memory from there."""
        memory = _in_memory(stmt.dtype)
        step = stmt.index.affine.coefficient(vector)
        rows = []
        for lane in range(active):
            address = self._element(stmt.buffer, stmt.index.affine + step * lane, corner, ())
            rows.append(self._load_text(address, memory, lanes))
        return rows + [self.b.const(0, memory, lanes)] * (lanes - active)

    def prefetch(
        self, stmt: Load, point: Mapping[str, int], vector: str | None, write: bool
    ) -> None:
        """Asks for the cache line at `point`, once for the vectors that share it."""
        if vector is not None and vector in point and point[vector] * stmt.dtype.itemsize % LINE:
            return
        address = self._element(stmt.buffer, stmt.index.affine, point, ())
        name = "llvm.prefetch.p0"
        self.b.declares[name] = f"declare void @{name}(ptr, i32, i32, i32)"
        self.b.lines.append(f"  call void @{name}(ptr {address}, i32 {int(write)}, i32 3, i32 1)")

    def _load_text(self, address: str, dtype: DType, lanes: int) -> Vec:
        text = f"load {llvm_type(dtype, lanes)}, ptr {address}, align {dtype.itemsize}"
        return self.b.inst(text, dtype, lanes)

    def _vector_load(self, address: str, dtype: DType, lanes: int, active: int) -> Vec:
        mask = self._active or self.mask(lanes, active)
        if active == lanes and self._active is None:
            return self._load_text(address, dtype, lanes)
        kind, type = overload_suffix(dtype, lanes), llvm_type(dtype, lanes)
        name = f"llvm.masked.load.{kind}.p0"
        self.b.declares[name] = f"declare {type} @{name}(ptr, <{lanes} x i1>, {type})"
        where = f"ptr align {dtype.itemsize} {address}"
        text = f"call {type} @{name}({where}, {mask.typed}, {type} zeroinitializer)"
        return self.b.inst(text, dtype, lanes)

    def _reversed(self, vec: Vec) -> Vec:
        order = ", ".join(f"i32 {n}" for n in reversed(range(vec.lanes)))
        mask = f"<{vec.lanes} x i32> <{order}>"
        return self.b.inst(
            f"shufflevector {vec.typed}, {vec.type} poison, {mask}", vec.dtype, vec.lanes
        )

    def _gathered(
        self,
        stmt: Load,
        point: Mapping[str, int],
        dtype: DType,
        lanes: int,
        active: int,
        step: int,
        dynamic: Dynamic,
    ) -> Vec:
        """Lane by lane: no CPU gathers faster from memory that does not lie together."""
        vec = self.b.const(0, dtype, lanes)
        for lane in range(active):
            there = stmt.index.affine + step * lane
            address = self._element(stmt.buffer, there, point, dynamic, lane)
            vec = self.b.insert(vec, self._load_text(address, dtype, 1), lane)
        return vec

    def store(
        self,
        stmt: Store,
        point: Mapping[str, int],
        vector: str | None,
        active: int,
        value: Vec,
        dynamic: Dynamic,
    ) -> None:
        """Stores the active lanes of `value` at `point`."""
        memory = _in_memory(self.dtypes[stmt.buffer])
        vec = self.b.cast("zext", value, memory) if value.dtype == BOOL else value
        step = stmt.index.affine.coefficient(vector) if vector is not None else 0
        together = all(v.lanes == 1 for v, _ in dynamic)
        if vec.lanes == 1 or (together and step == 1):
            address = self._element(stmt.buffer, stmt.index.affine, point, dynamic)
            self._store_text(vec, address, active)
            return
        for lane in range(active):
            there = stmt.index.affine + step * lane
            address = self._element(stmt.buffer, there, point, dynamic, lane)
            self._store_text(self.b.extract(vec, lane), address, 1)

    def _store_text(self, vec: Vec, address: str, active: int) -> None:
        size = vec.dtype.itemsize
        if active == 1:
            # LLVM 22 makes a masked store of one truncated lane as wide as before the truncation.
            vec = self.b.extract(vec, 0)
        if active == vec.lanes and (self._active is None or vec.lanes == 1):
            self.b.lines.append(f"  store {vec.typed}, ptr {address}, align {size}")
            return
        kind = overload_suffix(vec.dtype, vec.lanes)
        name = f"llvm.masked.store.{kind}.p0"
        self.b.declares[name] = f"declare void @{name}({vec.type}, ptr, <{vec.lanes} x i1>)"
        mask = self._active or self.mask(vec.lanes, active)
        self.b.lines.append(
            f"  call void @{name}({vec.typed}, ptr align {size} {address}, {mask.typed})"
        )

    def loaded(self, vec: Vec, dtype: DType) -> Vec:
        """What was read from memory as it is kept in registers."""
        if dtype != BOOL:
            return vec
        return self.b.icmp("ne", vec, self.b.like(vec, 0))


def _in_memory(dtype: DType) -> DType:
    """A bool is a byte in memory and a bit in a register."""
    return U8 if dtype == BOOL else dtype
