"""The table of layers: how each is made, the shapes of its inputs, and the same in plain NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tests.nn import references as ref
from tracejit import nn
from tracejit.nn.layer import Layer

F64 = {"dtype": np.float64}


class Row(NamedTuple):
    """A layer, the shapes of its inputs, and the same in NumPy: reference(weights, *inputs)."""

    make: Callable[[], Any]
    shapes: tuple[tuple[int, ...], ...]
    reference: Callable[..., Any]
    weights: tuple[tuple[int, ...], ...] = ()


class Attends(Layer):
    """MultiHeadAttention of a list of two arrays."""

    def __init__(self, causal: bool) -> None:
        super().__init__(**F64)
        self.causal = causal
        self.inner = nn.MultiHeadAttention(2, 3, bias_initializer="random_normal", **F64)

    def call(self, inputs: Any) -> Any:
        return self.inner(*inputs, use_causal_mask=self.causal)


IMAGE = ((2, 6, 5, 3),)
SEQUENCE = ((2, 4, 2),)

ROWS: dict[str, Row] = {
    "Dense": Row(
        lambda: nn.Dense(4, **F64), ((3, 5),), lambda w, x: x @ w[0] + w[1], ((5, 4), (4,))
    ),
    "Dense relu, no bias, rank 3": Row(
        lambda: nn.Dense(4, "relu", use_bias=False, **F64),
        ((3, 2, 5),),
        lambda w, x: np.maximum(x @ w[0], 0),
        ((5, 4),),
    ),
    "Activation gelu": Row(
        lambda: nn.Activation("gelu", **F64), ((3, 5),), lambda w, x: ref.gelu(x)
    ),
    "Softmax": Row(lambda: nn.Softmax(**F64), ((3, 5),), lambda w, x: ref.softmax(x)),
    "ReLU": Row(
        lambda: nn.ReLU(max_value=1.5, negative_slope=0.1, threshold=0.2, **F64),
        ((3, 5),),
        lambda w, x: np.minimum(np.where(x >= 0.2, x, 0.1 * (x - 0.2)), 1.5),
    ),
    "LeakyReLU": Row(
        lambda: nn.LeakyReLU(**F64), ((3, 5),), lambda w, x: np.where(x >= 0, x, 0.3 * x)
    ),
    "ELU": Row(
        lambda: nn.ELU(0.7, **F64), ((3, 5),), lambda w, x: np.where(x > 0, x, 0.7 * np.expm1(x))
    ),
    "PReLU": Row(
        lambda: nn.PReLU("random_normal", **F64),
        ((3, 5),),
        lambda w, x: np.where(x >= 0, x, w[0] * x),
        ((5,),),
    ),
    "Flatten": Row(lambda: nn.Flatten(**F64), ((3, 2, 4),), lambda w, x: x.reshape(3, 8)),
    "Reshape": Row(
        lambda: nn.Reshape((4, -1), **F64), ((3, 2, 6),), lambda w, x: x.reshape(3, 4, 3)
    ),
    "Permute": Row(
        lambda: nn.Permute((2, 1), **F64), ((3, 2, 4),), lambda w, x: x.transpose(0, 2, 1)
    ),
    "RepeatVector": Row(
        lambda: nn.RepeatVector(3, **F64), ((2, 4),), lambda w, x: np.stack([x] * 3, 1)
    ),
    "TimeDistributed": Row(
        lambda: nn.TimeDistributed(nn.Dense(2, "tanh", **F64), **F64),
        ((3, 4, 5),),
        lambda w, x: np.tanh(x @ w[0] + w[1]),
        ((5, 2), (2,)),
    ),
    "Remat": Row(
        lambda: nn.Remat(nn.Dense(2, "tanh", **F64), **F64),
        ((3, 5),),
        lambda w, x: np.tanh(x @ w[0] + w[1]),
        ((5, 2), (2,)),
    ),
    "Rescaling": Row(lambda: nn.Rescaling(2, -1.0, **F64), ((3, 4),), lambda w, x: x * 2 - 1),
    "Identity": Row(lambda: nn.Identity(**F64), ((3, 4),), lambda w, x: x),
    "Lambda": Row(lambda: nn.Lambda(np.sin, **F64), ((3, 4),), lambda w, x: np.sin(x)),
    "BatchNormalization": Row(
        lambda: nn.BatchNormalization(**F64),
        ((4, 3, 5),),
        lambda w, x: (x - w[2]) / np.sqrt(w[3] + 1e-3) * w[0] + w[1],
        ((5,),) * 4,
    ),
    "BatchNormalization axis 1": Row(
        lambda: nn.BatchNormalization(axis=1, center=False, **F64),
        ((4, 3, 5),),
        lambda w, x: (x - w[1][:, None]) / np.sqrt(w[2] + 1e-3)[:, None] * w[0][:, None],
        ((3,),) * 3,
    ),
    "LayerNormalization": Row(
        lambda: nn.LayerNormalization(**F64),
        ((4, 3, 5),),
        lambda w, x: ref.normal(x, -1, 1e-3) * w[0] + w[1],
        ((5,),) * 2,
    ),
    "LayerNormalization axes": Row(
        lambda: nn.LayerNormalization(axis=(1, 2), **F64),
        ((4, 3, 5),),
        lambda w, x: ref.normal(x, (1, 2), 1e-3) * w[0] + w[1],
        ((3, 5),) * 2,
    ),
    "RMSNormalization": Row(
        lambda: nn.RMSNormalization(**F64),
        ((4, 5),),
        lambda w, x: x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * w[0],
        ((5,),),
    ),
    "GroupNormalization": Row(
        lambda: nn.GroupNormalization(2, **F64),
        ((2, 3, 2, 4),),
        lambda w, x: (
            ref.normal(x.reshape(2, 3, 2, 2, 2), (1, 2, 4), 1e-3).reshape(x.shape) * w[0] + w[1]
        ),
        ((4,),) * 2,
    ),
    "UnitNormalization": Row(
        lambda: nn.UnitNormalization(**F64),
        ((4, 5),),
        lambda w, x: x / np.linalg.norm(x, axis=-1, keepdims=True),
    ),
    "Add": Row(lambda: nn.Add(**F64), ((3, 4),) * 3, lambda w, x: x[0] + x[1] + x[2]),
    "Subtract": Row(lambda: nn.Subtract(**F64), ((3, 4),) * 2, lambda w, x: x[0] - x[1]),
    "Multiply": Row(lambda: nn.Multiply(**F64), ((3, 4),) * 2, lambda w, x: x[0] * x[1]),
    "Average": Row(lambda: nn.Average(**F64), ((3, 4),) * 2, lambda w, x: (x[0] + x[1]) / 2),
    "Maximum": Row(lambda: nn.Maximum(**F64), ((3, 4),) * 2, lambda w, x: np.maximum(*x)),
    "Minimum": Row(lambda: nn.Minimum(**F64), ((3, 4),) * 2, lambda w, x: np.minimum(*x)),
    "Concatenate": Row(
        lambda: nn.Concatenate(**F64), ((3, 4), (3, 2)), lambda w, x: np.concatenate(x, -1)
    ),
    "Dot": Row(
        lambda: nn.Dot((2, 1), **F64),
        ((2, 3, 4), (2, 4, 5)),
        lambda w, x: np.einsum("nij,njk->nik", *x),
    ),
    "Conv1D": Row(
        lambda: nn.Conv1D(4, 3, 2, **F64),
        ((2, 9, 3),),
        lambda w, x: ref.conv2d(x[:, None], w[0][None], (1, 2))[:, 0] + w[1],
        ((3, 3, 4), (4,)),
    ),
    "Conv1D causal": Row(
        lambda: nn.Conv1D(4, 3, padding="causal", **F64),
        ((2, 7, 3),),
        lambda w, x: (
            ref.conv2d(np.pad(x, ((0, 0), (2, 0), (0, 0)))[:, None], w[0][None])[:, 0] + w[1]
        ),
        ((3, 3, 4), (4,)),
    ),
    "Conv2D": Row(
        lambda: nn.Conv2D(4, 3, activation="tanh", **F64),
        IMAGE,
        lambda w, x: np.tanh(ref.conv2d(x, w[0]) + w[1]),
        ((3, 3, 3, 4), (4,)),
    ),
    "Conv2D same, strides": Row(
        lambda: nn.Conv2D(4, (2, 3), (2, 1), "same", use_bias=False, **F64),
        IMAGE,
        lambda w, x: ref.conv2d(x, w[0], (2, 1), "same"),
        ((2, 3, 3, 4),),
    ),
    "Conv2D channels first": Row(
        lambda: nn.Conv2D(4, 3, data_format="channels_first", **F64),
        ((2, 3, 6, 5),),
        lambda w, x: (ref.conv2d(x.transpose(0, 2, 3, 1), w[0]) + w[1]).transpose(0, 3, 1, 2),
        ((3, 3, 3, 4), (4,)),
    ),
    "DepthwiseConv2D": Row(
        lambda: nn.DepthwiseConv2D(3, depth_multiplier=2, **F64),
        IMAGE,
        lambda w, x: ref.depthwise(x, w[0]) + w[1],
        ((3, 3, 3, 2), (6,)),
    ),
    "SeparableConv2D": Row(
        lambda: nn.SeparableConv2D(4, 3, depth_multiplier=2, **F64),
        IMAGE,
        lambda w, x: ref.depthwise(x, w[0]) @ w[1][0, 0] + w[2],
        ((3, 3, 3, 2), (1, 1, 6, 4), (4,)),
    ),
    "Conv2DTranspose": Row(
        lambda: nn.Conv2DTranspose(4, 3, 2, **F64),
        ((2, 3, 4, 2),),
        lambda w, x: ref.transposed(x, w[0], 2) + w[1],
        ((3, 3, 4, 2), (4,)),
    ),
    "MaxPooling2D": Row(
        lambda: nn.MaxPooling2D(2, **F64),
        IMAGE,
        lambda w, x: ref.windows(x, (2, 2), (2, 2), "valid").max((3, 4)),
    ),
    "MaxPooling2D same, overlapping": Row(
        lambda: nn.MaxPooling2D(3, 2, "same", **F64),
        IMAGE,
        lambda w, x: ref.windows(x, (3, 3), (2, 2), "same", -np.inf).max((3, 4)),
    ),
    "AveragePooling2D": Row(
        lambda: nn.AveragePooling2D(2, **F64),
        IMAGE,
        lambda w, x: ref.windows(x, (2, 2), (2, 2), "valid").mean((3, 4)),
    ),
    "AveragePooling2D same": Row(
        lambda: nn.AveragePooling2D(2, 2, "same", **F64),
        IMAGE,
        lambda w, x: np.nanmean(ref.windows(x, (2, 2), (2, 2), "same", np.nan), (3, 4)),
    ),
    "MaxPooling1D": Row(
        lambda: nn.MaxPooling1D(2, **F64), ((2, 6, 3),), lambda w, x: x.reshape(2, 3, 2, 3).max(2)
    ),
    "AveragePooling1D": Row(
        lambda: nn.AveragePooling1D(3, **F64),
        ((2, 6, 3),),
        lambda w, x: x.reshape(2, 2, 3, 3).mean(2),
    ),
    "GlobalMaxPooling1D": Row(
        lambda: nn.GlobalMaxPooling1D(**F64), ((2, 6, 3),), lambda w, x: x.max(1)
    ),
    "GlobalMaxPooling2D": Row(
        lambda: nn.GlobalMaxPooling2D(keepdims=True, **F64),
        IMAGE,
        lambda w, x: x.max((1, 2), keepdims=True),
    ),
    "GlobalAveragePooling1D": Row(
        lambda: nn.GlobalAveragePooling1D(**F64), ((2, 6, 3),), lambda w, x: x.mean(1)
    ),
    "GlobalAveragePooling2D": Row(
        lambda: nn.GlobalAveragePooling2D(**F64), IMAGE, lambda w, x: x.mean((1, 2))
    ),
    "ZeroPadding1D": Row(
        lambda: nn.ZeroPadding1D((1, 2), **F64),
        ((2, 4, 3),),
        lambda w, x: np.pad(x, ((0, 0), (1, 2), (0, 0))),
    ),
    "ZeroPadding2D": Row(
        lambda: nn.ZeroPadding2D((1, (0, 2)), **F64),
        IMAGE,
        lambda w, x: np.pad(x, ((0, 0), (1, 1), (0, 2), (0, 0))),
    ),
    "UpSampling1D": Row(
        lambda: nn.UpSampling1D(3, **F64), ((2, 4, 3),), lambda w, x: x.repeat(3, 1)
    ),
    "UpSampling2D": Row(
        lambda: nn.UpSampling2D((2, 3), **F64), IMAGE, lambda w, x: x.repeat(2, 1).repeat(3, 2)
    ),
    "MultiHeadAttention": Row(
        lambda: Attends(False),
        ((2, 4, 6), (2, 5, 6)),
        lambda w, x: ref.attention(w, *x, causal=False),
        ((6, 2, 3), (2, 3)) * 3 + ((2, 3, 6), (6,)),
    ),
    "MultiHeadAttention causal": Row(
        lambda: Attends(True),
        ((2, 4, 6), (2, 4, 6)),
        lambda w, x: ref.attention(w, *x, causal=True),
        ((6, 2, 3), (2, 3)) * 3 + ((2, 3, 6), (6,)),
    ),
    "SimpleRNN": Row(
        lambda: nn.SimpleRNN(3, **F64),
        SEQUENCE,
        lambda w, x: ref.recurrent(ref.simple_step, w, x)[:, -1],
        ((2, 3), (3, 3), (3,)),
    ),
    "SimpleRNN backwards, all": Row(
        lambda: nn.SimpleRNN(3, return_sequences=True, go_backwards=True, **F64),
        SEQUENCE,
        lambda w, x: ref.recurrent(ref.simple_step, w, x[:, ::-1]),
        ((2, 3), (3, 3), (3,)),
    ),
    "LSTM": Row(
        lambda: nn.LSTM(3, return_sequences=True, **F64),
        SEQUENCE,
        lambda w, x: ref.recurrent(ref.lstm_step, w, x, 2),
        ((2, 12), (3, 12), (12,)),
    ),
    "LSTM unrolled": Row(
        lambda: nn.LSTM(3, unroll=True, **F64),
        SEQUENCE,
        lambda w, x: ref.recurrent(ref.lstm_step, w, x, 2)[:, -1],
        ((2, 12), (3, 12), (12,)),
    ),
    "GRU": Row(
        lambda: nn.GRU(3, **F64),
        SEQUENCE,
        lambda w, x: ref.recurrent(ref.gru_step, w, x)[:, -1],
        ((2, 9), (3, 9), (2, 9)),
    ),
    "GRU reset before": Row(
        lambda: nn.GRU(3, reset_after=False, return_sequences=True, **F64),
        SEQUENCE,
        lambda w, x: ref.recurrent(ref.gru_before_step, w, x),
        ((2, 9), (3, 9), (9,)),
    ),
    "RNN of two cells": Row(
        lambda: nn.RNN([nn.GRUCell(3, **F64), nn.SimpleRNNCell(2, **F64)], **F64),
        SEQUENCE,
        lambda w, x: ref.recurrent(ref.simple_step, w[3:], ref.recurrent(ref.gru_step, w[:3], x))[
            :, -1
        ],
        ((2, 9), (3, 9), (2, 9), (3, 2), (2, 2), (2,)),
    ),
    "Bidirectional": Row(
        lambda: nn.Bidirectional(nn.SimpleRNN(3, return_sequences=True, **F64), **F64),
        SEQUENCE,
        lambda w, x: np.concatenate(
            [
                ref.recurrent(ref.simple_step, w[:3], x),
                ref.recurrent(ref.simple_step, w[3:], x[:, ::-1])[:, ::-1],
            ],
            -1,
        ),
        ((2, 3), (3, 3), (3,)) * 2,
    ),
}
