"""The kernels that are timed. NumPy alone is imported here: the peers run in other interpreters."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def _random(shape: tuple[int, ...], seed: int) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Product:
    """a: [*batch, m, k] times b: [*batch, k, n]; layout: "T" where an operand lies transposed.

    dtype: of both operands and the result, "f32", "bf16" or "f16"; sums are in f32.
    """

    m: int
    k: int
    n: int
    layout: str = "NN"
    batch: tuple[int, ...] = ()
    dtype: str = "f32"

    @property
    def name(self) -> str:
        batch = "".join(f"{size} x " for size in self.batch)
        dtype = "" if self.dtype == "f32" else f" {self.dtype}"
        return f"{batch}{self.m} x {self.k} x {self.n} {self.layout}{dtype}"

    @property
    def flops(self) -> int:
        return 2 * prod(self.batch) * self.m * self.k * self.n

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of the operands as they lie in memory."""
        a = (self.m, self.k) if self.layout[0] == "N" else (self.k, self.m)
        b = (self.k, self.n) if self.layout[1] == "N" else (self.n, self.k)
        return self.batch + a, self.batch + b

    @property
    def out(self) -> tuple[int, ...]:
        return (*self.batch, self.m, self.n)


@dataclass(frozen=True, slots=True)
class Convolution:
    """x: [batch, size, size, channels] with w: [window, window, channels, out_channels].

    window // 2 zeros on each side. direction: "forward", or "input" or "weight" for the gradient
    there, given that of the result.
    """

    batch: int
    size: int
    channels: int
    out_channels: int
    window: int
    stride: int = 1
    direction: str = "forward"
    dtype: str = "f32"

    @property
    def name(self) -> str:
        stride = f" / {self.stride}" if self.stride > 1 else ""
        image = f"{self.batch} x {self.size}² x {self.channels}"
        return f"{image} → {self.out_channels}, {self.window}²{stride} {self.direction}"

    @property
    def padding(self) -> int:
        return self.window // 2

    @property
    def out_size(self) -> int:
        return (self.size + 2 * self.padding - self.window) // self.stride + 1

    @property
    def flops(self) -> int:
        """The same in each direction. Products with the zeros around the image count."""
        places = self.batch * self.out_size**2
        return 2 * places * self.out_channels * self.window**2 * self.channels

    @property
    def image(self) -> tuple[int, ...]:
        return (self.batch, self.size, self.size, self.channels)

    @property
    def weights(self) -> tuple[int, ...]:
        return (self.window, self.window, self.channels, self.out_channels)

    @property
    def result(self) -> tuple[int, ...]:
        return (self.batch, self.out_size, self.out_size, self.out_channels)

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of the operands: the two of image, weights and result's gradient that are given."""
        return {
            "forward": (self.image, self.weights),
            "input": (self.weights, self.result),
            "weight": (self.image, self.result),
        }[self.direction]

    @property
    def out(self) -> tuple[int, ...]:
        return {"forward": self.result, "input": self.image, "weight": self.weights}[self.direction]


@dataclass(frozen=True, slots=True)
class Attention:
    """softmax(q k^T / sqrt(width)) v of q, k, v: [batch, heads, length, width].

    causal: of the keys up to the query's place. back: the gradients at q, k and v too, given that
    of the result; the four as one array.
    """

    batch: int
    heads: int
    length: int
    width: int
    causal: bool = True
    back: bool = False
    dtype: str = "f32"

    @property
    def name(self) -> str:
        how = f"{'causal' if self.causal else 'full'}{', and back' if self.back else ''}"
        return f"{self.batch} x {self.heads} x {self.length} x {self.width} {how}"

    @property
    def flops(self) -> int:
        """Of two products forward and four back; of half the pairs where half are looked at."""
        pairs = self.batch * self.heads * self.length**2 // (1 + self.causal)
        return 2 * pairs * self.width * (6 if self.back else 2)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.batch, self.heads, self.length, self.width),) * (4 if self.back else 3)

    @property
    def out(self) -> tuple[int, ...]:
        return ((4,) if self.back else ()) + self.shapes[0]


Case = Product | Convolution | Attention


# Of the norm of a result, what its dtype rounds off.
ROUNDING = {"f32": 6e-8, "bf16": 4e-3, "f16": 5e-4}


def operands(case: Case) -> tuple[Floats, ...]:
    """In f32, whatever the case's dtype: each side converts them."""
    return tuple(_random(shape, seed) for seed, shape in enumerate(case.shapes))


def probe(case: Case, out: np.ndarray) -> float:
    """One number of a result, for comparing processes: its product with noise, of about 1.

    Results whose norms differ by a part e differ by about e in it; others differ by about 1.
    """
    assert out.shape == case.out, f"{case.name}: {out.shape}"
    noise = np.random.default_rng(crc32(case.name.encode())).standard_normal(out.shape)
    exact = out.astype(np.float64)
    return float(np.vdot(exact, noise) / np.linalg.norm(exact))


SQUARES = [Product(n, n, n) for n in (4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)]
SKINNY = [
    Product(1, 512, 512),
    Product(512, 512, 1),
    Product(16, 2048, 2048),
    Product(2048, 2048, 16),
    Product(32, 784, 512),
    Product(128, 784, 512),
    Product(128, 512, 10),
    Product(64, 4096, 64),
    Product(1024, 16, 1024),
]
ODD = [
    Product(7, 1000, 7),
    Product(37, 53, 71),
    Product(127, 129, 131),
    Product(333, 555, 777),
    Product(1000, 1000, 1000),
]
TRANSPOSED = [
    Product(128, 10, 512, "NT"),
    Product(128, 512, 784, "NT"),
    Product(256, 256, 256, "NT"),
    Product(1024, 128, 512, "NT"),
    Product(129, 1000, 65, "TN"),
    Product(256, 256, 256, "TN"),
    Product(512, 128, 512, "TN"),
    Product(784, 128, 512, "TN"),
    Product(512, 1024, 128, "TN"),
    Product(100, 300, 200, "TT"),
    Product(256, 256, 256, "TT"),
]
BATCHED = [
    Product(4, 4, 4, batch=(256,)),
    Product(16, 16, 16, batch=(64,)),
    Product(64, 64, 64, batch=(32,)),
    Product(256, 256, 256, batch=(8,)),
    Product(128, 32, 128, "NT", (32,)),
    Product(128, 128, 32, batch=(32,)),
    Product(128, 128, 32, "TN", (32,)),
]
PRODUCTS: list[Case] = [*SQUARES, *SKINNY, *ODD, *TRANSPOSED, *BATCHED]

# A first layer's gradient at its input, the images, is nobody's business: forward and weight only.
FIRST = [
    Convolution(64, 28, 1, 32, 5),
    Convolution(32, 32, 3, 32, 3),
    Convolution(4, 112, 3, 64, 7, 2),
]
INNER = [
    Convolution(64, 14, 32, 64, 5),
    Convolution(32, 32, 32, 32, 3),
    Convolution(32, 32, 32, 64, 3, 2),
    Convolution(32, 16, 64, 64, 3),
    Convolution(32, 16, 64, 128, 3, 2),
    Convolution(32, 8, 128, 128, 3),
    Convolution(8, 14, 256, 256, 3),
    Convolution(4, 7, 512, 512, 3),
    Convolution(8, 28, 64, 256, 1),
    Convolution(32, 16, 64, 128, 1, 2),
    Convolution(8, 7, 512, 128, 1),
    Convolution(8, 17, 24, 40, 3),
    Convolution(2, 28, 48, 48, 7),
]
CONVOLUTIONS: list[Case] = [
    Convolution(c.batch, c.size, c.channels, c.out_channels, c.window, c.stride, direction)
    for convolutions, directions in (
        (FIRST, ("forward", "weight")),
        (INNER, ("forward", "input", "weight")),
    )
    for c in convolutions
    for direction in directions
]
# Nobody's sizes: no panel divides their widths, or a walk down an operand is over many pages.
LARGE: list[Case] = [
    Product(m, k, n, layout)
    for m, k, n in ((1777, 2111, 1999), (1063, 2816, 867), (2048, 3072, 325), (700, 1500, 1500))
    for layout in ("NN", "NT", "TN", "TT")
]
SHORT: list[Case] = [
    Product(m, k, n, layout, dtype=dtype)
    for dtype in ("bf16", "f16")
    for m, k, n, layout in (
        (128, 128, 128, "NN"),
        (256, 256, 256, "NN"),
        (512, 512, 512, "NN"),
        (16, 2048, 2048, "NN"),
        (32, 784, 512, "NN"),
        (1024, 128, 512, "NT"),
        (512, 1024, 128, "TN"),
        (333, 555, 777, "TT"),
    )
]
SEQUENCES = ((8, 4, 128, 32), (4, 8, 256, 64), (2, 8, 512, 64), (1, 8, 1024, 64), (1, 8, 2048, 64))
ATTENTIONS: list[Case] = [
    Attention(*sizes, causal, back)
    for sizes in SEQUENCES
    for causal in (True, False)
    for back in (False, True)
]
CASES: dict[str, list[Case]] = {
    "products": PRODUCTS,
    "convolutions": CONVOLUTIONS,
    "large products": LARGE,
    "short floats": SHORT,
    "attention": ATTENTIONS,
}
