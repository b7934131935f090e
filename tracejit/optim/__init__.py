"""Optimizers, for Variables (`apply`) and for pytrees (`init`, `update`)."""

from tracejit.optim import schedules
from tracejit.optim.loss_scale import LossScaleOptimizer
from tracejit.optim.optimizer import Optimizer
from tracejit.optim.optimizers import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lamb,
    Lion,
    Muon,
    Nadam,
    RMSprop,
    adam,
    get,
)

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lamb",
    "Lion",
    "LossScaleOptimizer",
    "Muon",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "adam",
    "get",
    "schedules",
]
