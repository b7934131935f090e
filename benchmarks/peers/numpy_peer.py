"""Plain NumPy, gradients by hand, updates in place."""

import math

import numpy as np

from benchmarks.stopwatch import Step, main
from benchmarks.workloads import BETA1, BETA2, EPSILON, LEARNING_RATE, Floats, Layers, Work


def gradients(params: Layers, x: Floats, y: np.ndarray) -> tuple[float, Layers]:
    """The mean cross-entropy and its gradient for each (w, b)."""
    activations = [x]
    for w, b in params[:-1]:
        activations.append(np.maximum(activations[-1] @ w + b, 0))
    logits = activations[-1] @ params[-1][0] + params[-1][1]

    rows = np.arange(len(y))
    logits -= logits.max(axis=1, keepdims=True)
    delta = np.exp(logits)
    total = delta.sum(axis=1, keepdims=True)
    loss = float((np.log(total[:, 0]) - logits[rows, y]).mean())
    delta /= total
    delta[rows, y] -= 1
    delta /= np.float32(len(y))

    grads: Layers = []
    for layer in reversed(range(len(params))):
        h = activations[layer]
        grads.append((h.T @ delta, delta.sum(axis=0)))
        if layer:
            delta = delta @ params[layer][0].T
            delta *= h > 0
    return loss, grads[::-1]


def adam(p: Floats, g: Floats, m: Floats, v: Floats, t: int) -> None:
    """One step of Adam, in place, as torch.optim.Adam takes it.

    Source: Kingma & Ba 2014, arXiv:1412.6980, Algorithm 1, its corrections in the scalars.
    """
    m *= BETA1
    m += (1 - BETA1) * g
    v *= BETA2
    v += (1 - BETA2) * (g * g)
    correction = math.sqrt(1 - BETA2**t)
    scale, epsilon = LEARNING_RATE * correction / (1 - BETA1**t), EPSILON * correction
    p -= scale * m / (np.sqrt(v) + epsilon)


def make_step(work: Work) -> Step:
    params = [(w.copy(), b.copy()) for w, b in work.params]
    moments = [[np.zeros_like(a) for _ in range(2)] for layer in params for a in layer]
    t = 0

    def step() -> float:
        nonlocal t
        t += 1
        loss, grads = gradients(params, work.x, work.y)
        pairs = zip(params, grads, strict=True)
        arrays = ((p, g) for layer, grad in pairs for p, g in zip(layer, grad, strict=True))
        for (p, g), (m, v) in zip(arrays, moments, strict=True):
            adam(p, g, m, v, t)
        return loss

    return step


if __name__ == "__main__":
    main(make_step, np.__version__)
