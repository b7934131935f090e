"""The training step of digits.py written in plain NumPy, gradients by hand: the yardstick."""

import math

import numpy as np


def forward(params, x):
    """Activations of every layer, input first, and the logits [n, 10]."""
    activations = [x]
    for w, b in params[:-1]:
        activations.append(np.maximum(activations[-1] @ w + b, 0))
    w, b = params[-1]
    return activations, activations[-1] @ w + b


def gradients(params, x, y):
    """The mean cross-entropy of the batch x: [n, 64], y: [n], and its gradient for each (w, b)."""
    activations, logits = forward(params, x)
    rows = np.arange(len(y))
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_softmax = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    delta = np.exp(log_softmax)
    delta[rows, y] -= 1
    delta /= np.float32(len(y))
    grads = []
    for (w, _), h in zip(reversed(params), reversed(activations), strict=True):
        grads.append((h.T @ delta, delta.sum(axis=0)))
        if h is not x:
            delta = (delta @ w.T) * (h > 0)
    return -log_softmax[rows, y].mean(), grads[::-1]


def train_step(state, x, y, rate):
    """One step of Adam, in place; returns the loss. state: params, m, v and the step count t.

    rate(t) is the learning rate. Source: Kingma & Ba 2014, arXiv:1412.6980, section 2.
    """
    loss, grads = gradients(state["params"], x, y)
    state["t"] += 1
    t = state["t"]
    scale = rate(t) * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    trees = state["params"], state["m"], state["v"], grads
    for p, m, v, g in zip(*map(leaves, trees), strict=True):
        m += 0.1 * (g - m)
        v += 0.001 * (g * g - v)
        p -= scale * m / (np.sqrt(v) + 1e-8)
    return loss


def leaves(layers):
    """The arrays of a list of (w, b), in order."""
    return [array for layer in layers for array in layer]
