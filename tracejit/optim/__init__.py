"""Optimizers, for Variables (`apply`) and for pytrees (`init`, `update`)."""

from tracejit.optim.optimizers import SGD, Adam, Optimizer, adam

__all__ = ["SGD", "Adam", "Optimizer", "adam"]
