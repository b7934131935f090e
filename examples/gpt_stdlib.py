"""A small GPT that writes Python: trained on characters of the standard library's own source.

Source: Vaswani et al. 2017, arXiv:1706.03762; normalisation before each part, as GPT-2. In PyTorch
the same blocks are nn.MultiheadAttention and nn.LayerNorm; in Keras layers of the same names.

python examples/gpt_stdlib.py [--short]
"""

import argparse
import ast
import sys
import textwrap
from pathlib import Path

import numpy as np

import tracejit as tj
from tracejit import nn, optim

SPAN, BATCH = 64, 16


class Block(nn.Module):
    def __init__(self, width, heads):
        self.norms = [nn.LayerNormalization(), nn.LayerNormalization()]
        self.attention = nn.MultiHeadAttention(heads, width // heads)
        self.wide, self.narrow = nn.Dense(4 * width, "gelu"), nn.Dense(width)

    def __call__(self, x):
        y = self.norms[0](x)
        x = x + self.attention(y, y, use_causal_mask=True)
        return x + self.narrow(self.wide(self.norms[1](x)))


class GPT(nn.Module):
    def __init__(self, letters, width=64, heads=4, depth=2):
        self.letters, self.places = nn.Embedding(letters, width), nn.Embedding(SPAN, width)
        self.blocks = [Block(width, heads) for _ in range(depth)]
        self.norm, self.out = nn.LayerNormalization(), nn.Dense(letters)

    def __call__(self, tokens):
        x = self.letters(tokens) + self.places(np.arange(SPAN))
        for block in self.blocks:
            x = block(x)
        return self.out(self.norm(x))


def text():
    """Source code that every Python brings along, as numbers, and the letters they stand for."""
    source = "".join(Path(m.__file__).read_text("utf-8") for m in (argparse, ast, textwrap))
    letters = sorted(set(source))
    place = {c: i for i, c in enumerate(letters)}
    return np.array([place[c] for c in source], np.int32), letters


def main(short=False):
    nn.set_random_seed(0)
    tokens, letters = text()
    held_out = len(tokens) // 10
    steps = 20 if short else 1000
    schedule = optim.schedules.CosineDecay(0.0, steps, warmup_target=3e-3, warmup_steps=steps // 10)
    model, opt = GPT(len(letters)), optim.AdamW(schedule, 0.01, global_clipnorm=1.0)
    model(tokens[None, :SPAN])
    variables = model.trainable_variables
    print(f"{len(tokens):,} letters, {len(letters)} kinds; {model.count_params():,} parameters")

    @tj.jit
    def step(x, y):
        def loss_fn():
            return nn.softmax_cross_entropy(model(x), y).mean()

        loss, grads = tj.value_and_grad(loss_fn, wrt=variables)()
        opt.apply(grads, variables)
        return loss

    evaluate = tj.jit(lambda x, y: nn.softmax_cross_entropy(model(x), y).mean())
    following = tj.jit(lambda x, place: nn.softmax(model(x)[0, place] / 0.7))

    def batch(rng, low, high):
        rows = rng.integers(low, high - SPAN - 1, BATCH)[:, None] + np.arange(SPAN)
        return tokens[rows], tokens[rows + 1]

    rng, history = np.random.default_rng(0), []
    for i in range(steps):
        history.append(float(step(*batch(rng, held_out, len(tokens)))))
        if (i + 1) % max(steps // 10, 1) == 0:
            seen = np.mean(history[-max(steps // 10, 1) :])
            test = np.mean(
                [evaluate(*batch(np.random.default_rng(j), 0, held_out)) for j in range(4)]
            )
            print(f"step {i + 1:4}: loss {seen:.3f}, held out {test:.3f} nats a letter")
    written = list(tokens[:8])
    for _ in range(20 if short else 200):
        window = np.zeros((1, SPAN), np.int32)
        recent = written[-SPAN:]
        window[0, : len(recent)] = recent
        chances = following(window, np.array([len(recent) - 1]))[0].astype(np.float64)
        written.append(int(rng.choice(len(letters), p=chances / chances.sum())))
    print("".join(letters[i] for i in written))
    return history


if __name__ == "__main__":
    main("--short" in sys.argv)
