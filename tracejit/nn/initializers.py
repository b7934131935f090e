"""Initialisers of weights, with Keras's names, arguments and distributions.

They are NumPy's random numbers, drawn when a layer is built, also if that is during a trace.
Without a seed of their own they follow `set_random_seed`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod, sqrt
from typing import Any

import numpy as np

from tracejit.ir.graph import Array
from tracejit.nn.configured import Configured, lookup
from tracejit.trace import default_float

Shape = tuple[int, ...]

_source = np.random.Generator(np.random.Philox())


def set_random_seed(seed: int) -> None:
    """Makes the weights and dropouts of layers made from here on repeatable."""
    global _source
    _source = np.random.Generator(np.random.Philox(seed))


def new_seed() -> int:
    """A seed from the source that `set_random_seed` sets: 32 bits."""
    return int(_source.integers(2**32))


class Initializer(Configured):
    """initializer(shape, dtype) -> array. With a seed the same array every time."""

    seed: int | None = None

    def __call__(self, shape: Shape, dtype: Any = None) -> Array:
        wanted = default_float() if dtype is None else np.dtype(dtype)
        fresh = np.random.Generator(np.random.Philox(self.seed)) if self.seed is not None else None
        return np.asarray(self.draw(fresh or _source, tuple(shape))).astype(wanted)

    def draw(self, source: np.random.Generator, shape: Shape) -> Any:
        """The array in f64."""
        raise NotImplementedError


class Zeros(Initializer):
    def draw(self, source: np.random.Generator, shape: Shape) -> Any:
        return np.zeros(shape)


class Ones(Initializer):
    def draw(self, source: np.random.Generator, shape: Shape) -> Any:
        return np.ones(shape)


class Constant(Initializer):
    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def draw(self, source: np.random.Generator, shape: Shape) -> Any:
        return np.broadcast_to(self.value, shape)


class RandomNormal(Initializer):
    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def draw(self, source: np.random.Generator, shape: Shape) -> Any:
        return source.normal(self.mean, self.stddev, shape)


class RandomUniform(Initializer):
    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
    ) -> None:
        self.minval, self.maxval, self.seed = minval, maxval, seed

    def draw(self, source: np.random.Generator, shape: Shape) -> Any:
        return source.uniform(self.minval, self.maxval, shape)


class TruncatedNormal(Initializer):
    """Normal, drawn again where it is more than two standard deviations off."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def draw(self, source: np.random.Generator, shape: Shape) -> Any:
        out = source.standard_normal(shape)
        while (far := np.abs(out) > 2).any():
            out = np.where(far, source.standard_normal(shape), out)
        return self.mean + self.stddev * out


def fans(shape: Shape) -> tuple[int, int]:
    """Inputs and outputs of one unit; the axes before the last two are a window."""
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    window = prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


# Standard deviation of a normal truncated at two of its own. Source: scipy.stats.truncnorm(-2, 2).
_TRUNCATED = 0.87962566103423978


class VarianceScaling(Initializer):
    """Variance `scale` / n, with n the fan_in, the fan_out or their mean."""

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(f"VarianceScaling: mode {mode!r} is no fan_in, fan_out or fan_avg")
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            raise ValueError(
                f"VarianceScaling: distribution {distribution!r} is no truncated_normal,"
                " untruncated_normal or uniform"
            )
        self.scale, self.mode, self.distribution, self.seed = scale, mode, distribution, seed

    def draw(self, source: np.random.Generator, shape: Shape) -> Any:
        ins, outs = fans(shape)
        n = {"fan_in": ins, "fan_out": outs, "fan_avg": (ins + outs) / 2}[self.mode]
        deviation = sqrt(self.scale / max(1.0, n))
        if self.distribution == "uniform":
            return source.uniform(-sqrt(3) * deviation, sqrt(3) * deviation, shape)
        if self.distribution == "untruncated_normal":
            return source.normal(0, deviation, shape)
        return TruncatedNormal(0.0, deviation / _TRUNCATED).draw(source, shape)


def _scaled(name: str, scale: float, mode: str, distribution: str, source: str) -> type[Any]:
    """A named case of VarianceScaling whose only argument is the seed."""

    def __init__(self: Any, seed: int | None = None) -> None:
        VarianceScaling.__init__(self, scale, mode, distribution, seed)

    doc = f"Variance {scale} / {mode}, {distribution}. Source: {source}."
    return type(name, (VarianceScaling,), {"__init__": __init__, "__doc__": doc})


_GLOROT, _HE = "Glorot & Bengio 2010, section 4.2.1", "He et al. 2015, arXiv:1502.01852"
_LECUN = "LeCun et al. 1998, Efficient BackProp, section 4.6"
GlorotUniform = _scaled("GlorotUniform", 1.0, "fan_avg", "uniform", _GLOROT)
GlorotNormal = _scaled("GlorotNormal", 1.0, "fan_avg", "truncated_normal", _GLOROT)
HeUniform = _scaled("HeUniform", 2.0, "fan_in", "uniform", _HE)
HeNormal = _scaled("HeNormal", 2.0, "fan_in", "truncated_normal", _HE)
LecunUniform = _scaled("LecunUniform", 1.0, "fan_in", "uniform", _LECUN)
LecunNormal = _scaled("LecunNormal", 1.0, "fan_in", "truncated_normal", _LECUN)


class Orthogonal(Initializer):
    """Orthogonal rows or columns. Source: Saxe et al. 2013, arXiv:1312.6120."""

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        self.gain, self.seed = gain, seed

    def draw(self, source: np.random.Generator, shape: Shape) -> Any:
        if len(shape) < 2:
            raise ValueError(f"Orthogonal: shape {list(shape)} has fewer than two dimensions")
        rows, columns = prod(shape[:-1]), shape[-1]
        flat = source.standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(flat)
        q = q * np.sign(np.diagonal(r))
        return self.gain * (q if rows >= columns else q.T).reshape(shape)


class Identity(Initializer):
    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def draw(self, source: np.random.Generator, shape: Shape) -> Any:
        if len(shape) != 2:
            raise ValueError(f"Identity: shape {list(shape)} is no matrix")
        return self.gain * np.eye(*shape)


INITIALIZERS: dict[str, type[Any]] = {
    c.__name__: c
    for c in (
        Zeros, Ones, Constant, RandomNormal, RandomUniform, TruncatedNormal, VarianceScaling,
        GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform, LecunNormal, Orthogonal,
        Identity,
    )
}  # fmt: skip


def get(identifier: Any) -> Callable[..., Any] | None:
    """An initialiser by name ("glorot_uniform", "GlorotUniform"), or what is one already."""
    return lookup(identifier, INITIALIZERS, "initializer")
