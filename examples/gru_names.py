"""A GRU that reads the names of characters: from "LATIN SMALL LETTER E WITH ACUTE" to "Ll".

The names and their categories are Python's own copy of the Unicode Character Database. They are of
many lengths; a mask from the embedding tells the GRU where each one ends. In Keras the same but for
the names of the modules; in PyTorch `pack_padded_sequence` does what the mask does here.

python examples/gru_names.py [--short]
"""

import sys
import unicodedata

import numpy as np

import tracejit as tj
from tracejit import losses, nn, optim

LENGTH, BATCH = 40, 64
LETTERS = " ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
KINDS = ("Lu", "Ll", "Lo", "Mn", "Nd", "No", "Po", "Sm", "So")


def encoded(name):
    """A letter's place in LETTERS, from 1; 0 after the end."""
    places = [LETTERS.index(c) + 1 for c in name[-LENGTH:]]
    return places + [0] * (LENGTH - len(places))


def names():
    """Names, as integers [n, LENGTH], and categories [n]; ideographs and the like left out."""
    rows, kinds = [], []
    for point in range(0x20, 0x20000):
        name, kind = unicodedata.name(chr(point), ""), unicodedata.category(chr(point))
        numbered = any(part.startswith(("CJK", "HANGUL", "TANGUT")) for part in name.split()[:1])
        if name and not numbered and kind in KINDS and point not in range(0x10600, 0x18D00):
            rows.append(encoded(name))
            kinds.append(KINDS.index(kind))
    return np.array(rows, np.int32), np.array(kinds, np.int32)


def main(short=False):
    nn.set_random_seed(0)
    x, y = names()
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], y[order]
    held_out = 256 if short else len(x) // 5
    x, y = (x[:1280], y[:1280]) if short else (x, y)
    epochs = 3 if short else 8
    steps = epochs * (len(x) - held_out) // BATCH
    commonest = np.bincount(y).max() / len(y)
    print(f"{len(x):,} names, {len(KINDS)} categories, {commonest:.0%} of the commonest")
    model = tj.Sequential(
        [
            tj.Input((LENGTH,), dtype="int32"),
            nn.Embedding(len(LETTERS) + 1, 24, mask_zero=True),
            nn.GRU(96),
            nn.Dense(len(KINDS)),
        ]
    )
    model.compile(
        optim.Adam(optim.schedules.CosineDecay(5e-3, steps), global_clipnorm=1.0),
        losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = model.fit(
        x[held_out:], y[held_out:], batch_size=BATCH, epochs=epochs,
        validation_data=(x[:held_out], y[:held_out]), verbose=2,
    ).history  # fmt: skip
    made_up = ["LATIN SMALL LETTER Z WITH NINE DOTS", "OLD ROBOTIC DIGIT SEVEN", "HAPPY COMPILER"]
    guesses = model.predict(np.array([encoded(name) for name in made_up], np.int32)).argmax(-1)
    for name, guess in zip(made_up, guesses, strict=True):
        print(f"{name}: {KINDS[guess]}")
    return history["loss"], history["val_accuracy"][-1]


if __name__ == "__main__":
    main("--short" in sys.argv)
