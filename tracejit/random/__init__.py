"""Counter-based random numbers, as `jax.random`: a key decides every bit, for any thread count.

A key is an array u32[2]. Never draw twice with one key: `split` it first. What is drawn moves with
the parameters of its distribution, also where draws are refused (`gamma`); whole numbers do not.
"""

from tracejit.random.continuous import (
    cauchy,
    exponential,
    gumbel,
    laplace,
    logistic,
    multivariate_normal,
    normal,
    truncated_normal,
)
from tracejit.random.discrete import (
    bernoulli,
    categorical,
    choice,
    permutation,
    poisson,
    rademacher,
    randint,
    shuffle,
)
from tracejit.random.keys import bits, fold_in, key, split, uniform
from tracejit.random.rejection import beta, chisquare, dirichlet, gamma, t

PRNGKey = key

__all__ = [
    "PRNGKey",
    "bernoulli",
    "beta",
    "bits",
    "categorical",
    "cauchy",
    "chisquare",
    "choice",
    "dirichlet",
    "exponential",
    "fold_in",
    "gamma",
    "gumbel",
    "key",
    "laplace",
    "logistic",
    "multivariate_normal",
    "normal",
    "permutation",
    "poisson",
    "rademacher",
    "randint",
    "shuffle",
    "split",
    "t",
    "truncated_normal",
    "uniform",
]
