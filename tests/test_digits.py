"""The digits model through compiled code: two kinds of user code, and NumPy by hand."""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import tracejit as tj

EXAMPLES = Path(__file__).parents[1] / "examples"
STEPS = 12


@pytest.fixture(scope="module")
def digits():
    """The example, its folder importable while these tests run."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        import digits

        yield digits
    finally:
        sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def batches(digits):
    images = digits.load()
    rows = np.random.default_rng(1).permutation(len(images.x_train))[: STEPS * digits.BATCH]
    return [(images.x_train[r], images.y_train[r]) for r in rows.reshape(STEPS, -1)]


@pytest.fixture(scope="module")
def by_trees(digits, batches):
    """Pure pytrees with donation: the example as it stands."""
    step = tj.jit(digits.train_step, donate_argnames=("state",))
    state, losses = digits.initial_state(), []
    for x, y in batches:
        state, loss = step(state, x, y)
        losses.append(float(loss))
    assert step.cache_info().entries == 1
    return losses, state


def variables_step(digits, state):
    """The same step on Variables that a closure captures: updated in place, the loss returned."""
    params = tj.tree.leaves(state["params"])
    moments = list(zip(params, tj.tree.leaves(state["m"]), tj.tree.leaves(state["v"]), strict=True))

    def step(x, y):
        loss, grads = tj.value_and_grad(lambda: digits.loss_fn(state["params"], x, y), wrt=params)()
        state["t"].assign(state["t"] + 1)
        t = state["t"]
        scale = digits.learning_rate(t) * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        for (p, m, v), g in zip(moments, grads, strict=True):
            m.assign(m + 0.1 * (g - m))
            v.assign(v + 0.001 * (g * g - v))
            p.assign(p - scale * m / (np.sqrt(v) + 1e-8))
        return loss

    return tj.jit(step)


def test_variables_in_a_closure_train_alike(digits, batches, by_trees):
    """To the last bit: it is the same graph."""
    losses, trained = by_trees
    state = tj.tree.map(tj.Variable, digits.initial_state())
    step = variables_step(digits, state)
    assert [float(step(x, y)) for x, y in batches] == losses
    assert step.cache_info().entries == 1
    for variable, array in zip(tj.tree.leaves(state), tj.tree.leaves(trained), strict=True):
        np.testing.assert_array_equal(variable.numpy(), array)


def test_numpy_by_hand_trains_alike(digits, batches, by_trees):
    step = partial(digits.digits_numpy.train_step, rate=digits.learning_rate)
    state, losses = digits.initial_state(), []
    for x, y in batches:
        losses.append(float(step(state, x, y)))
    np.testing.assert_allclose(by_trees[0], losses, atol=1e-4)
    assert losses[-1] < losses[0] / 2


def test_uncompiled_it_trains_alike(digits, batches, by_trees):
    state, losses = digits.initial_state(), []
    with tj.disable_jit():
        for x, y in batches[:4]:
            state, loss = tj.jit(digits.train_step)(state, x, y)
            losses.append(float(loss))
    np.testing.assert_allclose(by_trees[0][:4], losses, atol=1e-4)
