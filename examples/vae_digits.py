"""A variational autoencoder of handwritten digits: a model with a training step of its own.

Source: Kingma & Welling 2013, arXiv:1312.6114. In Keras the step would be written in the terms of
one backend (a GradientTape, or a torch backward); here it is NumPy, and fit compiles it whole.

python examples/vae_digits.py [--short]
"""

import sys

import digits_data
import numpy as np

import tracejit as tj
from tracejit import nn, optim, random

CODE = 8


class VAE(tj.Model):
    def __init__(self):
        super().__init__()
        self.encoder = tj.Sequential([nn.Dense(128, "silu"), nn.Dense(2 * CODE)])
        self.decoder = tj.Sequential([nn.Dense(128, "silu"), nn.Dense(64)])
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
    """Images [n, 64] side by side, in characters."""
    rows = np.concatenate(images.reshape(-1, 8, 8), axis=1)
    return "\n".join("".join(" .:-=+*#%@"[min(int(v * 10), 9)] for v in row) for row in rows)


def main(short=False):
    nn.set_random_seed(0)
    digits = digits_data.load()
    model = VAE()
    model.compile(optim.Adam(2e-3))
    epochs = 3 if short else 60
    history = model.fit(digits.x_train, batch_size=32, epochs=epochs, verbose=2).history
    sample = tj.jit(lambda key: model.sample(key, 8))
    print(draw(sample(random.key(7))))
    return history["loss"]


if __name__ == "__main__":
    main("--short" in sys.argv)
