"""A residual network on 28x28 digits in bf16, written as in PyTorch, trained as in Keras.

In PyTorch `Block` reads the same, with `forward` for `call` and sizes of inputs given; mixed
precision is `torch.autocast`, here a dtype policy as in Keras. Source: He et al. 2015,
arXiv:1512.03385, and 2016, arXiv:1603.05027 (the order within a block).

python examples/resnet_digits.py [--short]
"""

import sys

import mnist_data

import tracejit as tj
from tracejit import losses, nn, optim


class Block(nn.Layer):
    """Two convolutions beside a way around them, which a 1x1 convolution fits where it must."""

    def __init__(self, filters, stride=1, **keywords):
        super().__init__(**keywords)
        self.norms = [nn.BatchNormalization(momentum=0.9) for _ in range(2)]
        self.convs = [
            nn.Conv2D(filters, 3, stride, "same", use_bias=False, kernel_initializer="he_normal"),
            nn.Conv2D(filters, 3, 1, "same", use_bias=False, kernel_initializer="he_normal"),
        ]
        self.around = nn.Conv2D(filters, 1, stride, "same") if stride > 1 else nn.Identity()

    def call(self, x, training=None):
        y = self.convs[0](nn.relu(self.norms[0](x, training=training)))
        y = self.convs[1](nn.relu(self.norms[1](y, training=training)))
        return self.around(x) + y


def network():
    blocks = [Block(16), Block(32, 2), Block(64, 2)]
    tail = [nn.BatchNormalization(momentum=0.9), nn.ReLU(), nn.GlobalAveragePooling2D()]
    stem = nn.Conv2D(16, 3, padding="same", use_bias=False)
    # The last layer computes in f32, as losses should.
    return tj.Sequential(
        [tj.Input((28, 28, 1)), stem, *blocks, *tail, nn.Dense(10, dtype="float32")]
    )


def main(short=False):
    nn.set_random_seed(0)
    nn.set_dtype_policy("mixed_bfloat16")
    try:
        model = network()
    finally:
        nn.set_dtype_policy(None)
    data = mnist_data.load(every=10 if short else 1)
    epochs, batch = (2 if short else 12), 50
    steps = epochs * len(data.x_train) // batch
    model.summary()
    model.compile(
        optim.AdamW(optim.schedules.CosineDecay(3e-3, steps), weight_decay=0.01),
        losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = model.fit(
        data.x_train, data.y_train, batch_size=batch, epochs=epochs,
        validation_data=(data.x_test, data.y_test), verbose=2,
    ).history  # fmt: skip
    loss, accuracy = model.evaluate(data.x_test, data.y_test)
    print(f"test: loss {loss:.4f}, accuracy {accuracy:.2%}")
    return history["loss"], accuracy


if __name__ == "__main__":
    main("--short" in sys.argv)
