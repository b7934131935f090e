"""Programs that go wrong, one per kind of error: docs/errors.md shows them with what is said."""

from __future__ import annotations

GALLERY = {
    "Shapes that do not fit": """
@tj.jit
def step(x):
    return x @ np.ones((2, 5))
step(x)
""",
    "A branch on a traced value": """
@tj.jit
def step(x):
    if x.sum() > 0:
        return x
    return -x
step(x)
""",
    "A loop on a traced value": """
@tj.jit
def step(x):
    while x[0, 0] < 10:
        x = 2 * x
    return x
step(x)
""",
    "A carry that changes": """
def turn(carry, row):
    return carry.astype(np.float64) + row, None
tj.scan(turn, np.zeros(x.shape[1], np.float32), x)
""",
    "Branches that differ": """
@tj.jit
def step(x):
    return tj.cond(x.sum() > 0, lambda x: x, lambda x: x[0], x)
step(x)
""",
    "The gradient of a loop that runs as long as it likes": """
@tj.jit
def step(x):
    def grown(x):
        return tj.while_loop(lambda v: v.sum() < 100, lambda v: v * 2, x).sum()
    return tj.grad(grown)(x)
step(x)
""",
    "The value of a traced array": """
import math
@tj.jit
def step(x):
    return math.exp(x[0, 0])
step(x)
""",
    "A size that is not known": """
@tj.jit
def step(x, n):
    return sum(x[i] for i in range(n))
step(x, 3)
""",
    "A function without a traced form": """
@tj.jit
def step(x):
    return np.i0(x)
step(x)
""",
    "A mask, whose result has a shape that depends on values": """
@tj.jit
def step(x):
    return x[x > 0]
step(x)
""",
    "nonzero, whose result has a shape that depends on values": """
@tj.jit
def step(x):
    return np.nonzero(x)
step(x)
""",
    "unique, whose result has a shape that depends on values": """
@tj.jit
def step(x):
    return np.unique(x)
step(x)
""",
    "Assignment to an item": """
@tj.jit
def step(x):
    x[0] = 1
    return x
step(x)
""",
    "Adding into an array that was captured": """
total = np.zeros((4, 3))
@tj.jit
def step(x):
    global total
    total += x
step(x)
""",
    "A result written into an argument": """
@tj.jit
def step(x):
    np.maximum(x, 0, out=x)
    return x
step(x)
""",
    "A function that writes into an array": """
@tj.jit
def step(x):
    square = x[:3] @ x[:3].T
    np.fill_diagonal(square, 0)
    return square
step(x)
""",
    "A ufunc method without a traced form": """
@tj.jit
def step(x):
    return np.power.reduce(x, axis=1)
step(x)
""",
    "bincount, whose result has a shape that depends on values": """
@tj.jit
def step(x):
    return np.bincount(np.argmax(x, axis=1))
step(x)
""",
    "Repeats that are not known": """
@tj.jit
def step(x, times):
    return np.repeat(x, times, axis=0)
step(x, np.array([1, 0, 2, 1]))
""",
    "A plain array and a traced index": """
table = np.arange(9.0)
@tj.jit
def step(x):
    return table[np.argmax(x)]
step(x)
""",
    "An index beyond the end": """
@tj.jit
def step(x):
    return x[:, 3]
step(x)
""",
    "Sizes that do not broadcast": """
@tj.jit
def step(x):
    return x + np.ones(4)
step(x)
""",
    "einsum with sizes that differ": """
@tj.jit
def step(x):
    return np.einsum("ij,jk->ik", x, np.ones((4, 2)))
step(x)
""",
    "A Python number that the dtype does not hold": """
@tj.jit
def step(x):
    return x.astype(np.uint8) + 256
step(x)
""",
    "An argument that is no array": """
@tj.jit
def step(x, mode):
    return x
step(x, "train")
""",
    "Complex numbers": """
@tj.jit
def step(x):
    return x
step(x.astype(complex))
""",
    "dtypes that an operation does not take": """
@tj.jit
def step(x):
    return x & x
step(x)
""",
    "A traced value kept outside": """
kept = []
@tj.jit
def step(x):
    kept.append(x * 2)
    return x
step(x)
kept[0] + 1
""",
    "The gradient of a loss that is no scalar": """
def loss(x):
    return x * x
tj.grad(loss)(x)
""",
    "The gradient by an integer": """
def loss(x, n):
    return (x * n).sum()
tj.grad(loss, argnums=1)(x, np.arange(3))
""",
    "has_aux without aux": """
def loss(x):
    return x.sum()
tj.value_and_grad(loss, has_aux=True)(x)
""",
    "Cotangents of another structure": """
value, pullback = tj.vjp(np.sin, x)
pullback((x, x))
""",
    "A custom_vjp without its derivative": """
@tj.custom_vjp
def scale(x):
    return 2 * x
tj.grad(lambda x: scale(x).sum())(x)
""",
    "A bwd that does not fit the arguments": """
@tj.custom_vjp
def scale(x):
    return 2 * x
scale.defvjp(lambda x: (2 * x, None), lambda residuals, g: g)
tj.grad(lambda x: scale(x).sum())(x)
""",
    "vmap over axes of different sizes": """
tj.vmap(np.add)(x, x[:2])
""",
    "vmap over an axis that is not there": """
tj.vmap(np.sin, in_axes=2)(x)
""",
    "A branch on an element of a vmap": """
def positive(row):
    return row if row.sum() > 0 else -row
tj.vmap(positive)(x)
""",
    "A Variable keeps its shape": """
weight = tj.Variable(x, name="weight")
weight.assign(x[:2])
""",
    "Donated memory that is used twice": """
@tj.jit(donate_argnames=("a",))
def step(a, b):
    return a + b
step(x, x)
""",
    "The first nan": """
@tj.jit
def step(x):
    return np.log(x - 2)
with tj.debug.check_nans():
    step(x)
""",
}
