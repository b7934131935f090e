"""Every target runs a training step to the same state, updates it in place and shows its stages."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj


def step(p, x):
    def loss_fn(p):
        return (np.tanh(x @ p["w"] + p["b"]) ** 2).mean()

    loss, grads = tj.value_and_grad(loss_fn)(p)
    return tj.tree.map(lambda p, g: p - 0.1 * g, p, grads), loss


def state():
    rng = np.random.default_rng(0)
    return {"w": rng.standard_normal((5, 3)).astype("f4"), "b": np.zeros(3, "f4")}


@pytest.mark.parametrize("target", ["numba", "interpreter"])
def test_targets_agree(target: str) -> None:
    x = np.random.default_rng(1).standard_normal((4, 5)).astype("f4")
    found = {}
    for name in ("cpu", target):
        jitted = tj.jit(step, target=name, donate_argnames=("p",))
        p = state()
        for _ in range(3):
            new, loss = jitted(p, x)
            assert new["w"] is p["w"] and new["b"] is p["b"]
        found[name] = (new["w"], new["b"], loss)
    for a, b in zip(found["cpu"], found[target], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_numba_has_the_stages_of_the_compiler() -> None:
    x = np.zeros((4, 5), np.float32)
    numba = tj.jit(step, target="numba").lower(state(), x)
    native = tj.jit(step).lower(state(), x)
    assert numba.dump("loops") == native.dump("loops")
    assert numba.cost() == native.cost()
    assert "prange" in numba.dump("numba")


def test_unknown_target() -> None:
    with pytest.raises(ValueError, match="target 'tpu' is not there; targets: 'cpu', 'numba'"):
        tj.jit(step, target="tpu")
