"""A convolutional network on handwritten digits, as in PyTorch: a module and a loop by hand.

The whole step (forward, backward, Adam) is one compiled program, and the weights change in place.
In PyTorch the step is zero_grad, backward and opt.step, and images are [N, C, H, W]; in Keras it is
model.fit, as in fit_digits.py.

python examples/cnn_digits.py [--short]
"""

import sys

import digits_data
import numpy as np

import tracejit as tj
from tracejit import nn, optim

BATCH = 32


class Net(nn.Module):
    def __init__(self):
        self.convs = [nn.Conv2D(32, 3, padding="same"), nn.Conv2D(64, 3, padding="same")]
        self.norms = [nn.BatchNormalization(momentum=0.9), nn.BatchNormalization(momentum=0.9)]
        self.drop = nn.Dropout(0.3)
        self.out = nn.Dense(10)

    def __call__(self, x, training=False):
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = nn.max_pool2d(nn.relu(norm(conv(x), training=training)), 2)
        return self.out(self.drop(nn.flatten(x), training=training))


def main(short=False):
    nn.set_random_seed(0)
    digits = digits_data.load()
    x_train, x_test = (x.reshape(-1, 8, 8, 1) for x in (digits.x_train, digits.x_test))
    epochs = 2 if short else 15
    steps = len(x_train) // BATCH
    model, opt = Net(), optim.Adam(optim.schedules.CosineDecay(3e-3, epochs * steps))
    model(x_train[:1])  # the shapes are known from here on
    print(model, f"{model.count_params():,} parameters", sep="\n")

    @tj.jit
    def step(x, y):
        def loss_fn():
            return nn.softmax_cross_entropy(model(x, training=True), y).mean()

        loss, grads = tj.value_and_grad(loss_fn, wrt=model.trainable_variables)()
        opt.apply(grads, model.trainable_variables)
        return loss

    predict = tj.jit(lambda x: model(x).argmax(-1))
    rng, history = np.random.default_rng(0), []
    for epoch in range(epochs):
        order = rng.permutation(len(x_train))[: steps * BATCH].reshape(steps, BATCH)
        losses = [float(step(x_train[rows], digits.y_train[rows])) for rows in order]
        accuracy = float((predict(x_test) == digits.y_test).mean())
        history.append(float(np.mean(losses)))
        print(f"epoch {epoch + 1:2}: loss {history[-1]:.4f}, test accuracy {accuracy:.2%}")
    return history, accuracy


if __name__ == "__main__":
    main("--short" in sys.argv)
