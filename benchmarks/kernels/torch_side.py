"""torch: matmul into a tensor that is there already; convolutions channels last, its faster way."""

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.kernels.cases import Attention, Case, Convolution, Floats, Product
from benchmarks.kernels.stopwatch import Kernel, main

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


def attention(case: Attention, arrays: list[Tensor]) -> Kernel:
    if not case.back:
        return Kernel(
            lambda: F.scaled_dot_product_attention(*arrays, is_causal=case.causal),
            lambda y: y.numpy(),
        )
    with torch.inference_mode(False):
        *inputs, gradient = (x.clone().requires_grad_(n < 3) for n, x in enumerate(arrays))

    def run() -> list[Tensor]:
        with torch.inference_mode(False), torch.enable_grad():
            y = F.scaled_dot_product_attention(*inputs, is_causal=case.causal)
            return [y.detach(), *torch.autograd.grad(y, inputs, gradient)]

    return Kernel(run, lambda found: torch.stack(found).numpy())


def make(case: Case, *operands: Floats) -> Kernel:
    given = [torch.from_numpy(x).to(DTYPES[case.dtype]) for x in operands]
    if isinstance(case, Attention):
        return attention(case, given)
    first, second = given
    if isinstance(case, Product):
        return product(case, first, second)
    return convolution(case, first, second)


def product(case: Product, a: Tensor, b: Tensor) -> Kernel:
    a = a.mT if case.layout[0] == "T" else a
    b = b.mT if case.layout[1] == "T" else b
    out = torch.empty(case.out, dtype=a.dtype)
    return Kernel(lambda: torch.matmul(a, b, out=out), lambda _: out.float().numpy())


def images(x: Tensor) -> Tensor:
    """[N, H, W, C] as torch's [N, C, H, W], still channels last in memory."""
    return x.permute(0, 3, 1, 2)


def kernels(w: Tensor) -> Tensor:
    """[K, K, C, O] as torch's [O, C, K, K], channels last in memory."""
    return w.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)


def convolution(case: Convolution, first: Tensor, second: Tensor) -> Kernel:
    if case.direction == "forward":
        x, w = images(first), kernels(second)
        return Kernel(
            lambda: F.conv2d(x, w, None, case.stride, case.padding),
            lambda y: y.permute(0, 2, 3, 1).numpy(),
        )
    at_input = case.direction == "input"
    dy = images(second)
    # Of the operand that is not given only the shape is read.
    x = torch.empty(case.image).permute(0, 3, 1, 2) if at_input else images(first)
    w = kernels(first if at_input else torch.empty(case.weights))
    steps, around, one = [case.stride] * 2, [case.padding] * 2, [1, 1]
    mask = [at_input, not at_input, False]

    def run() -> Tensor:
        found = torch.ops.aten.convolution_backward(
            dy, x, w, None, steps, around, one, False, [0, 0], 1, mask
        )
        return found[0 if at_input else 1]

    order = (0, 2, 3, 1) if at_input else (2, 3, 1, 0)
    return Kernel(run, lambda g: g.permute(order).numpy())


if __name__ == "__main__":
    with torch.inference_mode():
        main(make)
