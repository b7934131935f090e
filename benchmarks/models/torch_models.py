"""The models as torch modules that start from the workload's weights, in torch's layouts.

Images are [N, C, H, W] and convolution weights [O, C, KH, KW] here; the workload has them channels
last. The batch norms keep no running averages, as the other peers keep none.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.workloads import HEADS, LEAK, NORM_EPSILON, Work


def weight(array: np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(np.ascontiguousarray(array)))


def linear(w: np.ndarray, b: np.ndarray | None = None) -> nn.Linear:
    """w: [in, out], b: [out]."""
    layer = nn.Linear(*w.shape, bias=b is not None)
    layer.weight = weight(w.T)
    if b is not None:
        layer.bias = weight(b)
    return layer


def conv(w: np.ndarray, b: np.ndarray | None = None, stride: int = 1) -> nn.Conv2d:
    """w: [K, K, C, O], b: [O]; K // 2 zeros on each side."""
    window, _, channels, out = w.shape
    layer = nn.Conv2d(channels, out, window, stride, window // 2, bias=b is not None)
    layer.weight = weight(w.transpose(3, 2, 0, 1))
    if b is not None:
        layer.bias = weight(b)
    return layer


def dense_layers(params: Any) -> nn.Sequential:
    layers: list[nn.Module] = []
    for w, b in params:
        layers += [linear(w, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def lenet(params: Any) -> nn.Sequential:
    layers: list[nn.Module] = []
    for name in ("conv1", "conv2"):
        layers += [conv(*params[name]), nn.ReLU(), nn.MaxPool2d(2)]
    # Flatten gives [C, H, W] in either memory format; the workload's weights are for [H, W, C].
    (first, shift), last = params["dense"]
    side = int((first.shape[0] // params["conv2"][0].shape[3]) ** 0.5)
    rows = first.reshape(side, side, -1, first.shape[1]).transpose(2, 0, 1, 3)
    first = rows.reshape(first.shape)
    return nn.Sequential(*layers, nn.Flatten(), dense_layers([(first, shift), last]))


def batch_norm(norm: Any) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(norm[0].size, NORM_EPSILON, track_running_stats=False)
    layer.weight, layer.bias = map(weight, norm)
    return layer


def layer_norm(norm: Any) -> nn.LayerNorm:
    layer = nn.LayerNorm(norm[0].size, NORM_EPSILON)
    layer.weight, layer.bias = map(weight, norm)
    return layer


class ResidualBlock(nn.Module):
    def __init__(self, params: Any) -> None:
        super().__init__()
        stride = 2 if "skip" in params else 1
        self.conv1 = conv(params["conv1"], stride=stride)
        self.norm1 = batch_norm(params["norm1"])
        self.conv2 = conv(params["conv2"])
        self.norm2 = batch_norm(params["norm2"])
        self.skip = conv(params["skip"], stride=stride) if stride == 2 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(h)) + self.skip(x))


class ResNet(nn.Module):
    def __init__(self, params: Any) -> None:
        super().__init__()
        self.stem = conv(params["stem"])
        self.blocks = nn.Sequential(*map(ResidualBlock, params["blocks"]))
        self.dense = linear(params["dense"])

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(self.blocks(F.relu(self.stem(x))).mean((2, 3)))


class TransformerBlock(nn.Module):
    def __init__(self, params: Any) -> None:
        super().__init__()
        self.norm1, self.norm2 = layer_norm(params["norm1"]), layer_norm(params["norm2"])
        self.qkv, self.out = linear(params["qkv"]), linear(params["out"])
        self.up, self.down = linear(params["up"]), linear(params["down"])

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        parts = self.qkv(self.norm1(x)).split(width, -1)
        q, k, v = (part.view(batch, length, HEADS, -1).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, params: Any) -> None:
        super().__init__()
        self.embedding = weight(params["embedding"])
        self.positions = weight(params["positions"])
        self.blocks = nn.Sequential(*map(TransformerBlock, params["blocks"]))
        self.norm = layer_norm(params["norm"])

    def forward(self, x: Tensor) -> Tensor:
        h = self.blocks(F.embedding(x, self.embedding) + self.positions)
        return self.norm(h) @ self.embedding.T


class Lstm(nn.Module):
    """torch's layer adds two biases; the second stays at zero, so that there is one."""

    def __init__(self, params: Any) -> None:
        super().__init__()
        w, u, b = params["gates"]
        self.layer = nn.LSTM(w.shape[0], u.shape[0], batch_first=True)
        self.layer.weight_ih_l0, self.layer.weight_hh_l0 = weight(w.T), weight(u.T)
        self.layer.bias_ih_l0, self.layer.bias_hh_l0 = weight(b), weight(np.zeros_like(b))
        self.layer.bias_hh_l0.requires_grad_(False)
        self.dense = linear(params["dense"])

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(self.layer(x)[0][:, -1])


def upward(w: np.ndarray) -> nn.ConvTranspose2d:
    """w: [4, 4, O, C]; twice the height and width."""
    layer = nn.ConvTranspose2d(w.shape[3], w.shape[2], 4, 2, 1, bias=False)
    layer.weight = weight(w.transpose(3, 2, 0, 1))
    return layer


def downward(w: np.ndarray) -> nn.Conv2d:
    """w: [4, 4, C, O]; half the height and width."""
    layer = nn.Conv2d(w.shape[2], w.shape[3], 4, 2, 1, bias=False)
    layer.weight = weight(w.transpose(3, 2, 0, 1))
    return layer


class Generator(nn.Sequential):
    def __init__(self, params: Any) -> None:
        first = params["dense"]
        # The workload's rows give [4, 4, C]; here they give [C, 4, 4].
        channels = first.shape[1] // 16
        rows = first.reshape(-1, 4, 4, channels).transpose(0, 3, 1, 2).reshape(first.shape)
        layers: list[nn.Module] = [linear(rows), nn.Unflatten(1, (channels, 4, 4))]
        for norm, w in zip(params["norms"], params["convs"], strict=True):
            layers += [batch_norm(norm), nn.ReLU(), upward(w)]
        super().__init__(*layers, nn.Tanh())


class Discriminator(nn.Sequential):
    def __init__(self, params: Any) -> None:
        first, *inner = params["convs"]
        layers: list[nn.Module] = [downward(first), nn.LeakyReLU(LEAK)]
        for w, norm in zip(inner, params["norms"], strict=True):
            layers += [downward(w), batch_norm(norm), nn.LeakyReLU(LEAK)]
        last = params["dense"]
        rows = last.reshape(4, 4, -1).transpose(2, 0, 1).reshape(last.shape)
        super().__init__(*layers, nn.Flatten(), linear(rows))


MODELS: dict[str, Callable[[Any], nn.Module]] = {
    "mlp": dense_layers,
    "lenet": lenet,
    "resnet": ResNet,
    "lstm": Lstm,
    "gpt": Gpt,
}


def memory_format(channels_last: bool) -> torch.memory_format:
    return torch.channels_last if channels_last else torch.contiguous_format


def images(x: np.ndarray, channels_last: bool) -> Tensor:
    """x: [N, H, W, C], as torch's [N, C, H, W] in one of its memory formats."""
    batch = torch.from_numpy(x).permute(0, 3, 1, 2)
    return batch.contiguous(memory_format=memory_format(channels_last))


def network_and_batch(work: Work, channels_last: bool) -> tuple[nn.Module, Tensor, Tensor]:
    """channels_last: torch's memory format of that name, for images and convolution weights."""
    model, y = MODELS[work.model](work.params), torch.from_numpy(work.y)
    if work.x.ndim != 4:
        return model, torch.from_numpy(work.x), y.long()
    model = model.to(memory_format=memory_format(channels_last))
    return model, images(work.x, channels_last), y.long()


def gan_and_batch(
    work: Work, channels_last: bool
) -> tuple[Generator, Discriminator, Tensor, Tensor]:
    """The two networks, images and noise."""
    order = memory_format(channels_last)
    maker = Generator(work.params["generator"]).to(memory_format=order)
    critic = Discriminator(work.params["discriminator"]).to(memory_format=order)
    return maker, critic, images(work.x, channels_last), torch.from_numpy(work.y)
