"""A variational autoencoder of handwritten digits: a model with a training step of its own.

Source: Kingma & Welling 2013, arXiv:1312.6114. In Keras the step would be written in the terms of
one backend (a GradientTape, or a torch backward); here it is NumPy, and fit compiles it whole.

python examples/vae_digits.py [--short] [--picture FILE]
"""

import sys

import mnist_data
import numpy as np

import tracejit as tj
from tracejit import nn, optim, random

CODE, PIXELS = 16, 28 * 28


class VAE(tj.Model):
    def __init__(self):
        super().__init__()
        self.encoder = tj.Sequential([nn.Dense(256, "silu"), nn.Dense(2 * CODE)])
        self.decoder = tj.Sequential([nn.Dense(256, "silu"), nn.Dense(PIXELS)])
        self.key = tj.Variable(random.key(1), trainable=False)

    def call(self, x):
        """The mean and the log variance of the code."""
        code = self.encoder(x)
        return code[:, :CODE], code[:, CODE:]

    def build_from(self, *args):
        """The decoder is not part of `call`: it is built here."""
        super().build_from(*args)
        self.decoder.build((None, CODE))

    def train_step(self, x, y, sample_weight):
        key, following = random.split(self.key)
        self.key.assign(following)

        def loss_fn():
            mean, log_var = self(x, training=True)
            noise = random.normal(key, mean.shape, mean.dtype)
            logits = self.decoder(mean + np.exp(0.5 * log_var) * noise)
            errors = nn.sigmoid_cross_entropy(logits, x).sum(-1).mean()
            divergence = -0.5 * (1 + log_var - mean**2 - np.exp(log_var)).sum(-1).mean()
            return errors + divergence, divergence

        variables = self.trainable_variables
        (loss, divergence), grads = tj.value_and_grad(loss_fn, wrt=variables, has_aux=True)()
        self.optimizer.apply(grads, variables)
        return {"loss": loss, "divergence": divergence}

    def sample(self, key, count):
        return nn.sigmoid(self.decoder(random.normal(key, (count, CODE))))


def draw(images):
    """Images [n, 28, 28] side by side, in characters, every second row."""
    rows = np.concatenate(images[:, ::2], axis=1)
    return "\n".join("".join(" .:-=+*#%@"[min(int(v * 10), 9)] for v in row) for row in rows)


def main(short=False, picture=None):
    nn.set_random_seed(0)
    images = mnist_data.load(every=4 if short else 1).x_train.reshape(-1, PIXELS)
    model = VAE()
    model.compile(optim.Adam(2e-3))
    epochs = 3 if short else 60
    history = model.fit(images, batch_size=50, epochs=epochs, verbose=2).history
    sample = tj.jit(lambda key: model.sample(key, 30))
    drawn = sample(random.key(7)).reshape(-1, 28, 28)
    print(draw(drawn[:4]))
    if picture:
        mnist_data.save_picture(picture, drawn)
    return history["loss"]


if __name__ == "__main__":
    at = sys.argv.index("--picture") + 1 if "--picture" in sys.argv else None
    main("--short" in sys.argv, sys.argv[at] if at else None)
