"""Pooling layers, channels last unless `data_format` says "channels_first"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.nn import pooling
from tracejit.nn.convolution_layers import checked_format
from tracejit.nn.functions import moments
from tracejit.nn.layer import Layer


class _Pooling(Layer):
    function: Callable[..., Any]

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: Any = "valid",
        data_format: str | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        self.pool_size, self.strides, self.padding = pool_size, strides, padding
        self.data_format = checked_format(type(self).__name__, data_format)

    def call(self, x: Any) -> Any:
        return type(self).function(x, self.pool_size, self.strides, self.padding, self.data_format)


class MaxPooling1D(_Pooling):
    function = pooling.max_pool1d


class MaxPooling2D(_Pooling):
    function = pooling.max_pool2d


class AveragePooling1D(_Pooling):
    function = pooling.avg_pool1d


class AveragePooling2D(_Pooling):
    function = pooling.avg_pool2d


class _GlobalPooling(Layer):
    function: Callable[..., Any]

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **keywords: Any
    ) -> None:
        super().__init__(**keywords)
        self.data_format = checked_format(type(self).__name__, data_format)
        self.keepdims = keepdims

    def call(self, x: Any) -> Any:
        return type(self).function(x, self.data_format, self.keepdims)


class GlobalMaxPooling1D(_GlobalPooling):
    function = pooling.global_max_pool


class GlobalMaxPooling2D(_GlobalPooling):
    function = pooling.global_max_pool


class GlobalAveragePooling1D(_GlobalPooling):
    """The mean over the steps; with a mask bool[N, T], over those that count."""

    function = pooling.global_avg_pool
    supports_masking = True

    def call(self, x: Any, mask: Any = None) -> Any:
        if mask is None:
            return super().call(x)
        time = 1 if self.data_format == "channels_last" else 2
        where = np.expand_dims(mask, 3 - time)
        return moments(x, time, self.keepdims, where)[0]

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        return None


class GlobalAveragePooling2D(_GlobalPooling):
    function = pooling.global_avg_pool
