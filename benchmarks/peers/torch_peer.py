"""torch, eager or (TORCH_COMPILE=1) with the model under torch.compile; fused Adam in both."""

import os

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.stopwatch import Step, main
from benchmarks.workloads import BETA1, BETA2, EPSILON, LEARNING_RATE, Mlp


def network(work: Mlp) -> nn.Sequential:
    """Linear and ReLU layers with the workload's weights."""
    layers: list[nn.Module] = []
    for w, b in work.params:
        linear = nn.Linear(*w.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(w.T.copy()))
            linear.bias.copy_(torch.from_numpy(b))
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def make_step(work: Mlp) -> Step:
    model = network(work)
    optimizer = torch.optim.Adam(
        model.parameters(), LEARNING_RATE, betas=(BETA1, BETA2), eps=EPSILON, fused=True
    )
    x, y = torch.from_numpy(work.x), torch.from_numpy(work.y).long()
    forward = torch.compile(model) if os.environ.get("TORCH_COMPILE") == "1" else model

    def step() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(forward(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


if __name__ == "__main__":
    main(make_step, torch.__version__)
