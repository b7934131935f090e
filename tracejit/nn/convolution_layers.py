"""Convolution layers, channels last unless `data_format` says "channels_first"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.nn import convolution
from tracejit.nn.keras_order import CONVOLUTION, DEPTHWISE, OF_KERNEL, in_order
from tracejit.nn.layer import Layer, Weighted

FORMATS = ("channels_last", "channels_first")


def per_axis(value: Any, axes: int) -> tuple[int, ...]:
    """One int for each of the spatial axes."""
    return (int(value),) * axes if isinstance(value, int) else tuple(int(v) for v in value)


def checked_format(name: str, data_format: str | None) -> str:
    """The data format; None is channels_last. Raises ValueError."""
    data_format = data_format or FORMATS[0]
    if data_format not in FORMATS:
        raise ValueError(f"{name}: data_format {data_format!r} is none of {', '.join(FORMATS)}")
    return data_format


class _Convolution(Weighted):
    """What convolutions of any number of axes share; `rank` is that number."""

    rank = 2

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        *args: Any,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        **keywords: Any,
    ) -> None:
        super().__init__(*args, **keywords)
        self.kernel_size = per_axis(kernel_size, self.rank)
        self.strides = per_axis(strides, self.rank)
        self.padding = padding
        self.data_format = checked_format(type(self).__name__, data_format)
        self.dilation_rate = per_axis(dilation_rate, self.rank)

    def channels(self, shape: Any) -> int:
        return int(shape[-1] if self.data_format == FORMATS[0] else shape[1])

    def finish(self, y: Any) -> Any:
        """The activation of y plus the bias, which stands along the channels."""
        if self.bias is None or self.data_format == FORMATS[0]:
            return super().finish(y)
        return self.activation(y + np.reshape(self.read(self.bias), (-1, *(1,) * self.rank)))

    def settings(self) -> tuple[Any, Any, Any]:
        """strides, padding, dilation, as the functions of `nn.convolution` take them."""
        return self.strides, self.padding, self.dilation_rate


@in_order(CONVOLUTION)
class _Conv(_Convolution):
    """Weights: kernel [*kernel_size, channels / groups, filters], bias [filters]."""

    function: Callable[..., Any]

    def __init__(self, filters: int, *args: Any, groups: int = 1, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.filters, self.groups = filters, groups

    def build(self, input_shape: Any) -> None:
        inner = self.channels(input_shape) // self.groups
        self.kernel = self.add_kernel((*self.kernel_size, inner, self.filters))
        self.bias = self.add_bias((self.filters,))

    def call(self, x: Any) -> Any:
        kernel = self.read(self.kernel)
        return self.finish(
            type(self).function(x, kernel, *self.settings(), self.groups, self.data_format)
        )


class Conv1D(_Conv):
    """[N, L, C] -> [N, L', filters]."""

    rank = 1
    function = convolution.conv1d


class Conv2D(_Conv):
    """[N, H, W, C] -> [N, H', W', filters]."""

    rank = 2
    function = convolution.conv2d


class Conv3D(_Conv):
    """[N, D, H, W, C] -> [N, D', H', W', filters]."""

    rank = 3
    function = convolution.conv3d


@in_order(DEPTHWISE, but=OF_KERNEL)
class DepthwiseConv2D(_Convolution):
    """Every channel by kernels of its own. Weights: kernel [KH, KW, C, depth_multiplier], bias."""

    def __init__(
        self,
        *args: Any,
        depth_multiplier: int = 1,
        depthwise_initializer: Any = "glorot_uniform",
        depthwise_regularizer: Any = None,
        depthwise_constraint: Any = None,
        **keywords: Any,
    ) -> None:
        super().__init__(
            *args, kernel_initializer=depthwise_initializer,
            kernel_regularizer=depthwise_regularizer, kernel_constraint=depthwise_constraint,
            **keywords,
        )  # fmt: skip
        self.depth_multiplier = depth_multiplier

    def build(self, input_shape: Any) -> None:
        channels = self.channels(input_shape)
        self.kernel = self.add_kernel((*self.kernel_size, channels, self.depth_multiplier))
        self.bias = self.add_bias((channels * self.depth_multiplier,))

    def call(self, x: Any) -> Any:
        return self.finish(
            convolution.depthwise_conv2d(
                x, self.read(self.kernel), *self.settings(), self.data_format
            )
        )


@in_order(CONVOLUTION, but=OF_KERNEL)
class SeparableConv2D(_Convolution):
    """A depthwise convolution, then one of 1x1.

    Weights: depthwise kernel [KH, KW, C, m], pointwise kernel [1, 1, C m, filters], bias.
    """

    def __init__(
        self,
        filters: int,
        *args: Any,
        depth_multiplier: int = 1,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        **keywords: Any,
    ) -> None:
        super().__init__(*args, **keywords)
        self.filters, self.depth_multiplier = filters, depth_multiplier
        self._depthwise = (depthwise_initializer, depthwise_regularizer, depthwise_constraint)
        self._pointwise = (pointwise_initializer, pointwise_regularizer, pointwise_constraint)

    def build(self, input_shape: Any) -> None:
        channels, many = self.channels(input_shape), self.depth_multiplier
        draw, regularizer, constraint = self._depthwise
        self.depthwise_kernel = self.add_weight(
            (*self.kernel_size, channels, many), draw, regularizer=regularizer,
            constraint=constraint, name="depthwise_kernel",
        )  # fmt: skip
        draw, regularizer, constraint = self._pointwise
        self.pointwise_kernel = self.add_weight(
            (1, 1, channels * many, self.filters), draw, regularizer=regularizer,
            constraint=constraint, name="pointwise_kernel",
        )  # fmt: skip
        self.bias = self.add_bias((self.filters,))

    def call(self, x: Any) -> Any:
        form = self.data_format
        y = convolution.depthwise_conv2d(
            x, self.read(self.depthwise_kernel), *self.settings(), form
        )
        pointwise = self.read(self.pointwise_kernel)
        return self.finish(convolution.conv2d(y, pointwise, 1, "valid", 1, 1, form))


@in_order(CONVOLUTION)
class _ConvTranspose(_Convolution):
    """The transpose of a convolution. Weights: kernel [*kernel_size, filters, channels], bias."""

    function: Callable[..., Any]

    def __init__(self, filters: int, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.filters = filters

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_kernel((*self.kernel_size, self.filters, self.channels(input_shape)))
        self.bias = self.add_bias((self.filters,))

    def call(self, x: Any) -> Any:
        kernel = self.read(self.kernel)
        return self.finish(type(self).function(x, kernel, *self.settings(), self.data_format))


class Conv1DTranspose(_ConvTranspose):
    rank = 1
    function = convolution.conv_transpose1d


class Conv2DTranspose(_ConvTranspose):
    rank = 2
    function = convolution.conv_transpose2d


class ZeroPadding1D(Layer):
    """[N, L, C] with `padding` zeros, or (before, after) of them, around L."""

    def __init__(self, padding: Any = 1, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.padding = per_axis(padding, 2)

    def call(self, x: Any) -> Any:
        return np.pad(x, ((0, 0), self.padding, (0, 0)))


class ZeroPadding2D(Layer):
    """[N, H, W, C] with zeros around: one int, (rows, columns), or a pair of each."""

    def __init__(self, padding: Any = 1, data_format: str | None = None, **keywords: Any) -> None:
        super().__init__(**keywords)
        sides = (padding, padding) if isinstance(padding, int) else padding
        self.padding = tuple(per_axis(side, 2) for side in sides)
        self.data_format = checked_format("ZeroPadding2D", data_format)

    def call(self, x: Any) -> Any:
        rows, columns = self.padding
        last = self.data_format == FORMATS[0]
        widths = ((0, 0), rows, columns, (0, 0)) if last else ((0, 0), (0, 0), rows, columns)
        return np.pad(x, widths)


class UpSampling1D(Layer):
    """Each step `size` times."""

    def __init__(self, size: int = 2, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.size = size

    def call(self, x: Any) -> Any:
        return repeated(x, 1, self.size)


class UpSampling2D(Layer):
    """Each pixel size[0] x size[1] times (interpolation="nearest", the only one there is)."""

    def __init__(
        self,
        size: Any = 2,
        data_format: str | None = None,
        interpolation: str = "nearest",
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        if interpolation != "nearest":
            raise ValueError(f"UpSampling2D: interpolation {interpolation!r} is not there: nearest")
        self.size = per_axis(size, 2)
        self.data_format = checked_format("UpSampling2D", data_format)

    def call(self, x: Any) -> Any:
        first = 1 if self.data_format == FORMATS[0] else 2
        return repeated(repeated(x, first, self.size[0]), first + 1, self.size[1])


def repeated(x: Any, axis: int, times: int) -> Any:
    """Each element `times` times along an axis."""
    wide = np.expand_dims(x, axis + 1)
    shape = (*x.shape[: axis + 1], times, *x.shape[axis + 1 :])
    out = (*x.shape[:axis], x.shape[axis] * times, *x.shape[axis + 1 :])
    return np.reshape(np.broadcast_to(wide, shape), out)
