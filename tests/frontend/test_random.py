"""Random numbers: the same in eager and jitted code, and of the distributions they claim."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit import nn, random

DRAWS = {
    "uniform": lambda key: random.uniform(key, (1000,)),
    "uniform f64": lambda key: random.uniform(key, (999,), np.float64, -1, 3),
    "normal": lambda key: random.normal(key, (37, 3)),
    "bernoulli": lambda key: random.bernoulli(key, 0.3, (500,)),
    "randint": lambda key: random.randint(key, (500,), -3, 8),
    "split": lambda key: random.split(key, 3),
    "fold_in": lambda key: random.fold_in(key, 7),
    "dropout": lambda key: nn.dropout(np.ones(100, np.float32), 0.25, key),
}


@pytest.mark.parametrize("name", DRAWS)
def test_eager_and_jitted_draws_agree(name: str, target: str) -> None:
    key = random.key(42)
    want = DRAWS[name](key)
    got = tj.jit(DRAWS[name], target=target)(key)
    assert got.dtype == want.dtype
    if name == "normal":
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
