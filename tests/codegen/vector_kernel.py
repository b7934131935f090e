"""Compiles functions of vectors into loops over NumPy arrays, for the tests of codegen/llvm."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracejit.codegen.llvm.builder import Builder
from tracejit.codegen.llvm.values import Vec, llvm_type
from tracejit.codegen.runtime import toolchain
from tracejit.ir.types import BOOL, DType

Array = NDArray[np.generic]
Body = Callable[[Builder, list[Vec]], Sequence[Vec]]


@dataclass(frozen=True, slots=True)
class Spec:
    """One kernel: out[j] = body(in[0], in[1], ...)[j], `lanes` elements at a time."""

    name: str
    body: Body
    inputs: tuple[DType, ...]
    outputs: tuple[DType, ...]
    lanes: int


class Kernels:
    """A compiled module; kernels[name](*arrays) gives the outputs."""

    def __init__(self, specs: Sequence[Spec], has_fma: bool | None = None) -> None:
        self.specs = {spec.name: spec for spec in specs}
        self.text = module_text(specs, toolchain.host().has_fma if has_fma is None else has_fma)
        self.linked = toolchain.link(toolchain.compile_ir([self.text]), list(self.specs), {})

    def __call__(self, name: str, *arrays: Array) -> list[Array]:
        spec = self.specs[name]
        count = arrays[0].size
        padded = -(-count // spec.lanes) * spec.lanes
        inputs = [np.resize(a.ravel(), padded).astype(a.dtype) for a in arrays]
        for array, dtype in zip(inputs, spec.inputs, strict=True):
            assert array.dtype == dtype
        outputs = [np.zeros(padded, dtype) for dtype in spec.outputs]
        pointers = [a.ctypes.data for a in (*outputs, *inputs)]
        signature = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(pointers), ctypes.c_int64)
        signature(self.linked.address(name))(*pointers, padded)
        return [out[:count].reshape(arrays[0].shape) for out in outputs]


def module_text(specs: Sequence[Spec], has_fma: bool) -> str:
    declares: dict[str, str] = {}
    functions = []
    for spec in specs:
        b = Builder(has_fma)
        functions.append(_function_text(b, spec))
        declares.update(b.declares)
    return "\n".join([*declares.values(), *functions])


def _function_text(b: Builder, spec: Spec) -> str:
    loads: list[Vec] = []
    for i, dtype in enumerate(spec.inputs):
        memory = np.dtype(np.uint8) if dtype == BOOL else dtype
        pointer = b.fresh("p")
        b.lines.append(f"  {pointer} = getelementptr {llvm_type(memory)}, ptr %in{i}, i64 %i")
        text = f"load {llvm_type(memory, spec.lanes)}, ptr {pointer}, align 1"
        value = b.inst(text, memory, spec.lanes)
        loads.append(b.convert(value, BOOL) if dtype == BOOL else value)
    for i, result in enumerate(spec.body(b, loads)):
        stored = b.convert(result, np.dtype(np.uint8)) if result.dtype == BOOL else result
        pointer = b.fresh("p")
        b.lines.append(
            f"  {pointer} = getelementptr {llvm_type(stored.dtype)}, ptr %out{i}, i64 %i"
        )
        b.lines.append(f"  store {stored.typed}, ptr {pointer}, align 1")
    params = [f"ptr %out{i}" for i in range(len(spec.outputs))]
    params += [f"ptr %in{i}" for i in range(len(spec.inputs))]
    body = "\n".join(b.lines)
    return f"""define void @{spec.name}({", ".join(params)}, i64 %n) "prefer-vector-width"="512" {{
entry:
  br label %body
body:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
{body}
  %next = add i64 %i, {spec.lanes}
  %more = icmp slt i64 %next, %n
  br i1 %more, label %body, label %exit
exit:
  ret void
}}
"""
