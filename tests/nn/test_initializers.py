"""Initialisers, regularisers and constraints, each with its settings, against known values."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest

from tracejit import nn
from tracejit.nn import initializers as init
from tracejit.nn import regularizers as reg

SHAPE = (300, 200)
IMAGE = (3, 3, 40, 60)

# name: initialiser, shape, mean, standard deviation, largest magnitude
ROWS: dict[str, tuple[Any, tuple[int, ...], float, float, float]] = {
    "zeros": (init.Zeros(), SHAPE, 0, 0, 0),
    "ones": (init.Ones(), SHAPE, 1, 0, 1),
    "constant": (init.Constant(2.5), SHAPE, 2.5, 0, 2.5),
    "random_normal": (init.RandomNormal(1.0, 0.1), SHAPE, 1, 0.1, 2),
    "random_uniform": (init.RandomUniform(-0.3, 0.3), SHAPE, 0, 0.6 / sqrt(12), 0.3),
    "truncated_normal": (init.TruncatedNormal(0, 0.1), SHAPE, 0, 0.1 * 0.8796, 0.2),
    "glorot_uniform": (init.GlorotUniform(), SHAPE, 0, sqrt(2 / 500), sqrt(6 / 500)),
    "glorot_normal": (init.GlorotNormal(), SHAPE, 0, sqrt(2 / 500), 2 * sqrt(2 / 500) / 0.8796),
    "he_uniform": (init.HeUniform(), SHAPE, 0, sqrt(2 / 300), sqrt(6 / 300)),
    "he_normal": (init.HeNormal(), IMAGE, 0, sqrt(2 / 360), 2 * sqrt(2 / 360) / 0.8796),
    "lecun_uniform": (init.LecunUniform(), IMAGE, 0, sqrt(1 / 360), sqrt(3 / 360)),
    "lecun_normal": (init.LecunNormal(), SHAPE, 0, sqrt(1 / 300), 2 * sqrt(1 / 300) / 0.8796),
    "variance_scaling": (
        init.VarianceScaling(3.0, "fan_out", "untruncated_normal"), IMAGE, 0, sqrt(3 / 540), 1
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_the_distribution_of_an_initializer(name: str) -> None:
    nn.set_random_seed(5)
    make, shape, mean, deviation, most = ROWS[name]
    values = make(shape)
    assert values.shape == shape and values.dtype == np.float32
    assert values.mean() == pytest.approx(mean, abs=4 * deviation / sqrt(values.size) + 1e-7)
    assert values.std() == pytest.approx(deviation, rel=0.03, abs=1e-7)
    assert np.abs(values).max() <= most * (1 + 1e-4)
    assert init.get(name) is not None


def test_orthogonal_and_identity() -> None:
    for shape in ((6, 4), (4, 6), (2, 3, 4)):
        flat = init.Orthogonal(2.0, seed=1)(shape, np.float64).reshape(-1, shape[-1])
        small = flat.T @ flat if flat.shape[0] >= flat.shape[1] else flat @ flat.T
        np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-12)
    np.testing.assert_array_equal(init.Identity(3.0)((2, 3)), 3 * np.eye(2, 3))


def test_seeds() -> None:
    a = init.GlorotUniform(seed=3)
    np.testing.assert_array_equal(a((4, 5)), a((4, 5)))
    nn.set_random_seed(1)
    first = init.GlorotUniform()((4, 5))
    second = init.GlorotUniform()((4, 5))
    nn.set_random_seed(1)
    np.testing.assert_array_equal(init.get("GlorotUniform")((4, 5)), first)
    assert (first != second).all()


W = np.array([[1.0, -2.0], [3.0, 4.0]])

PENALTIES = {
    "L1": (reg.L1(0.1), 1.0),
    "L2": (reg.L2(0.1), 3.0),
    "L1L2": (reg.L1L2(0.1, 0.01), 1.3),
    "Orthogonal": (reg.OrthogonalRegularizer(0.5), 0.5 * abs(3 - 8) / sqrt(5 * 25)),
    "Orthogonal columns": (
        reg.OrthogonalRegularizer(0.5, "columns"), 0.5 * abs(-2 + 12) / sqrt(10 * 20)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PENALTIES)
def test_a_regularizer(name: str) -> None:
    penalty, value = PENALTIES[name]
    assert float(penalty(W)) == pytest.approx(value)


CONSTRAINTS = {
    "NonNeg": (reg.NonNeg(), [[1, 0], [3, 4]]),
    "UnitNorm": (reg.UnitNorm(), W / np.sqrt([10, 20])),
    "UnitNorm rows": (reg.UnitNorm(1), W / np.sqrt([[5], [25]])),
    "MaxNorm": (reg.MaxNorm(4), W * [1, 4 / sqrt(20)]),
    "MinMaxNorm": (
        reg.MinMaxNorm(3.5, 4, 0.5),
        W * [0.5 * 3.5 / sqrt(10) + 0.5, 2 / sqrt(20) + 0.5],
    ),
}


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_a_constraint(name: str) -> None:
    constraint, wanted = CONSTRAINTS[name]
    np.testing.assert_allclose(constraint(W), wanted, rtol=1e-6)
    with pytest.raises(ValueError, match="constraint 'nope' is not there; there are non_neg"):
        reg.get_constraint("nope")
