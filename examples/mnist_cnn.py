"""A convolutional network on 28x28 digits, as in Keras: compile and fit, images moved a little.

In Keras the same but for `keras.Sequential`, `keras.layers`, `keras.optimizers`; in PyTorch the
layers want input sizes, images are [N, C, H, W], and the loop is written out.

python examples/mnist_cnn.py [--short]
"""

import sys

import mnist_data
import numpy as np

import tracejit as tj
from tracejit import losses, nn, optim

BATCH = 50


def shifted(images, digits, seed):
    """Batches without end, each image moved by up to 2 pixels either way."""
    rng = np.random.default_rng(seed)
    wide = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    rows, columns = np.arange(28)[:, None], np.arange(28)
    while True:
        order = rng.permutation(len(images))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            down, right = rng.integers(0, 5, (2, BATCH, 1, 1))
            yield wide[chosen[:, None, None], rows + down, columns + right], digits[chosen]


def network():
    block = []
    for filters in (32, 64, 128):
        block += [
            nn.Conv2D(filters, 3, padding="same", use_bias=False),
            nn.BatchNormalization(momentum=0.9),
            nn.ReLU(),
            nn.MaxPooling2D(2),
        ]
    head = [nn.Flatten(), nn.Dense(128, "relu"), nn.Dropout(0.3), nn.Dense(10)]
    return tj.Sequential([tj.Input((28, 28, 1)), *block, *head])


def main(short=False):
    nn.set_random_seed(0)
    data = mnist_data.load(every=4 if short else 1)
    epochs, steps = (4 if short else 25), len(data.x_train) // BATCH
    model = network()
    model.summary()
    model.compile(
        optim.Adam(optim.schedules.CosineDecay(2e-3, epochs * steps)),
        losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = model.fit(
        shifted(data.x_train, data.y_train, seed=0),
        epochs=epochs,
        steps_per_epoch=steps,
        validation_data=(data.x_test, data.y_test),
        verbose=2,
    ).history
    loss, accuracy = model.evaluate(data.x_test, data.y_test)
    print(f"test: loss {loss:.4f}, accuracy {accuracy:.2%}")
    return history["loss"], accuracy


if __name__ == "__main__":
    main("--short" in sys.argv)
