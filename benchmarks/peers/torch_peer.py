"""torch, eager or (TORCH_COMPILE=1) with the models under torch.compile; fused Adam in both.

TORCH_CHANNELS_LAST=1: images and convolution weights in that memory format.
"""

import os

import torch
import torch.nn.functional as F

from benchmarks.models.torch_models import gan_and_batch, network_and_batch
from benchmarks.stopwatch import Step, main
from benchmarks.workloads import BETA1, BETA2, EPSILON, LEARNING_RATE, Work

CHANNELS_LAST = os.environ.get("TORCH_CHANNELS_LAST") == "1"


def compiled(model: torch.nn.Module) -> torch.nn.Module:
    return torch.compile(model) if os.environ.get("TORCH_COMPILE") == "1" else model


def adam(model: torch.nn.Module) -> torch.optim.Adam:
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.Adam(trained, LEARNING_RATE, betas=(BETA1, BETA2), eps=EPSILON, fused=True)


def make_step(work: Work) -> Step:
    if work.model == "dcgan":
        return make_gan_step(work)
    model, x, y = network_and_batch(work, CHANNELS_LAST)
    optimizer, forward = adam(model), compiled(model)

    def step() -> float:
        optimizer.zero_grad()
        logits = forward(x)
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def make_gan_step(work: Work) -> Step:
    """As in the DCGAN tutorial of torch."""
    maker, critic, real, noise = gan_and_batch(work, CHANNELS_LAST)
    maker_adam, critic_adam = adam(maker), adam(critic)
    make, judge = compiled(maker), compiled(critic)
    ones, zeros = torch.ones(len(real), 1), torch.zeros(len(real), 1)
    entropy = F.binary_cross_entropy_with_logits

    def step() -> float:
        critic_adam.zero_grad()
        of_real = entropy(judge(real), ones)
        of_real.backward()
        fakes = make(noise)
        of_fakes = entropy(judge(fakes.detach()), zeros)
        of_fakes.backward()
        critic_adam.step()
        maker_adam.zero_grad()
        loss = entropy(judge(fakes), ones)
        loss.backward()
        maker_adam.step()
        return (loss + of_real + of_fakes).detach()

    return step


if __name__ == "__main__":
    main(make_step, torch.__version__)
