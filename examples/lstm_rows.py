"""An LSTM that reads 28x28 digits row by row, top to bottom: the loop is part of the one program.

In Keras the same but for the names of the modules; in PyTorch `nn.LSTM(28, 96, batch_first=True)`,
whose last output `out[:, -1]` a `nn.Linear` reads, and a loop by hand.

python examples/lstm_rows.py [--short]
"""

import sys

import mnist_data

import tracejit as tj
from tracejit import losses, nn, optim


def main(short=False):
    nn.set_random_seed(0)
    data = mnist_data.load(every=8 if short else 1)
    x_train, x_test = data.x_train[..., 0], data.x_test[..., 0]  # 28 steps of 28 numbers
    epochs, batch = (3 if short else 20), 50
    model = tj.Sequential(
        [
            tj.Input((28, 28)),
            nn.Bidirectional(nn.LSTM(64, return_sequences=True)),
            nn.Dropout(0.3),
            nn.LSTM(96),
            nn.Dropout(0.3),
            nn.Dense(10),
        ]
    )
    model.summary()
    model.compile(
        optim.Adam(
            optim.schedules.CosineDecay(4e-3, epochs * len(x_train) // batch), global_clipnorm=1.0
        ),
        losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = model.fit(
        x_train, data.y_train, batch_size=batch, epochs=epochs,
        validation_data=(x_test, data.y_test), verbose=2,
    ).history  # fmt: skip
    loss, accuracy = model.evaluate(x_test, data.y_test)
    print(f"test: loss {loss:.4f}, accuracy {accuracy:.2%}")
    return history["loss"], accuracy


if __name__ == "__main__":
    main("--short" in sys.argv)
