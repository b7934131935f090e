"""`Layer`: a Module as in Keras, with a name, `build` at the first call, and `add_weight`."""

from __future__ import annotations

import inspect
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import cache
from math import prod
from typing import Any, Self

import numpy as np

from tracejit import tree
from tracejit.errors import ShapeError
from tracejit.ir.types import BF16
from tracejit.nn import activations, initializers, masking, symbolic
from tracejit.nn.configured import config_of, snake
from tracejit.nn.mode import add_loss, current_mode, most_elements, training_mode
from tracejit.nn.module import Module
from tracejit.nn.policy import dtype_policy, dtypes_of
from tracejit.nn.regularizers import get_constraint, get_regularizer
from tracejit.source import here
from tracejit.tracer import Tracer
from tracejit.variable import Variable

_counts: Counter[str] = Counter()


def unique_name(base: str) -> str:
    """`dense`, `dense_1`, `dense_2`, ... as Keras counts them."""
    number = _counts[base]
    _counts[base] += 1
    return f"{base}_{number}" if number else base


@cache
def arguments_of(cls: Any) -> tuple[str, ...]:
    """The names of the arguments of `call`."""
    return tuple(inspect.signature(cls.call).parameters)[1:]


def shapes_of(value: Any) -> Any:
    """The shape of an array; of a list of arrays, the list of their shapes."""
    if isinstance(value, list | tuple):
        return [shapes_of(v) for v in value]
    return tuple(value.shape) if hasattr(value, "shape") else np.shape(value)


class Layer(Module):
    """A subclass writes `call(x, ...)` and, where it has weights, `build(input_shape)`.

    name: as Keras would give it if None. trainable: False freezes it. activity_regularizer: a
    penalty on the result, per example. dtype: of the weights and of the computation, into which
    inputs of another float dtype are cast, as in Keras; "mixed_bfloat16" keeps weights in f32;
    None is what `nn.set_dtype_policy` set.
    """

    built = False
    # Whether the masks of the input hold for the result too: see `compute_mask`.
    supports_masking = False
    untracked = frozenset({"_penalized", "_constrained"})
    _name: str | None
    _penalized: list[tuple[Variable, Any]]
    _constrained: list[tuple[Variable, Any]]
    activity_regularizer: Any
    dtype: Any
    compute_dtype: Any
    dtype_policy: Any

    def __new__(cls, *args: Any, **keywords: Any) -> Self:
        self = super().__new__(cls, *args, **keywords)
        self._name = None
        self._penalized, self._constrained = [], []
        self.activity_regularizer = None
        self._set_policy(None)
        return self

    def _set_policy(self, policy: Any) -> None:
        """policy: what `dtype` may be; layers inside are given `self.dtype_policy`."""
        self.dtype_policy = dtype_policy() if policy is None else policy
        self.dtype, self.compute_dtype = dtypes_of(policy)

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
        activity_regularizer: Any = None,
    ) -> None:
        self._name = name
        self.trainable = trainable
        self.activity_regularizer = get_regularizer(activity_regularizer)
        if dtype is not None:
            self._set_policy(dtype)

    @property
    def name(self) -> str:
        if self._name is None:
            self._name = unique_name(snake(type(self).__name__))
        return self._name

    def get_config(self) -> dict[str, Any]:
        """The arguments it was made with, its name, and the policy that stood in for `dtype`."""
        policy = {} if self.dtype_policy is None else {"dtype": self.dtype_policy}
        return {**policy, **config_of(type(self), self._made_from), "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)

    def build(self, input_shape: Any) -> None:
        """Makes the weights. input_shape: that of the first call's argument, batch included."""

    def build_from(self, *args: Any, **keywords: Any) -> None:
        """Builds for the arguments of a call."""
        self.build(shapes_of(args[0]))
        self.built = True

    def add_weight(
        self,
        shape: Any = (),
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        name: str = "weight",
    ) -> Variable:
        """A new Variable; keep it in an attribute. initializer: None is glorot_uniform."""
        draw = initializers.get("glorot_uniform" if initializer is None else initializer)
        wanted = self.dtype if dtype is None else np.dtype(dtype)
        assert draw is not None, "a name of an initialiser gives one"
        sizes, most = tuple(int(n) for n in shape), most_elements()
        if most is not None and prod(sizes) > most:
            raise ShapeError(f"{self.name}: {name} {list(sizes)} has more than {most} elements")
        value = draw(sizes, wanted)
        variable = Variable(value, dtype=wanted, name=f"{self.name}_{name}", trainable=trainable)
        if regularizer is not None:
            self._penalized.append((variable, get_regularizer(regularizer)))
        if constraint is not None:
            self._constrained.append((variable, get_constraint(constraint)))
        return variable

    def add_loss(self, value: Any) -> None:
        """Adds a scalar to the loss of the training step that calls this layer."""
        add_loss(value)

    @property
    def losses(self) -> list[Any]:
        """The penalties on the weights of this layer and those inside, as they are now."""
        return [penalty(v) for layer in layers_in(self) for v, penalty in layer._penalized]

    def apply_constraints(self) -> None:
        """Brings the weights of this layer and those inside back into their bounds."""
        for layer in layers_in(self):
            for variable, constraint in layer._constrained:
                variable.assign(constraint(variable.value))

    def read(self, variable: Any) -> Any:
        """A weight in the dtype of the computation."""
        if variable.dtype == self.compute_dtype:
            return variable
        return np.astype(variable, self.compute_dtype)

    def _cast(self, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return type(value)(map(self._cast, value))
        if isinstance(value, np.ndarray | Tracer):
            dtype = value.dtype
            if dtype != self.compute_dtype and (dtype.kind == "f" or dtype == BF16):
                cast = value.astype(self.compute_dtype)
                masking.put(cast, masking.of(value))
                return cast
        return value

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        if symbolic.among(args, keywords):
            return symbolic.record(self, args, keywords)
        args = tuple(map(self._cast, args))
        if not self.built:
            self.build_from(*args, **keywords)
        training = keywords.pop("training", None)
        cls: Any = type(self)
        names = arguments_of(cls)
        mask = self._find_masks(names, args, keywords)
        if training is None:
            if "training" in names and names.index("training") >= len(args):
                keywords["training"] = self.mode()
            return self._finished(self.call(*args, **keywords), args, mask)
        if "training" in names:
            keywords["training"] = training
        with training_mode(training):
            return self._finished(self.call(*args, **keywords), args, mask)

    def _find_masks(
        self, names: tuple[str, ...], args: tuple[Any, ...], keywords: dict[str, Any]
    ) -> Any:
        """The mask of the first argument; all that `call` asks for and did not get are put in."""
        first = masking.of(args[0]) if args else None
        if "mask" in names[len(args) :]:
            if keywords.get("mask") is None and first is not None:
                keywords["mask"] = first
            first = keywords.get("mask")
        for name, value in (*zip(names, args, strict=False), *list(keywords.items())):
            wanted = f"{name}_mask"
            if wanted in names[len(args) :] and keywords.get(wanted) is None:
                found = masking.of(value)
                if found is not None:
                    keywords[wanted] = found
        return first

    def mode(self) -> bool:
        """Whether this is training: as the enclosing call says, else as `train()` said."""
        mode = current_mode()
        return self.training if mode is None else mode

    def _finished(self, result: Any, args: tuple[Any, ...], mask: Any) -> Any:
        if self.activity_regularizer is not None:
            for leaf in tree.leaves(result):
                add_loss(self.activity_regularizer(leaf) / leaf.shape[0])
        if self.supports_masking:
            made = self.compute_mask(args[0] if args else None, mask)
            if made is not None:
                masking.put(result, made)
        elif mask is not None:
            warnings.warn(
                f"{self.name}: {type(self).__name__} does not pass masks on: what follows it sees"
                f" all steps as counting{here()}",
                stacklevel=3,
            )
        return result

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        """The mask on the result, for that of the first input; None for none.

        Asked where `supports_masking` is set. A list for a result of several arrays.
        """
        return mask

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the result for that of the input; builds the layer."""
        many = isinstance(input_shape, list)
        shapes = input_shape if many else [input_shape]
        symbols = [symbolic.Symbol(tuple(s), self.compute_dtype, "x") for s in shapes]
        return tree.map(lambda s: s.shape, self(symbols if many else symbols[0]))


def layers_in(module: Module) -> Iterator[Layer]:
    """The Module itself and all inside it that are Layers."""
    return (m for m in module.modules() if isinstance(m, Layer))


class Weighted(Layer):
    """A layer with a kernel, a bias and an activation, and Keras's arguments for each."""

    kernel: Any = None
    bias: Any = None

    def __init__(
        self,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self._kernel = (kernel_initializer, kernel_regularizer, kernel_constraint)
        self._bias = (bias_initializer, bias_regularizer, bias_constraint)

    def add_kernel(self, shape: Any) -> Variable:
        draw, regularizer, constraint = self._kernel
        return self.add_weight(
            shape, draw, regularizer=regularizer, constraint=constraint, name="kernel"
        )

    def add_bias(self, shape: Any) -> Variable | None:
        draw, regularizer, constraint = self._bias
        if not self.use_bias:
            return None
        return self.add_weight(
            shape, draw, regularizer=regularizer, constraint=constraint, name="bias"
        )

    def finish(self, y: Any) -> Any:
        """The activation of y plus the bias."""
        return self.activation(y if self.bias is None else y + self.read(self.bias))
