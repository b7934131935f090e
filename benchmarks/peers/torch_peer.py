"""torch, eager or (TORCH_COMPILE=1) with the model under torch.compile; fused Adam in both.

TORCH_CHANNELS_LAST=1: images and convolution weights in that memory format.
"""

import os

import torch
import torch.nn.functional as F

from benchmarks.models.torch_models import network_and_batch
from benchmarks.stopwatch import Step, main
from benchmarks.workloads import BETA1, BETA2, EPSILON, LEARNING_RATE, Work


def make_step(work: Work) -> Step:
    model, x, y = network_and_batch(work, os.environ.get("TORCH_CHANNELS_LAST") == "1")
    optimizer = torch.optim.Adam(
        model.parameters(), LEARNING_RATE, betas=(BETA1, BETA2), eps=EPSILON, fused=True
    )
    forward = torch.compile(model) if os.environ.get("TORCH_COMPILE") == "1" else model

    def step() -> float:
        optimizer.zero_grad()
        logits = forward(x)
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


if __name__ == "__main__":
    main(make_step, torch.__version__)
