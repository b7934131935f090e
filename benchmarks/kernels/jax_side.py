"""JAX: one jitted operation on arrays of its own."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.kernels.cases import Attention, Case, Convolution, Floats, Product
from benchmarks.kernels.stopwatch import Kernel, main


def function(case: Product | Convolution):
    """Of the two operands as they lie in memory."""
    if isinstance(case, Convolution):
        return convolution(case)

    def product(a, b):
        a = a.mT if case.layout[0] == "T" else a
        b = b.mT if case.layout[1] == "T" else b
        return jnp.matmul(a, b)

    return product


def convolution(case: Convolution):
    around = ((case.padding, case.padding),) * 2
    steps = (case.stride, case.stride)
    layouts = ("NHWC", "HWIO", "NHWC")

    def forward(x, w):
        return lax.conv_general_dilated(x, w, steps, around, dimension_numbers=layouts)

    def at_input(w, dy):
        x = jax.ShapeDtypeStruct(case.image, jnp.float32)
        return jax.linear_transpose(lambda x: forward(x, w), x)(dy)[0]

    def at_weights(x, dy):
        w = jax.ShapeDtypeStruct(case.weights, jnp.float32)
        return jax.linear_transpose(lambda w: forward(x, w), w)(dy)[0]

    return {"forward": forward, "input": at_input, "weight": at_weights}[case.direction]


def attention(case: Attention, arrays: tuple[Floats, ...]) -> Kernel:
    """As JAX's own function has them: [batch, length, heads, width]."""

    def forward(q, k, v):
        return jax.nn.dot_product_attention(q, k, v, is_causal=case.causal)

    @jax.jit
    def run(q, k, v, *gradient):
        if not case.back:
            return (forward(q, k, v),)
        y, pull = jax.vjp(forward, q, k, v)
        return y, *pull(*gradient)

    given = jax.device_put([np.ascontiguousarray(x.swapaxes(1, 2)) for x in arrays])

    def result(found: tuple[jax.Array, ...]) -> Floats:
        return np.stack([np.asarray(x).swapaxes(1, 2) for x in found]).reshape(case.out)

    return Kernel(lambda: jax.block_until_ready(run(*given)), result)


def make(case: Case, *operands: Floats) -> Kernel:
    if isinstance(case, Attention):
        return attention(case, operands)
    a, b = operands
    dtype = {"f32": jnp.float32, "bf16": jnp.bfloat16, "f16": jnp.float16}[case.dtype]
    compiled = jax.jit(function(case))
    arrays = jax.device_put((jnp.asarray(a, dtype), jnp.asarray(b, dtype)))
    return Kernel(
        lambda: compiled(*arrays).block_until_ready(), lambda out: np.asarray(out, np.float32)
    )


if __name__ == "__main__":
    main(make)
