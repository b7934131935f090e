"""Attention layers."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from tracejit.nn import functions
from tracejit.nn.core import Dropout
from tracejit.nn.layer import Layer, Weighted, shapes_of

_LETTERS = 3  # [N, T, features]


class Projection(Weighted):
    """[..., *ins] -> [..., *outs], with a kernel [*ins, *outs] and a bias [*outs]."""

    supports_masking = True

    def __init__(self, ins: tuple[int, ...], outs: tuple[int, ...], **keywords: Any) -> None:
        super().__init__(**keywords)
        self.ins, self.outs = ins, outs

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_kernel((*self.ins, *self.outs))
        self.bias = self.add_bias(self.outs)

    def call(self, x: Any) -> Any:
        lead = x.shape[: x.ndim - len(self.ins)]
        inner, outer = int(np.prod(self.ins)), int(np.prod(self.outs))
        matrix = np.reshape(self.read(self.kernel), (inner, outer))
        y = np.matmul(np.reshape(x, (*lead, inner)), matrix)
        if self.bias is not None:
            y = y + np.reshape(self.read(self.bias), (outer,))
        return np.reshape(y, (*lead, *self.outs))


class MultiHeadAttention(Layer):
    """Attention of `query` [N, T, D] to `value` [N, S, E] (and `key`, else value): [N, T, D].

    Weights, as in Keras: query kernel [D, heads, key_dim] and bias, key, value, output kernel
    [heads, value_dim, D] and bias. Source: Vaswani et al. 2017, arXiv:1706.03762.
    """

    supports_masking = True

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        seed: int | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        self.num_heads, self.key_dim = num_heads, key_dim
        self.value_dim = key_dim if value_dim is None else value_dim
        self.use_bias, self.output_shape = use_bias, output_shape
        self._drawn = {
            "kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer,
        }  # fmt: skip
        self._dropout_settings = (dropout, seed)

    def build_from(self, query: Any, value: Any, key: Any = None, **_: Any) -> None:
        self.build(shapes_of(query), shapes_of(value), shapes_of(value if key is None else key))
        self.built = True

    def build(self, query_shape: Any, value_shape: Any = None, key_shape: Any = None) -> None:
        value_shape = value_shape or query_shape
        key_shape = key_shape or value_shape
        heads, width = self.num_heads, self.output_shape or query_shape[-1]

        def project(name: str, ins: tuple[int, ...], outs: tuple[int, ...]) -> Projection:
            layer = Projection(
                ins, outs, use_bias=self.use_bias, name=f"{self.name}_{name}",
                dtype=self.dtype_policy, **self._drawn,
            )  # fmt: skip
            layer.build(None)
            layer.built = True
            return layer

        self.query = project("query", (query_shape[-1],), (heads, self.key_dim))
        self.key = project("key", (key_shape[-1],), (heads, self.key_dim))
        self.value = project("value", (value_shape[-1],), (heads, self.value_dim))
        rate, seed = self._dropout_settings
        self.dropout = (
            Dropout(rate, seed=seed, name=f"{self.name}_dropout", dtype=self.dtype_policy)
            if rate
            else None
        )
        self.output = project("output", (heads, self.value_dim), (width,))

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        """attention_mask: bool[N, T, S] or [N, heads, T, S], True where query may look.

        value_mask, key_mask: bool[N, S], the places that count; by default the masks that came
        with the arrays. query_mask: bool[N, T] goes on with the result; it changes no number.
        """
        q, v = self.query(query), self.value(value)
        k = self.key(value if key is None else key)
        q, k, v = (np.swapaxes(x, 1, 2) for x in (q, k, v))
        mask = _all_of(attention_mask, value_mask, key_mask)
        if self.dropout is None and not return_attention_scores:
            mixed = functions.scaled_dot_product_attention(q, k, v, mask, use_causal_mask)
            return self.output(np.swapaxes(mixed, 1, 2))
        weights = functions.attention_weights(q, k, mask, use_causal_mask)
        kept = weights if self.dropout is None else self.dropout(weights, training=training)
        y = self.output(np.swapaxes(np.matmul(kept, v), 1, 2))
        return (y, weights) if return_attention_scores else y


def _all_of(attention_mask: Any, *of_steps: Any) -> Any:
    """One bool mask that broadcasts to [N, heads, T, S]; None if there is none."""
    masks = [m[:, None, None, :] for m in of_steps if m is not None]
    if attention_mask is not None:
        given = np.astype(attention_mask, np.bool_)
        masks.append(np.expand_dims(given, 1) if given.ndim == _LETTERS else given)
    return reduce(np.logical_and, masks) if masks else None
