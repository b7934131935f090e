"""Runs examples in full and draws their losses to docs/pictures; needs matplotlib.

python examples/curves.py [NAME ...]
"""

import importlib
import sys
import time
from pathlib import Path

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
# The unit of one loss, and whether the example draws a picture too.
NAMES = {
    "fit_digits": ("epoch", False), "cnn_digits": ("epoch", False), "mnist_cnn": ("epoch", False),
    "resnet_digits": ("epoch", False), "lstm_rows": ("epoch", False), "gru_names": ("epoch", False),
    "vae_digits": ("epoch", True), "dcgan_digits": ("epoch", True), "gpt_stdlib": ("step", False),
}  # fmt: skip


def curve(name, losses, unit):
    """docs/pictures/NAME.png: one line, or one for each of a dict."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(4, 2.4), dpi=80)
    for label, values in (losses if isinstance(losses, dict) else {"loss": losses}).items():
        axes.plot(range(1, len(values) + 1), values, label=label, linewidth=1)
    axes.set_xlabel(unit)
    axes.set_title(name, fontsize=9)
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(PICTURES / f"{name}.png")
    plt.close(figure)


def main(names):
    PICTURES.mkdir(exist_ok=True)
    for name in names or NAMES:
        unit, draws = NAMES[name]
        start = time.perf_counter()
        keywords = {"picture": PICTURES / f"{name}_drawn.png"} if draws else {}
        found = importlib.import_module(name).main(**keywords)
        curve(name, found[0] if isinstance(found, tuple) else found, unit)
        print(f"{name}: {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
