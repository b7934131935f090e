"""Random numbers: the same in eager and jitted code, and of the distributions they claim."""

from __future__ import annotations

from collections.abc import Callable
from math import atan, erf, exp, factorial, lgamma, pi, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit import nn, random
from tracejit.ir.primitives.random import philox
from tracejit.random.implicit import gamma_slope

DRAWS = {
    "uniform": lambda key: random.uniform(key, (1000,)),
    "uniform f64": lambda key: random.uniform(key, (999,), np.float64, -1, 3),
    "normal": lambda key: random.normal(key, (37, 3)),
    "bernoulli": lambda key: random.bernoulli(key, 0.3, (500,)),
    "randint": lambda key: random.randint(key, (500,), -3, 8),
    "split": lambda key: random.split(key, 3),
    "fold_in": lambda key: random.fold_in(key, 7),
    "dropout": lambda key: nn.dropout(np.ones(100, np.float32), 0.25, key),
    "exponential": lambda key: random.exponential(key, (50,), np.float64),
    "truncated_normal": lambda key: random.truncated_normal(key, -1, np.array([0.5, 3.0])),
    "gamma": lambda key: random.gamma(key, np.array([0.4, 3.0]), (20, 2), np.float64),
    "poisson": lambda key: random.poisson(key, np.array([2.0, 30.0]), (20, 2)),
    "categorical": lambda key: random.categorical(key, np.log([[0.5, 0.5], [0.1, 0.9]])),
    "permutation": lambda key: random.permutation(key, np.arange(30.0)),
    "choice apart": lambda key: random.choice(key, 20, (2, 5), replace=False),
    "choice": lambda key: random.choice(key, np.arange(5.0), (9,), p=[0.1, 0.2, 0.3, 0.2, 0.2]),
}
ROUNDED = {"normal", "exponential", "truncated_normal", "gamma"}


@pytest.mark.parametrize("name", DRAWS)
def test_eager_and_jitted_draws_agree(name: str, target: str) -> None:
    key = random.key(42)
    want = DRAWS[name](key)
    got = tj.jit(DRAWS[name], target=target)(key)
    assert got.dtype == want.dtype
    if name in ROUNDED:
        np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-6)
    else:
        np.testing.assert_array_equal(got, want)


def test_distributions() -> None:
    key = random.key(0)
    u = random.uniform(key, (200_000,))
    assert u.dtype == np.float32 and u.min() >= 0 and u.max() < 1
    np.testing.assert_allclose([u.mean(), u.var()], [1 / 2, 1 / 12], atol=2e-3)
    n = random.normal(key, (200_000,))
    moments = [n.mean(), n.var(), (n**3).mean(), (n**4).mean()]
    np.testing.assert_allclose(moments, [0, 1, 0, 3], atol=4e-2)
    assert np.isfinite(n).all()
    counts = np.bincount(random.randint(key, (90_000,), 0, 9))
    np.testing.assert_allclose(counts, 10_000, rtol=0.05)
    assert abs(random.bernoulli(key, 0.3, (100_000,)).mean() - 0.3) < 5e-3


# The distribution functions of what is drawn.
CONTINUOUS: dict[str, tuple[Callable[[Any], Any], Callable[[float], float]]] = {
    "uniform": (lambda k: random.uniform(k, (N,), None, -1, 3), lambda x: (x + 1) / 4),
    "normal": (lambda k: random.normal(k, (N,)), NormalDist().cdf),
    "exponential": (lambda k: random.exponential(k, (N,)), lambda x: 1 - exp(-x)),
    "laplace": (
        lambda k: random.laplace(k, (N,)),
        lambda x: exp(x) / 2 if x < 0 else 1 - exp(-x) / 2,
    ),
    "gumbel": (lambda k: random.gumbel(k, (N,)), lambda x: exp(-exp(-x))),
    "logistic": (lambda k: random.logistic(k, (N,)), lambda x: 1 / (1 + exp(-x))),
    "cauchy": (lambda k: random.cauchy(k, (N,)), lambda x: 0.5 + atan(x) / pi),
    "truncated_normal": (
        lambda k: random.truncated_normal(k, 1.0, 4.0, (N,)),
        lambda x: (NormalDist().cdf(x) - NormalDist().cdf(1)) / (PHI_4 - NormalDist().cdf(1)),
    ),
    "gamma 3": (
        lambda k: random.gamma(k, 3.0, (N,)),
        lambda x: 1 - exp(-x) * (1 + x + x * x / 2),
    ),
    "gamma 1/2": (lambda k: random.gamma(k, 0.5, (N,)), lambda x: erf(sqrt(x))),
    "beta": (lambda k: random.beta(k, 2, 1, (N,)), lambda x: x * x),
    "chisquare": (lambda k: random.chisquare(k, 2, (N,)), lambda x: 1 - exp(-x / 2)),
    "t": (lambda k: random.t(k, 1, (N,), np.float64), lambda x: 0.5 + atan(x) / pi),
    "dirichlet": (lambda k: random.dirichlet(k, np.ones(2), (N,))[:, 0], lambda x: x),
    "multivariate_normal": (
        lambda k: random.multivariate_normal(k, np.zeros(2), np.eye(2) * 4, (N,))[:, 1] / 2,
        NormalDist().cdf,
    ),
}
N = 20_000
PHI_4 = NormalDist().cdf(4)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_distribution_function(name: str) -> None:
    """Kolmogorov's distance of N draws: above 1.95 / sqrt(N) one seed in 1000."""
    draw, cdf = CONTINUOUS[name]
    x = np.sort(np.asarray(draw(random.key(11)), np.float64))
    expected = np.array([cdf(v) for v in x])
    steps = np.arange(N + 1) / N
    distance = max(np.max(steps[1:] - expected), np.max(expected - steps[:-1]))
    assert distance < 1.95 / sqrt(N)


def _poisson(lam: float, k: int) -> float:
    return exp(-lam) * lam**k / factorial(k)


DISCRETE: dict[str, tuple[Callable[[Any], Any], list[float]]] = {
    "bernoulli": (lambda k: random.bernoulli(k, np.full(N, 0.3)), [0.7, 0.3]),
    "rademacher": (lambda k: (random.rademacher(k, (N,)) + 1) // 2, [0.5, 0.5]),
    "randint": (lambda k: random.randint(k, (N,), 3, 7) - 3, [0.25] * 4),
    "categorical": (
        lambda k: random.categorical(k, np.log([0.1, 0.2, 0.7]), shape=(N,)),
        [0.1, 0.2, 0.7],
    ),
    "choice": (lambda k: random.choice(k, 3, (N,), p=[1.0, 1.0, 2.0]), [0.25, 0.25, 0.5]),
    "choice apart": (
        lambda k: [random.choice(s, 4, (2,), replace=False)[1] for s in random.split(k, 2000)],
        [0.25] * 4,
    ),
    "choice apart by p": (
        lambda k: [
            random.choice(s, 3, (1,), replace=False, p=[0.2, 0.3, 0.5])[0]
            for s in random.split(k, 2000)
        ],
        [0.2, 0.3, 0.5],
    ),
    "permutation": (
        lambda k: [int(random.permutation(s, 4)[2]) for s in random.split(k, 2000)],
        [0.25] * 4,
    ),
    "poisson 3": (lambda k: random.poisson(k, 3.0, (N,)), [_poisson(3, k) for k in range(13)]),
    "poisson 20": (
        lambda k: random.poisson(k, np.full(N, 20.0)) - 8,
        [_poisson(20, k) for k in range(8, 35)],
    ),
}


@pytest.mark.parametrize("name", DISCRETE)
def test_frequencies(name: str) -> None:
    """Pearson's statistic; beyond mean + 4 deviations one seed in 10,000, about."""
    draw, expected = DISCRETE[name]
    values = np.asarray(draw(random.key(12)), np.int64)
    inside = values[(values >= 0) & (values < len(expected))]
    wanted = np.array(expected) * values.size
    assert abs(inside.size - wanted.sum()) <= 4 * sqrt(values.size - wanted.sum() + 1)
    found = np.bincount(inside, minlength=len(expected))
    statistic = np.sum((found - wanted) ** 2 / wanted)
    freedom = len(expected) - 1
    assert statistic < freedom + 4 * sqrt(2 * freedom) + 4


def test_permutations_permute() -> None:
    key = random.key(5)
    x = np.arange(12).reshape(4, 3)
    rows = random.permutation(key, x)
    np.testing.assert_array_equal(np.sort(rows[:, 0]), x[:, 0])
    np.testing.assert_array_equal(rows[:, 1], rows[:, 0] + 1)
    apart = random.permutation(key, np.arange(400).reshape(2, 200), axis=1, independent=True)
    np.testing.assert_array_equal(np.sort(apart, axis=1), np.arange(400).reshape(2, 200))
    assert not np.array_equal(apart[0], apart[1] - 200)
    picked = random.choice(key, 50, (50,), replace=False)
    np.testing.assert_array_equal(np.sort(picked), np.arange(50))


def test_philox_known_answers() -> None:
    """Source: kat_vectors of Random123 (Salmon et al. 2011), philox 4x32-10."""
    vectors = (
        ("0 0 0 0", "0 0", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (" ".join(["ffffffff"] * 4), "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            "243f6a88 85a308d3 13198a2e 03707344",
            "a4093822 299f31d0",
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    )
    for counter, key, answer in vectors:
        words, keys, want = (
            np.array([int(w, 16) for w in text.split()], np.uint64)
            for text in (counter, key, answer)
        )
        np.testing.assert_array_equal(philox(words[:, None], keys)[:, 0], want)
    bits = tj.jit(lambda k: random.bits(k, (4,)))(np.zeros(2, np.uint32))
    assert [f"{b:08x}" for b in bits.tolist()] == vectors[0][2].split()


def test_the_draws_do_not_depend_on_threads() -> None:
    """Large enough to be shared by threads; eager draws are one thread's."""
    shape = (300, 1000)
    key = random.key(9)
    np.testing.assert_array_equal(
        tj.jit(lambda k: random.uniform(k, shape))(key), random.uniform(key, shape)
    )


@pytest.mark.parametrize("a", [0.05, 0.7, 1.0, 4.0])
def test_slope_of_gamma_samples(a: float) -> None:
    """Against the integral that dF/da is, with t = z exp(-s); z on both sides of a + 1."""
    z = np.quantile(
        np.asarray(random.gamma(random.key(5), a, (400,), np.float64)), [0.1, 0.6, 0.97]
    )
    h = 1e-5
    level = (lgamma(a + h) - lgamma(a - h)) / (2 * h)
    s = np.linspace(0, 45 / a, 2_000_001)[:, None]
    curve = (np.log(z) - s - level) * np.exp(z * -np.expm1(-s) - a * s)
    want = -z * np.trapezoid(curve, s, axis=0)
    np.testing.assert_allclose(gamma_slope(np.full(3, a), z), want, rtol=2e-6)


def test_slopes_of_gamma_samples_of_large_shapes() -> None:
    """As jax.lax.random_gamma_grad of JAX 0.10 gives them in f64; and at the ends."""
    shapes, z = np.array([60.0, 60, 60, 1e4, 2]), np.array([50.0, 61.5, 80, 10100, 0])
    want = [0.9141410020472553, 1.0152139733106191, 1.153921957656884, 1.0050001660074206, 0]
    np.testing.assert_allclose(tj.jit(gamma_slope)(shapes, z), want, rtol=1e-12, atol=1e-290)


def test_gradients_of_what_gamma_draws() -> None:
    """The slope of a mean is the mean of the slopes."""
    key, count = random.key(8), (20_000,)
    means = {
        1.0: lambda a: random.gamma(key, a, count).mean(),
        2 / 25: lambda a: random.beta(key, a, 2.0, count).mean(),
        4 / 169: lambda a: random.dirichlet(key, np.stack([a, 2 * a + 4]), count)[:, 0].mean(),
    }
    a = np.float32(3.0)
    for want, mean in means.items():
        assert abs(tj.jit(tj.grad(mean), target="interpreter")(a) - want) < 0.03 * max(want, 0.1), (
            want
        )
    every = tj.vmap(tj.grad(means[1.0]))(np.array([3.0, 0.2], np.float32))
    np.testing.assert_allclose(every, 1, atol=0.03)
    with pytest.raises(tj.errors.UnsupportedError, match=r"a second derivative.* \(test_random"):
        tj.grad(tj.grad(means[1.0]))(a)


def test_keys_lead_to_different_numbers() -> None:
    parent = random.key(1)
    family = [parent, *random.split(parent, 4), *(random.fold_in(parent, i) for i in range(4))]
    draws = {random.bits(k, (4,)).tobytes() for k in family}
    assert len(draws) == len(family)
    assert random.key(2**32 + 5).tolist() == [1, 5]
    np.testing.assert_array_equal(random.key(np.int32(5)), random.key(5))


def test_half_floats_stay_below_one() -> None:
    for dtype in (np.float16, tj.numpy.bfloat16):
        u = random.uniform(random.key(3), (50_000,), dtype)
        assert u.dtype == dtype and float(u.max()) < 1


def test_a_key_in_a_variable(target: str) -> None:
    state = tj.Variable(random.key(0), name="key")

    @tj.jit(target=target)
    def draw() -> Any:
        now, following = random.split(state)
        state.assign(following)
        return random.uniform(now, (4,))

    assert not np.array_equal(draw(), draw())


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"rate 1.5 is outside \[0, 1\)"):
        nn.dropout(np.ones(3), 1.5, random.key(0))
    with pytest.raises(ValueError, match="holds 0 integers"):
        random.randint(random.key(0), (3,), 5, 5)
    with pytest.raises(ValueError, match="choice: 4 of 3 elements cannot be drawn"):
        random.choice(random.key(0), 3, (4,), replace=False)
