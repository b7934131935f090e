"""Every optimizer and schedule against NumPy, in both ways of calling, jitted and not."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit import optim
from tracejit.optim import schedules

STEPS = 6
LR = 0.03

# A rule in NumPy: a generator that is sent the gradient, and yields the new parameter.
Rule = Callable[[Any], Any]


def sgd(p: Any, momentum: float = 0.0, nesterov: bool = False) -> Any:
    u = 0.0
    while True:
        g = yield p
        u = momentum * u - LR * g
        p = p + (momentum * u - LR * g if nesterov else u)


def adam(p: Any, decay: float = 0.0, amsgrad: bool = False, t: int = 0, lr: float = LR) -> Any:
    m = v = most = 0.0
    while True:
        g = yield p
        t += 1
        p = p * (1 - lr * decay)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        most = np.maximum(most, v) if amsgrad else v
        scale = np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        p = p - lr * scale * m / (np.sqrt(most) + 1e-7)


def rmsprop(p: Any, momentum: float = 0.0, centered: bool = False) -> Any:
    v = mean = move = 0.0
    while True:
        g = yield p
        v, mean = 0.9 * v + 0.1 * g**2, 0.9 * mean + 0.1 * g
        step = LR * g / np.sqrt(v - (mean**2 if centered else 0) + 1e-7)
        move = momentum * move + step
        p = p - move


def adagrad(p: Any) -> Any:
    total = 0.1
    while True:
        g = yield p
        total = total + g**2
        p = p - LR * g / np.sqrt(total + 1e-7)


def adadelta(p: Any) -> Any:
    squares = steps = 0.0
    while True:
        g = yield p
        squares = 0.95 * squares + 0.05 * g**2
        step = -np.sqrt(steps + 1e-7) / np.sqrt(squares + 1e-7) * g
        steps = 0.95 * steps + 0.05 * step**2
        p = p + LR * step


def adamax(p: Any) -> Any:
    m, u, t = 0.0, 0.0, 0
    while True:
        g = yield p
        t += 1
        m, u = 0.9 * m + 0.1 * g, np.maximum(0.999 * u, abs(g))
        p = p - LR / (1 - 0.9**t) * m / (u + 1e-7)


def nadam(p: Any) -> Any:
    m, v, t, product = 0.0, 0.0, 0, 1.0
    while True:
        g = yield p
        t += 1
        mu, following = 0.9 * (1 - 0.5 * 0.96**t), 0.9 * (1 - 0.5 * 0.96 ** (t + 1))
        product *= mu
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        m_hat = following * m / (1 - product * following) + (1 - mu) * g / (1 - product)
        p = p - LR * m_hat / (np.sqrt(v / (1 - 0.999**t)) + 1e-7)


def lion(p: Any) -> Any:
    m = 0.0
    while True:
        g = yield p
        p = p - LR * np.sign(0.9 * m + 0.1 * g)
        m = 0.99 * m + 0.01 * g


def lamb(p: Any) -> Any:
    m, v, t = 0.0, 0.0, 0
    while True:
        g = yield p
        t += 1
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        r = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-7)
        length, stride = np.linalg.norm(p), np.linalg.norm(r)
        p = p - LR * (length / stride if length > 0 and stride > 0 else 1.0) * r


def muon(p: Any) -> Any:
    if np.ndim(p) < 2:
        yield from adam(p, lr=0.1 * LR)
    m = 0.0
    while True:
        g = yield p
        m = 0.95 * m + g
        u, s, v = np.linalg.svd(g + 0.95 * m, full_matrices=False)
        s = s / (np.linalg.norm(s) + 1e-7)
        for _ in range(6):
            s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
        p = p - LR * np.sqrt(max(1, p.shape[0] / p.shape[1])) * (u * s) @ v


ROWS: dict[str, tuple[Callable[[], Any], Rule]] = {
    "SGD": (lambda: optim.SGD(LR), sgd),
    "SGD momentum": (lambda: optim.SGD(LR, 0.9), lambda p: sgd(p, 0.9)),
    "SGD nesterov": (lambda: optim.SGD(LR, 0.9, nesterov=True), lambda p: sgd(p, 0.9, True)),
    "Adam": (lambda: optim.Adam(LR), adam),
    "Adam amsgrad": (lambda: optim.Adam(LR, amsgrad=True), lambda p: adam(p, amsgrad=True)),
    "AdamW": (lambda: optim.AdamW(LR, 0.1), lambda p: adam(p, 0.1)),
    "RMSprop": (lambda: optim.RMSprop(LR), rmsprop),
    "RMSprop centered momentum": (
        lambda: optim.RMSprop(LR, momentum=0.5, centered=True), lambda p: rmsprop(p, 0.5, True)
    ),
    "Adagrad": (lambda: optim.Adagrad(LR), adagrad),
    "Adadelta": (lambda: optim.Adadelta(LR), adadelta),
    "Adamax": (lambda: optim.Adamax(LR), adamax),
    "Nadam": (lambda: optim.Nadam(LR), nadam),
    "Lion": (lambda: optim.Lion(LR), lion),
    "Lamb": (lambda: optim.Lamb(LR), lamb),
    "Muon": (lambda: optim.Muon(LR), muon),
}  # fmt: skip


def parameters() -> list[Any]:
    rng = np.random.default_rng(3)
    return [rng.standard_normal(shape) for shape in ((4, 3), (3,), (2, 5))]


def gradients(step: int) -> list[Any]:
    rng = np.random.default_rng(100 + step)
    return [rng.standard_normal(p.shape) for p in parameters()]


def by_reference(rule: Rule, change: Any = lambda grads: grads) -> list[list[Any]]:
    running = [rule(p) for p in parameters()]
    for r in running:
        next(r)
    return [
        [r.send(g) for r, g in zip(running, change(gradients(i)), strict=True)]
        for i in range(STEPS)
    ]


def by_trees(opt: Any, target: str | None = None) -> list[list[Any]]:
    params, update = parameters(), opt.update
    if target is not None:
        update = tj.jit(lambda g, s, p: opt.update(g, s, p), target=target)
    state, found = opt.init(params), []
    for i in range(STEPS):
        params, state = update(gradients(i), state, params)
        found.append([np.array(p) for p in params])
    return found


def by_variables(opt: Any, target: str | None = None) -> list[list[Any]]:
    variables = [tj.Variable(p) for p in parameters()]
    apply = lambda grads: opt.apply(grads, variables)  # noqa: E731
    step = apply if target is None else tj.jit(apply, target=target)
    found = []
    for i in range(STEPS):
        step(gradients(i))
        found.append([v.numpy() for v in variables])
    if target is not None:
        assert step.cache_info().entries == 1
    return found


def assert_same(found: Any, wanted: Any) -> None:
    for a, b in zip(found, wanted, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12)


def test_every_optimizer_has_a_row() -> None:
    # LossScaleOptimizer has no rule of its own: see test_precision.py.
    rules = set(optim.optimizers.OPTIMIZERS) - {"LossScaleOptimizer"}
    assert {name.split()[0] for name in ROWS} == rules


@pytest.mark.parametrize("name", ROWS)
def test_an_optimizer_is_its_definition(name: str, target: str) -> None:
    make, rule = ROWS[name]
    wanted = by_reference(rule)
    for found in (by_trees(make()), by_variables(make()), by_trees(make(), target)):
        assert_same(found, wanted)
    assert_same(by_variables(make(), target), wanted)


@pytest.mark.parametrize("name", ROWS)
def test_f32_weights_stay_f32(name: str, target: str) -> None:
    variable, opt = tj.Variable(np.ones((3, 2), np.float32)), ROWS[name][0]()
    tj.jit(lambda g: opt.apply([g], [variable]), target=target)(np.ones((3, 2), np.float32))
    assert variable.numpy().max() < 1
    assert {v.dtype for v in opt._state[variable]} <= {np.dtype(np.float32), np.dtype(np.float64)}
    params, _ = opt.update([np.ones(2, np.float32)], opt.init([np.ones(2, np.float32)]),
                           [np.ones(2, np.float32)])  # fmt: skip
    assert params[0].dtype == np.float32


def clipped(grads: list[Any], name: str) -> list[Any]:
    if name == "clipvalue":
        return [np.clip(g, -0.5, 0.5) for g in grads]
    if name == "clipnorm":
        return [g * min(1, 0.5 / np.linalg.norm(g)) for g in grads]
    total = np.sqrt(sum((g**2).sum() for g in grads))
    return [g * min(1, 0.5 / total) for g in grads]


@pytest.mark.parametrize("name", ["clipvalue", "clipnorm", "global_clipnorm"])
def test_clipping(name: str, target: str) -> None:
    wanted = by_reference(lambda p: sgd(p, 0.9), lambda grads: clipped(grads, name))
    assert_same(by_variables(optim.SGD(LR, 0.9, **{name: 0.5}), target), wanted)
    assert_same(by_trees(optim.SGD(LR, 0.9, **{name: 0.5})), wanted)


def test_averages_of_weights(target: str) -> None:
    opt, variables = optim.SGD(LR, use_ema=True, ema_momentum=0.8), [tj.Variable(np.ones(3))]
    step = tj.jit(lambda g: opt.apply([g], variables), target=target)
    weight, average = np.ones(3), 0.0
    for i in range(4):
        g = np.arange(3.0) + i
        step(g)
        weight = weight - LR * g
        average = weight if i == 0 else 0.8 * average + 0.2 * weight
    np.testing.assert_allclose(variables[0].numpy(), weight)
    opt.finalize_variable_values(variables)
    np.testing.assert_allclose(variables[0].numpy(), average)


def test_accumulated_gradients(target: str) -> None:
    """Two calls are one step by the mean."""
    opt = optim.Adam(LR, gradient_accumulation_steps=2, use_ema=True)
    found = by_variables(opt, target)
    running = [adam(p) for p in parameters()]
    wanted = [next(r) for r in running]
    for i in range(0, STEPS, 2):
        assert_same([found[i]], [wanted])
        means = [(a + b) / 2 for a, b in zip(gradients(i), gradients(i + 1), strict=True)]
        wanted = [r.send(g) for r, g in zip(running, means, strict=True)]
        assert_same([found[i + 1]], [wanted])


def test_the_learning_rate_may_be_set_without_a_new_trace(target: str) -> None:
    opt, variable = optim.SGD(0.5), tj.Variable(np.zeros(2))
    step = tj.jit(lambda g: opt.apply([g], [variable]), target=target)
    step(np.ones(2))
    opt.learning_rate = 0.25
    step(np.ones(2))
    np.testing.assert_array_equal(variable.numpy(), [-0.75, -0.75])
    assert float(opt.learning_rate) == 0.25
    assert step.cache_info().entries == 1
    assert int(opt.iterations) == 2


def restarts(step: int) -> float:
    length, height = 4, 1.0
    while step >= length:
        step, length, height = step - length, length * 2, height * 0.5
    return 0.1 * (0.8 * 0.5 * height * (1 + cos(pi * step / length)) + 0.2)


SCHEDULES: dict[str, tuple[Any, Callable[[int], float]]] = {
    "ExponentialDecay": (
        schedules.ExponentialDecay(0.1, 4, 0.5), lambda s: 0.1 * 0.5 ** (s / 4)
    ),
    "ExponentialDecay staircase": (
        schedules.ExponentialDecay(0.1, 4, 0.5, True), lambda s: 0.1 * 0.5 ** (s // 4)
    ),
    "InverseTimeDecay": (
        schedules.InverseTimeDecay(0.1, 4, 0.5), lambda s: 0.1 / (1 + 0.5 * s / 4)
    ),
    "PiecewiseConstantDecay": (
        schedules.PiecewiseConstantDecay([3, 7], [0.1, 0.01, 0.001]),
        lambda s: 0.1 if s <= 3 else 0.01 if s <= 7 else 0.001,
    ),
    "PolynomialDecay": (
        schedules.PolynomialDecay(0.1, 8, 0.02, 2.0),
        lambda s: 0.08 * (1 - min(s, 8) / 8) ** 2 + 0.02,
    ),
    "PolynomialDecay cycle": (
        schedules.PolynomialDecay(0.1, 4, 0.02, cycle=True),
        lambda s: 0.08 * (1 - s / (4 * max(1, -(-s // 4)))) + 0.02,
    ),
    "CosineDecay": (
        schedules.CosineDecay(0.1, 8, 0.1),
        lambda s: 0.1 * (0.9 * 0.5 * (1 + cos(pi * min(s, 8) / 8)) + 0.1),
    ),
    "CosineDecay warm-up": (
        schedules.CosineDecay(0.01, 8, warmup_target=0.1, warmup_steps=3),
        lambda s: (
            0.01 + 0.03 * s if s < 3 else 0.1 * 0.5 * (1 + cos(pi * min(s - 3, 8) / 8))
        ),
    ),
    "CosineDecayRestarts": (
        schedules.CosineDecayRestarts(0.1, 4, 2.0, 0.5, 0.2), restarts
    ),
    "CosineDecayRestarts even": (
        schedules.CosineDecayRestarts(0.1, 5, 1.0),
        lambda s: 0.1 * 0.5 * (1 + cos(pi * (s % 5) / 5)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_its_formula(name: str, target: str) -> None:
    schedule, formula = SCHEDULES[name]
    wanted = [formula(s) for s in range(16)]
    np.testing.assert_allclose([float(schedule(s)) for s in range(16)], wanted, atol=1e-15)
    traced = tj.jit(lambda s: schedule(s), target=target)
    np.testing.assert_allclose([traced(np.int32(s)) for s in range(16)], wanted, atol=1e-14)
    again = type(schedule).from_config(schedule.get_config())
    assert float(again(5)) == float(schedule(5))


def test_every_schedule_has_a_row() -> None:
    assert {name.split()[0] for name in SCHEDULES} == set(schedules.SCHEDULES)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.SGD(momentum=2), r"SGD: momentum = 2 is outside \[0, 1\]"),
        (lambda: optim.Lion(beta_1=1), r"Lion: beta_1 = 1 is outside \[0, 1\)"),
        (lambda: optim.Adam(clipnorm=1, clipvalue=1), "clipnorm and clipvalue exclude each other"),
        (lambda: optim.get("adm"), "optimizer 'adm' is not there; there are sgd, adam"),
        (lambda: schedules.PiecewiseConstantDecay([1], [1]), "1 boundaries part 2 values, not 1"),
    ],
)
def test_nonsense_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
