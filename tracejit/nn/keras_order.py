"""Constructors that take Keras's arguments in its order, each stated where it is used.

A class says in its own `__init__` what it adds, and hands the rest on as keywords. `in_order` makes
of that one constructor, whose signature is what `help` and `inspect.signature` show.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from inspect import Parameter
from typing import Any, TypeVar

C = TypeVar("C", bound=type[Any])

# Each class has some of these, and takes those in their order.
OF_WEIGHTS = (
    *("depthwise_initializer", "pointwise_initializer", "kernel_initializer"),
    *("recurrent_initializer", "bias_initializer", "unit_forget_bias"),
    *("depthwise_regularizer", "pointwise_regularizer", "kernel_regularizer"),
    *("recurrent_regularizer", "bias_regularizer", "activity_regularizer"),
    *("depthwise_constraint", "pointwise_constraint", "kernel_constraint"),
    *("recurrent_constraint", "bias_constraint"),
)
OF_KERNEL = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")
CONVOLUTION = (
    *("filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "groups"),
    *("depth_multiplier", "activation", "use_bias", *OF_WEIGHTS),
)
DEPTHWISE = (
    *("kernel_size", "strides", "padding", "depth_multiplier", "data_format", "dilation_rate"),
    *("activation", "use_bias", *OF_WEIGHTS),
)
DENSE = ("units", "activation", "recurrent_activation", "use_bias", *OF_WEIGHTS)
RECURRENT = (
    *(*DENSE, "dropout", "recurrent_dropout", "seed"),
    *("return_sequences", "return_state", "go_backwards", "stateful", "unroll", "reset_after"),
)
SEED_LAST = (*(name for name in RECURRENT if name != "seed"), "seed")
CELL = tuple(name for name in RECURRENT if name != "activity_regularizer")
CELL_SEED_LAST = (*(name for name in CELL if name != "seed"), "seed")


def arguments(cls: type[Any]) -> dict[str, Parameter]:
    """What the `__init__` of a class, or one that it hands keywords on to, takes by name."""
    found: dict[str, Parameter] = {}
    for base in cls.__mro__:
        init = vars(base).get("__init__") if base is not object else None
        own = list(inspect.signature(init).parameters.values())[1:] if init else ()
        for parameter in own:
            if parameter.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY):
                found.setdefault(parameter.name, parameter)
    return found


def in_order(
    order: Sequence[str], *, of: type[Any] | None = None, but: Sequence[str] = ()
) -> Callable[[C], C]:
    """A class whose constructor takes those of its arguments that `order` names by position, too.

    The others are keywords. of: a class that is made inside, whose arguments are this one's, too.
    but: arguments that the class gives itself.
    """

    def decorate(cls: C) -> C:
        known = arguments(cls) | (arguments(of) if of is not None else {})
        first = [n for n in order if n in known and n not in but]
        rest = [n for n in known if n not in (*first, *but, "cell")]
        signature = inspect.Signature(
            [
                Parameter("self", Parameter.POSITIONAL_ONLY),
                *(known[n].replace(kind=Parameter.POSITIONAL_OR_KEYWORD) for n in first),
                *(known[n].replace(kind=Parameter.KEYWORD_ONLY) for n in rest),
            ]
        )
        by_name = cls.__init__

        @wraps(by_name)
        def init(self: Any, *args: Any, **keywords: Any) -> None:
            try:
                bound = signature.bind(self, *args, **keywords)
            except TypeError as error:
                raise TypeError(f"{type(self).__name__}: {error}") from None
            given = dict(list(bound.arguments.items())[1:])
            by_name(self, **given)

        init.__signature__ = signature  # type: ignore[attr-defined]
        cls.__init__ = init
        return cls

    return decorate
