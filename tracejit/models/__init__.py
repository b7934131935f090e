"""Models as in Keras: Sequential, functional, subclassed."""

from tracejit.models.functional import Functional
from tracejit.models.model import Model
from tracejit.models.sequential import Sequential
from tracejit.nn.symbolic import Input

__all__ = ["Functional", "Input", "Model", "Sequential"]
