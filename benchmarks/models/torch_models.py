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

from benchmarks.workloads import HEADS, NORM_EPSILON, Work


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


MODELS: dict[str, Callable[[Any], nn.Module]] = {
    "mlp": dense_layers,
    "lenet": lenet,
    "resnet": ResNet,
    "gpt": Gpt,
}


def network_and_batch(work: Work, channels_last: bool) -> tuple[nn.Module, Tensor, Tensor]:
    """channels_last: torch's memory format of that name, for images and convolution weights."""
    model = MODELS[work.model](work.params)
    x, y = torch.from_numpy(work.x), torch.from_numpy(work.y)
    if work.x.ndim == 4:
        order = torch.channels_last if channels_last else torch.contiguous_format
        model = model.to(memory_format=order)
        x = x.permute(0, 3, 1, 2).contiguous(memory_format=order)
    return model, x, y.long()
