"""A network on handwritten digits, as in Keras: layers in a row, compile, fit, evaluate, save.

In Keras the same code reads `import keras; from keras import layers`, with keras.Sequential for
tj.Sequential and layers.Dense for nn.Dense; in PyTorch it is nn.Sequential and a loop by hand, as
in cnn_digits.py.

python examples/fit_digits.py [--short]
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import digits_data

import tracejit as tj
from tracejit import callbacks, losses, nn


def network():
    return tj.Sequential(
        [
            tj.Input((64,)),
            nn.Dense(128, activation="relu"),
            nn.BatchNormalization(),
            nn.Dropout(0.3),
            nn.Dense(64, activation="relu"),
            nn.Dropout(0.3),
            nn.Dense(10),
        ]
    )


def main(short=False):
    nn.set_random_seed(0)
    digits = digits_data.load()
    model = network()
    model.compile(
        optimizer="adam",
        loss=losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.summary()
    history = model.fit(
        digits.x_train,
        digits.y_train,
        batch_size=32,
        epochs=3 if short else 40,
        validation_split=0.1,
        callbacks=[callbacks.ReduceLROnPlateau(factor=0.5, patience=5)],
        verbose=2,
    )
    loss, accuracy = model.evaluate(digits.x_test, digits.y_test)
    print(f"test loss {loss:.4f}, test accuracy {accuracy:.2%}")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "digits.safetensors"
        model.save(path)
        again = tj.load_model(path)
        same = (again.predict(digits.x_test) == model.predict(digits.x_test)).all()
        print(f"saved {path.stat().st_size:,} bytes; loaded, it predicts the same: {same}")
    return history.history["loss"], accuracy


if __name__ == "__main__":
    main("--short" in sys.argv)
