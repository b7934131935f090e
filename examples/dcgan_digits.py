"""A DCGAN that draws digits: generator and discriminator, both updates in one compiled step.

In PyTorch the two losses, `backward` and two optimizers' steps, and `fake.detach()`; in Keras a
model with a `train_step` in the terms of one backend.
Source: Radford et al. 2015, arXiv:1511.06434.

python examples/dcgan_digits.py [--short] [--picture FILE]
"""

import sys

import mnist_data
import numpy as np

import tracejit as tj
from tracejit import nn, optim, random

NOISE, BATCH = 32, 50


def generator():
    draw = nn.initializers.RandomNormal(0.0, 0.02)
    return tj.Sequential(
        [
            tj.Input((NOISE,)),
            nn.Dense(7 * 7 * 64, use_bias=False, kernel_initializer=draw),
            nn.Reshape((7, 7, 64)),
            nn.BatchNormalization(momentum=0.9),
            nn.ReLU(),
            nn.Conv2DTranspose(32, 4, 2, "same", use_bias=False, kernel_initializer=draw),
            nn.BatchNormalization(momentum=0.9),
            nn.ReLU(),
            nn.Conv2DTranspose(1, 4, 2, "same", activation="sigmoid", kernel_initializer=draw),
        ]
    )


def discriminator():
    draw = nn.initializers.RandomNormal(0.0, 0.02)
    return tj.Sequential(
        [
            tj.Input((28, 28, 1)),
            nn.Conv2D(32, 4, 2, "same", kernel_initializer=draw),
            nn.LeakyReLU(0.2),
            nn.Conv2D(64, 4, 2, "same", kernel_initializer=draw),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Dense(1),
        ]
    )


def main(short=False, picture=None):
    nn.set_random_seed(0)
    images = mnist_data.load(every=4 if short else 1).x_train
    gen, dis = generator(), discriminator()
    gen_opt, dis_opt = optim.Adam(3e-4, beta_1=0.5), optim.Adam(5e-4, beta_1=0.5)
    key = tj.Variable(random.key(0), trainable=False)

    @tj.jit
    def step(real):
        now, following = random.split(key)
        key.assign(following)
        noise = random.normal(now, (len(real), NOISE), np.float32)

        def dis_loss():
            right = dis(real, training=True)
            wrong = dis(tj.stop_gradient(gen(noise, training=True)), training=True)
            errors = nn.softplus(-right) + nn.softplus(wrong)
            return errors.mean()

        def gen_loss():
            return nn.softplus(-dis(gen(noise, training=True), training=True)).mean()

        d_loss, d_grads = tj.value_and_grad(dis_loss, wrt=dis.trainable_variables)()
        dis_opt.apply(d_grads, dis.trainable_variables)
        g_loss, g_grads = tj.value_and_grad(gen_loss, wrt=gen.trainable_variables)()
        gen_opt.apply(g_grads, gen.trainable_variables)
        return d_loss, g_loss

    draw = tj.jit(lambda noise: gen(noise, training=False)[..., 0])
    shown = np.random.default_rng(1).standard_normal((30, NOISE)).astype(np.float32)
    rng, history = np.random.default_rng(0), []
    epochs = 3 if short else 40
    for epoch in range(epochs):
        order = rng.permutation(len(images))
        batches = order[: len(order) // BATCH * BATCH].reshape(-1, BATCH)
        losses = np.array([step(images[rows]) for rows in batches])
        history.append([float(x) for x in losses.mean(0)])
        right, drawn = history[-1]
        print(f"epoch {epoch + 1:2}: discriminator {right:.3f}, generator {drawn:.3f}")
    drawn = draw(shown)
    if picture:
        mnist_data.save_picture(picture, drawn)
    for row in drawn[0, ::2]:
        print("".join(" .:-=+*#%@"[min(int(v * 10), 9)] for v in row))
    return dict(zip(("discriminator", "generator"), zip(*history, strict=True), strict=True))


if __name__ == "__main__":
    at = sys.argv.index("--picture") + 1 if "--picture" in sys.argv else None
    main("--short" in sys.argv, sys.argv[at] if at else None)
