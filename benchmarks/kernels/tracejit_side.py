"""tracejit: a graph of one operation, through the native entry; and the peak of the machine."""

from collections.abc import Sequence
from typing import Any

import numpy as np

import tracejit as tj
from benchmarks.kernels.cases import Attention, Case, Convolution, Floats, Product
from benchmarks.kernels.reference import checked
from benchmarks.kernels.stopwatch import Kernel, main
from tracejit import nn
from tracejit.codegen.compile import compile_graph
from tracejit.codegen.peak import peak_flops
from tracejit.codegen.runtime.entry import ArrayArg
from tracejit.ir import ops
from tracejit.ir.convolution import conv_input_grad
from tracejit.ir.graph import Array, Builder, Graph, Node
from tracejit.ir.types import BF16, F16, F32, TensorType

DTYPES = {"f32": F32, "bf16": BF16, "f16": F16}


def product(case: Product, a: Node, b: Node) -> Node:
    axes = len(case.batch)
    batch = tuple(range(axes))
    contract = (axes + (case.layout[0] == "N"),), (axes + (case.layout[1] == "T"),)
    return ops.dot_general(a, b, contract, (batch, batch))


def convolution(case: Convolution, first: Node, second: Node) -> Node:
    """The operands with the feature groups, one here, an axis of their own."""
    steps, gaps, around = (case.stride,) * 2, (1, 1), ((case.padding,) * 2,) * 2
    batch, height, width, channels = case.image

    def grouped(node: Node) -> Node:
        return ops.reshape(node, (*node.shape[:-1], 1, node.shape[-1]))

    def weights(node: Node) -> Node:
        return ops.reshape(node, (*case.weights[:2], 1, *case.weights[2:]))

    if case.direction == "input":
        low = (case.padding, case.padding)
        dx = conv_input_grad(grouped(second), weights(first), (height, width), steps, gaps, low)
        return ops.reshape(dx, (batch, height, width, channels))
    x, window = grouped(first), case.weights[:2]
    if case.direction == "forward":
        out = ops.conv(x, weights(second), steps, gaps, around)
    else:
        out = ops.conv_weight_grad(x, grouped(second), steps, gaps, window, around)
    return ops.reshape(out, case.out)


def attention(case: Attention, arrays: tuple[Floats, ...]) -> Kernel:
    def forward(q: Any, k: Any, v: Any) -> Any:
        return nn.scaled_dot_product_attention(q, k, v, is_causal=case.causal)

    @tj.jit
    def run(q: Any, k: Any, v: Any, *gradient: Any) -> Any:
        if not case.back:
            return (forward(q, k, v),)
        y, pull = tj.vjp(forward, q, k, v)
        return y, *pull(*gradient)

    def result(found: Sequence[Array]) -> Floats:
        whole = np.stack(found).astype(np.float32, copy=False)
        return checked(case, *arrays, out=whole.reshape(case.out))

    return Kernel(lambda: run(*arrays), result)


def make(case: Case, *operands: Floats) -> Kernel:
    if isinstance(case, Attention):
        return attention(case, operands)
    a, b = operands
    builder, dtype = Builder(), DTYPES[case.dtype]
    types = [TensorType(array.shape, dtype) for array in (a, b)]
    first, second = (builder.input(*named) for named in zip("ab", types, strict=True))
    if isinstance(case, Product):
        out = product(case, first, second)
    else:
        out = convolution(case, first, second)
    graph = Graph("kernel", (first, second), (out,))

    def refuse(*leaves: object) -> object:
        raise TypeError(f"{case.name}: arguments are not {types}")

    call = compile_graph(graph).bind([ArrayArg(t.shape, t.dtype) for t in types], [], refuse)
    given = a.astype(dtype), b.astype(dtype)
    first_wide, second_wide = (x.astype(np.float32) for x in given)

    def result(outputs: Sequence[Array]) -> Floats:
        return checked(case, first_wide, second_wide, out=outputs[0].astype(np.float32))

    return Kernel(lambda: call(*given), result)


if __name__ == "__main__":
    main(make, peak_flops)
